package middleware

import (
	"time"

	"github.com/gatehouse-mcp/gatehouse/scopes"
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
	// OutcomeWeakAuthentication: a valid token of a login that is too weak or too
	// old, 401 (RFC 9470).
	OutcomeWeakAuthentication Outcome = "weak_authentication"
	// OutcomeForbiddenOrigin: an Origin that is not allowed, or a foreign Host
	// on a loopback resource (DNS rebinding), 403.
	OutcomeForbiddenOrigin Outcome = "forbidden_origin"
	// OutcomeDenied: refused whatever the token, 403: the policy says so, or does not
	// name the operation, or is not valid. 401 from a Guard that is not valid.
	OutcomeDenied Outcome = "denied"
	// OutcomeInvalidMessage: a body that is no legal or no unambiguous MCP
	// message, 400, 413 or 415. Only policies that name operations read it.
	OutcomeInvalidMessage Outcome = "invalid_message"
	// OutcomeUnavailable: the token could not be judged, 503.
	OutcomeUnavailable Outcome = "unavailable"
	// OutcomeCanceled: the client went away while its token was judged.
	OutcomeCanceled Outcome = "canceled"
	// OutcomeEnded: the answer to an allowed request was cut, because its token had
	// expired or a Recheck found it no longer good. It is the second event of its
	// request, after OutcomeAllowed.
	OutcomeEnded Outcome = "ended"
)

// Outcomes returns the closed list.
func Outcomes() []Outcome {
	return []Outcome{
		OutcomeAllowed, OutcomeAnonymous, OutcomePreflight, OutcomeUnauthenticated,
		OutcomeInvalidRequest, OutcomeInvalidToken, OutcomeInsufficientScope,
		OutcomeWeakAuthentication, OutcomeForbiddenOrigin, OutcomeDenied, OutcomeInvalidMessage, OutcomeUnavailable, OutcomeCanceled,
		OutcomeEnded,
	}
}

// A Scheme says how a token came. The list is closed, so that it can label
// metrics.
type Scheme string

// The closed list of Schemes.
const (
	// SchemeBearer: Authorization: Bearer (RFC 6750 §2.1).
	SchemeBearer Scheme = "bearer"
	// SchemeHeader: alone in Config.TokenHeader.
	SchemeHeader Scheme = "header"
)

// Schemes returns the closed list.
func Schemes() []Scheme { return []Scheme{SchemeBearer, SchemeHeader} }

// scheme returns how the token of a decision came; empty where the Verifier was
// not asked.
func (ru *rules) scheme(d decision, outcome Outcome) Scheme {
	switch outcome {
	case OutcomeInvalidToken, OutcomeUnavailable, OutcomeCanceled:
	default:
		if d.caller == nil {
			return ""
		}
	}
	if ru.tokenHeader != "" {
		return SchemeHeader
	}
	return SchemeBearer
}

// An Event reports one decision, or its end, to Config.Observe. It holds no credential and
// no text of the request.
type Event struct {
	// Resource is the configured resource identifier.
	Resource string
	// Outcome is how the request ended.
	Outcome Outcome
	// Reason is the check that refused; empty unless Outcome is
	// OutcomeInvalidToken or OutcomeEnded. The latter has none where a Recheck found
	// a good token that grants less, or is of somebody else.
	Reason verifier.Reason
	// Issuer is the URL of the configured issuer that the token belongs to;
	// empty where it is not known. It never comes from the token.
	Issuer string
	// Operation is the tool, prompt or resource asked for, by the key that the
	// policy has for it; "other" for one that it does not name. Empty where the
	// policy does not name operations.
	Operation string
	// Scheme says how the token came: one of Schemes; empty where none was judged.
	Scheme Scheme
	// Needed is what a 403 insufficient_scope asks for; empty otherwise.
	Needed scopes.Set
	// Status is the HTTP status of the answer; 0 where the next handler answers.
	Status int
	// Duration is how long the Verifier took; 0 where it was not asked.
	Duration time.Duration
	// Token is the accepted token; nil for every refusal, and once it has ended.
	Token *verifier.Token
	// Caller is the verified token of whoever asked: Token, or the one that does
	// not suffice for the operation. Nil where nobody is known.
	Caller *verifier.Token
	// Err is the cause of a refusal, for operators; nil otherwise. Neither
	// credential nor claim value is in it, provided that a custom Verifier
	// keeps them out of its errors.
	Err error
}
