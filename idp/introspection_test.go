package idp_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/idp"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const (
	oktaOrg  = "https://acme.okta.com"
	zitadel  = "https://acme.zitadel.example"
	ory      = "https://acme.projects.oryapis.example"
	authelia = "https://auth.acme.example"
	duende   = "https://ids.acme.example"
	curity   = "https://login.acme.example/oauth/v2/oauth-anonymous"
)

// asked lists each preset with its directory of fixtures and the addresses at
// which its provider serves the documents there.
var asked = []struct {
	dir    string
	config verifier.IntrospectionConfig
	serves map[string]string
}{
	{"keycloak", idp.KeycloakIntrospection(keycloak, resource, "mcp-server", "s3cret+of/the client"), nil},
	{"zitadel", idp.ZITADELIntrospection(zitadel, resource, "290000000000000099", "290000000000000222@mcp", "s3cret+of/the=app"), nil},
	{"hydra", idp.HydraIntrospection("https://auth.acme.example/", "https://hydra-admin.acme.example:4445", resource), nil},
	{"hydra-network", oryNetwork(), nil},
	{"authelia", idp.AutheliaIntrospection(authelia, resource, "mcp-server", "insecure~secret"), nil},
	{"okta-org", idp.OktaOrgIntrospection(oktaOrg, resource, "0oa7zz1server0009", "s3cret-of-the-app", "0oa7zz1client0001"),
		map[string]string{oktaOrg + openID: "discovery.json"}},
	{"pingone", idp.PingOneIntrospection(pingOne, resource, "55556666-0000-4000-8000-00000000e005", "s3cret~of-the-resource"), nil},
	{"duende", idp.DuendeIntrospection(duende, resource, resource, "s3cret-of-the-api"), map[string]string{
		duende + openID: "discovery.json", duende + openID + "/jwks": "jwks.json",
	}},
	{"duende-named", idp.DuendeIntrospection(duende, resource, "mcp-api", "s3cret-of-the-api"), map[string]string{
		duende + openID: "discovery.json", duende + openID + "/jwks": "jwks.json",
	}},
	{"curity", idp.CurityIntrospection(curity, resource, "mcp-server", "s3cret-of-the-client"), map[string]string{curity + openID: "discovery.json"}},
}

func oryNetwork() verifier.IntrospectionConfig {
	config := idp.HydraIntrospection(ory, ory+"/", resource)
	config.Auth = clientauth.StaticBearer("ory_pat_synthetic-key")
	return config
}

func TestProvidersAreAskedAsTheyWantAndAnswersJudged(t *testing.T) {
	for _, provider := range asked {
		t.Run(provider.dir, func(t *testing.T) {
			dir := filepath.Join("..", "testdata", "idp", provider.dir+"-introspection")
			var want wanted
			decode(t, filepath.Join(dir, "request.json"), &want)
			documents := network(t, dir, provider.serves)
			all, good := answers(t, dir), 0
			for name, j := range all {
				if j.Expect == "accept" {
					good++
				}
				t.Run(name, func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						config := provider.config
						config.CacheSize = 16
						config.Transport = j.on(t, documents, want, config.Issuer)
						v, err := verifier.NewIntrospection(config)
						if err != nil {
							t.Fatal(err)
						}
						j.check(t, v)
					})
				})
			}
			if good == 0 || good == len(all) {
				t.Errorf("%d good of %d fixtures, want some of both", good, len(all))
			}
		})
	}
}

