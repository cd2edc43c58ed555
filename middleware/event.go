package middleware

import (
	"time"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// An Outcome says how a request ended at the front door. The list is closed, so
// that it can label metrics.
type Outcome string

// The closed list of Outcomes.
const (
	// OutcomeAllowed: a valid token with sufficient scopes.
	OutcomeAllowed Outcome = "allowed"
	// OutcomeAnonymous: a public operation without credentials.
	OutcomeAnonymous Outcome = "anonymous"
	// OutcomePreflight: a CORS preflight of an allowed origin, answered 204.
	OutcomePreflight Outcome = "preflight"
	// OutcomeUnauthenticated: no credentials of a known scheme, 401.
	OutcomeUnauthenticated Outcome = "unauthenticated"
	// OutcomeInvalidRequest: ambiguous or malformed credentials, 400.
	OutcomeInvalidRequest Outcome = "invalid_request"
	// OutcomeInvalidToken: 401; the Event's Reason says which check refused.
	OutcomeInvalidToken Outcome = "invalid_token"
	// OutcomeInsufficientScope: a valid token that lacks scopes, 403.
	OutcomeInsufficientScope Outcome = "insufficient_scope"
	// OutcomeForbiddenOrigin: an Origin that is not allowed, or a foreign Host
	// on a loopback resource (DNS rebinding), 403.
	OutcomeForbiddenOrigin Outcome = "forbidden_origin"
	// OutcomeDenied: refused whatever the token: a Guard or policy that is not
	// valid, 401 or 403.
	OutcomeDenied Outcome = "denied"
	// OutcomeUnavailable: the token could not be judged, 503.
	OutcomeUnavailable Outcome = "unavailable"
	// OutcomeCanceled: the client went away while its token was judged.
	OutcomeCanceled Outcome = "canceled"
)

// Outcomes returns the closed list.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeAllowed, OutcomeAnonymous, OutcomePreflight, OutcomeUnauthenticated,
		OutcomeInvalidRequest, OutcomeInvalidToken, OutcomeInsufficientScope,
		OutcomeForbiddenOrigin, OutcomeDenied, OutcomeUnavailable, OutcomeCanceled,
	}
}

// An Event reports one decision to Config.Observe. It holds no credential and
// no text of the request.
type Event struct {
	// Resource is the configured resource identifier.
	Resource string
	// Outcome is how the request ended.
	Outcome Outcome
	// Reason is the check that refused; empty unless Outcome is
	// OutcomeInvalidToken.
	Reason verifier.Reason
	// Issuer is the URL of the configured issuer that the token belongs to;
	// empty where it is not known. It never comes from the token.
	Issuer string
	// Status is the HTTP status of the answer; 0 where the next handler answers.
	Status int
	// Duration is how long the Verifier took; 0 where it was not asked.
	Duration time.Duration
	// Token is the accepted token; nil for every refusal.
	Token *verifier.Token
	// Err is the cause of a refusal, for operators; nil otherwise. Neither
	// credential nor claim value is in it, provided that a custom Verifier
	// keeps them out of its errors.
	Err error
}
