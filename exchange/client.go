package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	c.name(q)
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
		if q.actor, err = q.acting(ctx); err != nil {
			return nil, c.actorFailed(ctx, err)
		}
		if q.actor.AccessToken() == "" || q.actor.Type == "" {
			return nil, c.misused("Target.Actor returned no token")
		}
	}
	c.name(q)
	return c.obtain(ctx, q, now)
}

// acting calls Target.Actor.
func (w *wanted) acting(ctx context.Context) (token *Token, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &Error{Err: panicked("it", value)}
		}
	}()
	return w.Actor(ctx)
}

// actorFailed gives an error of Target.Actor our class: whatever it was, the user's
// token is not to blame. Its text may hold secrets, unless it is one of ours.
func (c *Client) actorFailed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text := "Target.Actor failed"
	if known, ok := errors.AsType[*Error](err); ok {
		text += ": " + known.Error()
	}
	return &Error{Issuer: c.issuer, Err: fmt.Errorf("%w: %s", verifier.ErrOurCredentials, text)}
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

// obtain returns the remembered token or a new one.
func (c *Client) obtain(ctx context.Context, q *question, now time.Time) (*entry, error) {
	if e := c.memory.get(q, now); e != nil {
		if e.due(now) {
			c.refresh(q, e)
		}
		q.how = ResultRemembered
		return e, nil
	}
	return c.fetch(ctx, q, nil)
}

// refresh replaces a token ahead of its end. Nobody waits, so it reports itself.
func (c *Client) refresh(q *question, old *entry) {
	own := *q
	c.flights.DoChan(string(q.key[:])+q.signed, func() (any, error) {
		start := time.Now()
		e, how, err := c.fly(&own, old)
		own.how = how
		defer func() { _ = recover() }() // of an observer's panic, which would end the process here
		c.report(context.Background(), TriggerAhead, &own, start, err)
		return e, err
	})
}

// fetch waits for the one request about q, which outlives any one caller and owns
// its time. stale is a token that must not be the answer.
func (c *Client) fetch(ctx context.Context, q *question, stale *entry) (*entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	how := ResultShared
	answer := c.flights.DoChan(string(q.key[:])+q.signed, func() (any, error) {
		e, ours, err := c.fly(q, stale)
		how = ours
		return e, err
	})
	// It ends in time by itself, unless Transport or Auth ignore their context.
	deadline := time.NewTimer(c.timeout + c.timeout/50)
	defer deadline.Stop()
	select {
	case result := <-answer:
		if result.Err != nil {
			return nil, result.Err
		}
		q.how = how
		return result.Val.(*entry), nil
	case <-deadline.C:
		return nil, &Error{Issuer: c.issuer, Err: errors.New("no answer in time")}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fly obtains a token and remembers it.
func (c *Client) fly(q *question, stale *entry) (*entry, Result, error) {
	// Another request may have ended between the caller's look and this one.
	if e := c.memory.get(q, time.Now()); e != nil && e != stale {
		return e, ResultRemembered, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.timeout)
	defer cancel()
	asked := time.Now()
	token, err := c.ask(ctx, q, asked)
	if refused, ok := errors.AsType[*Error](err); ok && refused.definite() {
		// What the server would not issue again must not be used on either.
		c.memory.drop(q)
	}
	if err != nil {
		return nil, "", err
	}
	e := newEntry(token, q, asked)
	c.memory.put(q, e, time.Now())
	return e, ResultObtained, nil
}

// ask makes one request. The error is an *Error, also where Config.Auth or
// Config.Transport panic: in this goroutine, that would end the process.
func (c *Client) ask(ctx context.Context, q *question, asked time.Time) (token *Token, err error) {
	defer func() {
		if value := recover(); value != nil {
			token, err = nil, &Error{Issuer: c.issuer, Err: panicked("Config.Auth or Config.Transport", value)}
		}
	}()
	address, err := c.where.Find(ctx, c.outbound)
	if err != nil {
		return nil, &Error{Issuer: c.issuer, Err: err}
	}
	header := http.Header{"Accept": {"application/json"}}
	form := q.form(q.subject, q.actor)
	if err := c.auth.Apply(ctx, header, form, cmp.Or(c.dialect.audience, c.issuer)); err != nil {
		// As text: what class the source of our credentials gave it means nothing here.
		return nil, &Error{Issuer: c.issuer, Err: fmt.Errorf("%w: %s", verifier.ErrOurCredentials, err)}
	}
	received, err := c.outbound.Post(ctx, address, header, form)
	if err != nil {
		return nil, c.failed(q, err)
	}
	if token, err = c.read(received, q.wanted, q.subject.DangerouslyRaw(), asked); err != nil {
		return nil, &Error{Issuer: c.issuer, Status: http.StatusOK, Err: err}
	}
	return token, nil
}

// failed describes a request without a token.
func (c *Client) failed(q *question, err error) error {
	failure := &Error{Issuer: c.issuer, Err: err, userless: q.subject == nil}
	if status, ok := errors.AsType[*fetch.StatusError](err); ok {
		failure.Status, failure.RetryAfter, failure.Err = status.Status, status.RetryAfter, nil
	}
	switch failure.Status {
	case 0, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone:
		c.where.Forget() // it may have moved
	}
	if coded, ok := errors.AsType[*fetch.OAuthError](err); ok {
		failure.Code = coded.Code
		failure.challenge(coded)
	}
	// RFC 6749 §5.2: these are about us, and no client can do anything about it.
	ours := failure.Code == "invalid_client" || failure.Code == "unauthorized_client" || failure.Code == "" && failure.Status == http.StatusUnauthorized
	if ours || failure.userless && failure.Code == "invalid_grant" {
		failure.Err = verifier.ErrOurCredentials
	}
	return failure
}
