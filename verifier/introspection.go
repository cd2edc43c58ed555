package verifier

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// An Introspection verifies tokens by asking the authorization server about them
// (RFC 7662). It is safe for concurrent use. The zero value refuses every token.
//
// An answer is remembered for TTL, so a revoked token is accepted for that long
// at most, in each process on its own. Errors are never remembered.
//
// Servers call refresh tokens active as well. An answer with neither aud nor
// token_type, nor a provider's own member that says what the token is, is
// therefore refused.
type Introspection struct {
	issuer  string
	seed    [32]byte
	revoked func(*Token) bool
	timeout time.Duration
	ttl     time.Duration
	judge   answerJudge
	signed  *signedAnswers // nil: plain answers
	memory  *answerMemory  // nil: remembers nothing
	line    *line
	flights singleflight.Group
	counts  introspectionCounts

	answered atomic.Int64 // the last question with a usable answer, in ns since 1970
}

// Verify judges token by the server's answer. Errors are as Verifier says; an
// *UnavailableError has ErrOurCredentials in it where this resource's own
// credentials are the cause.
func (i *Introspection) Verify(ctx context.Context, token string) (*Token, error) {
	switch {
	case i.line == nil:
		return nil, &InvalidTokenError{Reason: ReasonIssuer, Hint: "no authorization server is configured"}
	case len(token) > jose.MaxToken:
		return nil, i.judge.refuse(ReasonTooLarge, jose.ErrTooLarge.Error())
	}
	id := i.identify(token)
	now := time.Now()
	if known := i.memory.confirmed(id); known != nil {
		if now.Before(known.fresh) && !i.withdrawn(id, known) {
			return known.at(now, token, i.ttl, SourceAnswer), nil
		}
		i.counts.unused.Add(1)
	}
	if err := i.memory.refusal(id, now); err != nil {
		i.counts.negativeHits.Add(1)
		return nil, err
	}
	if !askable(token) {
		return nil, i.judge.refuse(ReasonMalformed, "a token is one or more printable ASCII characters (RFC 6749 §A.12)")
	}
	return i.asked(ctx, id, token)
}

