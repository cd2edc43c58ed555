package middleware_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestRefuseAnswersWithWhatTheCauseMeans(t *testing.T) {
	const authorizationServer = "https://login.example.com"
	claims := `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	weak := `Bearer error="insufficient_user_authentication", error_description="This operation needs a stronger or more recent login.", `
	tail := `scope="files:read", resource_metadata="` + metadataURL + `"`
	for name, test := range map[string]struct {
		cause                 error
		status                int
		outcome               middleware.Outcome
		reason                verifier.Reason
		challenge, retryAfter string
	}{
		"the user's token is no longer taken": {
			cause:  &exchange.Error{Issuer: authorizationServer, Status: 400, Code: "invalid_grant"},
			status: 401, outcome: middleware.OutcomeInvalidToken, reason: verifier.ReasonInactive,
			challenge: `Bearer error="invalid_token", error_description="The access token is not active.", ` + tail,
		},
		"a token of a Verifier": {
			cause:  &verifier.InvalidTokenError{Reason: verifier.ReasonExpired},
			status: 401, outcome: middleware.OutcomeInvalidToken, reason: verifier.ReasonExpired,
			challenge: `Bearer error="invalid_token", error_description="The access token has expired.", ` + tail,
		},
		"the user has to act": {
			cause:  &exchange.Error{Issuer: authorizationServer, Status: 400, Code: "interaction_required"},
			status: 401, outcome: middleware.OutcomeWeakAuthentication, challenge: weak + tail,
		},
		"the user has to act, with a claims challenge": {
			cause:  &exchange.Error{Issuer: authorizationServer, Status: 400, Code: "interaction_required", Claims: claims},
			status: 401, outcome: middleware.OutcomeWeakAuthentication,
			challenge: `Bearer error="insufficient_claims", error_description="This operation needs a stronger or more recent login.", claims="` +
				base64.StdEncoding.EncodeToString([]byte(claims)) + `", ` + tail,
		},
		"a claims challenge that reaches no client": {
			cause:  &exchange.Error{Issuer: authorizationServer, Status: 400, Code: "interaction_required", Claims: `{"a":"` + strings.Repeat("x", 4000) + `"}`},
			status: 401, outcome: middleware.OutcomeWeakAuthentication, challenge: weak + tail,
		},
		"a stronger login": {
			cause:  &middleware.AuthenticationRequired{ACRValues: []string{"gold"}, MaxAge: time.Minute},
			status: 401, outcome: middleware.OutcomeWeakAuthentication, challenge: weak + `acr_values="gold", max_age="60", ` + tail,
		},
		"an outage": {
			cause:  &exchange.Error{Issuer: authorizationServer, Status: 429, RetryAfter: 7 * time.Second},
			status: 503, outcome: middleware.OutcomeUnavailable, retryAfter: "7",
		},
		"our own credentials": {
			cause:  &exchange.Error{Issuer: authorizationServer, Status: 401, Code: "invalid_client", Err: verifier.ErrOurCredentials},
			status: 503, outcome: middleware.OutcomeUnavailable, retryAfter: "1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got error
			var events []middleware.Event
			handler := stepUpGuard(t, `{}`, func(c *middleware.Config) {
				c.LateStepUp = true
				c.Observe = func(_ context.Context, e middleware.Event) { events = append(events, e) }
			}).Require("files:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = middleware.Refuse(r.Context(), test.cause)
				_, _ = io.WriteString(w, "secret rows")
			}))
			answer := post(handler, toolCall, true)
			if answer.Code != test.status || answer.Header().Get("WWW-Authenticate") != test.challenge || answer.Header().Get("Retry-After") != test.retryAfter {
				t.Errorf("%d\n%v\nwant %d\n%s", answer.Code, answer.Header(), test.status, test.challenge)
			}
			if body := answer.Body.String(); strings.Contains(body, "secret") || strings.Contains(body, authorizationServer) {
				t.Errorf("the body is %s", body)
			}
			refusal, ok := errors.AsType[*middleware.Refusal](got)
			if !ok || !errors.Is(got, test.cause) || refusal.Status != test.status {
				t.Errorf("Refuse: %v", got)
			}
			if last := events[len(events)-1]; last.Outcome != test.outcome || last.Reason != test.reason || last.Status != test.status {
				t.Errorf("event %q %q %d", last.Outcome, last.Reason, last.Status)
			}
		})
	}
}

func TestRefuseAnswersNothingThatIsOurFault(t *testing.T) {
	for name, cause := range map[string]error{
		"nil":              nil,
		"any":              errors.New("disk full"),
		"what we asked of": &exchange.Error{Status: 400, Code: "invalid_target"},
	} {
		t.Run(name, func(t *testing.T) {
			handler := stepUpGuard(t, `{}`, func(c *middleware.Config) { c.LateStepUp = true }).Require()(
				http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if got := middleware.Refuse(r.Context(), cause); got != cause {
						t.Errorf("Refuse: %v", got)
					}
					w.WriteHeader(http.StatusTeapot)
				}))
			if answer := post(handler, toolCall, true); answer.Code != http.StatusTeapot {
				t.Errorf("status %d", answer.Code)
			}
		})
	}
	handler := stepUpGuard(t, `{}`, nil).Require()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := middleware.Refuse(r.Context(), verifier.ErrInvalidToken); !errors.Is(err, middleware.ErrTooLate) {
			t.Errorf("without Config.LateStepUp: %v", err)
		}
	}))
	if answer := post(handler, toolCall, true); answer.Code != http.StatusOK {
		t.Errorf("status %d", answer.Code)
	}
}
