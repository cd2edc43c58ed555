package middleware_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestRefuseAnswersInPlaceOfTheHandler(t *testing.T) {
	const claims = `{"access_token":{"polids":{"essential":true,"values":["9ab03e19"]}}}`
	encoded := base64.StdEncoding.EncodeToString([]byte(claims))
	for name, test := range map[string]struct {
		err        error
		status     int // 0: the handler's own answer stays
		outcome    middleware.Outcome
		challenge  string // part of it; empty: none
		retryAfter string
	}{
		"the user's token has ended": {&exchange.Error{Status: 400, Code: "invalid_grant"}, 401, middleware.OutcomeInvalidToken, `Bearer error="invalid_token", error_description="The access token is not active."`, ""},
		"through an http.Client":     {&url.Error{Op: "Get", Err: &exchange.Error{Code: "invalid_grant"}}, 401, middleware.OutcomeInvalidToken, `Bearer error="invalid_token"`, ""},
		"the user has to act":        {&exchange.Error{Code: "interaction_required"}, 401, middleware.OutcomeWeakAuthentication, `Bearer error="insufficient_user_authentication"`, ""},
		"a claims challenge":         {&exchange.Error{Code: "interaction_required", Claims: claims}, 401, middleware.OutcomeWeakAuthentication, `claims="` + encoded + `"`, ""},
		"Microsoft's code for it":    {&exchange.Error{Code: "interaction_required", Claims: claims}, 401, middleware.OutcomeWeakAuthentication, `Bearer error="insufficient_claims"`, ""},
		"a login of the handler's":   {&middleware.AuthenticationRequired{MaxAge: time.Minute}, 401, middleware.OutcomeWeakAuthentication, `max_age="60"`, ""},
		"claims too long":            {&exchange.Error{Code: "interaction_required", Claims: `{"a":"` + strings.Repeat("a", 4000) + `"}`}, 401, middleware.OutcomeWeakAuthentication, `Bearer error="insufficient_user_authentication"`, ""},
		"a challenge too long":       {&middleware.AuthenticationRequired{ACRValues: []string{strings.Repeat("a", 5000)}}, 403, middleware.OutcomeDenied, "", ""},
		"an outage":                  {&exchange.Error{Status: 500}, 503, middleware.OutcomeUnavailable, "", "1"},
		"one with an end":            {&exchange.Error{Status: 429, RetryAfter: 7 * time.Second}, 503, middleware.OutcomeUnavailable, "", "7"},
		"our own credentials":        {&exchange.Error{Status: 401, Code: "invalid_client", Err: verifier.ErrOurCredentials}, 503, middleware.OutcomeUnavailable, "", "1"},
		"a mistake of ours":          {&exchange.Error{Status: 400, Code: "invalid_target"}, 0, "", "", ""},
		"an error of somebody":       {errors.New("disk full"), 0, "", "", ""},
		"a caller who left":          {context.Canceled, 0, "", "", ""},
		"none":                       {nil, 0, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var returned error
			var events []middleware.Event
			guard := stepUpGuard(t, `{}`, func(c *middleware.Config) {
				c.LateStepUp = true
				c.Observe = func(_ context.Context, e middleware.Event) { events = append(events, e) }
			})
			answer := post(guard.Require("files:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				returned = middleware.Refuse(r.Context(), test.err)
				_, _ = io.WriteString(w, "of the handler")
			})), toolCall, true)
			if test.status == 0 {
				if returned != test.err || answer.Code != 200 || answer.Body.String() != "of the handler" || len(events) != 1 {
					t.Errorf("%v, %d %s, %d events", returned, answer.Code, answer.Body, len(events))
				}
				return
			}
			refusal, ok := errors.AsType[*middleware.Refusal](returned)
			if !ok || refusal.Status != test.status || refusal.Outcome != test.outcome || len(events) != 2 || events[1].Outcome != test.outcome {
				t.Errorf("%v, events %+v", returned, events)
			}
			if test.outcome != middleware.OutcomeDenied && !errors.Is(returned, test.err) {
				t.Errorf("%v hides its cause", returned)
			}
			challenge := answer.Header().Get("WWW-Authenticate")
			if answer.Code != test.status || answer.Header().Get("Retry-After") != test.retryAfter || strings.Contains(answer.Body.String(), "handler") ||
				!strings.Contains(challenge, test.challenge) || (challenge == "") != (test.challenge == "") {
				t.Errorf("%d %v %s", answer.Code, answer.Header(), answer.Body)
			}
			if challenge != "" && !strings.Contains(challenge, `resource_metadata="`+metadataURL+`"`) {
				t.Errorf("challenge %s", challenge)
			}
		})
	}
}

func TestRefuseIsTooLate(t *testing.T) {
	failed := &exchange.Error{Code: "invalid_grant"}
	for name, late := range map[string]bool{"not configured": false, "after a write": true} {
		var err error
		guard := stepUpGuard(t, `{}`, func(c *middleware.Config) { c.LateStepUp = late })
		answer := post(guard.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "begun")
			err = middleware.Refuse(r.Context(), failed)
		})), toolCall, true)
		if !errors.Is(err, middleware.ErrTooLate) || !errors.Is(err, failed) || answer.Code != 200 || answer.Body.String() != "begun" {
			t.Errorf("%s: %v, %d %s", name, err, answer.Code, answer.Body)
		}
	}
}
