package authtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

const (
	inactive = `{"active":false}`
	signed   = "application/token-introspection+jwt"
)

func opaqueConfig() authtest.Config {
	c := config()
	c.OpaqueTokens = true
	return c
}

func mintOpaque(t *testing.T, issuer *authtest.Issuer, config authtest.OpaqueTokenConfig) string {
	t.Helper()
	token, err := issuer.MintOpaque(config)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// asServer sends a form as the client "confidential", by HTTP Basic.
func (a *caller) asServer(path string, values url.Values, accept ...string) reply {
	a.t.Helper()
	request := a.request(http.MethodPost, a.issuer.URL()+path, "application/x-www-form-urlencoded", values.Encode())
	request.SetBasicAuth(url.QueryEscape("confidential"), url.QueryEscape("s3cret&/ü"))
	request.Header["Accept"] = accept
	return a.do(request)
}

func (a *caller) introspect(token any) reply {
	a.t.Helper()
	got := a.asServer("/introspect", form(nil, "token", fmt.Sprint(token)))
	if got.status != http.StatusOK || got.header.Get("Cache-Control") != "no-store" {
		a.t.Fatalf("%d %s", got.status, got.body)
	}
	return got
}

func TestIntrospect_active_answer_has_every_member(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCaller(t, opaqueConfig())
		now := time.Now().Unix()
		token := a.issuer.Token(nil)
		if len(token) < 20 || strings.Contains(token, ".") {
			t.Errorf("%q is not opaque", token)
		}
		want := fmt.Sprintf(`{"active":true,"aud":%q,"client_id":"client-1","exp":%d,"iat":%d,"iss":"https://issuer.example",`+
			`"nbf":%d,"scope":"openid files:read files:write","sub":"user-1","token_type":"Bearer","username":"user-1"}`, resource, now+300, now, now)
		got := a.introspect(token)
		if body := strip(t, got.body); body != want {
			t.Errorf("got  %s\nwant %s", body, want)
		}
		if kind := got.header.Get("Content-Type"); kind != "application/json" {
			t.Errorf("Content-Type %q", kind)
		}
		if a.issuer.Token(nil) == token {
			t.Error("two tokens are the same")
		}
		if hits := a.issuer.Hits(authtest.EndpointIntrospect); hits != 1 {
			t.Errorf("%d hits, want 1", hits)
		}
	})
}

func TestIntrospect_what_the_flows_issued(t *testing.T) {
	for name, opaque := range map[string]bool{"JWT": false, "opaque": true} {
		t.Run(name, func(t *testing.T) {
			c := config()
			c.OpaqueTokens = opaque
			a := newCaller(t, c)
			login := a.post("/token", tokenRequest(a.code()))
			token, _ := login.JSON["access_token"].(string)
			if jwt := strings.Count(token, ".") == 2; jwt == opaque {
				t.Errorf("access token %q", token)
			}
			wantClaims(t, a.introspect(token).JSON, map[string]any{
				"active": true, "aud": resource, "client_id": "public", "sub": "user-1", "username": "user-1",
				"scope": "files:read", "token_type": "Bearer", "iss": authtest.DefaultURL,
			})
			machine := a.asServer("/token", form(nil, "grant_type", "client_credentials"))
			got := a.introspect(machine.JSON["access_token"])
			wantClaims(t, got.JSON, map[string]any{"active": true, "sub": "confidential", "client_id": "confidential"})
			if got.JSON["username"] != nil || got.JSON["scope"] != nil {
				t.Errorf("a machine without scopes: %s", got.body)
			}
		})
	}
}

