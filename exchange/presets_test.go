package exchange_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const tenant = "3b1c0000-1111-4222-8333-444455556666"

// fixture is one request of testdata/exchange and what must become of it.
type fixture struct {
	ClientCredentials bool `json:"client_credentials"`
	Target            struct {
		Resource  []string `json:"resource"`
		Audience  []string `json:"audience"`
		Scopes    []string `json:"scopes"`
		TokenType string   `json:"token_type"`
		Actor     string   `json:"actor"`
	} `json:"target"`
	Request struct {
		URL   string     `json:"url"`
		Basic bool       `json:"basic"`
		Form  url.Values `json:"form"`
	} `json:"request"`
	Status int             `json:"status"`
	Answer json.RawMessage `json:"answer"`
	Expect struct {
		Type    string `json:"type"`
		Scopes  string `json:"scopes"`
		Seconds int    `json:"seconds"`
		Code    string `json:"code"`
		Class   string `json:"class"`
		Claims  string `json:"claims"`
	} `json:"expect"`
}

func load(t *testing.T, file string) (f fixture) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return f
}

func presets() map[string]exchange.Config {
	basic, post := clientauth.SecretBasic(serverID, secret), clientauth.SecretPost(serverID, secret)
	return map[string]exchange.Config{
		"generic":  {Issuer: "https://as.example", TokenEndpoint: "https://as.example/token", Auth: basic},
		"entra":    exchange.EntraOBO(strings.ToUpper(tenant), post),
		"keycloak": exchange.KeycloakExchange("https://sso.acme.example/realms/mcp", basic),
		"okta":     exchange.Okta("https://acme.okta.example/oauth2/aus1ab2CD3EF4gh5", basic),
		"auth0":    exchange.Auth0("acme.eu.auth0.example", post),
		"zitadel":  exchange.ZITADEL("https://acme.zitadel.example/", basic),
	}
}

func TestProviders(t *testing.T) {
	files, err := filepath.Glob("../testdata/exchange/*/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	used := make(map[string]bool)
	for _, file := range files {
		provider := filepath.Base(filepath.Dir(file))
		config, known := presets()[provider]
		if !known {
			t.Fatalf("no preset for %s", file)
		}
		used[provider] = true
		t.Run(provider+"/"+filepath.Base(file), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { replay(t, config, load(t, file)) })
		})
	}
	for provider := range presets() {
		if !used[provider] {
			t.Errorf("%s has no fixtures", provider)
		}
	}
}

