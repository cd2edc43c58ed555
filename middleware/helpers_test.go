package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/authparam"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const (
	resource    = "https://mcp.example.com/mcp"
	metadataURL = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
	issuerURL   = "https://login.example.com"
	appOrigin   = "https://app.example.com"

	// Long enough that a piece of 16 bytes cannot turn up by chance.
	good = "good-8f14e45fceea167a5a36dedd4bea2543"
	bad  = "bad--c9f0f895fb98ab9159f51fd0297e236d"
)

// fakeVerifier knows one good token; every other one has a bad signature.
type fakeVerifier struct {
	token *verifier.Token
	err   error
	seen  []string
}

func (f *fakeVerifier) Verify(_ context.Context, token string) (*verifier.Token, error) {
	f.seen = append(f.seen, token)
	if f.err != nil {
		return nil, f.err
	}
	if token != good {
		return nil, &verifier.InvalidTokenError{Reason: verifier.ReasonSignature, Issuer: issuerURL}
	}
	return f.token, nil
}

func goodToken(scopeTokens ...string) *verifier.Token {
	granted, err := scopes.Of(scopeTokens...)
	if err != nil {
		panic(err)
	}
	return &verifier.Token{
		Issuer:   issuerURL,
		Subject:  "alice",
		Audience: []string{resource},
		Scopes:   granted,
		Expiry:   time.Now().Add(time.Hour),
	}
}

// fixture is a Guard around a spy, with everything that it saw.
type fixture struct {
	t        *testing.T
	config   middleware.Config
	verifier *fakeVerifier
	guard    *middleware.Guard
	next     *spy
	events   []middleware.Event
}

// spy is the handler behind the door.
type spy struct {
	requests []*http.Request
	bodies   func(*http.Request)
}

func (s *spy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests = append(s.requests, r)
	if s.bodies != nil {
		s.bodies(r)
	}
	w.WriteHeader(http.StatusOK)
}

func (s *spy) ran() bool { return len(s.requests) > 0 }

func newFixture(t *testing.T, change ...func(*fixture)) *fixture {
	t.Helper()
	f := &fixture{t: t, verifier: &fakeVerifier{token: goodToken("files:read")}, next: &spy{}}
	f.config = middleware.Config{
		Metadata: prm.Metadata{
			Resource:             resource,
			AuthorizationServers: []string{issuerURL},
			ScopesSupported:      []string{"files:read", "files:write"},
		},
		Verifier:       f.verifier,
		AllowedOrigins: []string{appOrigin},
		Observe:        func(_ context.Context, e middleware.Event) { f.events = append(f.events, e) },
	}
	for _, c := range change {
		c(f)
	}
	guard, err := middleware.New(f.config)
	if err != nil {
		t.Fatal(err)
	}
	f.guard = guard
	return f
}

func (f *fixture) handler() http.Handler { return f.guard.Require("files:read")(f.next) }

// answer sends one request and checks what holds for every answer.
func (f *fixture) answer(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	f.t.Helper()
	before, ran := len(f.events), len(f.next.requests)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if f.config.Observe != nil && len(f.events) != before+1 {
		f.t.Fatalf("%d events for one request", len(f.events)-before)
	}
	if w.Code != http.StatusOK && len(f.next.requests) != ran {
		f.t.Fatalf("answered %d, and the handler ran", w.Code)
	}
	if w.Code == http.StatusOK && len(f.next.requests) != ran+1 {
		f.t.Fatalf("answered 200, and the handler ran %d times", len(f.next.requests)-ran)
	}
	if f.config.Observe != nil {
		checkEvent(f.t, f.events[before], w.Code)
	}
	checkAnswer(f.t, w.Code, w.Header(), metadataURL)
	return w
}

// checkEvent asserts what every event promises.
func checkEvent(t *testing.T, e middleware.Event, status int) {
	t.Helper()
	accepted := e.Outcome == middleware.OutcomeAllowed || e.Outcome == middleware.OutcomeAnonymous
	switch {
	case !slices.Contains(middleware.Outcomes(), e.Outcome):
		t.Errorf("outcome %q is not in the list", e.Outcome)
	case accepted != (status == http.StatusOK) || accepted != (e.Status == 0):
		t.Errorf("outcome %s with status %d, answered %d", e.Outcome, e.Status, status)
	case !accepted && e.Status != status:
		t.Errorf("the event says %d, the answer %d", e.Status, status)
	case (e.Token != nil) != (e.Outcome == middleware.OutcomeAllowed):
		t.Errorf("outcome %s with token %v", e.Outcome, e.Token)
	case (e.Reason != "") != (e.Outcome == middleware.OutcomeInvalidToken):
		t.Errorf("outcome %s with reason %q", e.Outcome, e.Reason)
	case e.Reason != "" && !slices.Contains(verifier.Reasons(), e.Reason):
		t.Errorf("reason %q is not in the list", e.Reason)
	case (e.Err != nil) == (accepted || e.Outcome == middleware.OutcomePreflight):
		t.Errorf("outcome %s with error %v", e.Outcome, e.Err)
	}
}

