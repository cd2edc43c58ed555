package idp_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/idp"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func build(issuers ...verifier.Issuer) error {
	_, err := verifier.NewJWT(verifier.JWTConfig{Resource: resource, Issuers: issuers})
	return err
}

func TestUnusableValuesAreReported(t *testing.T) {
	for _, test := range []struct {
		name   string
		issuer verifier.Issuer
		want   []string
	}{
		{"Okta's org server needs introspection", idp.Okta("https://acme.okta.com"), []string{"idp.Okta", `"https://acme.okta.com"`, "introspection"}},
		{"Okta's org server with a slash", idp.Okta("https://acme.okta.com/"), []string{"introspection"}},
		{"Okta's org server by its endpoints", idp.Okta("https://acme.okta.com/oauth2/v1"), []string{"introspection"}},
		{"Okta without a server id", idp.Okta("https://acme.okta.com/oauth2/"), []string{"introspection"}},
		{"Okta with a final slash", idp.Okta(okta + "/"), []string{"no final slash"}},
		{"Okta by its metadata URL", idp.Okta(okta + openID), []string{"idp.Okta"}},
		{"Okta by host", idp.Okta("acme.okta.com"), []string{"is not a URL"}},
		{"Entra by domain and URI", idp.Entra("contoso.example", "api://"+appID), []string{`"contoso.example"`, "Directory (tenant) ID", `"api://` + appID + `"`, "Application (client) ID"}},
		{"Entra common", idp.Entra("common", appID), []string{`"common"`, "EntraAnyTenant"}},
		{"Entra with a path for a tenant", idp.Entra("../"+tenantOne, appID), []string{"is not a GUID"}},
		{"Entra with a line break", idp.Entra(tenantOne+"\n", appID), []string{"is not a GUID"}},
		{"Entra without anything", idp.Entra("", ""), []string{"tenant ID", "appID"}},
		{"Entra with a name for a URI", idp.Entra(tenantOne, appID, "mcp", ""), []string{`"mcp" is not a URI`, `"" is not a URI`}},
		{"Entra with a space in a URI", idp.Entra(tenantOne, appID, "api://a b"), []string{"is not a URI"}},
		{"Entra with Graph as its own", idp.Entra(tenantOne, appID, "https://graph.microsoft.com/"), []string{"Microsoft Graph"}},
		{"EntraV1 names itself", idp.EntraV1("x", appID), []string{"idp.EntraV1"}},
		{"EntraTenants without tenants", idp.EntraTenants(appID, nil), []string{"Tenants"}},
		{"EntraTenants with one bad tenant", idp.EntraTenants(appID, []string{tenantOne, "organizations"}), []string{"idp.EntraTenants", `"organizations"`}},
		{"EntraAnyTenant with a bad app", idp.EntraAnyTenant("mcp"), []string{"idp.EntraAnyTenant", `"mcp"`}},
		{"Auth0 with a path", idp.Auth0("acme.eu.auth0.com/api"), []string{"idp.Auth0", "is not a host name"}},
		{"Auth0 without anything", idp.Auth0(""), []string{"is not a host name"}},
		{"Auth0 over http", idp.Auth0("http://acme.eu.auth0.com/"), []string{"is not a host name"}},
		{"Auth0 with userinfo", idp.Auth0("a@acme.eu.auth0.com"), []string{"is not a host name"}},
		{"Keycloak without a realm", idp.Keycloak("https://sso.acme.example/"), []string{"idp.Keycloak", "the URL of a realm"}},
		{"Keycloak with a final slash", idp.Keycloak(keycloak + "/"), []string{"the URL of a realm"}},
		{"Keycloak by its metadata URL", idp.Keycloak(keycloak + openID), []string{"the URL of a realm"}},
		{"Keycloak over http", idp.Keycloak("http://sso.acme.example/realms/mcp"), []string{"https is required"}},
		{"Cognito by pool ID", idp.Cognito("eu-west-1_AbCdEf123", resource), []string{"idp.Cognito", "is not a user pool's URL"}},
		{"Cognito by its login domain", idp.Cognito("https://acme.auth.eu-west-1.amazoncognito.com", resource), []string{"is not a user pool's URL"}},
		{"Cognito without a resource", idp.Cognito(cognito, ""), []string{`resource ""`}},
		{"Cognito with an empty client", idp.Cognito(cognito, resource, ""), []string{"clientIDs"}},
		{"PingOne without a URL", idp.PingOne("11112222-0000-4000-8000-00000000e001"), []string{"not an absolute URL"}},
		{"WorkOS session tokens", idp.WorkOS("https://api.workos.com"), []string{"idp.WorkOS", "session tokens"}},
		{"WorkOS by client ID", idp.WorkOS("client_01SYNTH"), []string{"is not a host name"}},
		{"Cloudflare by domain", idp.CloudflareAccess("acme.cloudflareaccess.com", audTag), []string{"idp.CloudflareAccess", "is not a team name"}},
		{"Cloudflare without anything", idp.CloudflareAccess("", ""), []string{"team", "aud"}},
		{"Cloudflare with a tag in upper case", idp.CloudflareAccess("acme", strings.ToUpper(audTag)), []string{"AUD tag"}},
		{"Cloudflare with an empty service token", idp.CloudflareAccess("acme", audTag, ""), []string{"serviceTokens"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := build(test.issuer)
			if err == nil {
				t.Fatal("NewJWT took it")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %q", err, want)
				}
			}
		})
	}
}

