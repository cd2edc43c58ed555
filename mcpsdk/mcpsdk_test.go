package mcpsdk_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// modes are the two ways of the SDK to keep a conversation.
var modes = map[string]*mcp.StreamableHTTPOptions{
	"stateful":  {},
	"stateless": {Stateless: true},
}

func TestAToolReadsItsCaller(t *testing.T) {
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			s := newServer(t, options)
			for credential, want := range map[string]string{
				"alice": issuerA + " u1 read",
				"bob":   issuerA + " u2 read write",
				"":      "nobody",
			} {
				if got := call(t, s.connect(t, credential)); got.Caller != want {
					t.Errorf("credential %q: the tool saw %q, want %q", credential, got.Caller, want)
				}
			}
		})
	}
}

func TestResourcesPromptsAndSDKMiddlewareReadTheirCaller(t *testing.T) {
	s := newServer(t, nil)
	session := s.connect(t, "alice")
	const want = issuerA + " u1 read"

	read, err := session.ReadResource(t.Context(), &mcp.ReadResourceParams{URI: "test://caller"})
	if err != nil {
		t.Fatal(err)
	}
	if got := read.Contents[0].Text; got != want {
		t.Errorf("the resource saw %q", got)
	}
	prompt, err := session.GetPrompt(t.Context(), &mcp.GetPromptParams{Name: "caller"})
	if err != nil {
		t.Fatal(err)
	}
	if got := prompt.Description; got != want {
		t.Errorf("the prompt saw %q", got)
	}
	if got, _ := s.seenByMiddleware.Load().(string); got != want {
		t.Errorf("the SDK middleware saw %q", got)
	}
}

// The reason for FromRequest: after a refresh or a step-up, the context of a
// stateful session still holds the token that opened it.
func TestAToolSeesTheTokenOfTheCallNotOfTheSession(t *testing.T) {
	s := newServer(t, nil)
	client := &credentials{}
	client.use("alice")
	session := s.connectWith(t, client)
	call(t, session)

	client.use("alice-stepped-up")
	got := call(t, session)
	if want := issuerA + " u1 read write"; got.Caller != want {
		t.Errorf("FromRequest gave %q, want %q", got.Caller, want)
	}
	if want := issuerA + " u1 read"; got.Context != want {
		t.Errorf("the context gave %q; the warning in the package comment says %q", got.Context, want)
	}
}

// MB-47, MB-49: neither another user nor the same subject of another issuer.
func TestASessionBelongsToItsUser(t *testing.T) {
	intruders := map[string]string{
		"another user":                      "bob",
		"the same subject, another issuer":  "alice-of-b",
		"subject that imitates a separator": "forger",
		"nobody":                            "",
	}
	requests := map[string]struct{ method, body string }{
		"POST":   {http.MethodPost, callBody},
		"GET":    {http.MethodGet, ""},
		"DELETE": {http.MethodDelete, ""},
	}
	for name, credential := range intruders {
		for verb, request := range requests {
			t.Run(name+"/"+verb, func(t *testing.T) {
				s := newServer(t, nil)
				session := s.connect(t, "alice")
				call(t, session)
				before := s.toolRuns.Load()

				answer, body := s.send(t, request.method, request.body, credential, session.ID())

				if answer.StatusCode != http.StatusForbidden {
					t.Errorf("status %d, want 403", answer.StatusCode)
				}
				if strings.Contains(body, "u1") || strings.Contains(body, issuerA) {
					t.Errorf("the answer tells of the session's owner: %q", body)
				}
				if got := s.toolRuns.Load(); got != before {
					t.Error("the tool ran")
				}
				if got := call(t, session); got.Caller != issuerA+" u1 read" {
					t.Errorf("afterwards the owner is %q", got.Caller)
				}
			})
		}
	}
}

func TestTheOwnerMayUseTheSessionByHand(t *testing.T) {
	s := newServer(t, nil)
	session := s.connect(t, "alice")
	answer, body := s.send(t, http.MethodPost, callBody, "alice", session.ID())
	if answer.StatusCode != http.StatusOK || !strings.Contains(body, "u1") {
		t.Errorf("status %d, body %q", answer.StatusCode, body)
	}
}

func TestATokenWithoutSubjectOwnsNoSession(t *testing.T) {
	stateless := newServer(t, modes["stateless"])
	if got := call(t, stateless.connect(t, "subjectless")); got.Caller != issuerA+"  read" {
		t.Errorf("stateless: the tool saw %q", got.Caller)
	}

	s := newServer(t, nil)
	answer, _ := s.send(t, http.MethodPost, initializeBody, "subjectless", "")
	id := answer.Header.Get("Mcp-Session-Id")
	if answer.StatusCode != http.StatusOK || id == "" {
		t.Fatalf("initialize: status %d, session %q", answer.StatusCode, id)
	}
	answer, _ = s.send(t, http.MethodPost, callBody, "subjectless", id)
	if answer.StatusCode != http.StatusForbidden || s.toolRuns.Load() != 0 {
		t.Errorf("status %d, %d tool runs, want 403 and none", answer.StatusCode, s.toolRuns.Load())
	}
}

