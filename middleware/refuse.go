package middleware

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Refuse answers the request of ctx with what cause means for its client, where a
// handler learns of it only while it runs, for instance from a call of another API
// through package exchange:
//
//   - exchange.ErrInteractionRequired: 401 insufficient_claims with the claims
//     challenge of Microsoft Entra ID, or without one 401
//     insufficient_user_authentication (RFC 9470 §3);
//   - *AuthenticationRequired: the latter, with what it asks for;
//   - verifier.ErrInvalidToken: 401 invalid_token, for the client to log in again;
//   - verifier.ErrUnavailable: 503 with Retry-After.
//
// Any other cause is returned as it is, and nothing is answered: the client can do
// nothing about it. Otherwise Refuse does and returns what RequireMore does.
func Refuse(ctx context.Context, cause error) error {
	late, ok := ctx.Value(lateKey{}).(*lateAnswer)
	if !ok {
		return ErrTooLate
	}
	refusal := late.rules.meaning(ctx, late.route, cause)
	if refusal == nil {
		return cause
	}
	return late.answer(refusal)
}

// meaning returns the answer that a cause stands for, nil if there is none.
func (ru *rules) meaning(ctx context.Context, route *route, cause error) *Refusal {
	weak, isWeak := errors.AsType[*AuthenticationRequired](cause)
	switch {
	case isWeak:
		return ru.weakAuthentication(route, weak)
	case errors.Is(cause, exchange.ErrInteractionRequired):
		return ru.insufficientClaims(route, cause)
	case errors.Is(cause, verifier.ErrInvalidToken):
		return ru.invalidToken(errors.Join(withdrawn(cause), cause), route)
	case errors.Is(cause, verifier.ErrUnavailable):
		return ru.refuseToken(ctx, cause, route)
	}
	return nil
}

// withdrawn gives a Reason to an error that has none: what was good at the front
// door is so no more.
func withdrawn(cause error) error {
	if _, ok := errors.AsType[*verifier.InvalidTokenError](cause); ok {
		return nil
	}
	return &verifier.InvalidTokenError{Reason: verifier.ReasonInactive, Hint: "the authorization server takes the token no longer"}
}

// insufficientClaims is 401 with the claims challenge in the form that clients of
// Microsoft Entra ID know: base64 of the JSON object. Without one, or with one too
// long to reach the client, the challenge asks for a fresh login.
func (ru *rules) insufficientClaims(route *route, cause error) *Refusal {
	refusal := ru.weakAuthentication(route, &AuthenticationRequired{})
	refusal.cause = cause
	failed, ok := errors.AsType[*exchange.Error](cause)
	if !ok || failed.Claims == "" {
		return refusal
	}
	challenge := "Bearer " + parameters("error", codeInsufficientClaims, "error_description", weakAuthentication,
		"claims", base64.StdEncoding.EncodeToString([]byte(failed.Claims)),
		"scope", route.start.String(), "resource_metadata", ru.metadataURL)
	if len(challenge) <= maxChallenge {
		refusal.Status, refusal.code, refusal.challenge = http.StatusUnauthorized, codeInsufficientClaims, challenge
	}
	return refusal
}