func TestUsableValues(t *testing.T) {
	for _, test := range []struct {
		name   string
		issuer verifier.Issuer
		url    string
	}{
		{"Okta on a custom domain", idp.Okta("https://id.acme.example/oauth2/default"), "https://id.acme.example/oauth2/default"},
		{"Entra in upper case", idp.Entra(strings.ToUpper(tenantOne), strings.ToUpper(appID)), microsoft + tenantOne + "/v2.0"},
		{"Entra v1", idp.EntraV1(tenantOne, appID), "https://sts.windows.net/" + tenantOne + "/"},
		{"Entra for any tenant", idp.EntraAnyTenant(appID), microsoft + "{tenantid}/v2.0"},
		{"Auth0 by domain", idp.Auth0("acme.eu.auth0.com"), "https://acme.eu.auth0.com/"},
		{"Auth0 by URL", idp.Auth0("https://login.acme.example"), "https://login.acme.example/"},
		{"Auth0 by issuer", idp.Auth0("https://acme.eu.auth0.com/"), "https://acme.eu.auth0.com/"},
		{"Keycloak under a path", idp.Keycloak("https://acme.example/auth/realms/mcp"), "https://acme.example/auth/realms/mcp"},
		{"Keycloak on loopback", idp.Keycloak("http://localhost:8080/realms/mcp"), "http://localhost:8080/realms/mcp"},
		{"Cognito with the updated issuer", idp.Cognito("https://issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123", resource), "https://issuer-cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123"},
		{"WorkOS on a custom domain", idp.WorkOS("https://auth.acme.example/"), "https://auth.acme.example"},
		{"Cloudflare", idp.CloudflareAccess("acme-12", audTag), "https://acme-12.cloudflareaccess.com"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := build(test.issuer); err != nil || test.issuer.URL != test.url {
				t.Errorf("URL %q, want %q; %v", test.issuer.URL, test.url, err)
			}
		})
	}
}

func TestClientsAreToldAnAuthorizationServerThatHasMetadata(t *testing.T) {
	for _, test := range []struct {
		issuer verifier.Issuer
		want   string
	}{
		{idp.EntraV1(tenantOne, appID), microsoft + tenantOne + "/v2.0"},
		{idp.EntraTenants(appID, []string{tenantOne}), microsoft + "organizations/v2.0"},
		{idp.EntraAnyTenant(appID), microsoft + "organizations/v2.0"},
	} {
		if test.issuer.AuthorizationServer != test.want {
			t.Errorf("%s: clients are told %q, want %q", test.issuer.URL, test.issuer.AuthorizationServer, test.want)
		}
	}
}

func TestEntraV1TakesAppIDURIsWithAndWithoutSlash(t *testing.T) {
	want := []string{appID, "api://a", "https://b.example/", "api://a/", "https://b.example"}
	if got := idp.EntraV1(tenantOne, appID, "api://a", "https://b.example/").Audiences; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLaterChangesOfTheArgumentsHaveNoEffect(t *testing.T) {
	tenants, uris := []string{tenantOne}, []string{resource}
	issuer := idp.EntraTenants(appID, tenants, uris...)
	tenants[0], uris[0] = tenantTwo, "https://evil.example/mcp"
	if !slices.Equal(issuer.Tenants, []string{tenantOne}) || !slices.Equal(issuer.Audiences, []string{appID, resource}) {
		t.Errorf("tenants %q, audiences %q", issuer.Tenants, issuer.Audiences)
	}

	clients := []string{"0z9y8x7w6v5u4t"}
	pool := idp.Cognito(cognito, resource, clients...)
	clients[0] = "4k5l6m7n8o9p0q"
	dir := "../testdata/idp/cognito-clients"
	bubble(t, func(t *testing.T) {
		jwt, err := verifier.NewJWT(verifier.JWTConfig{Resource: resource, Issuers: []verifier.Issuer{pool}, Transport: network(t, dir, map[string]string{
			cognito + openID: "discovery.json", cognito + "/.well-known/jwks.json": "jwks.json",
		})})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := jwt.Verify(context.Background(), load(t, dir+"/good-listed-client.json").compact(t)); err == nil {
			t.Error("a client that was put into the list later passes")
		}
	})
}

// Hostile claims must neither panic nor draw a hint out of nothing.
func TestDiagnoseTakesAnything(t *testing.T) {
	for _, provider := range providers {
		for _, reason := range verifier.Reasons() {
			for _, u := range []verifier.Unverified{
				{Reason: reason},
				{Reason: reason, Claims: []byte("null"), Header: []byte("null")},
				{Reason: reason, Claims: []byte("{"), Header: []byte("[]"), Issuer: "::", Audience: []string{""}},
				{Reason: reason, Claims: []byte(`{"sub":1}`), Header: []byte(`{"alg":1}`), Issuer: "https://", Audience: []string{"", "/"}},
			} {
				hint := provider.issuer.Diagnose(u)
				if reason == verifier.ReasonIssuer && hint != "" {
					t.Errorf("%s explains an issuer that it does not know: %q", provider.dir, hint)
				}
			}
		}
	}
}
