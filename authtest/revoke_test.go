package authtest_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

func TestRevoke_ends_an_access_token_and_no_other(t *testing.T) {
	for name, opaque := range map[string]bool{"JWT": false, "opaque": true} {
		t.Run(name, func(t *testing.T) {
			c := config()
			c.OpaqueTokens = opaque
			a := newCaller(t, c)
			login := a.post("/token", tokenRequest(a.code()))
			other := a.post("/token", tokenRequest(a.code()))
			token, _ := login.JSON["access_token"].(string)
			got := a.post("/revoke", form(nil, "client_id", "public", "token", token))
			if got.status != http.StatusOK || got.body != "" || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%d %q %v", got.status, got.body, got.header)
			}
			if got := a.introspect(token).body; got != inactive {
				t.Errorf("revoked: %s", got)
			}
			for _, kept := range []any{other.JSON["access_token"], other.JSON["refresh_token"], login.JSON["refresh_token"]} {
				if got := a.introspect(kept); got.JSON["active"] != true {
					t.Errorf("another token: %s", got.body)
				}
			}
		})
	}
}

func TestRevoke_of_a_refresh_token_ends_its_grant(t *testing.T) {
	a := newCaller(t, config())
	login := a.post("/token", tokenRequest(a.code()))
	refresh, _ := login.JSON["refresh_token"].(string)
	values := form(nil, "client_id", "public", "token", refresh, "token_type_hint", "access_token")
	for range 2 {
		if got := a.post("/revoke", values); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	for _, name := range []string{"refresh_token", "access_token"} {
		if got := a.introspect(login.JSON[name]).body; got != inactive {
			t.Errorf("%s: %s", name, got)
		}
	}
	got := a.post("/token", form(nil, "grant_type", "refresh_token", "client_id", "public", "refresh_token", refresh))
	wantError(t, got, http.StatusBadRequest, "invalid_grant")
}

func TestRevoke_by_a_replayed_code(t *testing.T) {
	a := newCaller(t, opaqueConfig())
	request := tokenRequest(a.code())
	token := a.post("/token", request).JSON["access_token"]
	if got := a.introspect(token); got.JSON["active"] != true {
		t.Fatalf("before: %s", got.body)
	}
	wantError(t, a.post("/token", request), http.StatusBadRequest, "invalid_grant")
	if got := a.introspect(token).body; got != inactive {
		t.Errorf("after (RFC 6749 §4.1.2): %s", got)
	}
}

func TestRevoke_refuses(t *testing.T) {
	a := newCaller(t, opaqueConfig())
	token, _ := a.post("/token", tokenRequest(a.code())).JSON["access_token"].(string)
	wantError(t, a.asServer("/revoke", form(nil, "token", token)), http.StatusBadRequest, "invalid_grant")
	wantError(t, a.asServer("/revoke", nil), http.StatusBadRequest, "invalid_request")
	wantError(t, a.post("/revoke", form(nil, "token", token)), http.StatusUnauthorized, "invalid_client")
	wantError(t, a.post("/revoke", form(nil, "token", token, "client_id", "confidential")), http.StatusUnauthorized, "invalid_client")
	wantError(t, a.post("/revoke", url.Values{"client_id": {"public"}, "token": {token, token}}), http.StatusBadRequest, "invalid_request")
	if got := a.introspect(token); got.JSON["active"] != true {
		t.Errorf("a refusal revoked: %s", got.body)
	}
	// RFC 7009 §2.2: what is unknown is as good as revoked.
	if got := a.asServer("/revoke", form(nil, "token", "guessed")); got.status != http.StatusOK {
		t.Errorf("an unknown token: %d %s", got.status, got.body)
	}
}

func TestRevoke_by_the_test(t *testing.T) {
	spy := &spyTB{}
	issuer := authtest.NewIssuer(spy, config())
	a := &caller{t: t, issuer: issuer, client: &http.Client{Transport: issuer.Transport()}}
	stated := mintOpaque(t, issuer, authtest.OpaqueTokenConfig{Claims: authtest.Claims{"active": true}})
	for _, token := range []string{issuer.Token(nil), stated, mint(t, issuer, authtest.TokenConfig{Algorithm: "EdDSA"})} {
		if got := a.introspect(token); got.JSON["active"] != true {
			t.Errorf("before: %s", got.body)
		}
		issuer.Revoke(token)
		if got := a.introspect(token).body; got != inactive {
			t.Errorf("after: %s", got)
		}
	}
	if spy.failures != 0 {
		t.Errorf("%d failures", spy.failures)
	}
	if issuer.Revoke("guessed"); spy.failures != 1 {
		t.Error("revoking what was never issued does not fail the test")
	}
}
