package exchange

import (
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// ErrInteractionRequired classifies refusals that only the user can lift: another
// factor, a fresh login, a consent. The client has to send the user to the
// authorization server, with Error.Claims where there are any.
var ErrInteractionRequired = errors.New("exchange: the user has to act at the authorization server")

// An Error says why there is no token. It matches, with errors.Is:
//
//   - verifier.ErrInvalidToken where the server no longer takes the user's token
//     (invalid_grant): the answer to the client is 401;
//   - ErrInteractionRequired where the user has to act first: a step-up;
//   - verifier.ErrUnavailable where there is no usable answer: 503. With
//     verifier.ErrOurCredentials in it, our own authentication is the cause.
//
// Any other refusal (invalid_target, invalid_scope, access_denied) is about what
// was asked for, by this server, and matches none of them. That includes
// invalid_request: RFC 8693 §2.2.2 has it for a bad subject token as well as for a
// bad request, and a 401 for our own mistake would make every client sign in again
// and again.
//
// Its text is for the operator. It holds no token and nothing that a server wrote,
// except Code, provided that Config.Transport keeps both out of its errors.
type Error struct {
	// Issuer is the authorization server that was asked.
	Issuer string
	// Status is the HTTP status of its answer; zero where there was none.
	Status int
	// Code is its error code (RFC 6749 §5.2, RFC 8693 §2.2.2), one of the
	// registered ones; empty where it sent none.
	Code string
	// Claims is the claims challenge of Microsoft Entra ID, a JSON object of at
	// most 4 KiB: what the client sends as parameter claims of its next
	// authorization request. Empty: none.
	Claims string
	// RetryAfter is when to try again; zero where the server did not say.
	RetryAfter time.Duration
	// Err is the cause. It holds no secret.
	Err error

	interaction bool // whatever Code says
	userless    bool // there is nobody to sign in again
}

// Error names the server, the status, the code and the cause.
func (e *Error) Error() string {
	text := "exchange: " + e.Issuer
	if e.Status != 0 {
		text += fmt.Sprintf(": status %d", e.Status)
	}
	if e.Code != "" {
		text += " " + e.Code
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is reports the class of the error.
func (e *Error) Is(target error) bool {
	switch target {
	case verifier.ErrInvalidToken, verifier.ErrUnavailable, ErrInteractionRequired:
		return e.class() == target
	}
	return false
}

func (e *Error) class() error {
	if isOwn(e.Err) {
		return nil
	}
	switch e.Code {
	case "invalid_client", "unauthorized_client", "temporarily_unavailable":
		return verifier.ErrUnavailable
	case "invalid_request", "unsupported_grant_type", "invalid_scope", "invalid_target", "access_denied":
		if !e.interaction {
			return nil
		}
	}
	switch {
	case e.userless || e.Code == "":
		return verifier.ErrUnavailable // no answer, one that says nothing, or one about ourselves
	case e.interaction || e.Code == "interaction_required" || e.Code == "login_required" ||
		e.Code == "consent_required" || e.Code == "insufficient_scope":
		return ErrInteractionRequired
	}
	return verifier.ErrInvalidToken // invalid_grant, invalid_token
}

// definite reports that another try would end the same way, so that what was
// issued before must not be used any longer either.
func (e *Error) definite() bool { return e.class() != verifier.ErrUnavailable }

// challenge reads what Microsoft Entra ID says beside the code.
func (e *Error) challenge(said *fetch.OAuthError) {
	var object map[string]strictjson.Value
	if strictjson.Object([]byte(said.Claims), &object) == nil {
		e.Claims = said.Claims
	}
	switch said.Suberror {
	case "basic_action", "additional_action", "consent_required":
		e.interaction = true
	}
	e.interaction = e.interaction || e.Claims != ""
}

// misuse is the cause where nothing was asked, because of who called how.
type misuse string

func (m misuse) Error() string { return string(m) }

func isOwn(err error) bool {
	_, own := errors.AsType[misuse](err)
	return own
}

// errAnswer is the class of answers that cannot be used.
var errAnswer = errors.New("the answer is not usable")

func badAnswer(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errAnswer}, args...)...)
}

// panicked describes the panic of a function that this server was given. The value
// stays out: it may hold a secret.
func panicked(who string, value any) error { return fmt.Errorf("%s panicked with a %T", who, value) }
