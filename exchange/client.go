package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/internal/discovery"
	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// A Client obtains tokens from one authorization server and remembers them. It is
// safe for concurrent use. The zero value refuses to.
//
// A token is remembered for the token of the user's that it was obtained by, never
// beyond the end of either, and refreshed ahead of its own. However many calls
// need a token at once, one request is made. Errors are never remembered.
type Client struct {
	issuer   string
	auth     clientauth.Method
	subjects []string
	timeout  time.Duration
	wider    bool
	dialect  dialect
	outbound *fetch.Client
	where    *discovery.Endpoint
	memory   *memory
	observe  func(context.Context, Event)
	seed     [32]byte
	flights  singleflight.Group
}

// String names the authorization server.
func (c *Client) String() string {
	if c == nil {
		return "exchange.Client(nil)"
	}
	return "exchange.Client(" + c.issuer + ")"
}

// Format writes what String returns, whatever the verb: the tokens that are
// remembered are no business of a log's.
func (c *Client) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, c.String()) }

// Exchange returns a token for the target in the name of the user. The error is
// an *Error, ctx's own, or of a mistake in the request.
func (c *Client) Exchange(ctx context.Context, request Request) (*Token, error) {
	if c == nil || c.where == nil {
		return nil, errUnmade
	}
	start := time.Now()
	w, err := c.compile(request.Target, c.dialect.grant)
	q := &question{wanted: w, subject: request.Subject}
	var e *entry
	if err == nil {
		e, err = c.forUser(ctx, q, start)
	}
	c.report(ctx, TriggerCall, q, start, err)
	if err != nil {
		return nil, err
	}
	return e.token, nil
}

// ClientCredentials returns a token of this server's own (RFC 6749 §4.4), for work
// that is nobody's in particular. Errors are those of Exchange.
func (c *Client) ClientCredentials(ctx context.Context, target Target) (*Token, error) {
	if c == nil || c.where == nil {
		return nil, errUnmade
	}
	start := time.Now()
	w, err := c.compile(target, grantClient)
	q := &question{wanted: w}
	c.identify(q)
	var e *entry
	if err == nil {
		e, err = c.obtain(ctx, q, start)
	}
	c.report(ctx, TriggerCall, q, start, err)
	if err != nil {
		return nil, err
	}
	return e.token, nil
}

// Check returns what is wrong with a target for Exchange and Transport, joined, or
// nil.
func (c *Client) Check(target Target) error {
	if c == nil || c.where == nil {
		return errUnmade
	}
	_, err := c.compile(target, c.dialect.grant)
	return err
}

var errUnmade = errors.New("exchange: the client was not made by New")

// A question is all that one request to the server depends on. It is one caller's.
type question struct {
	*wanted

	key     key
	signed  string          // of subject, where key has only its signature
	subject *verifier.Token // nil: ourselves
	actor   *Token
	how     Result // of the last token; not for the request, which outlives the caller
}

// forUser returns a token for the user whose token is the question's, or in ctx.
func (c *Client) forUser(ctx context.Context, q *question, now time.Time) (*entry, error) {
	if q.subject == nil {
		q.subject, _ = verifier.FromContext(ctx)
	}
	if err := c.admit(q.subject, now); err != nil {
		return nil, err
	}
	if q.Actor != nil {
		var err error
		if q.actor, err = c.acting(ctx, q); err != nil {
			return nil, err
		}
	}
	c.identify(q)
	return c.obtain(ctx, q, now)
}

// acting calls Target.Actor. Whatever goes wrong there, the user's token is not to
// blame. The text of its error may hold secrets, unless it is one of ours.
func (c *Client) acting(ctx context.Context, q *question) (token *Token, err error) {
	failed := func(text string) error {
		return &Error{Issuer: c.issuer, Err: fmt.Errorf("%w: %s", verifier.ErrOurCredentials, text)}
	}
	defer func() {
		if value := recover(); value != nil {
			token, err = nil, failed(panicked("Target.Actor", value).Error())
		}
	}()
	token, err = q.Actor(ctx)
	known, ours := errors.AsType[*Error](err)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case ours:
		return nil, failed("Target.Actor failed: " + known.Error())
	case err != nil:
		return nil, failed("Target.Actor failed")
	case token.AccessToken() == "" || token.Type == "":
		return nil, c.misused("Target.Actor returned no token")
	}
	return token, nil
}

func (c *Client) misused(text string) error {
	return &Error{Issuer: c.issuer, Err: misuse(text)}
}

// admit says whether a token may leave this server for the authorization server.
func (c *Client) admit(subject *verifier.Token, now time.Time) error {
	switch {
	case subject == nil:
		return c.misused("there is no verified token of a user: use the context of a request that came through the front door")
	case subject.DangerouslyRaw() == "":
		return c.misused("the verified token does not carry its credential, as tokens of a custom Verifier do not")
	case !slices.Contains(c.subjects, subject.Issuer):
		return c.misused("the user's token is of an issuer that is not among SubjectIssuers")
	case !now.Before(subject.Expiry):
		return &Error{Issuer: c.issuer, Code: "invalid_grant", Err: errors.New("the user's token has expired meanwhile")}
	}
	return nil
}