// askable applies RFC 6749 §A.12: nothing else can be a token of any server.
func askable(token string) bool {
	return token != "" && !strings.ContainsFunc(token, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// withdrawn drops a remembered token that the hook has heard about.
func (i *Introspection) withdrawn(id tokenID, known *confirmed) bool {
	if i.revoked == nil || !i.revoked(known.token) {
		return false
	}
	i.memory.forget(id)
	return true
}

// asked waits for the answer about this token, a second time where the first is
// no longer to be trusted.
func (i *Introspection) asked(ctx context.Context, id tokenID, token string) (*Token, error) {
	i.counts.misses.Add(1)
	arrived := time.Now()
	// The question ends in time by itself, and with a cause, unless Transport or
	// Auth ignore its context.
	deadline := time.NewTimer(i.timeout + i.timeout/50)
	defer deadline.Stop()
	known, err := i.await(ctx, deadline.C, id, token)
	// The caller may have joined a question from before a notice.
	if err == nil && known.asked.Before(arrived) && i.withdrawn(id, known) {
		known, err = i.await(ctx, deadline.C, id, token)
	}
	if err == nil {
		return known.at(time.Now(), token, i.ttl, SourceIntrospection), nil
	}
	if known := i.lastResort(id, err); known != nil {
		i.counts.stale.Add(1)
		return known.at(time.Now(), token, i.ttl, SourceAnswer), nil
	}
	return nil, err
}

// await joins the one question about this token, which outlives any one caller
// and owns its time.
func (i *Introspection) await(ctx context.Context, deadline <-chan time.Time, id tokenID, token string) (*confirmed, error) {
	answer := i.flights.DoChan(string(id[:]), func() (_ any, err error) {
		defer contain(&err, i.issuer)
		return i.fly(id, token)
	})
	select {
	case result := <-answer:
		known, _ := result.Val.(*confirmed)
		return known, result.Err
	case <-deadline:
		return nil, &UnavailableError{Issuer: i.issuer, Err: errors.New("no answer in time")}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// lastResort returns the last positive answer where the configuration accepts
// the risk and there is no other: an answer that says nothing, or that we are not
// welcome, is not an outage.
func (i *Introspection) lastResort(id tokenID, err error) *confirmed {
	if !errors.Is(err, ErrUnavailable) || errors.Is(err, errAnswer) || errors.Is(err, ErrOurCredentials) {
		return nil
	}
	known := i.memory.again(id)
	if known == nil || !time.Now().Before(known.stale) || i.withdrawn(id, known) {
		return nil
	}
	return known
}

// fly asks about a token and remembers the answer.
func (i *Introspection) fly(id tokenID, token string) (*confirmed, error) {
	now := time.Now()
	// Another question may have ended between the caller's look and this one.
	if known := i.memory.again(id); known != nil && now.Before(known.fresh) {
		return known, nil
	}
	if err := i.memory.refusal(id, now); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), i.timeout)
	defer cancel()
	mark := i.memory.mark(id)
	known, repeated, err := i.question(ctx, id, token)
	now = time.Now()
	if refusal, ok := errors.AsType[*InvalidTokenError](err); ok {
		i.memory.refuse(id, mark, *refusal, now)
	}
	if err != nil {
		return nil, err
	}
	if !repeated {
		i.memory.keep(id, mark, known, now)
	}
	return known, nil
}

// question asks, and judges the answer. repeated reports that the answer must
// not be remembered.
func (i *Introspection) question(ctx context.Context, id tokenID, token string) (_ *confirmed, repeated bool, err error) {
	received, asked, err := i.line.ask(ctx, token)
	// RFC 7009 §2.2.1: the server knows the token, and that it is none to ask about.
	if refused, ok := errors.AsType[*fetch.OAuthError](err); ok && refused.Code == "unsupported_token_type" {
		return nil, false, i.unread(i.judge.refuse(ReasonType, "the authorization server does not introspect tokens of this type; verify its JWTs with verifier.ByShape"))
	}
	if err != nil {
		i.counts.count(err)
		return nil, false, err
	}
	verified, lasting, repeated, err := i.read(ctx, received, id, asked)
	if err != nil {
		return nil, false, i.unread(err)
	}
	i.counts.active.Add(1)
	i.answered.Store(asked.UnixNano())
	return i.memory.confirm(verified, lasting, asked), repeated, nil
}

// body returns the answer's claims.
func (i *Introspection) body(ctx context.Context, received *fetch.Answer, id tokenID, asked time.Time) (body []byte, repeated bool, err error) {
	if i.signed != nil {
		return i.signed.open(ctx, received, id, asked)
	}
	if !fetch.IsJSON(received.MediaType) {
		return nil, false, fmt.Errorf("%w: its media type is not application/json", errAnswer)
	}
	return received.Body, false, nil
}

// read returns the token that the answer describes.
func (i *Introspection) read(ctx context.Context, received *fetch.Answer, id tokenID, asked time.Time) (_ *Token, lasting, repeated bool, err error) {
	body, repeated, err := i.body(ctx, received, id, asked)
	if err != nil {
		return nil, false, false, err
	}
	yes, err := active(body)
	switch {
	case err != nil:
		return nil, false, false, err
	case !yes:
		return nil, false, false, i.judge.refuse(ReasonInactive, "the authorization server says so")
	}
	token, lasting, err := i.judge.judge(body, time.Now())
	return token, lasting, repeated, err
}

// unread counts an answer that gives no token, and gives its error a class.
func (i *Introspection) unread(err error) error {
	if refusal, ok := errors.AsType[*InvalidTokenError](err); ok {
		if refusal.Reason == ReasonInactive {
			i.counts.inactive.Add(1)
		} else {
			i.counts.refused.Add(1)
		}
		i.answered.Store(time.Now().UnixNano())
		return err
	}
	i.counts.count(err)
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return &UnavailableError{Issuer: i.issuer, Err: err}
}

// Forget drops what is known about token, so that its next use asks the server.
// Call it where a token was just revoked.
func (i *Introspection) Forget(token string) {
	if i.line == nil {
		return
	}
	id := i.identify(token)
	i.memory.forget(id)
	i.flights.Forget(string(id[:])) // the question under way was asked before
}

// Ready reports whether the server answers us: it asks about a token that does
// not exist, unless a question was answered within the last TTL. It is meant for
// readiness probes, not for liveness. The error is an *UnavailableError, or
// ctx's own.
func (i *Introspection) Ready(ctx context.Context) error {
	if i.line == nil {
		return &UnavailableError{Err: errors.New("no authorization server is configured")}
	}
	if time.Since(time.Unix(0, i.answered.Load())) < i.ttl && i.line.open(time.Now()) == nil {
		return nil
	}
	_, err := i.Verify(ctx, rand.Text())
	switch {
	case err == nil:
		return &UnavailableError{Issuer: i.issuer, Err: errors.New("the endpoint calls a token active that was just made up")}
	case errors.Is(err, ErrInvalidToken):
		return nil
	}
	return err
}
