package jose_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	jwxkey "github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

func signingKey(t *testing.T, alg, kid string) jose.SigningKey {
	t.Helper()
	key, err := jose.GenerateKey(alg, kid)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicJWK(t *testing.T, key jose.SigningKey) []byte {
	t.Helper()
	text, err := key.PublicJWK()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func headerOf(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestSigningKey_every_algorithm_verifies_with_both_libraries(t *testing.T) {
	for _, alg := range jose.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			key := signingKey(t, alg, "k1")
			payload := []byte(`{"sub":"u"}`)
			token, err := key.Sign(map[string]any{"typ": "at+jwt"}, payload)
			if err != nil {
				t.Fatal(err)
			}
			if !verifiesWithGolangJWT(t, key, token) {
				t.Error("golang-jwt refuses the signature")
			}
			parsed, err := jwxkey.ParseKey(publicJWK(t, key))
			if err != nil {
				t.Fatal(err)
			}
			got, err := jws.Verify([]byte(token), jws.WithKey(jwa.SignatureAlgorithm(alg), parsed))
			if err != nil || string(got) != string(payload) {
				t.Errorf("jwx: %q, %v", got, err)
			}
		})
	}
}

func TestSigningKey_another_key_of_the_same_name_does_not_verify(t *testing.T) {
	key, other := signingKey(t, "ES256", "k1"), signingKey(t, "ES256", "k1")
	token, err := key.Sign(nil, []byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	if !verifiesWithGolangJWT(t, key, token) || verifiesWithGolangJWT(t, other, token) {
		t.Error("the key does not verify, or the other one does")
	}
}

func verifiesWithGolangJWT(t *testing.T, key jose.SigningKey, token string) bool {
	t.Helper()
	set, err := jose.ParseKeySet(fmt.Appendf(nil, `{"keys":[%s]}`, publicJWK(t, key)))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	found := set.Find(parsed)
	return found != nil && found.Verify(parsed)
}

func TestSigningKey_Sign_writes_exactly_the_given_header(t *testing.T) {
	key := signingKey(t, "ES256", "k1")
	for name, test := range map[string]struct {
		header map[string]any
		want   string
	}{
		"alg and kid are added":          {nil, `{"alg":"ES256","kid":"k1"}`},
		"other members stay":             {map[string]any{"typ": "JWT", "crit": []string{"x"}}, `{"alg":"ES256","crit":["x"],"kid":"k1","typ":"JWT"}`},
		"alg and kid can be replaced":    {map[string]any{"alg": "none", "kid": 7}, `{"alg":"none","kid":7}`},
		"nil leaves a member out":        {map[string]any{"kid": nil, "alg": nil}, `{}`},
		"nil for an absent member is ok": {map[string]any{"typ": nil}, `{"alg":"ES256","kid":"k1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := key.Sign(test.header, []byte("p"))
			if err != nil {
				t.Fatal(err)
			}
			if got := headerOf(t, token); got != test.want {
				t.Errorf("header %s, want %s", got, test.want)
			}
		})
	}
}

func TestSigningKey_SignRaw_keeps_every_octet(t *testing.T) {
	key := signingKey(t, "EdDSA", "")
	header := `{"alg":"EdDSA", "alg":"none"}`
	token, err := key.SignRaw([]byte(header), []byte{0xff, 0, '\n'})
	if err != nil {
		t.Fatal(err)
	}
	if got := headerOf(t, token); got != header {
		t.Errorf("header %s, want %s", got, header)
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil || string(payload) != "\xff\x00\n" {
		t.Errorf("payload %q, %v", payload, err)
	}
}

func TestSigningKey_PublicJWK_holds_no_private_member(t *testing.T) {
	want := map[string]string{
		"RS256": "alg e kid kty n use", "ES512": "alg crv kid kty use x y", "EdDSA": "alg crv kid kty use x",
	}
	for alg, names := range want {
		t.Run(alg, func(t *testing.T) {
			var members map[string]any
			if err := json.Unmarshal(publicJWK(t, signingKey(t, alg, "k1")), &members); err != nil {
				t.Fatal(err)
			}
			for _, name := range strings.Fields(names) {
				if _, ok := members[name]; !ok {
					t.Errorf("member %q is missing", name)
				}
				delete(members, name)
			}
			if len(members) > 0 {
				t.Errorf("members besides %s: %d", names, len(members))
			}
		})
	}
	var members map[string]any
	if err := json.Unmarshal(publicJWK(t, signingKey(t, "ES256", "")), &members); err != nil {
		t.Fatal(err)
	}
	if _, ok := members["kid"]; ok {
		t.Error("a key without kid publishes one")
	}
}

func TestSigningKey_Thumbprint_is_that_of_RFC_7638(t *testing.T) {
	key := signingKey(t, "ES256", "k1")
	var members map[string]string
	if err := json.Unmarshal(publicJWK(t, key), &members); err != nil {
		t.Fatal(err)
	}
	// RFC 7638 §3.2: the required members only, in lexicographic order.
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, members["x"], members["y"]))
	got, err := key.Thumbprint()
	if want := base64.RawURLEncoding.EncodeToString(sum[:]); err != nil || got != want {
		t.Errorf("thumbprint %q, %v; want %q", got, err, want)
	}
}

func TestSigningKey_zero_value_and_unknown_algorithms_are_refused(t *testing.T) {
	var zero jose.SigningKey
	if _, err := zero.Sign(nil, nil); err == nil {
		t.Error("the zero key signs")
	}
	if _, err := zero.PublicJWK(); err == nil {
		t.Error("the zero key has a JWK")
	}
	if _, err := zero.Thumbprint(); err == nil {
		t.Error("the zero key has a thumbprint")
	}
	for _, alg := range []string{"", "none", "HS256", "es256", "ES256K"} {
		if _, err := jose.GenerateKey(alg, "k1"); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", alg)) {
			t.Errorf("alg %q: %v", alg, err)
		}
	}
}

func TestSigningKey_is_safe_for_concurrent_use(t *testing.T) {
	key := signingKey(t, "ES256", "k1")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			token, err := key.Sign(map[string]any{"typ": "JWT"}, []byte(`{}`))
			if err != nil || !verifiesWithGolangJWT(t, key, token) {
				t.Errorf("concurrent signature: %v", err)
			}
			if _, err := key.PublicJWK(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}