// What no preset may take, made of every good answer by changing one member.
func TestEveryGoodAnswerIsRefusedWithOneMemberChanged(t *testing.T) {
	changes := []struct {
		member string
		value  any
		want   string
	}{
		{"active", false, "inactive"},
		{"active", "true", "unavailable"},
		{"aud", nil, "audience"},
		{"aud", []string{}, "audience"},
		{"aud", "https://other.acme.example/mcp", "audience"},
		{"iss", "https://evil.example", "issuer"},
		{"exp", fixtureTime - 60, "expired"},
		{"token_type", "refresh_token", "type"},
		{"token_use", "refresh_token", "type"},
		{"token_type", "DPoP", "confirmation"},
		{"cnf", map[string]string{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, "confirmation"},
	}
	for _, provider := range asked {
		t.Run(provider.dir, func(t *testing.T) {
			dir := filepath.Join("..", "testdata", "idp", provider.dir+"-introspection")
			var want wanted
			decode(t, filepath.Join(dir, "request.json"), &want)
			documents := network(t, dir, provider.serves)
			for name, j := range answers(t, dir) {
				if j.Expect != "accept" {
					continue
				}
				for _, change := range changes {
					changed := j
					changed.Expect = change.want
					changed.Answer = with(t, j.Answer, change.member, change.value)
					bubble(t, func(t *testing.T) {
						config := provider.config
						config.CacheSize = 16
						config.Transport = changed.on(t, documents, want, config.Issuer)
						v, err := verifier.NewIntrospection(config)
						if err != nil {
							t.Fatal(err)
						}
						_, err = v.Verify(context.Background(), j.Token)
						invalid, ok := errors.AsType[*verifier.InvalidTokenError](err)
						silent := change.member == "aud" && (change.value == nil || reflect.DeepEqual(change.value, []string{}))
						switch {
						case silent && len(config.ClientIDs) > 0:
							if err != nil {
								t.Errorf("%s of a listed client, without aud: %v", name, err)
							}
						case silent && ok && invalid.Reason == verifier.ReasonType:
							// Without token_type too, nothing says what kind of token it is.
						case change.want == "unavailable" && errors.Is(err, verifier.ErrUnavailable):
						case !ok || string(invalid.Reason) != change.want:
							t.Errorf("%s with %s %v: %v, want %s", name, change.member, change.value, err, change.want)
						}
					})
				}
			}
		})
	}
}

// The guard checks issuer and audience again: what a preset calls this resource
// must reach it.
func TestGuardAcceptsWhatPresetsAccept(t *testing.T) {
	for _, provider := range asked {
		t.Run(provider.dir, func(t *testing.T) {
			dir := filepath.Join("..", "testdata", "idp", provider.dir+"-introspection")
			var want wanted
			decode(t, filepath.Join(dir, "request.json"), &want)
			good := answers(t, dir)["good-user"]
			documents := network(t, dir, provider.serves)
			bubble(t, func(t *testing.T) {
				config := provider.config
				config.CacheSize = 16
				config.Transport = good.on(t, documents, want, config.Issuer)
				v, err := verifier.NewIntrospection(config)
				if err != nil {
					t.Fatal(err)
				}
				guard, err := middleware.New(middleware.Config{
					Metadata: prm.Metadata{Resource: resource, AuthorizationServers: []string{config.Issuer}},
					Verifier: v,
				})
				if err != nil {
					t.Fatal(err)
				}
				served := false
				handler := guard.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true }))
				if status := call(t, handler, good.Token); status != http.StatusOK || !served {
					t.Errorf("status %d, served %t", status, served)
				}
			})
		})
	}
}

