package authtest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

const (
	resource      = "https://mcp.example.com/mcp"
	otherResource = "https://other.example.com/mcp"
	redirectURI   = "https://app.example/callback"
	verifier      = "a-code-verifier-of-at-least-43-characters-0123456789"
)

func config() authtest.Config {
	return authtest.Config{
		Resources:   []string{resource, otherResource},
		Scopes:      []string{"openid", "files:read", "files:write"},
		AutoApprove: true,
		Clients: []authtest.Client{
			{ID: "public", RedirectURIs: []string{redirectURI, "http://127.0.0.1/callback"}},
			{ID: "confidential", Secret: "s3cret&/ü", RedirectURIs: []string{redirectURI}},
		},
	}
}

// caller is a client that follows no redirect.
type caller struct {
	t      testing.TB
	issuer *authtest.Issuer
	client *http.Client
}

func newCaller(t testing.TB, config authtest.Config) *caller {
	t.Helper()
	issuer := authtest.NewIssuer(t, config)
	return &caller{t: t, issuer: issuer, client: &http.Client{
		Transport:     issuer.Transport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

type reply struct {
	status int
	header http.Header
	body   string
	JSON   map[string]any
}

func (a *caller) do(request *http.Request) reply {
	a.t.Helper()
	response, err := a.client.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	got := reply{status: response.StatusCode, header: response.Header, body: string(text)}
	if response.Header.Get("Content-Type") == "application/json" && len(text) > 0 {
		if err := json.Unmarshal(text, &got.JSON); err != nil {
			a.t.Fatalf("%s: %v", text, err)
		}
	}
	return got
}

func (a *caller) request(method, url, contentType, body string) *http.Request {
	a.t.Helper()
	request, err := http.NewRequestWithContext(a.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return request
}

func (a *caller) get(url string) reply {
	a.t.Helper()
	return a.do(a.request(http.MethodGet, url, "", ""))
}

func (a *caller) post(path string, values url.Values) reply {
	a.t.Helper()
	return a.do(a.request(http.MethodPost, a.issuer.URL()+path, "application/x-www-form-urlencoded", values.Encode()))
}

func (a *caller) register(body string) reply {
	a.t.Helper()
	return a.do(a.request(http.MethodPost, a.issuer.URL()+"/register", "application/json", body))
}

// form builds url.Values from pairs of name and value; an empty value removes.
func form(base url.Values, pairs ...string) url.Values {
	values := url.Values{}
	for name, list := range base {
		values[name] = list
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			values.Del(pairs[i])
			continue
		}
		values.Set(pairs[i], pairs[i+1])
	}
	return values
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func authorizationRequest() url.Values {
	return form(nil, "response_type", "code", "client_id", "public", "redirect_uri", redirectURI, "state", "st&te",
		"code_challenge", challenge(verifier), "code_challenge_method", "S256", "resource", resource, "scope", "files:read")
}

func tokenRequest(code string) url.Values {
	return form(nil, "grant_type", "authorization_code", "client_id", "public", "redirect_uri", redirectURI,
		"code", code, "code_verifier", verifier, "resource", resource)
}

// authorize returns the parameters of the answer to the client.
func (a *caller) authorize(values url.Values) url.Values {
	a.t.Helper()
	got := a.get(a.issuer.URL() + "/authorize?" + values.Encode())
	return a.callback(got)
}

func (a *caller) callback(got reply) url.Values {
	a.t.Helper()
	if got.status != http.StatusFound && got.status != http.StatusSeeOther {
		a.t.Fatalf("status %d: %s", got.status, got.body)
	}
	location, err := url.Parse(got.header.Get("Location"))
	if err != nil {
		a.t.Fatal(err)
	}
	return location.Query()
}

func (a *caller) code(pairs ...string) string {
	a.t.Helper()
	answer := a.authorize(form(authorizationRequest(), pairs...))
	if answer.Get("code") == "" {
		a.t.Fatalf("no code: %v", answer)
	}
	return answer.Get("code")
}

// claims verifies token with the published keys and returns its claims.
func (a *caller) claims(token any) map[string]any {
	a.t.Helper()
	text, _ := token.(string)
	parsed, err := jose.Parse(text)
	if err != nil {
		a.t.Fatalf("%v: %v", token, err)
	}
	set, err := jose.ParseKeySet([]byte(a.get(a.issuer.URL() + "/jwks").body))
	if err != nil {
		a.t.Fatal(err)
	}
	key := set.Find(parsed)
	if key == nil || !key.Verify(parsed) {
		a.t.Fatal("the token does not verify with the published keys")
	}
	claims := make(map[string]any)
	if err := json.Unmarshal(parsed.Payload, &claims); err != nil {
		a.t.Fatal(err)
	}
	return claims
}

func wantError(t testing.TB, got reply, status int, code string) {
	t.Helper()
	if got.status != status || got.JSON["error"] != code {
		t.Errorf("%d %s, want %d %s", got.status, got.body, status, code)
	}
	if cache := got.header.Get("Cache-Control"); cache != "no-store" {
		t.Errorf("Cache-Control %q", cache)
	}
}

func wantClaims(t testing.TB, got map[string]any, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if fmt.Sprint(got[name]) != fmt.Sprint(value) {
			t.Errorf("claim %q is %v, want %v", name, got[name], value)
		}
	}
}
