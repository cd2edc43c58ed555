package exchange

import (
	"context"
	"errors"
	"time"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// A Result says how the need for a token ended. The list is closed, so that it can
// label metrics.
type Result string

// The closed list of Results.
const (
	// ResultRemembered: a token from memory.
	ResultRemembered Result = "remembered"
	// ResultObtained: the authorization server was asked, and issued a token.
	ResultObtained Result = "obtained"
	// ResultShared: a token that was being asked for already.
	ResultShared Result = "shared"
	// ResultInvalidGrant: the user's token is no longer taken, or has expired; an
	// error that matches verifier.ErrInvalidToken.
	ResultInvalidGrant Result = "invalid_grant"
	// ResultInteractionRequired: the user has to act first; ErrInteractionRequired.
	ResultInteractionRequired Result = "interaction_required"
	// ResultRefused: any other refusal of the authorization server, which is about
	// what this server asked for.
	ResultRefused Result = "refused"
	// ResultOurCredentials: this server could not authenticate, or its actor's token
	// could not be had; verifier.ErrOurCredentials.
	ResultOurCredentials Result = "our_credentials"
	// ResultUnavailable: no usable answer; verifier.ErrUnavailable.
	ResultUnavailable Result = "unavailable"
	// ResultMisused: nothing was asked, because of how this server called: no user,
	// a user of another issuer, a host that is not the target's, a bad target.
	ResultMisused Result = "misused"
	// ResultCanceled: the caller's context ended first.
	ResultCanceled Result = "canceled"
)

// Results returns the closed list.
func Results() []Result {
	return []Result{
		ResultRemembered, ResultObtained, ResultShared, ResultInvalidGrant, ResultInteractionRequired,
		ResultRefused, ResultOurCredentials, ResultUnavailable, ResultMisused, ResultCanceled,
	}
}

// A Trigger says why a token was needed. The list is closed, so that it can label
// metrics.
type Trigger string

// The closed list of Triggers.
const (
	// TriggerCall: a call of Exchange, ClientCredentials or Transport. Each is
	// reported once.
	TriggerCall Trigger = "call"
	// TriggerUnauthorized: the API answered 401 to the token of a Transport's call,
	// which tries once more with another.
	TriggerUnauthorized Trigger = "unauthorized"
	// TriggerAhead: a remembered token comes to its end. Nobody waits for this one.
	TriggerAhead Trigger = "ahead"
)

// Triggers returns the closed list.
func Triggers() []Trigger { return []Trigger{TriggerCall, TriggerUnauthorized, TriggerAhead} }

// An Event reports one need for a token to Config.Observe. It holds no credential
// and nothing that a client or a server wrote, except the Code of an *Error.
type Event struct {
	// Issuer is Config.Issuer.
	Issuer string
	// Target is the first Resource of the Target, or else Audience, or else Scope:
	// for logs, because nothing bounds how many targets a program makes.
	Target string
	// Trigger says why the token was needed.
	Trigger Trigger
	// Result says how it ended.
	Result Result
	// Duration is how long the token took, not the API.
	Duration time.Duration
	// Err is why there is no token; nil where there is one. See Error.
	Err error
}

// report tells Config.Observe how a question ended.
func (c *Client) report(ctx context.Context, trigger Trigger, q *question, start time.Time, err error) {
	if c.observe == nil {
		return
	}
	result := q.how
	if err != nil {
		result = resultOf(err)
	}
	c.observe(ctx, Event{
		Issuer: c.issuer, Target: q.label(), Trigger: trigger,
		Result: result, Duration: time.Since(start), Err: err,
	})
}

func resultOf(err error) Result {
	e, ok := errors.AsType[*Error](err)
	switch {
	case !ok && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		return ResultCanceled
	case !ok || isOwn(e.Err):
		return ResultMisused
	case errors.Is(e, verifier.ErrOurCredentials):
		return ResultOurCredentials
	}
	switch e.class() {
	case verifier.ErrInvalidToken:
		return ResultInvalidGrant
	case ErrInteractionRequired:
		return ResultInteractionRequired
	case verifier.ErrUnavailable:
		return ResultUnavailable
	}
	return ResultRefused
}

// label names a target to people.
func (w *wanted) label() string {
	for _, names := range [][]string{w.Resource, w.Audience, w.Scopes} {
		if len(names) > 0 {
			return names[0]
		}
	}
	return ""
}
