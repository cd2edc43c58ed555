package jose_test

import (
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// KS-05, KS-06, KS-35: whatever a provider may answer with status 200 that is not
// a set with usable keys must be an error, so that it cannot replace one.
func TestParseKeySet_refuses_what_is_not_a_set(t *testing.T) {
	key := jwk(rsaKey().Public(), "kid", "k")
	set := string(document(key))
	for name, text := range map[string]string{
		"KS-05 nothing":                            "",
		"KS-05 blanks":                             " \n",
		"KS-05 HTML":                               "<!DOCTYPE html><html><body>Sign in</body></html>",
		"KS-05 null":                               "null",
		"KS-05 true":                               "true",
		"KS-05 a number":                           "1",
		"KS-05 a string":                           `"keys"`,
		"KS-05 an empty array":                     "[]",
		"KS-05 an empty object":                    "{}",
		"KS-05 keys is an object":                  `{"keys":{}}`,
		"KS-05 keys is an object of keys":          `{"keys":{"k":` + key + `}}`,
		"KS-05 keys is null":                       `{"keys":null}`,
		"KS-05 keys is a string":                   `{"keys":"` + segment(set) + `"}`,
		"KS-05 a bare JWK":                         key,
		"KS-05 a bare array of JWKs":               "[" + key + "]",
		"KS-05 a set in an array":                  "[" + set + "]",
		"KS-05 a set in a set":                     `{"keys":[` + set + `]}`,
		"KS-05 cut in half":                        set[:len(set)/2],
		"KS-05 cut at the end":                     set[:len(set)-1],
		"KS-05 garbage behind":                     set + "garbage",
		"KS-05 a second set behind":                set + set,
		"KS-05 a NUL behind":                       set + "\x00",
		"KS-05 an error as JSON":                   `{"error":"temporarily_unavailable","error_description":"..."}`,
		"KS-06 no keys":                            `{"keys":[]}`,
		"KS-06 keys that are all unusable":         `{"keys":[null,7,{"kty":"oct","k":"AAAA"}]}`,
		"KS-35 keys twice":                         `{"keys":[` + key + `],"keys":[]}`,
		"KS-35 keys twice, the good last":          `{"keys":[],"keys":[` + key + `]}`,
		"KS-35 keys twice by an escape":            `{"keys":[` + key + `],"\u006beys":[` + key + `]}`,
		"KS-35 KEYS":                               `{"KEYS":[` + key + `]}`,
		"KS-35 Keys":                               `{"Keys":[` + key + `]}`,
		"KS-35 kid twice in one JWK":               `{"keys":[` + strings.Replace(key, "{", `{"kid":"z",`, 1) + `]}`,
		"KS-35 n twice in one JWK":                 `{"keys":[` + strings.Replace(key, "{", `{"n":"AQAB",`, 1) + `]}`,
		"KS-35 a duplicate in an unknown member":   `{"x":{"a":1,"a":2},"keys":[` + key + `]}`,
		"KS-35 a duplicate inside a JWK's member":  `{"keys":[{"x":{"a":1,"a":2},` + key[1:] + `]}`,
		"KS-05 byte order mark":                    "\ufeff" + set,
		"KS-05 UTF-16":                             utf16le(set),
		"KS-05 invalid UTF-8 in a kid":             strings.Replace(set, `"k"`, "\"\xff\"", 1),
		"KS-05 lone surrogate in a kid":            strings.Replace(set, `"k"`, `"\ud800"`, 1),
		"KS-05 a comment":                          "/* keys */" + set,
		"KS-05 trailing comma":                     `{"keys":[` + key + `,]}`,
		"KS-05 nested too deeply":                  `{"x":` + nested(33) + `,"keys":[` + key + `]}`,
		"KS-05 100 000 brackets":                   strings.Repeat("[", 100_000),
		"KS-05 a form":                             "keys=" + base64.URLEncoding.EncodeToString([]byte(set)),
		"KS-05 a PEM":                              "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
		"KS-05 keys of keys":                       `{"keys":[[` + key + `]]}`,
		"KS-05 the key as a string":                `{"keys":["` + segment(key) + `"]}`,
		"KS-05 JSON lines":                         set + "\n" + set,
		"KS-05 a JSON prefix against script reads": ")]}'\n" + set,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := jose.ParseKeySet([]byte(text))
			if err == nil || got != nil {
				t.Fatalf("%v, %v", got, err)
			}
			// Nothing of the answer may be in the text.
			if message := err.Error(); message != jose.ErrNoKeys.Error() && message != "not a JWK set" {
				t.Errorf("error %q", message)
			}
		})
	}
}