// replay sends what the fixture asks for and compares every octet.
func replay(t *testing.T, config exchange.Config, f fixture) {
	server := &endpoint{answer: func(w http.ResponseWriter, _ url.Values) { respondJSON(w, f.Status, string(f.Answer)) }}
	u, err := url.Parse(f.Request.URL)
	if err != nil {
		t.Fatal(err)
	}
	config.Transport = authtest.Network{"https://" + u.Host: server}
	client := newClient(t, config)
	subject := userOf(t, config.Issuer)
	to := exchange.Target{Resource: f.Target.Resource, Audience: f.Target.Audience, Scopes: f.Target.Scopes, TokenType: f.Target.TokenType}
	if f.Target.Actor != "" {
		to.Actor = func(context.Context) (*exchange.Token, error) {
			return exchange.ActorToken(f.Target.Actor, exchange.TypeJWT, time.Now().Add(time.Hour)), nil
		}
	}
	var token *exchange.Token
	if f.ClientCredentials {
		token, err = client.ClientCredentials(t.Context(), to)
	} else {
		token, err = exchangeFor(t, client, subject, to)
	}

	if len(server.forms) != 1 || server.urls[0] != f.Request.URL {
		t.Fatalf("asked %q", server.urls)
	}
	want := maps.Clone(f.Request.Form)
	for name, values := range want {
		want[name] = slices.Clone(values)
		for i, value := range values {
			want[name][i] = strings.NewReplacer("(the user's token)", subject.DangerouslyRaw(), "(the secret)", secret).Replace(value)
		}
	}
	if !maps.EqualFunc(server.forms[0], want, slices.Equal) {
		t.Errorf("the form is\n%v, want\n%v", server.forms[0], want)
	}
	if _, _, basic := (&http.Request{Header: server.headers[0]}).BasicAuth(); basic != f.Request.Basic {
		t.Errorf("HTTP Basic: %v", basic)
	}

	classes := map[string]error{"invalid": verifier.ErrInvalidToken, "interaction": exchange.ErrInteractionRequired, "unavailable": verifier.ErrUnavailable, "": nil}
	if f.Expect.Code != "" {
		isClass(t, err, classes[f.Expect.Class])
		if refused, ok := errors.AsType[*exchange.Error](err); !ok || refused.Code != f.Expect.Code || refused.Claims != f.Expect.Claims || refused.Status != f.Status {
			t.Errorf("%#v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var answered struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(f.Answer, &answered); err != nil || token.AccessToken() != answered.AccessToken {
		t.Errorf("another token, %v", err)
	}
	if token.Type != f.Expect.Type || token.Scopes.String() != f.Expect.Scopes || token.Scheme != "Bearer" || time.Until(token.Expiry) != time.Duration(f.Expect.Seconds)*time.Second {
		t.Errorf("%s, %s, %s, %v", token.Type, token.Scopes, token.Scheme, time.Until(token.Expiry))
	}
}

// userOf returns a verified token of an issuer of any name.
func userOf(t *testing.T, issuer string) *verifier.Token {
	t.Helper()
	fake := authtest.NewIssuer(t, authtest.Config{URL: issuer, Resources: []string{mcpServer}})
	jwt, err := verifier.NewJWT(verifier.JWTConfig{Resource: mcpServer, Issuers: []verifier.Issuer{{URL: issuer}}, Transport: fake.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Verify(t.Context(), fake.Token(authtest.Claims{"exp": time.Now().Add(72 * time.Hour)}))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestEntraTakesTokensOfBothVersions(t *testing.T) {
	config := presets()["entra"]
	if want := []string{"https://login.microsoftonline.com/" + tenant + "/v2.0", "https://sts.windows.net/" + tenant + "/"}; !slices.Equal(config.SubjectIssuers, want) {
		t.Errorf("%q", config.SubjectIssuers)
	}
}

func TestWhatProvidersDoNotUnderstand(t *testing.T) {
	someone := func(context.Context) (*exchange.Token, error) { return nil, nil }
	for _, c := range []struct {
		provider string
		target   exchange.Target
		text     string
	}{
		{"entra", exchange.Target{}, "Scopes"},
		{"entra", exchange.Target{Scopes: []string{"a"}, Audience: []string{"a"}}, "Audience"},
		{"entra", exchange.Target{Scopes: []string{"a"}, Resource: []string{api}}, "Resource"},
		{"entra", exchange.Target{Scopes: []string{"a"}, Actor: someone}, "Actor"},
		{"entra", exchange.Target{Scopes: []string{"a"}, TokenType: exchange.TypeJWT}, "TokenType"},
		{"keycloak", exchange.Target{Resource: []string{api}}, "Resource"},
		{"keycloak", exchange.Target{Actor: someone}, "Actor"},
		{"okta", exchange.Target{Audience: []string{"a"}}, "Scopes"},
		{"okta", exchange.Target{Audience: []string{"a"}, Scopes: []string{"openid", "a"}}, "openid"},
		{"okta", exchange.Target{Scopes: []string{"a"}}, "Audience"},
		{"auth0", exchange.Target{}, "Audience"},
		{"auth0", exchange.Target{Audience: []string{"a", "b"}}, "Audience"},
		{"zitadel", exchange.Target{Resource: []string{api}}, "Resource"},
		{"generic", exchange.Target{Scopes: []string{"offline_access"}}, "offline_access"},
	} {
		err := newClient(t, presets()[c.provider]).Check(c.target)
		if err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q in it", c.provider, err, c.text)
		}
	}
}

func TestMistakesInPresets(t *testing.T) {
	auth := clientauth.SecretBasic(serverID, secret)
	for name, config := range map[string]exchange.Config{
		"a domain for a tenant":      exchange.EntraOBO("contoso.example", auth),
		"no tenant":                  exchange.EntraOBO("", auth),
		"a path for a tenant":        exchange.EntraOBO(tenant+"/../common", auth),
		"no realm":                   exchange.KeycloakExchange("https://sso.acme.example", auth),
		"a realm without https":      exchange.KeycloakExchange("http://sso.acme.example/realms/mcp", auth),
		"a realm with a query":       exchange.KeycloakExchange("https://sso.acme.example/realms/mcp?x", auth),
		"Okta's org server":          exchange.Okta("https://acme.okta.example", auth),
		"an issuer with a slash":     exchange.Okta("https://acme.okta.example/oauth2/default/", auth),
		"a URL with a path":          exchange.Auth0("https://acme.auth0.example/x", auth),
		"user information":           exchange.Auth0("a@acme.auth0.example", auth),
		"no domain":                  exchange.ZITADEL("", auth),
		"a domain that is one label": exchange.ZITADEL("localhost", auth),
		"no authentication":          exchange.Auth0("acme.auth0.example", clientauth.Method{}),
	} {
		if client, err := exchange.New(config); err == nil || client != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
