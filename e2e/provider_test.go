//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A provider is a running oidc-provider.
type provider struct {
	*program
	issuer string
	keys   string
}

// providerConfig says how to start one. Keys is required: the file that holds
// its signing keys, written when absent.
type providerConfig struct {
	keys   string
	port   string // "": any
	alg    string // "": ES256
	opaque bool
}

func startProvider(t *testing.T, config providerConfig) *provider {
	t.Helper()
	args := []string{"--keys", config.keys}
	if config.port != "" {
		args = append(args, "--port", config.port)
	}
	if config.alg != "" {
		args = append(args, "--alg", config.alg)
	}
	if config.opaque {
		args = append(args, "--opaque")
	}
	p := &provider{keys: config.keys, program: start(t, "oidc-provider", stdout, node(t, t.Context(), "provider.mjs", args...))}
	var ready struct{ Issuer string }
	if err := p.read(t.Context(), &ready); err != nil || ready.Issuer == "" {
		t.Fatalf("oidc-provider did not start: %v", err)
	}
	p.issuer = ready.Issuer
	return p
}

// newProvider starts one with keys of its own.
func newProvider(t *testing.T, alg string, opaque bool) *provider {
	t.Helper()
	return startProvider(t, providerConfig{keys: filepath.Join(t.TempDir(), "keys.json"), alg: alg, opaque: opaque})
}

func (p *provider) read(ctx context.Context, v any) error {
	line, err := p.line(ctx)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(line), v)
}

// do sends one command and reads its answer.
func (p *provider) do(t *testing.T, command map[string]any, answer any) {
	t.Helper()
	line, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.stdin.Write(append(line, '\n')); err != nil {
		t.Fatalf("oidc-provider: %v", err)
	}
	if err := p.read(t.Context(), answer); err != nil {
		t.Fatal(err)
	}
}

// nextToken sets the lifetime of the next access token only. Negative: it has
// expired when it is issued.
func (p *provider) nextToken(t *testing.T, lifetime time.Duration) {
	t.Helper()
	p.do(t, map[string]any{"do": "next", "lifetime": int(lifetime.Seconds())}, &struct{}{})
}

// providerEvent is one thing that the provider did: a registration, or a grant,
// whose Event is its grant_type.
type providerEvent struct{ Event, Scope, Audience, Detail string }

func (p *provider) log(t *testing.T) []providerEvent {
	t.Helper()
	var answer struct{ Log []providerEvent }
	p.do(t, map[string]any{"do": "log"}, &answer)
	return answer.Log
}

// secret is that of every client with one.
const secret = "known to everyone: 100%+&=/"

// machineToken gets an access token by client credentials (RFC 6749 §4.4).
func (p *provider) machineToken(t *testing.T, resource, scope string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "resource": {resource}, "scope": {scope}}
	response, body := p.post(t, "/token", "machine", form, "")
	var answer struct {
		AccessToken string `json:"access_token"`
		Error       string
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	if answer.AccessToken == "" {
		t.Fatalf("no token for %q and %q: %d %s", resource, scope, response.StatusCode, answer.Error)
	}
	return answer.AccessToken
}

// post sends a form as client, by HTTP Basic.
func (p *provider) post(t *testing.T, path, client string, form url.Values, accept string) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if accept != "" {
		request.Header.Set("Accept", accept)
	}
	request.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(secret)) // RFC 6749 §2.3.1
	response, err := (&http.Client{Timeout: requestTimeout}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	return response, body
}

// freePort returns a loopback port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
}
