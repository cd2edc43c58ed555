package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const toolCall = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"report","arguments":{"rows":5000}}}`

// stepUpGuard knows the token good, with the scope files:read and these claims.
func stepUpGuard(t *testing.T, claims string, change func(*middleware.Config)) *middleware.Guard {
	t.Helper()
	config := middleware.Config{
		Metadata: prm.Metadata{Resource: resource, AuthorizationServers: []string{issuerURL}, ScopesSupported: []string{"files:read"}},
		Verifier: verifier.Func(func(context.Context, string) (*verifier.Token, error) {
			return goodToken("files:read").WithClaims([]byte(claims)), nil
		}),
	}
	if change != nil {
		change(&config)
	}
	guard, err := middleware.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func post(handler http.Handler, body string, credentials bool) *httptest.ResponseRecorder {
	request := httptest.NewRequest("POST", "/mcp", strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	if credentials {
		request.Header.Set("Authorization", "Bearer "+good)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	return answer
}

func TestRequireAuthenticationAsksForAStrongerOrFresherLogin(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		claims string
		acr    []string
		maxAge time.Duration
		want   string // the challenge's own parameters; empty: let in
	}{
		"nothing asked":         {`{}`, nil, 0, ""},
		"acr is one of them":    {`{"acr":"phr"}`, []string{"phrh", "phr"}, 0, ""},
		"acr is another":        {`{"acr":"pwd"}`, []string{"phrh", "phr"}, 0, `acr_values="phrh phr"`},
		"acr is missing":        {`{}`, []string{"phr"}, 0, `acr_values="phr"`},
		"acr is no string":      {`{"acr":["phr"]}`, []string{"phr"}, 0, `acr_values="phr"`},
		"fresh":                 {fmt.Sprintf(`{"auth_time":%d}`, now.Add(-time.Minute).Unix()), nil, time.Hour, ""},
		"old":                   {fmt.Sprintf(`{"auth_time":%d}`, now.Add(-2*time.Hour).Unix()), nil, time.Hour, `max_age="3600"`},
		"auth_time is missing":  {`{}`, nil, time.Hour, `max_age="3600"`},
		"auth_time is negative": {`{"auth_time":-1}`, nil, time.Hour, `max_age="3600"`},
		"strong and old":        {`{"acr":"phr","auth_time":1000}`, []string{"phr"}, time.Minute, `acr_values="phr", max_age="60"`},
		"cannot be in a header": {`{}`, []string{"a\"b"}, 0, "denied"},
	} {
		t.Run(name, func(t *testing.T) {
			next := &spy{}
			handler := stepUpGuard(t, test.claims, nil).Protect(scopes.Policy{
				Base: scopes.All("files:read"),
				Decide: func(ctx context.Context, op scopes.Operation) (scopes.Requirement, error) {
					return scopes.Requirement{}, middleware.RequireAuthentication(ctx, test.acr, test.maxAge)
				},
			})(next)
			answer := post(handler, toolCall, true)
			challenge := answer.Header().Get("WWW-Authenticate")
			switch test.want {
			case "":
				if answer.Code != 200 || len(next.requests) != 1 {
					t.Errorf("%d %s", answer.Code, challenge)
				}
			case "denied":
				if answer.Code != 403 || challenge != "" || len(next.requests) != 0 {
					t.Errorf("%d %s", answer.Code, challenge)
				}
			default:
				want := `Bearer error="insufficient_user_authentication", error_description="This operation needs a stronger or more recent login.", ` +
					test.want + `, scope="files:read", resource_metadata="` + metadataURL + `"`
				if answer.Code != 401 || challenge != want || len(next.requests) != 0 {
					t.Errorf("%d\n%s\nwant\n%s", answer.Code, challenge, want)
				}
			}
		})
	}
}

func TestRequireMoreAnswersInPlaceOfTheHandler(t *testing.T) {
	var late error
	handler := stepUpGuard(t, `{}`, func(c *middleware.Config) { c.LateStepUp = true }).Require("files:read")(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := middleware.RequireMore(r.Context(), "files:read"); err != nil {
				t.Errorf("a scope that is held: %v", err)
			}
			w.Header().Set("Content-Type", "text/event-stream")
			late = middleware.RequireMore(r.Context(), "files:write")
			w.WriteHeader(http.StatusOK)
			if n, err := io.WriteString(w, "secret rows"); n != len("secret rows") || err != nil {
				t.Errorf("Write: %d, %v", n, err)
			}
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Errorf("Flush: %v", err)
			}
			if again := middleware.RequireMore(r.Context(), "files:write"); !errors.As(again, new(*middleware.Refusal)) {
				t.Errorf("again: %v", again)
			}
		}))
	answer := post(handler, toolCall, true)
	refusal, ok := errors.AsType[*middleware.Refusal](late)
	if !ok || refusal.Status != 403 || refusal.Outcome != middleware.OutcomeInsufficientScope {
		t.Errorf("RequireMore: %v", late)
	}
	if answer.Code != 403 || answer.Header().Get("Content-Type") != "application/json" || strings.Contains(answer.Body.String(), "secret") ||
		!strings.Contains(answer.Header().Get("WWW-Authenticate"), `scope="files:read files:write"`) {
		t.Errorf("%d %v %s", answer.Code, answer.Header(), answer.Body)
	}
}

func TestRequireMoreIsTooLate(t *testing.T) {
	write := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "begun") }
	flush := func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }
	for name, test := range map[string]struct {
		before func(http.ResponseWriter, *http.Request)
		config func(*middleware.Config)
	}{
		"after a write":  {write, func(c *middleware.Config) { c.LateStepUp = true }},
		"after a flush":  {flush, func(c *middleware.Config) { c.LateStepUp = true }},
		"without Config": {func(http.ResponseWriter, *http.Request) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			handler := stepUpGuard(t, `{}`, test.config).Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				test.before(w, r)
				err = middleware.RequireMore(r.Context(), "files:write")
			}))
			if answer := post(handler, toolCall, true); answer.Code != 200 || !errors.Is(err, middleware.ErrTooLate) {
				t.Errorf("%d, %v", answer.Code, err)
			}
		})
	}
	t.Run("after the handler", func(t *testing.T) {
		var kept context.Context
		handler := stepUpGuard(t, `{}`, func(c *middleware.Config) { c.LateStepUp = true }).Require()(
			http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { kept = context.WithoutCancel(r.Context()) }))
		post(handler, toolCall, true)
		if err := middleware.RequireMore(kept, "files:write"); !errors.Is(err, middleware.ErrTooLate) {
			t.Error(err)
		}
	})
	t.Run("a mistake", func(t *testing.T) {
		handler := stepUpGuard(t, `{}`, func(c *middleware.Config) { c.LateStepUp = true }).Require()(
			http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if err := middleware.RequireMore(r.Context(), "no scope"); err == nil || errors.Is(err, middleware.ErrTooLate) {
					t.Error(err)
				}
			}))
		if answer := post(handler, toolCall, true); answer.Code != 200 {
			t.Error(answer.Code)
		}
	})
}

func TestRequireMoreAndTheHandlerDoNotRace(t *testing.T) {
	handler := stepUpGuard(t, `{}`, func(c *middleware.Config) { c.LateStepUp = true }).Require()(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() { _ = middleware.RequireMore(r.Context(), "files:write") })
				group.Go(func() { _, _ = io.WriteString(w, "data") })
			}
			group.Wait()
		}))
	for range 200 {
		answer := post(handler, toolCall, true)
		if refused := answer.Code == 403; refused == strings.Contains(answer.Body.String(), "data") {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
	}
}

func TestChallengeInBodyIsAToolResult(t *testing.T) {
	guard := stepUpGuard(t, `{}`, func(c *middleware.Config) { c.ChallengeInBody = true })
	handler := guard.Protect(scopes.Policy{Tools: map[string]scopes.Requirement{"report": scopes.All("files:write")}})(http.NotFoundHandler())
	for name, credentials := range map[string]bool{"401": false, "403": true} {
		t.Run(name, func(t *testing.T) {
			answer := post(handler, toolCall, credentials)
			var body struct {
				ID     int
				Result struct {
					IsError bool
					Meta    map[string][]string `json:"_meta"`
				}
			}
			if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
				t.Fatalf("%s: %v", answer.Body, err)
			}
			challenge := answer.Header().Get("WWW-Authenticate")
			if fmt.Sprint(answer.Code) != name || body.ID != 7 || !body.Result.IsError || challenge == "" ||
				fmt.Sprint(body.Result.Meta["mcp/www_authenticate"]) != "["+challenge+"]" {
				t.Errorf("%d %s", answer.Code, answer.Body)
			}
		})
	}
	for name, body := range map[string]string{
		"another method": `{"jsonrpc":"2.0","id":7,"method":"tools/list"}`,
		"no JSON":        `{`,
	} {
		answer := post(handler, body, false)
		if answer.Code != 401 || !strings.HasPrefix(answer.Body.String(), `{"error":"unauthorized"`) {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
	}
}

func TestALateRefusalIsReportedLikeAnyOther(t *testing.T) {
	var events []middleware.Event
	handler := stepUpGuard(t, `{}`, func(c *middleware.Config) {
		c.LateStepUp = true
		c.Observe = func(_ context.Context, e middleware.Event) { events = append(events, e) }
	}).Protect(scopes.Policy{Tools: map[string]scopes.Requirement{"report": scopes.All("files:read")}})(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _ = middleware.RequireMore(r.Context(), "files:write") }))
	post(handler, toolCall, true)
	if len(events) != 2 || events[0].Outcome != middleware.OutcomeAllowed {
		t.Fatalf("events %+v", events)
	}
	first, late := events[0], events[1]
	if late.Outcome != middleware.OutcomeInsufficientScope || late.Status != 403 || late.Needed.String() != "files:write" || late.Token != nil || late.Duration != 0 {
		t.Errorf("event %+v", late)
	}
	if late.Issuer != issuerURL || late.Operation != "report" || late.Scheme != first.Scheme || late.Caller != first.Caller || late.Resource != first.Resource {
		t.Errorf("the second event says of the request\n%+v, the first\n%+v", late, first)
	}
}

func TestRecheckEndsAStreamWhoseTokenIsRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		guard := stepUpGuard(t, `{}`, func(c *middleware.Config) {
			good := c.Verifier
			c.Recheck = 30 * time.Second
			c.Verifier = verifier.Func(func(ctx context.Context, token string) (*verifier.Token, error) {
				switch open := time.Since(start); {
				case open == 0:
					return good.Verify(ctx, token)
				case open < 10*time.Minute:
					return nil, verifier.ErrUnavailable // no reason to break off
				}
				return nil, &verifier.InvalidTokenError{Reason: verifier.ReasonInactive}
			})
		})
		handler := guard.Require()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		post(handler, toolCall, true)
		if open := time.Since(start); open < 10*time.Minute || open > 10*time.Minute+30*time.Second {
			t.Errorf("the stream ended after %v", open)
		}
	})
}

func TestFilterShowsWhatTheCallerMayUse(t *testing.T) {
	may := stepUpGuard(t, `{}`, nil).Filter(scopes.Policy{Tools: map[string]scopes.Requirement{
		"public": scopes.Public(), "read": scopes.All("files:read"), "write": scopes.All("files:write"),
	}})
	tool := func(name string) scopes.Operation { return scopes.Operation{Method: "tools/call", Name: name} }
	caller := goodToken("files:read")
	for name, want := range map[string][2]bool{"public": {true, true}, "read": {false, true}, "write": {false, false}, "unnamed": {false, false}} {
		if anonymous, known := may(nil, tool(name)), may(caller, tool(name)); anonymous != want[0] || known != want[1] {
			t.Errorf("%s: %v for nobody, %v for the caller, want %v", name, anonymous, known, want)
		}
	}
	if new(middleware.Guard).Filter(scopes.Policy{Base: scopes.Public()})(caller, tool("public")) {
		t.Error("the zero Guard lets everybody see")
	}
}

func TestARefusalWhileRunningHasNoneOfTheHandlersFields(t *testing.T) {
	var group sync.WaitGroup
	handler := stepUpGuard(t, `{}`, func(c *middleware.Config) { c.LateStepUp = true }).Require()(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Mcp-Session-Id", "secret")
			group.Go(func() { _ = middleware.RequireMore(r.Context(), "files:write") })
			for i := range 100 {
				w.Header().Set("X-Field", fmt.Sprint(i))
			}
			group.Wait()
		}))
	answer := post(handler, toolCall, true)
	if answer.Code != 403 || answer.Header().Get("Mcp-Session-Id") != "" || answer.Header().Get("X-Field") != "" {
		t.Errorf("%d %v", answer.Code, answer.Header())
	}
	handler = stepUpGuard(t, `{}`, func(c *middleware.Config) { c.LateStepUp = true }).Require()(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Field", "kept") }))
	if answer := post(handler, toolCall, true); answer.Header().Get("X-Field") != "kept" {
		t.Errorf("a handler that writes nothing: %v", answer.Header())
	}
}

func TestRecheckSeesALesserToken(t *testing.T) {
	for name, lesser := range map[string]func(*verifier.Token){
		"fewer scopes":     func(token *verifier.Token) { token.Scopes = scopes.Set{} },
		"another subject":  func(token *verifier.Token) { token.Subject = "mallory" },
		"another audience": func(token *verifier.Token) { token.Audience = []string{"https://other.example.com"} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				guard := stepUpGuard(t, `{}`, func(c *middleware.Config) {
					c.Recheck = time.Second
					c.Verifier = verifier.Func(func(context.Context, string) (*verifier.Token, error) {
						token := goodToken("files:read")
						if time.Since(start) > 0 {
							lesser(token)
						}
						return token, nil
					})
				})
				post(guard.Require("files:read")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					for r.Context().Err() == nil { // never asks for Done
						time.Sleep(100 * time.Millisecond)
					}
				})), toolCall, true)
				if open := time.Since(start); open > 1100*time.Millisecond {
					t.Errorf("the stream ended after %v", open)
				}
			})
		})
	}
}

func TestOneBodyCannotAskForEndlessOperations(t *testing.T) {
	calls := 0
	handler := stepUpGuard(t, `{}`, nil).Protect(scopes.Policy{Decide: func(context.Context, scopes.Operation) (scopes.Requirement, error) {
		calls++
		return scopes.Requirement{}, nil
	}})(http.NotFoundHandler())
	one := `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[` +
		strings.TrimSuffix(strings.Repeat(`"note://one",`, 900), ",") + `]}}}`
	answer := post(handler, "["+one+","+one+"]", true)
	if answer.Code != 400 || calls > 1000 {
		t.Errorf("%d after %d decisions", answer.Code, calls)
	}
}
