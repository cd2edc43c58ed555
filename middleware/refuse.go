package middleware

import (
	"context"
	"errors"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/internal/contextkey"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Refuse answers in place of a handler that cannot do its work for the caller of
// ctx, the context of the request, because another API will not be called for that
// caller. err is an error of package exchange, or of an http.Client on its Transport:
//
//   - 401 invalid_token (RFC 6750 §3.1) where the provider no longer takes the
//     user's token (verifier.ErrInvalidToken), so that the client gets another;
//   - 401 insufficient_user_authentication (RFC 9470 §3) where the user has to act
//     first (exchange.ErrInteractionRequired), or insufficient_claims with the claims
//     challenge of Microsoft Entra ID where there is one; an *AuthenticationRequired
//     is answered likewise;
//   - 503 with Retry-After where there is no answer (verifier.ErrUnavailable).
//
// Whatever the handler writes after that is dropped; it should return the error, a
// *Refusal. Any other err says nothing about the caller: it is returned as it is,
// and nothing is answered. Where an answer is no longer possible the error is
// ErrTooLate and err. It needs Config.LateStepUp, and is safe for concurrent use:
// the first refusal is the answer.
func Refuse(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	late, ok := ctx.Value(contextkey.Late{}).(*lateAnswer)
	if !ok {
		return errors.Join(ErrTooLate, err)
	}
	refusal := late.rules.refuseWork(late.route, err)
	if refusal == nil {
		return err
	}
	if answered := late.answer(refusal); answered != ErrTooLate {
		return answered
	}
	return errors.Join(ErrTooLate, err)
}

// withdrawn gives a Reason to an error that has none: what was good at the front
// door is so no more.
func withdrawn(cause error) error {
	if _, ok := errors.AsType[*verifier.InvalidTokenError](cause); ok {
		return cause
	}
	return errors.Join(&verifier.InvalidTokenError{Reason: verifier.ReasonInactive, Hint: "the authorization server takes the token no longer"}, cause)
}

// refuseWork returns the answer for an error of Refuse, nil where there is none.
func (ru *rules) refuseWork(route *route, cause error) *Refusal {
	failed, _ := errors.AsType[*exchange.Error](cause)
	weak, _ := errors.AsType[*AuthenticationRequired](cause)
	if errors.Is(cause, exchange.ErrInteractionRequired) {
		weak = new(AuthenticationRequired)
		if failed != nil {
			weak.Claims = failed.Claims
		}
	}
	switch {
	case weak != nil:
		refusal := ru.weakAuthentication(route, weak)
		if refusal.Outcome == OutcomeWeakAuthentication {
			refusal.cause = cause
		}
		return refusal
	case errors.Is(cause, verifier.ErrInvalidToken):
		return ru.invalidToken(withdrawn(cause), route)
	case !errors.Is(cause, verifier.ErrUnavailable):
		return nil
	}
	refusal := &Refusal{
		Status: http.StatusServiceUnavailable, Outcome: OutcomeUnavailable,
		code: codeUnavailable, description: otherDown, cause: cause, rules: ru, retryAfter: retryAfter(0),
	}
	if failed != nil {
		refusal.retryAfter = retryAfter(failed.RetryAfter)
	}
	return refusal
}
