package authtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

const (
	exchangeGrant   = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessTokenType = "urn:ietf:params:oauth:token-type:access_token"
	jwtType         = "urn:ietf:params:oauth:token-type:jwt"
	backEnd         = "https://api.example.com/"
)

func exchangeConfig() authtest.Config {
	c := config()
	c.Clients = append(c.Clients, authtest.Client{ID: "server", Secret: "s"}, authtest.Client{ID: "quiet", Secret: "s"})
	c.Exchanges = []authtest.Exchange{
		{ClientID: "server", Resource: resource, Targets: []string{backEnd, "reports"}, Scopes: []string{"files:read"}},
		{ClientID: "quiet", Resource: resource, Targets: []string{backEnd}, Impersonation: true},
	}
	return c
}

// exchangeRequest is a good one with parameters replaced.
func exchangeRequest(subject string, pairs ...string) url.Values {
	return form(form(nil, "grant_type", exchangeGrant, "client_id", "server", "client_secret", "s",
		"subject_token", subject, "subject_token_type", accessTokenType), pairs...)
}

func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCaller(t, exchangeConfig())
		subject := a.issuer.Token(authtest.Claims{"sub": "alice", "scope": "files:write"})
		got := a.post("/token", exchangeRequest(subject, "resource", backEnd, "scope", "files:read"))
		if got.status != 200 || got.JSON["issued_token_type"] != accessTokenType || got.JSON["token_type"] != "Bearer" ||
			got.JSON["expires_in"] != 300.0 || got.JSON["scope"] != "files:read" || got.JSON["refresh_token"] != nil {
			t.Fatalf("%d %s", got.status, got.body)
		}
		first := a.claims(got.JSON["access_token"])
		wantClaims(t, first, map[string]any{
			"iss": a.issuer.URL(), "sub": "alice", "client_id": "server", "aud": backEnd, "scope": "files:read", "act": map[string]any{"sub": "server"},
		})

		got = a.post("/token", exchangeRequest(subject, "audience", "reports", "resource", backEnd, "requested_token_type", jwtType))
		if got.status != 200 || got.JSON["issued_token_type"] != jwtType {
			t.Fatalf("%d %s", got.status, got.body)
		}
		wantClaims(t, a.claims(got.JSON["access_token"]), map[string]any{"aud": []any{backEnd, "reports"}, "scope": nil})

		// The token that ends first decides; who acted before is nested.
		short := a.issuer.Token(authtest.Claims{"act": map[string]any{"sub": "before"}, "exp": time.Now().Add(time.Minute)})
		got = a.post("/token", exchangeRequest(short))
		wantClaims(t, a.claims(got.JSON["access_token"]), map[string]any{"aud": backEnd, "act": map[string]any{"sub": "server", "act": map[string]any{"sub": "before"}}})
		if got.JSON["expires_in"] != 60.0 {
			t.Errorf("expires_in %v", got.JSON["expires_in"])
		}

		robot := a.issuer.Token(authtest.Claims{"sub": "robot"})
		got = a.post("/token", exchangeRequest(subject, "actor_token", robot, "actor_token_type", accessTokenType))
		wantClaims(t, a.claims(got.JSON["access_token"]), map[string]any{"sub": "alice", "act": map[string]any{"sub": "robot"}})

		got = a.post("/token", exchangeRequest(subject, "client_id", "quiet"))
		wantClaims(t, a.claims(got.JSON["access_token"]), map[string]any{"sub": "alice", "client_id": "quiet", "act": nil})

		allowed := a.issuer.Token(authtest.Claims{"may_act": map[string]any{"sub": "server"}})
		if got := a.post("/token", exchangeRequest(allowed)); got.status != 200 {
			t.Errorf("%d %s", got.status, got.body)
		}
	})
}

