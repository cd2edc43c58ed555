package exchange_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const (
	mcpServer = "https://mcp.example.com/mcp"
	api       = "https://api.example.com/"
	serverID  = "mcp-server"
	secret    = "s3cret-of-the-server"
)

// world is one issuer, the API behind this server, and a client between them.
type world struct {
	t      testing.TB
	issuer *authtest.Issuer
	jwt    *verifier.JWT
	client *exchange.Client
	api    *apiServer
}

func newWorld(t testing.TB, edit ...func(*exchange.Config)) *world {
	t.Helper()
	w := &world{t: t, api: &apiServer{}}
	w.issuer = authtest.NewIssuer(t, authtest.Config{
		Resources:     []string{mcpServer},
		Scopes:        []string{"mcp:use", "reports:read", "reports:write"},
		Clients:       []authtest.Client{{ID: serverID, Secret: secret}},
		Exchanges:     []authtest.Exchange{{ClientID: serverID, Resource: mcpServer, Targets: []string{api, "reports"}}},
		TokenLifetime: time.Hour,
	})
	config := exchange.Config{
		Issuer:    w.issuer.URL(),
		Auth:      clientauth.SecretBasic(serverID, secret),
		Transport: w.issuer.Transport(),
	}
	for _, change := range edit {
		change(&config)
	}
	w.client = newClient(t, config)
	var err error
	w.jwt, err = verifier.NewJWT(verifier.JWTConfig{
		Resource: mcpServer, Issuers: []verifier.Issuer{{URL: w.issuer.URL()}}, Transport: w.issuer.Transport(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func newClient(t testing.TB, config exchange.Config) *exchange.Client {
	t.Helper()
	client, err := exchange.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// user returns the verified token of a user. It is good for longer than what is
// obtained by it, unless claims say otherwise.
func (w *world) user(name string, claims ...authtest.Claims) *verifier.Token {
	w.t.Helper()
	all := authtest.Claims{"sub": name, "exp": time.Now().Add(48 * time.Hour)}
	for _, more := range claims {
		for claim, value := range more {
			all[claim] = value
		}
	}
	token, err := w.jwt.Verify(context.Background(), w.issuer.Token(all))
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

func target() exchange.Target {
	return exchange.Target{Resource: []string{api}, Scopes: []string{"reports:read"}}
}

func (w *world) exchange(subject *verifier.Token) (*exchange.Token, error) {
	w.t.Helper()
	return exchangeFor(w.t, w.client, subject, target())
}

// exchangeFor checks what holds for every answer: exactly one of token and error,
// and no secret in either.
func exchangeFor(t testing.TB, client *exchange.Client, subject *verifier.Token, to exchange.Target) (*exchange.Token, error) {
	t.Helper()
	token, err := client.Exchange(context.Background(), exchange.Request{Subject: subject, Target: to})
	if (token == nil) == (err == nil) {
		t.Fatalf("token is nil: %v, error: %v; want exactly one of them", token == nil, err)
	}
	if err != nil {
		noSecrets(t, err.Error()+fmt.Sprintf("%+v %#v", err, err), subject.DangerouslyRaw())
	} else {
		printed := fmt.Sprintf("%v %+v %#v %s %d", token, token, *token, token, *token)
		encoded, _ := json.Marshal(token)
		noSecrets(t, printed+string(encoded), token.AccessToken(), subject.DangerouslyRaw())
	}
	return token, err
}

// noSecrets looks for pieces of 16 octets.
func noSecrets(t testing.TB, text string, secrets ...string) {
	t.Helper()
	for _, s := range append(secrets, secret) {
		for i := 0; i+16 <= len(s); i += 8 {
			if strings.Contains(text, s[i:i+16]) {
				t.Fatalf("a piece of a secret is in %q", text)
			}
		}
	}
}

func (w *world) mustExchange(subject *verifier.Token) *exchange.Token {
	w.t.Helper()
	token, err := w.exchange(subject)
	if err != nil {
		w.t.Fatalf("no token: %v", err)
	}
	return token
}

func (w *world) asked() int { return w.issuer.Hits(authtest.EndpointToken) }

func (w *world) wantAsked(n int) {
	w.t.Helper()
	if got := w.asked(); got != n {
		w.t.Fatalf("the token endpoint was asked %d times, want %d", got, n)
	}
}

// isClass checks which of the classes an error matches.
func isClass(t testing.TB, err, class error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, one := range []error{verifier.ErrInvalidToken, verifier.ErrUnavailable, exchange.ErrInteractionRequired} {
		if errors.Is(err, one) != (one == class) {
			t.Errorf("%v: matches %v: %v", err, one, errors.Is(err, one))
		}
	}
}

// apiServer is an API in memory: a RoundTripper that keeps what it was sent.
type apiServer struct {
	mu     sync.Mutex
	calls  []call
	answer func(n int, r *http.Request) (int, http.Header)
}

type call struct{ url, host, authorization, body string }

func (a *apiServer) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	a.mu.Lock()
	a.calls = append(a.calls, call{r.URL.String(), r.Host, strings.Join(r.Header["Authorization"], ","), string(body)})
	n := len(a.calls)
	a.mu.Unlock()
	status, header := http.StatusOK, http.Header{}
	if a.answer != nil {
		status, header = a.answer(n, r)
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader("body " + fmt.Sprint(n))), Request: r}, nil
}

func (a *apiServer) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.calls)
}

// endpoint is a token endpoint that keeps the requests and answers as told.
type endpoint struct {
	mu      sync.Mutex
	forms   []url.Values
	headers []http.Header
	urls    []string
	answer  func(w http.ResponseWriter, form url.Values)
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	e.mu.Lock()
	e.forms, e.headers, e.urls = append(e.forms, r.PostForm), append(e.headers, r.Header), append(e.urls, "https://"+r.Host+r.URL.String())
	e.mu.Unlock()
	e.answer(w, r.PostForm)
}

func respondJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}