func TestToolsSeeNoCredential(t *testing.T) {
	for mode, options := range modes {
		t.Run(mode, func(t *testing.T) {
			s := newServer(t, options)
			got := call(t, s.connect(t, "alice"))
			if slices.Contains(got.Headers, "Authorization") || slices.Contains(got.Headers, "Dpop") {
				t.Errorf("the tool sees the headers %v", got.Headers)
			}
			if !slices.Contains(got.Headers, "User-Agent") {
				t.Errorf("the tool sees only the headers %v", got.Headers)
			}
		})
	}
}

func TestWrongNestingFailsClosed(t *testing.T) {
	for name, wire := range map[string]func(frontDoor func(http.Handler) http.Handler, h http.Handler) http.Handler{
		"Bind around the front door": func(frontDoor func(http.Handler) http.Handler, h http.Handler) http.Handler {
			return mcpsdk.Bind(frontDoor(h))
		},
		"no front door": func(_ func(http.Handler) http.Handler, h http.Handler) http.Handler {
			return mcpsdk.Bind(h)
		},
	} {
		for _, header := range []string{"Authorization", "DPoP"} {
			t.Run(name+"/"+header, func(t *testing.T) {
				var ran bool
				handler := wire(frontDoor(t), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true }))
				r := httptest.NewRequest(http.MethodPost, resource, nil)
				r.Header.Set(header, "Bearer alice")
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code != http.StatusInternalServerError || ran {
					t.Errorf("status %d, handler ran: %v; want 500, false", w.Code, ran)
				}
				if strings.Contains(w.Body.String(), "alice") {
					t.Errorf("the answer repeats the credential: %q", w.Body)
				}
			})
		}
	}
}

func TestExpiryIsJudgedByTheFrontDoorAlone(t *testing.T) {
	for name, test := range map[string]struct {
		expiry time.Time
		want   int
	}{
		"valid":                               {time.Now().Add(time.Minute), http.StatusOK},
		"expired, within the largest leeway":  {time.Now().Add(-115 * time.Second), http.StatusOK},
		"expired beyond every leeway":         {time.Now().Add(-3 * time.Minute), http.StatusUnauthorized},
		"no expiry, as from no Verifier ever": {time.Time{}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			token := &verifier.Token{Issuer: issuerA, Subject: "u1", Expiry: test.expiry}
			var info *auth.TokenInfo
			w := serve(token, func(_ http.ResponseWriter, r *http.Request) {
				info = auth.TokenInfoFromContext(r.Context())
			})
			if w.Code != test.want || (info != nil) != (test.want == http.StatusOK) {
				t.Errorf("status %d, TokenInfo %v; want %d", w.Code, info != nil, test.want)
			}
		})
	}
}

func TestBindPassesTheRequestAndTheWriterOnAsTheyAre(t *testing.T) {
	request := httptest.NewRequest(http.MethodPost, resource, nil)
	request.Header.Set("Mcp-Session-Id", "1")
	request.Header.Set("Authorization", "Bearer forwarded-on-purpose")
	type key struct{}
	ctx := context.WithValue(request.Context(), key{}, "kept")
	token := &verifier.Token{Issuer: issuerA, Subject: "u1", Expiry: time.Now().Add(time.Minute)}
	request = request.WithContext(verifier.NewContext(ctx, token))
	recorder := httptest.NewRecorder()

	ran := false
	mcpsdk.Bind(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ran = true
		if w != http.ResponseWriter(recorder) {
			t.Error("the ResponseWriter is wrapped")
		}
		if got := r.Header.Get("Authorization"); got != "Bearer forwarded-on-purpose" || len(r.Header) != 2 {
			t.Errorf("the headers changed to %v", r.Header)
		}
		if r.Context().Value(key{}) != "kept" {
			t.Error("a context value is lost")
		}
		info := auth.TokenInfoFromContext(r.Context())
		if info.UserID != issuerA+"\x00u1" || !info.Expiration.Equal(token.Expiry) {
			t.Errorf("UserID %q, expiration %v", info.UserID, info.Expiration)
		}
	})).ServeHTTP(recorder, request)
	if !ran {
		t.Error("the handler did not run")
	}
}

func TestBindRefusesAtWiring(t *testing.T) {
	for name, next := range map[string]http.Handler{
		"nil":               nil,
		"the SSE transport": mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return nil }, nil),
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "mcpsdk: ") {
					t.Errorf("panic %q", text)
				}
			}()
			mcpsdk.Bind(next)
		})
	}
}

func TestFromRequestWithoutBind(t *testing.T) {
	for name, req := range map[string]mcp.Request{
		"nil":                nil,
		"no extra":           &mcp.CallToolRequest{},
		"no token info":      &mcp.CallToolRequest{Extra: &mcp.RequestExtra{}},
		"foreign token info": &mcp.CallToolRequest{Extra: &mcp.RequestExtra{TokenInfo: &auth.TokenInfo{UserID: "u1"}}},
	} {
		if token, ok := mcpsdk.FromRequest(req); ok || token != nil {
			t.Errorf("%s: %v, %v", name, token, ok)
		}
	}
}

// serve runs h inside Bind for a request that carries token.
func serve(token *verifier.Token, h http.HandlerFunc) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, resource, nil)
	w := httptest.NewRecorder()
	mcpsdk.Bind(h).ServeHTTP(w, r.WithContext(verifier.NewContext(r.Context(), token)))
	return w
}