func TestParseKeySet_KS_10_many_keys(t *testing.T) {
	key := jwk(edKey().Public(), "kid", nil)
	repeat := func(n int, kid func(int) any) []byte {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = with(key, "kid", kid(i))
		}
		return document(keys...)
	}
	numbered := func(i int) any { return fmt.Sprint("k", i) }
	none := func(int) any { return nil }
	one := func(int) any { return "k" }
	for name, test := range map[string]struct {
		document []byte
		keys     int // usable keys; negative for an error
	}{
		"as many as the limit":            {repeat(jose.MaxKeys, numbered), jose.MaxKeys},
		"one more than the limit":         {repeat(jose.MaxKeys+1, numbered), -1},
		"10 000 keys":                     {repeat(10_000, numbered), -1},
		"10 000 keys of one kid":          {repeat(10_000, one), -1},
		"1 000 equal keys of one kid":     {repeat(jose.MaxKeys, one), 1},
		"1 000 keys without kid":          {repeat(jose.MaxKeys, none), jose.MaxKeys},
		"10 000 values that are no keys":  {[]byte(`{"keys":[` + strings.Repeat("0,", 9_999) + `0]}`), -1},
		"1 000 values, one of them a key": {[]byte(`{"keys":[` + strings.Repeat("0,", 999) + key + `]}`), 1},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := jose.ParseKeySet(test.document)
			if (err != nil) != (test.keys < 0) {
				t.Fatal(err)
			}
			if err == nil && set.Len() != test.keys {
				t.Errorf("%d keys, want %d", set.Len(), test.keys)
			}
		})
	}
	// Refusing must be cheaper than reading: no key is parsed.
	large := repeat(10_000, numbered)
	if got := allocated(func() { _, _ = jose.ParseKeySet(large) }); got > uint64(4*len(large)) {
		t.Errorf("%d octets allocated for %d", got, len(large))
	}
}

