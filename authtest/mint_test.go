package authtest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

func segment(t *testing.T, token string, n int) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a compact JWS", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func mint(t *testing.T, issuer *authtest.Issuer, config authtest.TokenConfig) string {
	t.Helper()
	token, err := issuer.Mint(config)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// strip removes jti, which is random.
func strip(t *testing.T, claims string) string {
	t.Helper()
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(claims), &members); err != nil {
		t.Fatal(err)
	}
	if len(members["jti"]) < 20 {
		t.Errorf("jti %s", members["jti"])
	}
	delete(members, "jti")
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestToken_defaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newCaller(t, config())
		now := time.Now().Unix()
		token := a.issuer.Token(nil)
		if got, want := segment(t, token, 0), `{"alg":"ES256","kid":"es256-1","typ":"at+jwt"}`; got != want {
			t.Errorf("header %s, want %s", got, want)
		}
		want := fmt.Sprintf(`{"aud":%q,"client_id":"client-1","exp":%d,"iat":%d,"iss":"https://issuer.example",`+
			`"scope":"openid files:read files:write","sub":"user-1"}`, resource, now+300, now)
		if got := strip(t, segment(t, token, 1)); got != want {
			t.Errorf("claims %s, want %s", got, want)
		}
		a.claims(token)
		if other := a.issuer.Token(nil); segment(t, other, 1) == segment(t, token, 1) {
			t.Error("two tokens share their jti")
		}

		id := a.issuer.IDToken(authtest.Claims{"nonce": "n"})
		if got, want := segment(t, id, 0), `{"alg":"ES256","kid":"es256-1","typ":"JWT"}`; got != want {
			t.Errorf("ID token header %s, want %s", got, want)
		}
		want = fmt.Sprintf(`{"aud":"client-1","exp":%d,"iat":%d,"iss":"https://issuer.example","nonce":"n","sub":"user-1"}`, now+300, now)
		if got := strip(t, segment(t, id, 1)); got != want {
			t.Errorf("ID token claims %s, want %s", got, want)
		}
	})
}

func TestToken_any_claim_can_be_any_JSON_or_absent(t *testing.T) {
	issuer := authtest.NewIssuer(t, config())
	claims := authtest.Claims{
		"exp": time.Unix(12, 999), "iat": 1.5, "iss": nil, "aud": []string{}, "sub": map[string]any{"a": 1}, "scope": []string{"a"},
		"client_id": authtest.Omit, "jti": authtest.Omit, "nbf": json.RawMessage("1e400"), "absent": authtest.Omit,
	}
	want := `{"aud":[],"exp":12,"iat":1.5,"iss":null,"nbf":1e400,"scope":["a"],"sub":{"a":1}}`
	if got := segment(t, issuer.Token(claims), 1); got != want {
		t.Errorf("claims %s, want %s", got, want)
	}
	if claims["client_id"] != authtest.Omit {
		t.Error("the caller's claims were changed")
	}
}

func TestMint_header_key_and_algorithm(t *testing.T) {
	a := newCaller(t, config())
	header := mint(t, a.issuer, authtest.TokenConfig{Header: authtest.Header{"typ": authtest.Omit, "kid": 7, "alg": "none", "crit": nil}})
	if got, want := segment(t, header, 0), `{"alg":"none","crit":null,"kid":7}`; got != want {
		t.Errorf("header %s, want %s", got, want)
	}
	for _, alg := range []string{"RS256", "ES384", "EdDSA"} {
		token := mint(t, a.issuer, authtest.TokenConfig{Algorithm: alg})
		if !strings.HasPrefix(segment(t, token, 0), `{"alg":"`+alg+`"`) {
			t.Errorf("%s: header %s", alg, segment(t, token, 0))
		}
		a.claims(token)
	}
	foreign, err := authtest.NewKey("ES256", "es256-1")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.Parse(mint(t, a.issuer, authtest.TokenConfig{Key: foreign}))
	if err != nil {
		t.Fatal(err)
	}
	set, err := jose.ParseKeySet(a.issuer.JWKS())
	if err != nil {
		t.Fatal(err)
	}
	if key := set.Find(parsed); key == nil || key.Verify(parsed) {
		t.Error("a foreign key under the issuer's kid: no key is found, or it verifies")
	}
}

func TestKey_Sign_keeps_every_octet(t *testing.T) {
	issuer := authtest.NewIssuer(t, config())
	token, err := issuer.Key().Sign([]byte(`{"alg":"ES256","alg":"none"}`), []byte("no JSON"))
	if err != nil || segment(t, token, 0) != `{"alg":"ES256","alg":"none"}` || segment(t, token, 1) != "no JSON" {
		t.Errorf("%s, %v", token, err)
	}
	if _, err := (authtest.Key{}).Sign(nil, nil); err == nil {
		t.Error("the zero key signs")
	}
}

func TestMint_reports_what_is_no_JSON(t *testing.T) {
	issuer := authtest.NewIssuer(t, config())
	if _, err := issuer.Mint(authtest.TokenConfig{Claims: authtest.Claims{"c": make(chan int)}}); err == nil {
		t.Error("a channel as a claim")
	}
	if _, err := issuer.Mint(authtest.TokenConfig{Header: authtest.Header{"c": func() {}}}); err == nil {
		t.Error("a function in the header")
	}
	if _, err := issuer.Mint(authtest.TokenConfig{Algorithm: "HS256"}); err == nil {
		t.Error("a symmetric algorithm")
	}
	if _, err := issuer.Mint(authtest.TokenConfig{Key: issuer.Key(), Algorithm: "RS256"}); err == nil || !strings.Contains(err.Error(), `"RS256"`) {
		t.Errorf("a key for another algorithm: %v", err)
	}
}

func TestToken_fails_the_test_or_panics_where_there_is_none(t *testing.T) {
	spy := &spyTB{}
	authtest.NewIssuer(spy, config()).Token(authtest.Claims{"c": make(chan int)})
	if spy.failures != 1 {
		t.Errorf("%d failures, want 1", spy.failures)
	}
	issuer, err := authtest.New(config())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	issuer.Token(authtest.Claims{"c": make(chan int)})
}

type spyTB struct {
	failures int
	cleanups []func()
}

func (*spyTB) Helper()                 {}
func (s *spyTB) Fatalf(string, ...any) { s.failures++ }
func (s *spyTB) Cleanup(f func())      { s.cleanups = append(s.cleanups, f) }
