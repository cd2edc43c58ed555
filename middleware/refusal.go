package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// A Refusal is an answer that the front door gives instead of the handler. As
// an error it explains itself to operators, as an http.Handler it writes exactly
// the answer. Its fields are for reading. It is safe for concurrent use.
type Refusal struct {
	// Status is the HTTP status: 400, 401, 403, 413, 415 or 503, and 204 for a
	// preflight.
	Status int
	// Outcome is the class of the refusal.
	Outcome Outcome
	// Reason is the check that refused the token; empty unless Outcome is
	// OutcomeInvalidToken.
	Reason verifier.Reason

	code, description string     // of the body; no code: no body
	body              []byte     // instead of one made of code and description
	challenge         string     // WWW-Authenticate; empty: none
	retryAfter        string     // Retry-After; empty: none
	needed            scopes.Set // of an insufficient_scope
	cause             error
	rules             *rules
}

// Error says what happened, for operators. It repeats the text of errors of
// package verifier only: another Verifier's error may hold anything, and is to
// be had from Unwrap.
func (f *Refusal) Error() string {
	text := "middleware: " + strconv.Itoa(f.Status) + " " + string(f.Outcome)
	invalid, _ := errors.AsType[*verifier.InvalidTokenError](f.cause)
	unavailable, _ := errors.AsType[*verifier.UnavailableError](f.cause)
	ours, _ := errors.AsType[defect](f.cause)
	switch {
	case f.Reason != "":
		text += ": " + string(f.Reason)
		if invalid != nil && invalid.Hint != "" {
			text += ": " + invalid.Hint
		}
	case unavailable != nil:
		text += ": " + unavailable.Error()
	case ours != "":
		text += ": " + ours.Error()
	case f.cause != nil:
		text += fmt.Sprintf(": an error of type %T", f.cause)
	case f.description != "":
		text += ": " + f.description
	}
	return text
}

// Unwrap returns the Verifier's error, or what is wrong with the policy; nil
// where the request itself is the cause.
func (f *Refusal) Unwrap() error { return f.cause }

// ServeHTTP writes the answer to r, the request that was refused. It does not
// read the body of r.
func (f *Refusal) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	f.rules.allowOrigin(h, r)
	if f.Outcome == OutcomePreflight {
		answerPreflight(h, r)
		w.WriteHeader(f.Status)
		return
	}
	status, code := f.Status, f.code
	if code == "" { // a Refusal that nobody made
		status, code = http.StatusForbidden, codeForbidden
	}
	// What an outer handler prepared belongs to another body.
	for _, name := range [...]string{"Content-Length", "Content-Encoding", "Etag", "Last-Modified"} {
		delete(h, name)
	}
	// The keys are canonical: a flood of refusals need not have them made so.
	h["Cache-Control"] = []string{"no-store"}
	h["Content-Type"] = []string{"application/json"}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	if f.challenge != "" {
		h["Www-Authenticate"] = []string{f.challenge}
	}
	if f.retryAfter != "" {
		h.Set("Retry-After", f.retryAfter)
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		body := f.body
		if body == nil {
			body = errorBody(code, f.description)
		}
		_, _ = w.Write(body) // the client may be gone
	}
}

// errorBody needs no escapes: both are constants of this package (texts.go).
func errorBody(code, description string) []byte {
	if description == "" {
		return []byte(`{"error":"` + code + `"}`)
	}
	return []byte(`{"error":"` + code + `","error_description":"` + description + `"}`)
}

// The values of error in bodies. The first three are RFC 6750 §3.1; the others
// never stand in a challenge.
const (
	codeInvalidRequest    = "invalid_request"
	codeInvalidToken      = "invalid_token"
	codeInsufficientScope = "insufficient_scope"
	// RFC 9470 §3.
	codeWeakAuthentication = "insufficient_user_authentication"
	// Of Microsoft's APIs, for clients that know their claims challenges.
	codeInsufficientClaims = "insufficient_claims"

	codeUnauthorized = "unauthorized"
	codeForbidden    = "forbidden"
	codeUnavailable  = "temporarily_unavailable"
)

// defect is a fault of a Verifier whose text is ours.
type defect string

func (d defect) Error() string { return string(d) }

// unconfigured is the answer of the zero Guard, which has no metadata to name.
func unconfigured() *Refusal {
	return &Refusal{
		Status: http.StatusUnauthorized, Outcome: OutcomeDenied,
		code: codeUnauthorized, description: noCredentials,
		challenge: "Bearer " + parameters("realm", "unconfigured"),
		cause:     defect("the Guard was not made by New"),
	}
}

