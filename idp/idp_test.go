package idp_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/idp"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const (
	resource = "https://mcp.acme.example/mcp"

	tenantOne = "3b1c0000-1111-4222-8333-444455556666"
	tenantTwo = "7d2e0000-1111-4222-8333-444455557777"
	appID     = "6f1e2d3c-0000-4000-8000-00000000a001"

	audTag       = "32eafc7626e974616deaf0dc3ce63d7bcbed58a2731e84d06bc3cdf1b53c0000"
	serviceToken = "e367synth0000000000000000000000.access"

	microsoft = "https://login.microsoftonline.com/"
	okta      = "https://acme.okta.com/oauth2/aus1ab2CD3EF4gh5"
	keycloak  = "https://sso.acme.example/realms/mcp"
	cognito   = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123"
	pingOne   = "https://auth.pingone.eu/11112222-0000-4000-8000-00000000e001/as"
	openID    = "/.well-known/openid-configuration"
)

// providers lists each preset with its directory of fixtures and the addresses at
// which its provider serves the documents there.
var providers = []struct {
	dir    string
	issuer verifier.Issuer
	serves map[string]string
}{
	{"okta", idp.Okta(okta), map[string]string{
		okta + openID: "discovery.json", okta + "/v1/keys": "jwks.json",
	}},
	{"entra-v2", idp.Entra(tenantOne, appID, resource), map[string]string{
		microsoft + tenantOne + "/v2.0" + openID:       "discovery.json",
		microsoft + tenantOne + "/discovery/v2.0/keys": "jwks.json",
	}},
	{"entra-v1", idp.EntraV1(tenantOne, appID, "api://"+appID), map[string]string{
		microsoft + tenantOne + openID:            "discovery.json",
		microsoft + tenantOne + "/discovery/keys": "jwks.json",
	}},
	{"entra-tenants", idp.EntraTenants(appID, []string{tenantOne, tenantTwo}, resource), map[string]string{
		microsoft + "organizations/v2.0" + openID:       "discovery.json",
		microsoft + "organizations/discovery/v2.0/keys": "jwks.json",
	}},
	{"auth0", idp.Auth0("acme.eu.auth0.com"), map[string]string{
		"https://acme.eu.auth0.com" + openID:              "discovery.json",
		"https://acme.eu.auth0.com/.well-known/jwks.json": "jwks.json",
	}},
	{"keycloak", idp.Keycloak(keycloak), map[string]string{
		keycloak + openID: "discovery.json", keycloak + "/protocol/openid-connect/certs": "jwks.json",
	}},
	{"cognito", idp.Cognito(cognito, resource), map[string]string{
		cognito + openID: "discovery.json", cognito + "/.well-known/jwks.json": "jwks.json",
	}},
	{"cognito-clients", idp.Cognito(cognito, resource, "4k5l6m7n8o9p0q"), map[string]string{
		cognito + openID: "discovery.json", cognito + "/.well-known/jwks.json": "jwks.json",
	}},
	{"pingone", idp.PingOne(pingOne), map[string]string{
		pingOne + openID: "discovery.json", pingOne + "/jwks": "jwks.json",
	}},
	{"workos", idp.WorkOS("acme-12.authkit.app"), map[string]string{
		"https://acme-12.authkit.app" + openID: "discovery.json", "https://acme-12.authkit.app/oauth2/jwks": "jwks.json",
	}},
	{"cloudflare", idp.CloudflareAccess("acme", audTag, serviceToken), map[string]string{
		"https://acme.cloudflareaccess.com/cdn-cgi/access/certs": "jwks.json",
	}},
}

