package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestATokenHeaderReplacesAuthorization(t *testing.T) {
	issuer := authtest.NewIssuer(t, authtest.Config{Resources: []string{resource}})
	guard, err := middleware.New(middleware.Config{
		Metadata:    prm.Metadata{Resource: resource, AuthorizationServers: []string{issuer.URL()}},
		Transport:   issuer.Transport(),
		TokenHeader: "Cf-Access-Jwt-Assertion",
	})
	if err != nil {
		t.Fatal(err)
	}
	token := issuer.Token(nil)
	tests := map[string]struct {
		header http.Header
		status int
	}{
		"the token alone":                   {http.Header{"Cf-Access-Jwt-Assertion": {token}}, 200},
		"with blanks around it":             {http.Header{"Cf-Access-Jwt-Assertion": {" " + token + "\t"}}, 200},
		"with a scheme":                     {http.Header{"Cf-Access-Jwt-Assertion": {"Bearer " + token}}, 400},
		"twice":                             {http.Header{"Cf-Access-Jwt-Assertion": {token, token}}, 400},
		"in Authorization":                  {http.Header{"Authorization": {"Bearer " + token}}, 401},
		"empty":                             {http.Header{"Cf-Access-Jwt-Assertion": {""}}, 401},
		"besides a bad Authorization":       {http.Header{"Cf-Access-Jwt-Assertion": {token}, "Authorization": {"Bearer x"}}, 200},
		"bad, besides a good Authorization": {http.Header{"Cf-Access-Jwt-Assertion": {"x"}, "Authorization": {"Bearer " + token}}, 401},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var passed http.Header
			next := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { passed = r.Header })
			request := httptest.NewRequest("POST", "/mcp", nil)
			request.Header = test.header
			answer := httptest.NewRecorder()
			guard.Require()(next).ServeHTTP(answer, request)
			if answer.Code != test.status {
				t.Errorf("status %d, want %d", answer.Code, test.status)
			}
			if (passed != nil) != (test.status == 200) || len(passed) > 0 {
				t.Errorf("the handler got %v", passed)
			}
		})
	}
}

func TestIssuersAreAdvertisedByTheirAuthorizationServer(t *testing.T) {
	const tenant = "11111111-2222-4333-8444-555555555555"
	template := verifier.Issuer{
		URL:                 "https://login.example.com/{tenantid}/v2.0",
		AuthorizationServer: "https://login.example.com/organizations/v2.0",
		MetadataURL:         "https://login.example.com/organizations/v2.0/.well-known/openid-configuration",
		Tenants:             []string{tenant},
	}
	second := verifier.Issuer{URL: "https://sts.example.com/", AuthorizationServer: template.AuthorizationServer}
	var event middleware.Event
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{Resource: resource},
		Issuers:  []verifier.Issuer{template, second},
		Verifier: verifier.Func(func(_ context.Context, iss string) (*verifier.Token, error) {
			return &verifier.Token{Issuer: iss, Subject: "ana", Audience: []string{resource}, Expiry: time.Now().Add(time.Hour)}, nil
		}),
		Observe: func(_ context.Context, e middleware.Event) { event = e },
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := guard.Metadata().Metadata().AuthorizationServers; len(got) != 1 || got[0] != template.AuthorizationServer {
		t.Errorf("authorization_servers %q", got)
	}
	for iss, want := range map[string]string{
		"https://login.example.com/" + tenant + "/v2.0":                       template.URL,
		"https://sts.example.com/":                                            second.URL,
		"https://login.example.com/99999999-2222-4333-8444-555555555555/v2.0": "",
		"https://login.example.com/{tenantid}/v2.0":                           "",
		"https://login.example.com/organizations/v2.0":                        "",
		"https://login.example.com/x/" + tenant + "/v2.0":                     "",
		"https://login.example.com/" + strings.ToUpper(tenant[:8]) + "/v2.0":  "",
	} {
		request := httptest.NewRequest("POST", "/mcp", nil)
		request.Header.Set("Authorization", "Bearer "+iss)
		guard.Require()(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), request)
		if event.Issuer != want || (event.Outcome == middleware.OutcomeAllowed) != (want != "") {
			t.Errorf("%s: %s by issuer %q, want %q", iss, event.Outcome, event.Issuer, want)
		}
	}
}

func TestNewRefusesPromisesThatNobodyKeeps(t *testing.T) {
	valid := prm.Metadata{Resource: resource, AuthorizationServers: []string{"https://login.example.com"}}
	for name, change := range map[string]func(*middleware.Config){
		"DPoP required":          func(c *middleware.Config) { c.Metadata.DPoPBoundAccessTokensRequired = true },
		"DPoP algorithms":        func(c *middleware.Config) { c.Metadata.DPoPSigningAlgValuesSupported = []string{"ES256"} },
		"mutual TLS":             func(c *middleware.Config) { c.Metadata.TLSClientCertificateBoundAccessTokens = true },
		"TokenHeader blank":      func(c *middleware.Config) { c.TokenHeader = "X Token" },
		"TokenHeader is taken":   func(c *middleware.Config) { c.TokenHeader = "authorization" },
		"TokenHeader is cookies": func(c *middleware.Config) { c.TokenHeader = "Cookie" },
	} {
		config := middleware.Config{Metadata: valid}
		change(&config)
		if _, err := middleware.New(config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