func (ru *rules) preflight() *Refusal {
	return &Refusal{Status: http.StatusNoContent, Outcome: OutcomePreflight, rules: ru}
}

// forbid is 403 without a challenge: no token would help.
func (ru *rules) forbid(description string) *Refusal {
	return &Refusal{
		Status: http.StatusForbidden, Outcome: OutcomeForbiddenOrigin,
		code: codeForbidden, description: description, rules: ru,
	}
}

// deny is 403 without a challenge: no scope would help.
func (ru *rules) deny(cause error) *Refusal {
	refusal := &Refusal{
		Status: http.StatusForbidden, Outcome: OutcomeDenied,
		code: codeForbidden, description: denied, rules: ru,
	}
	if cause != nil {
		refusal.cause = defect("invalid policy: " + cause.Error())
	}
	return refusal
}

// undecided is the answer where Policy.Decide gave an error: the caller is denied,
// or has to log in in another way.
func (ru *rules) undecided(route *route, cause error) *Refusal {
	if weak, ok := errors.AsType[*AuthenticationRequired](cause); ok {
		return ru.weakAuthentication(route, weak)
	}
	refusal := ru.deny(nil)
	refusal.cause = cause
	return refusal
}

// unauthenticated is 401 without an error (RFC 6750 §3.1); needed are the scopes
// to start with.
func (ru *rules) unauthenticated(needed scopes.Set) *Refusal {
	return &Refusal{
		Status: http.StatusUnauthorized, Outcome: OutcomeUnauthenticated,
		code: codeUnauthorized, description: noCredentials,
		challenge: challenge("", "", ru.fitting(needed).String(), ru.metadataURL), rules: ru,
	}
}

func (ru *rules) invalidRequest(description string) *Refusal {
	return &Refusal{
		Status: http.StatusBadRequest, Outcome: OutcomeInvalidRequest,
		code: codeInvalidRequest, description: description,
		challenge: challenge(codeInvalidRequest, description, "", ru.metadataURL), rules: ru,
	}
}

func (ru *rules) insufficientScope(route *route, held, needed scopes.Set) *Refusal {
	return &Refusal{
		Status: http.StatusForbidden, Outcome: OutcomeInsufficientScope,
		code: codeInsufficientScope, description: insufficientScope,
		challenge: ru.stepUp(route, held, needed), needed: needed, rules: ru,
	}
}

// reason returns the Reason of a Verifier's error. The list is closed: a Reason of a
// Verifier's own would be a new label.
func (r *route) reason(cause error) verifier.Reason {
	if invalid, ok := errors.AsType[*verifier.InvalidTokenError](cause); ok && r.invalid[invalid.Reason] != "" {
		return invalid.Reason
	}
	return verifier.ReasonUnspecified
}

func (ru *rules) invalidToken(cause error, route *route) *Refusal {
	reason := route.reason(cause)
	description := describe(reason)
	return &Refusal{
		Status: http.StatusUnauthorized, Outcome: OutcomeInvalidToken, Reason: reason,
		code: codeInvalidToken, description: description,
		challenge: route.invalid[reason], cause: cause, rules: ru,
	}
}

// refuseToken maps the error of a Verifier. Whatever does not say that the token
// is bad is no fault of the client's: a 401 would make it throw a good token
// away.
func (ru *rules) refuseToken(ctx context.Context, cause error, route *route) *Refusal {
	if errors.Is(cause, verifier.ErrInvalidToken) {
		return ru.invalidToken(cause, route)
	}
	refusal := &Refusal{
		Status: http.StatusServiceUnavailable, Outcome: OutcomeUnavailable,
		code: codeUnavailable, description: temporarilyDown, cause: cause, rules: ru,
	}
	if ctx.Err() != nil {
		refusal.Outcome = OutcomeCanceled // nobody reads the answer
		return refusal
	}
	var wait time.Duration
	if unavailable, ok := errors.AsType[*verifier.UnavailableError](cause); ok {
		wait = unavailable.RetryAfter
	}
	refusal.retryAfter = retryAfter(wait)
	return refusal
}

// retryAfter writes delay-seconds (RFC 9110 §10.2.3), rounded up, because a
// client that comes too early comes in vain. One second stands for "unknown".
func retryAfter(wait time.Duration) string {
	seconds := int64(wait / time.Second)
	if wait%time.Second > 0 {
		seconds++
	}
	return strconv.FormatInt(max(seconds, 1), 10)
}
