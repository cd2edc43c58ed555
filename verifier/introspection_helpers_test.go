package verifier_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const (
	server       = "https://as.example"
	clientID     = "resource-1"
	clientSecret = "introspection-secret-0123456789"
	opaque       = "opaque-token-0123456789-abcdefgh"
)

// question is one request that the endpoint received.
type question struct {
	header http.Header
	form   url.Values
	body   string
}

// endpoint is an authorization server with an introspection endpoint that knows
// answers by token, and calls any other token inactive.
type endpoint struct {
	mu        sync.Mutex
	answers   map[string]string
	latest    question
	fault     http.Handler // instead of answers
	metadata  string
	calls     atomic.Int64
	busy, max int
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/introspect" {
		e.mu.Lock()
		metadata := e.metadata
		e.mu.Unlock()
		if metadata == "" || !strings.Contains(r.URL.Path, ".well-known") {
			http.NotFound(w, r)
			return
		}
		serveJSON(metadata).ServeHTTP(w, r)
		return
	}
	e.calls.Add(1)
	defer e.count()()
	e.mu.Lock()
	fault := e.fault
	e.mu.Unlock()
	if fault != nil {
		fault.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	form, err2 := url.ParseQuery(string(body))
	if err != nil || err2 != nil || r.Method != http.MethodPost {
		http.Error(w, "bad form", http.StatusBadRequest)
		return
	}
	e.mu.Lock()
	e.latest = question{header: r.Header.Clone(), form: form, body: string(body)}
	answer, known := e.answers[form.Get("token")]
	e.mu.Unlock()
	if !known {
		answer = `{"active":false}`
	}
	serveJSON(answer).ServeHTTP(w, r)
}

// count notes how many questions are open at a time.
func (e *endpoint) count() func() {
	e.mu.Lock()
	e.busy++
	e.max = max(e.max, e.busy)
	e.mu.Unlock()
	return func() {
		e.mu.Lock()
		e.busy--
		e.mu.Unlock()
	}
}

// set makes the endpoint answer body about token.
func (e *endpoint) set(token, body string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answers[token] = body
}

// fail makes the endpoint fail; nil mends it.
func (e *endpoint) fail(fault http.Handler) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fault = fault
}

// faulty is a fault of authtest as a handler of its own.
func faulty(fault authtest.Fault) http.Handler { return fault(serveJSON(`{"active":false}`)) }

func (e *endpoint) last() question {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.latest
}

// inspector is one endpoint and one verifier that asks it.
type inspector struct {
	t        testing.TB
	endpoint *endpoint
	network  authtest.Network
	v        *verifier.Introspection
}

// newInspector builds both. The endpoint knows the good token opaque.
func newInspector(t testing.TB, edit ...func(*verifier.IntrospectionConfig)) *inspector {
	t.Helper()
	e := &endpoint{answers: map[string]string{}}
	i := &inspector{t: t, endpoint: e, network: authtest.Network{server: e}}
	e.set(opaque, about(nil))
	config := verifier.IntrospectionConfig{
		Resource:  resource,
		Issuer:    server,
		Auth:      clientauth.SecretBasic(clientID, clientSecret),
		Endpoint:  server + "/introspect",
		Transport: i.network,
	}
	for _, change := range edit {
		change(&config)
	}
	var err error
	if i.v, err = verifier.NewIntrospection(config); err != nil {
		t.Fatal(err)
	}
	return i
}

// about returns a good active answer with some members replaced.
func about(replace raw) string {
	return raw{
		"active": "true", "iss": quote(server), "aud": quote(resource), "sub": `"user-0123456789abcdef"`,
		"client_id": `"client-0123456789abcdef"`, "jti": `"id-0123456789abcdef"`, "scope": `"files:read"`,
		"token_type": `"Bearer"`, "iat": number(time.Now()), "exp": number(time.Now().Add(time.Hour)),
	}.object(replace)
}

func (i *inspector) verify(token string) (*verifier.Token, error) {
	i.t.Helper()
	got, err := verify(i.t, i.v, token)
	if err != nil && strings.Contains(err.Error(), clientSecret) {
		i.t.Error("the error holds our secret")
	}
	return got, err
}

func (i *inspector) accept(token string) *verifier.Token {
	i.t.Helper()
	got, err := i.verify(token)
	if err != nil {
		i.t.Fatalf("refused: %v", err)
	}
	if got.DangerouslyRaw() != token {
		i.t.Error("the token does not carry its credential")
	}
	return got
}

func (i *inspector) refuse(token string, reason verifier.Reason) {
	i.t.Helper()
	_, err := i.verify(token)
	isInvalid(i.t, err, reason)
}

func (i *inspector) unavailable(token string) *verifier.UnavailableError {
	i.t.Helper()
	_, err := i.verify(token)
	outage := isUnavailable(i.t, err)
	if outage.Issuer != server || outage.Err == nil {
		i.t.Errorf("issuer %q, cause %v", outage.Issuer, outage.Err)
	}
	return outage
}

func (i *inspector) calls() int { return int(i.endpoint.calls.Load()) }

// asked checks how often the endpoint was asked so far.
func (i *inspector) asked(times int) {
	i.t.Helper()
	if n := i.calls(); n != times {
		i.t.Errorf("%d questions, want %d", n, times)
	}
}

// readCloser is a body without a connection.
type readCloser struct{ io.Reader }

func (readCloser) Close() error { return nil }

func copyAll(w io.Writer, r io.ReadCloser) (int64, error) {
	defer r.Close()
	return io.Copy(w, r)
}
