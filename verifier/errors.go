package verifier

import (
	"errors"
	"time"
)

// ErrInvalidToken classifies every failure that is the token's own: the answer
// is 401 invalid_token (RFC 6750 §3.1). Test for it with errors.Is; the detail
// is in *InvalidTokenError.
var ErrInvalidToken = errors.New("verifier: invalid token")

// ErrUnavailable classifies every failure that is not the token's fault: the
// identity provider cannot be reached, or answered nonsense, and nothing usable
// is left. The answer is 503, never 401, because a 401 makes the client throw a
// good token away. The detail is in *UnavailableError.
var ErrUnavailable = errors.New("verifier: identity provider unavailable")

// A Reason says which check refused a token. The list is closed: it is the
// label set of the metrics and the expectation column of the test vectors. Its
// text never contains anything that came from a request.
type Reason string

// The closed list of Reasons.
const (
	// ReasonMalformed: not a compact JWS of three base64url segments, or JSON
	// that is ambiguous or broken (RFC 7515 §7.1, RFC 8259).
	ReasonMalformed Reason = "malformed"
	// ReasonTooLarge: the token or its header exceeds the limit.
	ReasonTooLarge Reason = "too_large"
	// ReasonHeader: the JOSE header carries what is not supported: crit, b64,
	// zip, or a kid that is not a string (RFC 7515 §4).
	ReasonHeader Reason = "header"
	// ReasonAlgorithm: alg is not in the issuer's list (RFC 8725 §3.1).
	ReasonAlgorithm Reason = "algorithm"
	// ReasonType: another kind of token, such as an ID token (RFC 9068 §4,
	// RFC 8725 §3.11).
	ReasonType Reason = "type"
	// ReasonIssuer: iss names no configured issuer (RFC 9068 §4).
	ReasonIssuer Reason = "issuer"
	// ReasonUnknownKey: no key of this issuer fits kid and alg.
	ReasonUnknownKey Reason = "unknown_key"
	// ReasonSignature: the signature does not verify.
	ReasonSignature Reason = "signature"
	// ReasonClaims: a required claim is missing or has the wrong form
	// (RFC 9068 §2.2).
	ReasonClaims Reason = "claims"
	// ReasonExpired: exp has passed (RFC 7519 §4.1.4).
	ReasonExpired Reason = "expired"
	// ReasonNotYetValid: nbf or iat lies in the future (RFC 7519 §4.1.5).
	ReasonNotYetValid Reason = "not_yet_valid"
	// ReasonAudience: aud does not name this resource (RFC 8707 §2).
	ReasonAudience Reason = "audience"
	// ReasonConfirmation: the token is bound to a key (cnf) and the proof is
	// absent or not supported here (RFC 7800 §3.1).
	ReasonConfirmation Reason = "confirmation"
	// ReasonProvider: a rule of the issuer's own refused the token; the error's
	// text says what to change at the provider.
	ReasonProvider Reason = "provider"
	// ReasonInactive: the authorization server says that the token is not
	// active (RFC 7662 §2.2).
	ReasonInactive Reason = "inactive"
	// ReasonUnspecified: a custom Verifier gave no Reason.
	ReasonUnspecified Reason = "unspecified"
)

// Reasons returns the closed list, in the order in which the checks run.
func Reasons() []Reason {
	return []Reason{
		ReasonTooLarge, ReasonMalformed, ReasonHeader, ReasonAlgorithm, ReasonType,
		ReasonIssuer, ReasonUnknownKey, ReasonSignature, ReasonClaims, ReasonExpired,
		ReasonNotYetValid, ReasonAudience, ReasonConfirmation, ReasonProvider,
		ReasonInactive, ReasonUnspecified,
	}
}

// InvalidTokenError says why a token was refused. It matches ErrInvalidToken.
//
// Its text is meant for the operator, not for the client, and holds no part of
// the token: Hint is a constant of this module or of the configuration.
type InvalidTokenError struct {
	// Reason is the check that refused.
	Reason Reason
	// Hint says in a sentence what is wrong or what to change; may be empty.
	Hint string
	// Issuer is the configured issuer that the token was routed to; empty when
	// it was refused before.
	Issuer string
}

// Error returns the Reason and the Hint.
func (e *InvalidTokenError) Error() string {
	if e.Hint == "" {
		return "invalid token: " + string(e.Reason)
	}
	return "invalid token: " + string(e.Reason) + ": " + e.Hint
}

// Is reports that the error is of the class ErrInvalidToken.
func (e *InvalidTokenError) Is(target error) bool { return target == ErrInvalidToken }

// UnavailableError says that a token could not be judged. It matches
// ErrUnavailable.
type UnavailableError struct {
	// Issuer is the configured issuer whose keys or answers are missing.
	Issuer string
	// RetryAfter is the time until the next attempt can succeed. Zero: unknown.
	RetryAfter time.Duration
	// Err is the cause, for logs. It never contains a token.
	Err error
}

// Error returns the issuer and the cause.
func (e *UnavailableError) Error() string {
	text := "identity provider " + e.Issuer + " unavailable"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Is reports that the error is of the class ErrUnavailable.
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }
