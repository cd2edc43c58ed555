package authtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

func TestConfig_every_mistake_is_named(t *testing.T) {
	_, err := authtest.New(authtest.Config{
		URL: "http://issuer.example", Resources: []string{"/mcp", "https://h/#f"}, Scopes: []string{"a b"}, TokenLifetime: -time.Second,
		Algorithms: []string{"HS256"}, Discovery: []authtest.Discovery{"webfinger"},
		Clients: []authtest.Client{{}, {ID: "c", RedirectURIs: []string{"http://app.example/cb"}}, {ID: "c"}},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{
		`URL "http://issuer.example"`, `"/mcp"`, `"https://h/#f"`, `"a b"`, `"-1s"`, `"HS256"`, `"webfinger"`, `ID ""`, `"http://app.example/cb"`, `ID "c"`,
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not named in:\n%v", part, err)
		}
	}
	if _, err := authtest.New(authtest.Config{}); err == nil || !strings.Contains(err.Error(), "Resources") {
		t.Errorf("the zero Config: %v", err)
	}
	for _, url := range []string{"://", "issuer.example", "https://", "https://u@h", "https://h?q", "https://h#f", "http://127.0.0.1.evil", "ftp://h"} {
		if _, err := authtest.New(authtest.Config{URL: url, Resources: []string{resource}}); err == nil {
			t.Errorf("URL %q is taken", url)
		}
	}
	spy := &spyTB{}
	if authtest.NewIssuer(spy, authtest.Config{}); spy.failures != 1 {
		t.Error("NewIssuer does not fail the test")
	}
	if authtest.NewServer(spy, authtest.Config{}); spy.failures != 2 {
		t.Error("NewServer does not fail the test")
	}
}

func TestIssuer_zero_value_rejects(t *testing.T) {
	var zero authtest.Issuer
	client := &http.Client{Transport: authtest.Network{"https://issuer.example": &zero}}
	for _, path := range []string{"/jwks", "/token", "/.well-known/openid-configuration"} {
		response, err := client.Get("https://issuer.example" + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
	if token, err := zero.Mint(authtest.TokenConfig{}); err == nil {
		t.Errorf("it mints %q", token)
	}
	zero.SetFault(authtest.EndpointAll, authtest.Down())
	if response, err := client.Get("https://issuer.example/"); err == nil {
		_ = response.Body.Close()
		t.Error("it has no faults")
	}
}

func TestConfig_is_copied_and_keyed(t *testing.T) {
	c := config()
	a := newCaller(t, c)
	c.Resources[0], c.Scopes[1], c.Clients[0].RedirectURIs[0] = "https://evil.example", "evil", "https://evil.example/cb"
	a.code()
	for _, kind := range []any{authtest.Config{}, authtest.TokenConfig{}} {
		if field := reflect.TypeOf(kind).Field(0); field.Name != "_" {
			t.Errorf("%T: unkeyed literals compile", kind)
		}
	}
}

func TestDiscovery_every_form_serves_the_same_document(t *testing.T) {
	forms := []authtest.Discovery{authtest.RFC8414Inserted, authtest.RFC8414Appended, authtest.OpenIDAppended}
	for issuer, paths := range map[string][]string{
		"https://issuer.example":         {"/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"},
		"https://issuer.example/":        {"/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"},
		"https://issuer.example/tenant":  {"/.well-known/oauth-authorization-server/tenant", "/tenant/.well-known/oauth-authorization-server", "/tenant/.well-known/openid-configuration"},
		"https://issuer.example/tenant/": {"/.well-known/oauth-authorization-server/tenant", "/tenant/.well-known/oauth-authorization-server", "/tenant/.well-known/openid-configuration"},
		"http://127.0.0.1:9000/a%2Fb":    {"/.well-known/oauth-authorization-server/a%2Fb", "/a%2Fb/.well-known/oauth-authorization-server", "/a%2Fb/.well-known/openid-configuration"},
	} {
		t.Run(issuer, func(t *testing.T) {
			c := config()
			c.URL = issuer
			a := newCaller(t, c)
			origin := strings.Join(strings.SplitAfterN(issuer, "/", 4)[:3], "")
			origin = strings.TrimSuffix(origin, "/")
			for _, path := range paths {
				got := a.get(origin + path)
				if got.status != http.StatusOK || got.JSON["issuer"] != issuer {
					t.Errorf("%s: %d %s", path, got.status, got.body)
				}
				if keys := a.get(got.JSON["jwks_uri"].(string)); keys.status != http.StatusOK {
					t.Errorf("jwks_uri %s: %d", got.JSON["jwks_uri"], keys.status)
				}
			}
			if got := a.issuer.Hits(authtest.EndpointDiscovery); got != 3 {
				t.Errorf("%d hits, want 3", got)
			}
		})
	}
	for _, only := range forms {
		c := config()
		c.URL, c.Discovery = "https://issuer.example/t", []authtest.Discovery{only}
		a := newCaller(t, c)
		var served []int
		for _, path := range []string{"/.well-known/oauth-authorization-server/t", "/t/.well-known/oauth-authorization-server", "/t/.well-known/openid-configuration"} {
			served = append(served, a.get("https://issuer.example"+path).status)
		}
		if slices.Index(served, 200) != slices.Index(forms, only) || slices.Index(served, 404) < 0 {
			t.Errorf("only %s: %v", only, served)
		}
	}
}

func TestMetadata_is_what_clients_need(t *testing.T) {
	a := newCaller(t, config())
	want := `{"authorization_endpoint":"https://issuer.example/authorize",` +
		`"authorization_response_iss_parameter_supported":true,` +
		`"code_challenge_methods_supported":["S256"],` +
		`"grant_types_supported":["authorization_code","refresh_token","client_credentials"],` +
		`"id_token_signing_alg_values_supported":["RS256","RS384","RS512","PS256","PS384","PS512","ES256","ES384","ES512","EdDSA"],` +
		`"introspection_endpoint":"https://issuer.example/introspect",` +
		`"introspection_endpoint_auth_methods_supported":["client_secret_basic","client_secret_post"],` +
		`"introspection_signing_alg_values_supported":["RS256","RS384","RS512","PS256","PS384","PS512","ES256","ES384","ES512","EdDSA"],` +
		`"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/jwks",` +
		`"registration_endpoint":"https://issuer.example/register",` +
		`"response_modes_supported":["query"],"response_types_supported":["code"],` +
		`"revocation_endpoint":"https://issuer.example/revoke",` +
		`"revocation_endpoint_auth_methods_supported":["none","client_secret_basic","client_secret_post"],` +
		`"scopes_supported":["openid","files:read","files:write"],"subject_types_supported":["public"],` +
		`"token_endpoint":"https://issuer.example/token",` +
		`"token_endpoint_auth_methods_supported":["none","client_secret_basic","client_secret_post"]}`
	if got := a.get(a.issuer.URL() + "/.well-known/openid-configuration"); got.body != want {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
	c := config()
	c.NoRegistration = true
	c.Metadata = map[string]any{"issuer": "https://evil.example", "scopes_supported": authtest.Omit}
	b := newCaller(t, c)
	got := b.get(b.issuer.URL() + "/.well-known/openid-configuration")
	_, scopes := got.JSON["scopes_supported"]
	_, registration := got.JSON["registration_endpoint"]
	if got.JSON["issuer"] != "https://evil.example" || scopes || registration {
		t.Errorf("document %s", got.body)
	}
	if got := b.register(`{}`); got.status != http.StatusNotFound {
		t.Errorf("registration: %d", got.status)
	}
}

func TestIssuer_browsers_may_call_all_but_the_authorization_endpoint(t *testing.T) {
	a := newCaller(t, config())
	for path, want := range map[string][2]string{
		"/jwks":                             {"*", "GET, HEAD, OPTIONS"},
		"/token":                            {"*", "POST, OPTIONS"},
		"/register":                         {"*", "POST, OPTIONS"},
		"/introspect":                       {"*", "POST, OPTIONS"},
		"/revoke":                           {"*", "POST, OPTIONS"},
		"/.well-known/openid-configuration": {"*", "GET, HEAD, OPTIONS"},
		"/unknown":                          {"*", "GET, HEAD, OPTIONS"},
		"/authorize":                        {"", ""},
	} {
		preflight := a.do(a.request(http.MethodOptions, a.issuer.URL()+path, "", ""))
		got := a.get(a.issuer.URL() + path)
		for _, header := range []http.Header{preflight.header, got.header} {
			if have := [2]string{header.Get("Access-Control-Allow-Origin"), header.Get("Access-Control-Allow-Methods")}; have != want {
				t.Errorf("%s: %q, want %q", path, have, want)
			}
		}
		if (preflight.status == http.StatusNoContent) != (want[0] != "") {
			t.Errorf("%s: preflight %d", path, preflight.status)
		}
	}
	if got := a.issuer.Hits(authtest.EndpointToken); got != 1 {
		t.Errorf("%d hits, want 1: preflights do not count", got)
	}
}

func TestServer_listens_on_loopback_under_the_path(t *testing.T) {
	spy := &spyTB{}
	c := config()
	c.URL = "https://issuer.example/tenant"
	issuer := authtest.NewServer(spy, c)
	if !strings.HasPrefix(issuer.URL(), "http://127.0.0.1:") || !strings.HasSuffix(issuer.URL(), "/tenant") {
		t.Errorf("URL %q", issuer.URL())
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(issuer.URL() + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Error(response.Status)
	}
	for _, cleanup := range spy.cleanups {
		cleanup()
	}
	if response, err := client.Get(issuer.URL() + "/jwks"); err == nil {
		_ = response.Body.Close()
		t.Error("it still listens")
	}
	if spy.failures > 0 {
		t.Errorf("%d failures", spy.failures)
	}
}

// kids returns the key IDs of the served set, in order.
func kids(t *testing.T, a *caller) string {
	t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal([]byte(a.get(a.issuer.URL()+"/jwks").body), &set); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, key := range set.Keys {
		list = append(list, key.Kid)
	}
	return strings.Join(list, " ")
}

func TestKeys_rotate_add_and_replace(t *testing.T) {
	a := newCaller(t, config())
	want := func(kid string, published string) {
		t.Helper()
		if got := a.issuer.Key().KeyID(); got != kid {
			t.Errorf("%q signs, want %q", got, kid)
		}
		if got := kids(t, a); got != published {
			t.Errorf("published %q, want %q", got, published)
		}
	}
	want("es256-1", "es256-1")
	first := a.issuer.Key()
	if got := a.issuer.Rotate(1); got.KeyID() != "es256-2" {
		t.Errorf("Rotate returns %q", got.KeyID())
	}
	want("es256-2", "es256-2 es256-1")
	a.issuer.Rotate(1)
	want("es256-3", "es256-3 es256-2")
	a.issuer.Rotate(0)
	want("es256-4", "es256-4")
	a.issuer.Rotate(99)
	want("es256-5", "es256-5 es256-4")
	a.issuer.AddKey(first)
	want("es256-5", "es256-5 es256-4 es256-1")
	a.issuer.SetKeys(first)
	want("es256-1", "es256-1")

	reused, err := authtest.NewKey("ES256", "es256-1")
	if err != nil {
		t.Fatal(err)
	}
	a.issuer.SetKeys(reused)
	want("es256-1", "es256-1")
	a.claims(a.issuer.Token(nil))
	before, _ := first.Thumbprint()
	after, _ := a.issuer.Key().Thumbprint()
	if before == after {
		t.Error("the key under the reused kid is the old one")
	}
}

func TestKeys_initial_algorithms(t *testing.T) {
	c := config()
	c.Algorithms = []string{"EdDSA", "ES384"}
	a := newCaller(t, c)
	if got := kids(t, a); got != "eddsa-1 es384-2" {
		t.Errorf("published %q", got)
	}
	if got := a.issuer.Rotate(0).Algorithm(); got != "EdDSA" {
		t.Errorf("rotated to %q", got)
	}
}

func TestSetJWKS_serves_anything(t *testing.T) {
	a := newCaller(t, config())
	good := a.issuer.JWKS()
	oneBad := fmt.Appendf(nil, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"bad"},%s`, strings.TrimPrefix(string(good), `{"keys":[`))
	many := slices.Concat([]byte(`{"keys":[`), []byte(strings.Repeat(`{"kty":"oct","k":"AA"},`, 9_999)), []byte(`{"kty":"oct","k":"AA"}]}`))
	for name, document := range map[string][]byte{"empty": {}, "one bad key": oneBad, "10 000 keys": many} {
		a.issuer.SetJWKS(document)
		if got := a.get(a.issuer.URL() + "/jwks"); got.status != http.StatusOK || got.body != string(document) {
			t.Errorf("%s: %d, %d octets, want %d", name, got.status, len(got.body), len(document))
		}
	}
	a.issuer.SetJWKS(oneBad)
	if set, err := jose.ParseKeySet(a.issuer.JWKS()); err != nil || set.Len() != 1 {
		t.Errorf("one bad key among good: %v", err)
	}
	a.issuer.SetJWKS(nil)
	if got := a.get(a.issuer.URL() + "/jwks"); got.body != string(good) {
		t.Errorf("back to normal: %s", got.body)
	}
}

func TestKeys_conditional_requests(t *testing.T) {
	a := newCaller(t, config())
	tag := a.get(a.issuer.URL() + "/jwks").header.Get("ETag")
	conditional := func() reply {
		request := a.request(http.MethodGet, a.issuer.URL()+"/jwks", "", "")
		request.Header.Set("If-None-Match", tag)
		return a.do(request)
	}
	if got := conditional(); got.status != http.StatusNotModified || got.body != "" {
		t.Errorf("unchanged: %d %q", got.status, got.body)
	}
	a.issuer.Rotate(1)
	if got := conditional(); got.status != http.StatusOK || got.header.Get("ETag") == tag {
		t.Errorf("changed: %d", got.status)
	}
}
