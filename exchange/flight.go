package exchange

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

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

// name is all that tells a question from others.
func (q *question) name() string { return string(q.key[:]) + q.signed }

// refresh replaces a token ahead of its end. Nobody waits, so it reports itself.
func (c *Client) refresh(q *question, old *entry) {
	own := *q
	c.flights.DoChan(q.name(), func() (any, error) {
		start := time.Now()
		e, how, err := c.fly(&own, old)
		own.how = how
		func() {
			defer func() { _ = recover() }() // an observer's panic would end the process here
			c.report(context.Background(), TriggerAhead, &own, start, err)
		}()
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
	answer := c.flights.DoChan(q.name(), func() (any, error) {
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
		c.flights.Forget(q.name()) // or it would keep out those who come later
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