func TestParseKeySet_HA_20_duplicate_kids(t *testing.T) {
	first := jwk(rsaKey().Public(), "kid", "k")
	second := jwk(otherRSA().Public(), "kid", "k")
	ec := jwk(ecKey(elliptic.P256()).Public(), "kid", "k")
	neighbour := jwk(edKey().Public(), "kid", "d1")
	head := segment(`{"alg":"RS256","kid":"k"}`)
	byFirst := signText(rsaKey(), "RS256", head, segment("{}"))
	bySecond := signText(otherRSA(), "RS256", head, segment("{}"))
	byEC := signed("ES256", `{"alg":"ES256","kid":"k"}`, "{}")
	noKid := signed("RS256", `{"alg":"RS256"}`, "{}")
	for name, test := range map[string]struct {
		keys    []string
		usable  int
		skipped int
		first   bool
	}{
		"two keys":                          {[]string{first, second, neighbour}, 1, 2, false},
		"in the other order":                {[]string{second, neighbour, first}, 1, 2, false},
		"of different kinds":                {[]string{first, ec, neighbour}, 1, 2, false},
		"three keys":                        {[]string{first, second, ec, neighbour}, 1, 3, false},
		"a third that equals the first":     {[]string{first, second, first, neighbour}, 1, 3, false},
		"the same key twice":                {[]string{first, first, neighbour}, 2, 0, true},
		"the same key for two algs":         {[]string{with(first, "alg", "RS256"), with(first, "alg", "PS256"), neighbour}, 1, 2, false},
		"the other is for encryption":       {[]string{first, with(second, "use", "enc"), neighbour}, 2, 1, true},
		"the other is unsafe":               {[]string{with(first, "e", "Ag"), first, neighbour}, 2, 1, true},
		"the other is private":              {[]string{with(second, "d", "AQ"), first, neighbour}, 2, 1, true},
		"kids that differ in case":          {[]string{first, with(second, "kid", "K"), neighbour}, 3, 0, true},
		"kids that differ in normalization": {[]string{first, with(second, "kid", "ｋ"), neighbour}, 3, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			set := keySet(t, test.keys...)
			skipped := 0
			for _, n := range set.Skipped() {
				skipped += n
			}
			if set.Len() != test.usable || skipped != test.skipped {
				t.Errorf("%d usable, skipped %v", set.Len(), set.Skipped())
			}
			if got := accepts(set, byFirst); got != test.first {
				t.Errorf("signed by the first: accepted %t", got)
			}
			if accepts(set, bySecond) || accepts(set, byEC) {
				t.Error("a token of another key is accepted")
			}
			if !test.first && accepts(set, noKid) {
				t.Error("without kid the key is back")
			}
			if found := set.Find(&jose.JWS{Algorithm: "RS256", KeyID: "k", HasKeyID: true}); (found != nil) != test.first {
				t.Errorf("found: %t", found != nil)
			}
			if !accepts(set, signed("EdDSA", `{"alg":"EdDSA","kid":"d1"}`, "{}")) {
				t.Error("the neighbour is lost")
			}
		})
	}
	if _, err := jose.ParseKeySet(document(first, second)); !errors.Is(err, jose.ErrNoKeys) {
		t.Errorf("nothing but duplicates: %v", err)
	}
}

func TestFind_HA_17_HA_18_no_kid(t *testing.T) {
	rsaJWK, other := jwk(rsaKey().Public(), "kid", "r1"), jwk(otherRSA().Public(), "kid", "r2")
	ec := jwk(ecKey(elliptic.P256()).Public(), "kid", "e1")
	twenty := make([]string, 20)
	for i := range twenty {
		twenty[i] = jwk(ecKey(elliptic.P256()).Public(), "kid", fmt.Sprint("e", i))
	}
	for name, test := range map[string]struct {
		keys []string
		alg  string
		want bool
	}{
		"one key":                                  {[]string{rsaJWK}, "RS256", true},
		"one key without kid":                      {[]string{with(rsaJWK, "kid", nil)}, "RS256", true},
		"one key of this kind":                     {[]string{ec, rsaJWK}, "RS256", true},
		"two keys of this kind":                    {[]string{rsaJWK, other}, "RS256", false},
		"two of this kind, one for this alg":       {[]string{rsaJWK, with(other, "alg", "PS256")}, "RS256", true},
		"two of this kind, both for this alg":      {[]string{with(rsaJWK, "alg", "RS256"), with(other, "alg", "RS256")}, "RS256", false},
		"two of this kind, one unusable":           {[]string{rsaJWK, with(other, "use", "enc")}, "RS256", true},
		"two of this kind, one without kid":        {[]string{rsaJWK, with(other, "kid", nil)}, "RS256", false},
		"none of this kind":                        {[]string{rsaJWK}, "ES256", false},
		"HA-18 twenty keys":                        {twenty, "ES256", false},
		"HA-18 twenty keys and one of this kind":   {append(twenty, rsaJWK), "RS256", true},
		"HA-18 twenty keys, all of another's kind": {twenty, "RS256", false},
	} {
		t.Run(name, func(t *testing.T) {
			set := keySet(t, test.keys...)
			if got := accepts(set, signed(test.alg, `{"alg":"`+test.alg+`"}`, "{}")); got != test.want {
				t.Errorf("accepted: %t", got)
			}
		})
	}
}