func TestIntrospect_refresh_tokens_have_no_token_type_and_no_audience(t *testing.T) {
	a := newCaller(t, opaqueConfig())
	refresh := a.post("/token", tokenRequest(a.code())).JSON["refresh_token"]
	if got, want := a.introspect(refresh).body, `{"active":true,"client_id":"public","iss":"https://issuer.example","sub":"user-1"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	text, _ := refresh.(string)
	next := a.post("/token", form(nil, "grant_type", "refresh_token", "client_id", "public", "refresh_token", text))
	if next.status != http.StatusOK {
		t.Fatalf("%d %s", next.status, next.body)
	}
	if got := a.introspect(refresh).body; got != inactive {
		t.Errorf("a spent refresh token: %s", got)
	}
}

func TestIntrospect_inactive_says_nothing_else(t *testing.T) {
	c := config()
	c.Algorithms = []string{"EdDSA"}
	a := newCaller(t, c)
	foreign, err := authtest.NewKey("ES256", "")
	if err != nil {
		t.Fatal(err)
	}
	revoked := a.issuer.Token(nil)
	a.issuer.Revoke(revoked)
	raw, err := a.issuer.Key().Sign([]byte(`{"alg":"EdDSA","typ":"at+jwt"}`), []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"unknown":             "guessed",
		"expired":             a.issuer.Token(authtest.Claims{"exp": time.Now().Add(-time.Second)}),
		"not yet valid":       mintOpaque(t, a.issuer, authtest.OpaqueTokenConfig{Claims: authtest.Claims{"nbf": time.Now().Add(time.Minute)}}),
		"revoked":             revoked,
		"of a foreign key":    mint(t, a.issuer, authtest.TokenConfig{Key: foreign}),
		"signed by hand":      raw,
		"an ID token":         a.issuer.IDToken(nil),
		"another capital":     strings.ToLower(mintOpaque(t, a.issuer, authtest.OpaqueTokenConfig{})),
		"with a space around": " " + mintOpaque(t, a.issuer, authtest.OpaqueTokenConfig{}),
	} {
		if got := a.introspect(token).body; got != inactive {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestIntrospect_expires_in_time(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCaller(t, opaqueConfig())
		token := a.issuer.Token(nil)
		time.Sleep(5*time.Minute - time.Second) // virtual
		if got := a.introspect(token); got.JSON["active"] != true {
			t.Errorf("a second before: %s", got.body)
		}
		time.Sleep(time.Second)
		if got := a.introspect(token).body; got != inactive {
			t.Errorf("after: %s", got)
		}
	})
}

func TestMintOpaque_answers_anything(t *testing.T) {
	a := newCaller(t, config())
	expired := time.Now().Add(-time.Hour)
	for name, test := range map[string]struct {
		claims authtest.Claims
		want   map[string]any // nil: absent
	}{
		"active is text":      {authtest.Claims{"active": "true"}, map[string]any{"active": "true"}},
		"active though over":  {authtest.Claims{"active": true, "exp": expired}, map[string]any{"active": true, "exp": float64(expired.Unix())}},
		"inactive with more":  {authtest.Claims{"active": false}, map[string]any{"active": false, "sub": "user-1"}},
		"active is null":      {authtest.Claims{"active": nil}, map[string]any{"active": nil}},
		"exp is text":         {authtest.Claims{"exp": "soon"}, map[string]any{"active": true, "exp": "soon"}},
		"exp is null":         {authtest.Claims{"exp": nil}, map[string]any{"active": true, "exp": nil}},
		"no aud, no type":     {authtest.Claims{"aud": authtest.Omit, "token_type": authtest.Omit}, map[string]any{"aud": nil, "token_type": nil, "sub": "user-1"}},
		"several aud":         {authtest.Claims{"aud": []string{resource, otherResource}}, map[string]any{"aud": []any{resource, otherResource}}},
		"bound to a key":      {authtest.Claims{"cnf": map[string]any{"jkt": "x"}, "token_type": "DPoP"}, map[string]any{"cnf": map[string]any{"jkt": "x"}, "token_type": "DPoP"}},
		"a name of its own":   {authtest.Claims{"sub": "bob"}, map[string]any{"username": "bob"}},
		"a name but no sub":   {authtest.Claims{"sub": authtest.Omit, "username": "<b>\r\n"}, map[string]any{"sub": nil, "username": "<b>\r\n"}},
		"sub is an object":    {authtest.Claims{"sub": map[string]any{}, "client_id": []int{1}}, map[string]any{"username": nil}},
		"another issuer":      {authtest.Claims{"iss": "https://evil.example"}, map[string]any{"iss": "https://evil.example"}},
		"number beyond all":   {authtest.Claims{"nbf": json.RawMessage("1e400")}, nil},
		"nbf in the far past": {authtest.Claims{"nbf": 0}, map[string]any{"active": true, "nbf": 0.0}},
	} {
		t.Run(name, func(t *testing.T) {
			token := mintOpaque(t, a.issuer, authtest.OpaqueTokenConfig{Claims: test.claims})
			if test.want == nil {
				request := form(nil, "token", token)
				if got := a.asServer("/introspect", request, signed); got.status != http.StatusOK {
					t.Errorf("%d %s", got.status, got.body)
				}
				return
			}
			wantClaims(t, a.introspect(token).JSON, test.want)
		})
	}
}

func TestMintOpaque_text_of_any_characters(t *testing.T) {
	a := newCaller(t, config())
	for n, text := range []string{"a&b=c", "x&token=other", "%41+é", "five.parts.of.a.jwe", "e30.e30.AA", " "} {
		subject := fmt.Sprint("user-", n)
		config := authtest.OpaqueTokenConfig{Text: text, Claims: authtest.Claims{"sub": subject}}
		if got := mintOpaque(t, a.issuer, config); got != text {
			t.Errorf("%q, want %q", got, text)
		}
		wantClaims(t, a.introspect(text).JSON, map[string]any{"active": true, "sub": subject})
		if _, err := a.issuer.MintOpaque(config); err == nil {
			t.Errorf("%q is minted twice", text)
		}
	}
	if _, err := a.issuer.MintOpaque(authtest.OpaqueTokenConfig{Claims: authtest.Claims{"c": make(chan int)}}); err == nil {
		t.Error("a channel as a claim")
	}
	var zero authtest.Issuer
	if token, err := zero.MintOpaque(authtest.OpaqueTokenConfig{}); err == nil {
		t.Errorf("the zero Issuer mints %q", token)
	}
}

func TestMintOpaque_copies_claims(t *testing.T) {
	a := newCaller(t, config())
	audiences := []string{resource}
	token := mintOpaque(t, a.issuer, authtest.OpaqueTokenConfig{Claims: authtest.Claims{"aud": audiences}})
	audiences[0] = otherResource
	wantClaims(t, a.introspect(token).JSON, map[string]any{"aud": []any{resource}})
}

func TestMintOpaque_remembers_a_bounded_number(t *testing.T) {
	a := newCaller(t, config())
	first := mintOpaque(t, a.issuer, authtest.OpaqueTokenConfig{})
	var last string
	for range 5000 {
		last = mintOpaque(t, a.issuer, authtest.OpaqueTokenConfig{})
	}
	if got := a.introspect(first).body; got != inactive {
		t.Errorf("the oldest: %s", got)
	}
	if got := a.introspect(last).JSON["active"]; got != true {
		t.Errorf("the latest: active %v", got)
	}
}

func TestIntrospect_only_for_authenticated_clients_of_the_configuration(t *testing.T) {
	a := newCaller(t, opaqueConfig())
	token := a.issuer.Token(nil)
	registered := a.register(`{"redirect_uris":["https://app.example/cb"]}`).JSON
	body := func(pairs ...string) url.Values { return form(form(nil, "token", token), pairs...) }
	wantError(t, a.post("/introspect", body()), http.StatusUnauthorized, "invalid_client")
	wantError(t, a.post("/introspect", body("client_id", "public")), http.StatusUnauthorized, "invalid_client")
	wrong := a.post("/introspect", body("client_id", "confidential", "client_secret", "wrong"))
	wantError(t, wrong, http.StatusUnauthorized, "invalid_client")
	if !strings.HasPrefix(wrong.header.Get("WWW-Authenticate"), "Basic ") {
		t.Error("no challenge (RFC 6749 §5.2)")
	}
	id, _ := registered["client_id"].(string)
	secret, _ := registered["client_secret"].(string)
	wantError(t, a.post("/introspect", body("client_id", id, "client_secret", secret)), http.StatusForbidden, "unauthorized_client")

	if got := a.post("/introspect", body("client_id", "confidential", "client_secret", "s3cret&/ü")); got.JSON["active"] != true {
		t.Errorf("client_secret_post: %d %s", got.status, got.body)
	}
	if got := a.asServer("/introspect", body("token_type_hint", "refresh_token")); got.JSON["active"] != true {
		t.Errorf("a wrong hint (RFC 7662 §2.1): %d %s", got.status, got.body)
	}
	wantError(t, a.asServer("/introspect", nil), http.StatusBadRequest, "invalid_request")
	wantError(t, a.asServer("/introspect", url.Values{"token": {token, token}}), http.StatusBadRequest, "invalid_request")
	if got := a.get(a.issuer.URL() + "/introspect?token=" + token); got.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", got.status)
	}
}

func TestIntrospect_signed_answers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCaller(t, opaqueConfig())
		now := time.Now().Unix()
		token := a.issuer.Token(nil)
		for name, test := range map[string]struct{ token, want string }{
			"active":   {token, strings.TrimSpace(a.introspect(token).body)},
			"inactive": {"guessed", inactive},
		} {
			got := a.asServer("/introspect", form(nil, "token", test.token), signed)
			if got.status != http.StatusOK || got.header.Get("Content-Type") != signed || got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d %v", name, got.status, got.header)
			}
			a.claims(got.body)
			if header, want := segment(t, got.body, 0), `{"alg":"ES256","kid":"es256-1","typ":"token-introspection+jwt"}`; header != want {
				t.Errorf("%s: header %s, want %s", name, header, want)
			}
			want := fmt.Sprintf(`{"aud":"confidential","iat":%d,"iss":"https://issuer.example","token_introspection":%s}`, now, test.want)
			if payload := segment(t, got.body, 1); payload != want {
				t.Errorf("%s: got  %s\nwant %s", name, payload, want)
			}
		}
	})
}

func TestIntrospect_signs_when_Accept_says_so(t *testing.T) {
	a := newCaller(t, opaqueConfig())
	values := form(nil, "token", a.issuer.Token(nil))
	for accept, want := range map[string]string{
		"":                                    "application/json",
		"*/*":                                 "application/json",
		"application/*":                       "application/json",
		"application/jwt":                     "application/json",
		signed:                                signed,
		"Application/Token-Introspection+JWT": signed,
		"application/json;q=0.5, " + signed:   signed,
		signed + ", application/json":         signed,
		signed + ";q=0.5, application/json":   "application/json",
		signed + ";q=0":                       "application/json",
		"application/token-introspection+jwt-not, application/json, ;": "application/json",
	} {
		if got := a.asServer("/introspect", values, accept).header.Get("Content-Type"); got != want {
			t.Errorf("Accept %q: %s, want %s", accept, got, want)
		}
	}
	if got := a.asServer("/introspect", values, "text/plain", signed).header.Get("Content-Type"); got != signed {
		t.Errorf("two fields: %s", got)
	}
}

func TestIntrospect_signs_with_the_current_key(t *testing.T) {
	a := newCaller(t, config())
	token := a.issuer.Token(nil)
	a.issuer.Rotate(0)
	got := a.asServer("/introspect", form(nil, "token", token), signed)
	if header := segment(t, got.body, 0); !strings.Contains(header, `"es256-2"`) {
		t.Errorf("header %s", header)
	}
	if wrapped, _ := a.claims(got.body)["token_introspection"].(map[string]any); wrapped["active"] != true {
		t.Errorf("the token of the old key: %v", wrapped)
	}
}

func TestIntrospect_faults(t *testing.T) {
	a := newCaller(t, opaqueConfig())
	values := form(nil, "token", a.issuer.Token(nil))
	a.issuer.SetFault(authtest.EndpointIntrospect, authtest.Flap(authtest.Respond(http.StatusTooManyRequests, nil, ""), nil))
	if got := a.asServer("/introspect", values); got.status != http.StatusTooManyRequests {
		t.Errorf("%d", got.status)
	}
	if got := a.asServer("/introspect", values); got.JSON["active"] != true {
		t.Errorf("%d %s", got.status, got.body)
	}
	a.issuer.SetFault(authtest.EndpointRevoke, authtest.HTML())
	if got := a.asServer("/revoke", values); got.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("revocation: %d %s", got.status, got.body)
	}
	if introspected, revoked := a.issuer.Hits(authtest.EndpointIntrospect), a.issuer.Hits(authtest.EndpointRevoke); introspected != 2 || revoked != 1 {
		t.Errorf("%d and %d hits", introspected, revoked)
	}
}