func TestRightTokensPassAndNearMissesSayWhatToChange(t *testing.T) {
	for _, provider := range providers {
		t.Run(provider.dir, func(t *testing.T) {
			dir := filepath.Join("..", "testdata", "idp", provider.dir)
			files, err := filepath.Glob(filepath.Join(dir, "*.json"))
			if err != nil {
				t.Fatal(err)
			}
			network := network(t, dir, provider.serves)
			seen := map[bool]int{}
			for _, file := range files {
				name := strings.TrimSuffix(filepath.Base(file), ".json")
				if name == "discovery" || name == "jwks" {
					continue
				}
				f := load(t, file)
				seen[f.Expect == "accept"]++
				if good := strings.HasPrefix(name, "good-"); good != (f.Expect == "accept") {
					t.Errorf("%s expects %q", name, f.Expect)
				}
				t.Run(name, func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						jwt, err := verifier.NewJWT(verifier.JWTConfig{
							Resource: resource, Issuers: []verifier.Issuer{provider.issuer}, Transport: network,
						})
						if err != nil {
							t.Fatal(err)
						}
						f.check(t, jwt)
					})
				})
			}
			if seen[true] == 0 || seen[false] == 0 {
				t.Errorf("%d good and %d bad fixtures, want some of both", seen[true], seen[false])
			}
		})
	}
}

// check verifies the fixture's token and compares.
func (f fixture) check(t *testing.T, jwt *verifier.JWT) {
	t.Helper()
	credential := f.compact(t)
	token, err := jwt.Verify(context.Background(), credential)
	if f.Expect != "accept" {
		invalid, ok := errors.AsType[*verifier.InvalidTokenError](err)
		if !ok {
			t.Fatalf("got %v, want an InvalidTokenError", err)
		}
		if string(invalid.Reason) != f.Expect || !strings.Contains(invalid.Hint, f.Hint) {
			t.Errorf("refused with %q, %q; want %q, %q", invalid.Reason, invalid.Hint, f.Expect, f.Hint)
		}
		for _, value := range append(longStrings([]byte(f.Payload)), credential) {
			if strings.Contains(err.Error(), value) {
				t.Errorf("the error repeats a claim value: %v", err)
			}
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := scopes.Parse(f.Scopes)
	if err != nil {
		t.Fatal(err)
	}
	if token.Subject != f.Subject || token.ClientID != f.Client || token.Tenant != f.Tenant ||
		!slices.Equal(token.Audience, f.Audience) || !token.Scopes.Equal(wanted) {
		t.Errorf("got subject %q, client %q, tenant %q, audience %q, scopes %q\nwant %q, %q, %q, %q, %q",
			token.Subject, token.ClientID, token.Tenant, token.Audience, token.Scopes,
			f.Subject, f.Client, f.Tenant, f.Audience, f.Scopes)
	}
}

// All providers trusted by one resource: none may take over the tokens of another,
// nor explain them.
func TestPresetsSideBySide(t *testing.T) {
	family := func(dir string) string { name, _, _ := strings.Cut(dir, "-"); return name }
	for _, provider := range providers {
		t.Run(provider.dir, func(t *testing.T) {
			var issuers []verifier.Issuer
			there := map[string]bool{family(provider.dir): true}
			for _, other := range providers {
				if !there[family(other.dir)] {
					there[family(other.dir)] = true
					issuers = append(issuers, other.issuer)
				}
			}
			issuers = append(issuers, provider.issuer)
			dir := filepath.Join("..", "testdata", "idp", provider.dir)
			files, err := filepath.Glob(filepath.Join(dir, "*d-*.json"))
			if err != nil || len(files) == 0 {
				t.Fatalf("%d fixtures, %v", len(files), err)
			}
			network := network(t, dir, provider.serves)
			for _, file := range files {
				f := load(t, file)
				if f.Raw != "" {
					continue // an opaque token could be anybody's
				}
				t.Run(filepath.Base(file), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						jwt, err := verifier.NewJWT(verifier.JWTConfig{Resource: resource, Issuers: issuers, Transport: network})
						if err != nil {
							t.Fatal(err)
						}
						f.check(t, jwt)
					})
				})
			}
		})
	}
}