// A certificate in a JWK is neither read nor fetched.
func TestParseKeySet_KS_36_certificates(t *testing.T) {
	var asked atomic.Int64
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, otherRSA().Public(), otherRSA())
	if err != nil {
		t.Fatal(err)
	}
	foreign := base64.StdEncoding.EncodeToString(der)
	key := jwk(rsaKey().Public(), "kid", "k")
	head := segment(`{"alg":"RS256","kid":"k"}`)
	for name, text := range map[string]string{
		"x5c of another key, expired":    with(key, "x5c", []any{foreign}),
		"x5c that is no certificate":     with(key, "x5c", []any{"AAAA"}),
		"x5u over http":                  with(key, "x5u", plain.URL),
		"x5u over https":                 with(key, "x5u", secure.URL),
		"x5c, x5t and x5u of nobody":     with(key, "x5c", []any{foreign}, "x5t", "AAAA", "x5t#S256", "AAAA", "x5u", plain.URL),
		"x5u beside a URL in the issuer": with(key, "x5u", plain.URL, "issuer", plain.URL),
	} {
		t.Run(name, func(t *testing.T) {
			set := keySet(t, text)
			if !accepts(set, signText(rsaKey(), "RS256", head, segment("{}"))) {
				t.Error("the key of n and e is refused")
			}
			if accepts(set, signText(otherRSA(), "RS256", head, segment("{}"))) {
				t.Error("the certificate's key is accepted")
			}
		})
	}
	// With a certificate and nothing else there is no key.
	skips(t, `{"kty":"RSA","kid":"k","x5c":["`+foreign+`"],"x5u":"`+plain.URL+`"}`, "malformed")
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests went out", n)
	}
}

func TestKeySet_Equal(t *testing.T) {
	a, b := jwk(rsaKey().Public(), "kid", "a"), jwk(edKey().Public(), "kid", "b")
	base := keySet(t, a, b)
	for name, test := range map[string]struct {
		keys []string
		want bool
	}{
		"the same document":                 {[]string{a, b}, true},
		"an unusable key more":              {[]string{a, `{"kty":"oct"}`, b}, true},
		"a member more":                     {[]string{with(a, "x5t", "AAAA"), b}, true},
		"a key less":                        {[]string{a}, false},
		"a key more":                        {[]string{a, b, with(a, "kid", "c")}, false},
		"KS-24 another key of the same kid": {[]string{jwk(otherRSA().Public(), "kid", "a"), b}, false},
		"another kid":                       {[]string{with(a, "kid", "c"), b}, false},
		"KS-34 another alg":                 {[]string{with(a, "alg", "RS256"), b}, false},
		"another issuer":                    {[]string{with(a, "issuer", "i"), b}, false},
		"another kind":                      {[]string{jwk(ecKey(elliptic.P256()).Public(), "kid", "a"), b}, false},
	} {
		t.Run(name, func(t *testing.T) {
			other := keySet(t, test.keys...)
			if base.Equal(other) != test.want || other.Equal(base) != test.want {
				t.Errorf("equal: %t, want %t", base.Equal(other), test.want)
			}
		})
	}
	if base.Equal(nil) {
		t.Error("equal to none")
	}
}

func TestKeySet_is_safe_for_concurrent_use(t *testing.T) {
	set := fullSet(t)
	var group sync.WaitGroup
	for _, alg := range jose.Algorithms() {
		token := signed(alg, `{"alg":"`+alg+`"}`, "{}")
		for range 4 {
			group.Go(func() {
				if !accepts(set, token) || set.Len() != 5 || !set.Equal(set) {
					t.Errorf("%s is refused", alg)
				}
			})
		}
	}
	group.Wait()
}

// A key under the same kid in another set must not open the token.
func TestVerify_key_of_another_set(t *testing.T) {
	mine := keySet(t, jwk(rsaKey().Public(), "kid", "k"))
	foreign := keySet(t, jwk(otherRSA().Public(), "kid", "k"))
	token, err := jose.Parse(signText(otherRSA(), "RS256", segment(`{"alg":"RS256","kid":"k"}`), segment("{}")))
	if err != nil {
		t.Fatal(err)
	}
	if key := foreign.Find(token); key == nil || !key.Verify(token) {
		t.Fatal("the control does not verify")
	}
	if key := mine.Find(token); key == nil || key.Verify(token) {
		t.Error("accepted, or not found")
	}
}
