//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const signedAnswer = "application/token-introspection+jwt" // RFC 9701 §4

// introspection is an answer as it came, read without any help of the code
// under test.
type introspection struct {
	Active    bool
	Audience  string `json:"aud"`
	ClientID  string `json:"client_id"`
	Issuer    string `json:"iss"`
	Scope     string
	Subject   string `json:"sub"`
	TokenType string `json:"token_type"`
}

func (p *provider) introspect(t *testing.T, client, token string) introspection {
	t.Helper()
	response, body := p.post(t, "/token/introspection", client, url.Values{"token": {token}}, "")
	var answer introspection
	if err := json.Unmarshal(body, &answer); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("introspection: %s, %v", response.Status, err)
	}
	return answer
}

// revoke ends a token of client (RFC 7009 §2.1).
func (p *provider) revoke(t *testing.T, client, token string) {
	t.Helper()
	response, _ := p.post(t, "/token/revocation", client, url.Values{"token": {token}}, "")
	if response.StatusCode != http.StatusOK {
		t.Fatalf("revocation: %s", response.Status)
	}
}

// revokePublic is revoke for a client without a secret.
func (p *provider) revokePublic(t *testing.T, client, token string) {
	t.Helper()
	response, err := http.PostForm(p.issuer+"/token/revocation", url.Values{"client_id": {client}, "token": {token}})
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("revocation: %s", response.Status)
	}
}

// The tests of the guard are worth what their counterpart is.
func TestProviderAnswersIntrospectionAsTheRFCsSay(t *testing.T) {
	const resource = "http://127.0.0.1:1/mcp"
	p := newProvider(t, "ES256", true)
	token := p.machineToken(t, resource, "mcp:tools")
	if strings.Contains(token, ".") {
		t.Fatal("the token is not opaque")
	}

	want := introspection{Active: true, Audience: resource, ClientID: "machine", Issuer: p.issuer, Scope: "mcp:tools", TokenType: "Bearer"}
	if got := p.introspect(t, "gatehouse", token); got != want {
		t.Errorf("answer %+v, want %+v", got, want)
	}
	if got := p.introspect(t, "machine", token); got != (introspection{}) {
		t.Errorf("another client learns %+v", got)
	}

	header, payload := signedIntrospection(t, p, token)
	if header.Typ != "token-introspection+jwt" || header.Alg != "ES256" {
		t.Errorf("header %+v", header)
	}
	if payload.Issuer != p.issuer || payload.Audience != "gatehouse" || payload.IssuedAt == 0 || payload.Answer != want {
		t.Errorf("payload %+v, want %+v in it", payload, want)
	}

	p.revoke(t, "machine", token)
	if got := p.introspect(t, "gatehouse", token); got != (introspection{}) {
		t.Errorf("revoked: %+v", got)
	}
	if _, payload := signedIntrospection(t, p, token); payload.Answer != (introspection{}) || payload.Audience != "gatehouse" {
		t.Errorf("revoked, signed: %+v", payload)
	}
}

type signedHeader struct{ Alg, Typ, Kid string }

type signedPayload struct {
	Issuer   string        `json:"iss"`
	Audience string        `json:"aud"`
	IssuedAt int64         `json:"iat"`
	Answer   introspection `json:"token_introspection"`
}

func signedIntrospection(t *testing.T, p *provider, token string) (header signedHeader, payload signedPayload) {
	t.Helper()
	response, body := p.post(t, "/token/introspection", "gatehouse", url.Values{"token": {token}}, signedAnswer)
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	parts := strings.Split(string(body), ".")
	if err != nil || kind != signedAnswer || len(parts) != 3 {
		t.Fatalf("%s, %s with %d parts: %v", response.Status, kind, len(parts), err)
	}
	for n, into := range []any{&header, &payload} {
		text, err := base64.RawURLEncoding.DecodeString(parts[n])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	return header, payload
}