// checkAnswer is the oracle: challenges are of the strict grammar, Bearer alone
// and first, point to our metadata, and stand on the statuses they belong to.
func checkAnswer(t *testing.T, status int, h http.Header, metadata string) {
	t.Helper()
	fields := h["Www-Authenticate"]
	bearsChallenge := status == http.StatusUnauthorized || status == http.StatusBadRequest
	if bearsChallenge && len(fields) != 1 || len(fields) > 1 {
		t.Fatalf("%d with WWW-Authenticate %q", status, fields)
	}
	if status == http.StatusServiceUnavailable && len(fields) > 0 {
		t.Errorf("503 with a challenge: %q", fields)
	}
	if status >= 400 && h.Get("Cache-Control") != "no-store" {
		t.Errorf("%d with Cache-Control %q", status, h.Get("Cache-Control"))
	}
	for _, name := range []string{"Etag", "Access-Control-Allow-Credentials"} {
		if value, has := h[name]; has {
			t.Errorf("%d with %s: %q", status, name, value)
		}
	}
	if len(fields) == 0 {
		return
	}
	challenges, err := authparam.Parse(fields[0])
	if err != nil || len(challenges) != 1 || challenges[0].Scheme != "Bearer" {
		t.Fatalf("challenge %q: %v", fields[0], err)
	}
	if got, _ := challenges[0].Get("resource_metadata"); got != metadata {
		t.Errorf("resource_metadata = %q, want %q", got, metadata)
	}
	if text, _ := challenges[0].Get("error_description"); len(text) > 80 { // maxDescription
		t.Errorf("description of %d bytes", len(text))
	}
	if strings.Contains(fields[0], `\`) || len(fields[0]) > 4<<10 {
		t.Errorf("challenge of %d bytes, or with an escape: %q", len(fields[0]), fields[0])
	}
}

// param returns one parameter of the challenge of an answer.
func param(t *testing.T, h http.Header, name string) string {
	t.Helper()
	challenges, err := authparam.Parse(h.Get("WWW-Authenticate"))
	if err != nil {
		t.Fatal(err)
	}
	value, _ := challenges[0].Get(name)
	return value
}

func (f *fixture) last() middleware.Event {
	f.t.Helper()
	if len(f.events) == 0 {
		f.t.Fatal("no event")
	}
	return f.events[len(f.events)-1]
}

// request returns a POST with the header fields given as "Name: value".
func request(fields ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/mcp", strings.NewReader(`{"jsonrpc":"2.0"}`))
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Add(name, value)
	}
	return r
}

// dump writes an answer in a stable form: status, all headers, body.
func dump(w *httptest.ResponseRecorder) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", w.Code)
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		for _, value := range w.Header()[name] {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", w.Body)
	return b.String()
}

// The short codes of the expected answers.
const (
	ok                = http.StatusOK
	unauthenticated   = -401 // 401 without error
	invalidToken      = 401
	invalidRequest    = 400
	insufficientScope = 403
	forbidden         = -403 // 403 without challenge
	unavailable       = 503
	noContent         = 204
)

// check compares an answer with a short code.
func check(t *testing.T, w *httptest.ResponseRecorder, want int) {
	t.Helper()
	got := w.Code
	switch {
	case got == 401 && param(t, w.Header(), "error") == "":
		got = unauthenticated
	case got == 403 && w.Header().Get("WWW-Authenticate") == "":
		got = forbidden
	}
	if got != want {
		t.Fatalf("answer %d, want %d\n%s", got, want, dump(w))
	}
	codes := map[int]string{
		unauthenticated: "unauthorized", invalidToken: "invalid_token", invalidRequest: "invalid_request",
		insufficientScope: "insufficient_scope", forbidden: "forbidden", unavailable: "temporarily_unavailable",
	}
	code, refused := codes[got]
	if !refused {
		return
	}
	var body struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || body.Error != code || body.Description == "" {
		t.Errorf("body %q, want error %q", w.Body, code)
	}
	if w.Header().Get("WWW-Authenticate") == "" || got == unauthenticated {
		return
	}
	if e, d := param(t, w.Header(), "error"), param(t, w.Header(), "error_description"); e != code || d != body.Description {
		t.Errorf("challenge says %q, %q; body %q", e, d, w.Body)
	}
}

var errBoom = errors.New("boom")