func TestUnusableValuesForIntrospectionAreReported(t *testing.T) {
	for _, test := range []struct {
		name   string
		config verifier.IntrospectionConfig
		want   []string
	}{
		{"Keycloak without a realm", idp.KeycloakIntrospection("https://sso.acme.example/", resource, "a", "b"), []string{"idp.Keycloak", "the URL of a realm"}},
		{"Keycloak over http", idp.KeycloakIntrospection("http://sso.acme.example/realms/mcp", resource, "a", "b"), []string{"https is required", "Endpoint"}},
		{"Keycloak without a client", idp.KeycloakIntrospection(keycloak, resource, "", ""), []string{"client id is empty", "client secret is empty"}},
		{"Keycloak without a resource", idp.KeycloakIntrospection(keycloak, "", "a", "b"), []string{"Resource is required"}},
		{"ZITADEL with a slash", idp.ZITADELIntrospection(zitadel+"/", resource, "1", "a", "b"), []string{"idp.ZITADELIntrospection", `"https://acme.zitadel.example/"`}},
		{"ZITADEL without a project", idp.ZITADELIntrospection(zitadel, resource, "", "a", "b"), []string{"projectID"}},
		{"ZITADEL with an application for a project", idp.ZITADELIntrospection(zitadel, resource, "29@mcp", "a", "b"), []string{`"29@mcp"`}},
		{"ZITADEL with the resource for a project", idp.ZITADELIntrospection(zitadel, resource, resource, "a", "b"), []string{"projectID"}},
		{"Hydra without an admin API", idp.HydraIntrospection(authelia, "", resource), []string{"idp.HydraIntrospection", `admin ""`}},
		{"Hydra's admin API over http", idp.HydraIntrospection(authelia, "http://hydra:4445", resource), []string{"https is required"}},
		{"Authelia by host", idp.AutheliaIntrospection("auth.acme.example", resource, "a", "b"), []string{"not an absolute URL"}},
		{"Okta's custom server", idp.OktaOrgIntrospection(okta, resource, "a", "b", "c"), []string{"idp.OktaOrgIntrospection", "is not an org's URL"}},
		{"Okta's org for every app", idp.OktaOrgIntrospection(oktaOrg, resource, "a", "b"), []string{"clientIDs are required"}},
		{"Okta's org with an empty client", idp.OktaOrgIntrospection(oktaOrg, resource, "a", "b", ""), []string{"ClientIDs: empty value"}},
		{"PingOne without as", idp.PingOneIntrospection("https://auth.pingone.eu/11112222-0000-4000-8000-00000000e001", resource, "a", "b"), []string{"ends in /as"}},
		{"Duende without an ApiResource", idp.DuendeIntrospection(duende, resource, "", "b"), []string{"client id is empty", "SignedAudience is required"}},
		{"Curity without an issuer", idp.CurityIntrospection("", resource, "a", "b"), []string{`issuer ""`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := verifier.NewIntrospection(test.config)
			if err == nil {
				t.Fatal("NewIntrospection took it")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %q", err, want)
				}
			}
		})
	}
}

func TestLaterChangesOfTheClientsHaveNoEffect(t *testing.T) {
	clients := []string{"0oa7zz1client0001"}
	config := idp.OktaOrgIntrospection(oktaOrg, resource, "a", "b", clients...)
	clients[0] = "0oa7zz1client0666"
	if !slices.Equal(config.ClientIDs, []string{"0oa7zz1client0001"}) {
		t.Errorf("clients %q", config.ClientIDs)
	}
}

// ZITADEL takes an assertion only with its issuer in aud, from the application in
// iss, and by its key.
func TestZITADELTakesAnAssertion(t *testing.T) {
	config := idp.ZITADELIntrospection(zitadel, resource, "290000000000000099", "", "")
	config.Auth = clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: "290000000000000222@mcp", Key: clientauth.Key{Signer: keys().provider, Algorithm: "RS256", ID: "290000000000000333"},
	})
	var form url.Values
	var authorization []string
	config.Transport = authtest.Network{zitadel: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form, authorization = r.PostForm, r.Header["Authorization"]
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"active":false}`))
	})}
	v, err := verifier.NewIntrospection(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), "opaque"); !errors.Is(err, verifier.ErrInvalidToken) {
		t.Fatal(err)
	}
	parts := strings.Split(form.Get("client_assertion"), ".")
	if len(parts) != 3 || authorization != nil || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		t.Fatalf("authenticated by %v, %q", form, authorization)
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	var claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
	}
	for part, v := range map[string]any{parts[0]: &header, parts[1]: &claims} {
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || json.Unmarshal(text, v) != nil {
			t.Fatalf("%q: %v", text, err)
		}
	}
	if header.KeyID != "290000000000000333" || claims.Issuer != "290000000000000222@mcp" || claims.Subject != claims.Issuer || claims.Audience != zitadel {
		t.Errorf("header %+v, claims %+v", header, claims)
	}
}

// call makes one request with a token.
func call(t *testing.T, handler http.Handler, token string) int {
	t.Helper()
	request := httptest.NewRequest(http.MethodPost, resource, strings.NewReader("{}"))
	request.Header.Set("Authorization", "Bearer "+token)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return recorder.Code
}