func TestExchangeRefuses(t *testing.T) {
	a := newCaller(t, exchangeConfig())
	good := a.issuer.Token(nil)
	revoked := a.issuer.Token(nil)
	a.issuer.Revoke(revoked)
	expired := a.issuer.Token(authtest.Claims{"exp": time.Now().Add(-time.Second)})
	refresh, _ := a.post("/token", tokenRequest(a.code())).JSON["refresh_token"].(string)
	for _, c := range []struct {
		name   string
		values url.Values
		status int
		code   string
	}{
		{"no subject token", exchangeRequest(""), 400, "invalid_request"},
		{"a token of nobody's", exchangeRequest("made-up"), 400, "invalid_request"},
		{"a revoked token", exchangeRequest(revoked), 400, "invalid_request"},
		{"an expired token", exchangeRequest(expired), 400, "invalid_request"},
		{"a token for another resource", exchangeRequest(a.issuer.Token(authtest.Claims{"aud": otherResource})), 400, "invalid_request"},
		{"a token for nothing", exchangeRequest(a.issuer.Token(authtest.Claims{"aud": authtest.Omit})), 400, "invalid_request"},
		{"a refresh token", exchangeRequest(refresh), 400, "invalid_request"},
		{"an ID token", exchangeRequest(a.issuer.IDToken(authtest.Claims{"aud": resource})), 400, "invalid_request"},
		{"no type", exchangeRequest(good, "subject_token_type", ""), 400, "invalid_request"},
		{"the type of an ID token", exchangeRequest(good, "subject_token_type", "urn:ietf:params:oauth:token-type:id_token"), 400, "invalid_request"},
		{"another requested type", exchangeRequest(good, "requested_token_type", "urn:ietf:params:oauth:token-type:saml2"), 400, "invalid_request"},
		{"an actor type alone", exchangeRequest(good, "actor_token_type", accessTokenType), 400, "invalid_request"},
		{"a bad actor", exchangeRequest(good, "actor_token", "made-up", "actor_token_type", accessTokenType), 400, "invalid_request"},
		{"a refresh token for an actor", exchangeRequest(good, "actor_token", refresh, "actor_token_type", accessTokenType), 400, "invalid_request"},
		{"may_act of somebody else", exchangeRequest(a.issuer.Token(authtest.Claims{"may_act": map[string]any{"sub": "other"}})), 400, "invalid_request"},
		{"another target", exchangeRequest(good, "resource", "https://evil.example/"), 400, "invalid_target"},
		{"another audience", exchangeRequest(good, "audience", "payroll"), 400, "invalid_target"},
		{"its own resource", exchangeRequest(good, "resource", resource), 400, "invalid_target"},
		{"a scope of the issuer's, not the rule's", exchangeRequest(good, "scope", "files:write"), 400, "invalid_scope"},
		{"a client without a rule", exchangeRequest(good, "client_id", "confidential", "client_secret", "s3cret&/ü"), 400, "unauthorized_client"},
		{"a public client", exchangeRequest(good, "client_id", "public", "client_secret", ""), 400, "unauthorized_client"},
		{"a wrong secret", exchangeRequest(good, "client_secret", "x"), http.StatusUnauthorized, "invalid_client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := a.post("/token", c.values)
			wantError(t, got, c.status, c.code)
			if strings.Contains(got.body, "eyJ") {
				t.Error("the answer repeats a token")
			}
		})
	}
}

func TestExchangeEndsWithTheGrant(t *testing.T) {
	a := newCaller(t, exchangeConfig())
	granted := a.post("/token", tokenRequest(a.code())).JSON
	subject, _ := granted["access_token"].(string)
	if got := a.post("/token", exchangeRequest(subject)); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	refresh, _ := granted["refresh_token"].(string)
	a.issuer.Revoke(refresh)
	wantError(t, a.post("/token", exchangeRequest(subject)), 400, "invalid_request")
}

func TestExchangeIsOffWithoutRules(t *testing.T) {
	a := newCaller(t, config())
	wantError(t, a.post("/token", exchangeRequest(a.issuer.Token(nil), "client_id", "confidential", "client_secret", "s3cret&/ü")), 400, "unsupported_grant_type")
	if strings.Contains(a.get(a.issuer.URL()+"/.well-known/openid-configuration").body, "token-exchange") {
		t.Error("advertised")
	}
	with := newCaller(t, exchangeConfig())
	if !strings.Contains(with.get(with.issuer.URL()+"/.well-known/openid-configuration").body, exchangeGrant) {
		t.Error("not advertised")
	}
}

func TestExchangeMistakes(t *testing.T) {
	c := config()
	c.Exchanges = []authtest.Exchange{
		{ClientID: "public", Resource: resource, Targets: []string{backEnd}},
		{ClientID: "nobody", Resource: resource, Targets: []string{backEnd}},
		{ClientID: "confidential", Targets: []string{backEnd}},
		{ClientID: "confidential", Resource: resource},
	}
	_, err := authtest.New(c)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{`"public"`, `"nobody"`, "twice", "Resource and Targets"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
}
