package jose_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwe"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

func TestVerify_HA_01_none(t *testing.T) {
	set := fullSet(t)
	for name, header := range map[string]string{
		"with kid and typ":   `{"alg":"none","kid":"r1","typ":"at+jwt"}`,
		"without kid":        `{"alg":"none","typ":"at+jwt"}`,
		"without typ":        `{"alg":"none","kid":"r1"}`,
		"alone":              `{"alg":"none"}`,
		"None":               `{"alg":"None","kid":"r1"}`,
		"NONE":               `{"alg":"NONE","kid":"r1"}`,
		"nOnE":               `{"alg":"nOnE","kid":"r1"}`,
		"empty":              `{"alg":"","kid":"r1"}`,
		"absent":             `{"kid":"r1"}`,
		"null":               `{"alg":null,"kid":"r1"}`,
		"of an unknown kid":  `{"alg":"none","kid":"zz"}`,
		"with an empty kid":  `{"alg":"none","kid":""}`,
		"blank behind it":    `{"alg":"none ","kid":"r1"}`,
		"NUL behind it":      `{"alg":"none\u0000","kid":"r1"}`,
		"an alg of nobody's": `{"alg":"XS256","kid":"r1"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := signed("RS256", header, goodPayload)
			mustRefuse(t, set, text) // with a signature that fits
			mustRefuse(t, set, withSegment(text, 2, func(string) string { return "" }))
			mustRefuse(t, set, withSegment(good(), 0, func(string) string { return segment(header) }))
		})
	}
}

func TestVerify_HA_04_HA_05_alg_is_compared_exactly(t *testing.T) {
	set := fullSet(t)
	for _, header := range []string{
		`{"ALG":"RS256","kid":"r1"}`, `{"Alg":"RS256","kid":"r1"}`,
		`{"alg":"rs256","kid":"r1"}`, `{"alg":"Rs256","kid":"r1"}`, `{"alg":" RS256","kid":"r1"}`,
		`{"alg":"RS256 ","kid":"r1"}`, `{"alg":"RS256\n","kid":"r1"}`, `{"alg":"RS-256","kid":"r1"}`,
		`{"alg":"RS256\u0000","kid":"r1"}`, `{"alg":"RSA-SHA256","kid":"r1"}`, `{"alg":"RS1","kid":"r1"}`,
		`{"alg":"SHA256withRSA","kid":"r1"}`, `{"alg":"RS256,none","kid":"r1"}`, `{"alg":"ＲＳ256","kid":"r1"}`,
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			mustRefuse(t, set, signed("RS256", header, goodPayload))
		})
	}
	mustRefuse(t, set, signed("ES256", `{"alg":"ES-256","kid":"e1"}`, goodPayload))
}

// The key that a token brings along, or the address of one, must not matter: not
// as a key, and not as something to fetch.
func TestVerify_HA_12_keys_and_addresses_in_the_header(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write(document(jwk(otherRSA().Public(), "kid", "r1")))
	}))
	defer server.Close()
	set := fullSet(t)
	own := jwk(otherRSA().Public(), "kid", "r1")
	for name, member := range map[string]string{
		"jwk of the attacker":          `"jwk":` + own,
		"HA-11 jwk that is symmetric":  `"jwk":{"kty":"oct","k":"AAAA","kid":"r1"}`,
		"jku":                          `"jku":"` + server.URL + `"`,
		"jku of the metadata service":  `"jku":"http://169.254.169.254/latest/"`,
		"jku file":                     `"jku":"file:///etc/passwd"`,
		"jku data":                     `"jku":"data:application/json,` + base64.StdEncoding.EncodeToString(document(own)) + `"`,
		"x5u":                          `"x5u":"` + server.URL + `"`,
		"x5c":                          `"x5c":["AAAA"]`,
		"jku, x5u, jwk and x5c at one": `"jku":"` + server.URL + `","x5u":"` + server.URL + `","x5c":["AAAA"],"jwk":` + own,
	} {
		t.Run(name, func(t *testing.T) {
			header := segment(`{"alg":"RS256","kid":"r1",` + member + `}`)
			mustRefuse(t, set, signText(otherRSA(), "RS256", header, segment(goodPayload)))
			noKid := segment(`{"alg":"RS256",` + member + `}`)
			mustRefuse(t, set, signText(otherRSA(), "RS256", noKid, segment(goodPayload)))
			// The member alone does not spoil a token that our key signed.
			if !accepts(set, signText(rsaKey(), "RS256", header, segment(goodPayload))) {
				t.Error("a good token with this member is refused")
			}
		})
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests went out", n)
	}
}

func TestVerify_HA_15_strange_kids_find_nothing(t *testing.T) {
	set := fullSet(t)
	for _, kid := range []string{
		`../../dev/null`, `' OR 1=1--`, `$(id)`, "`id`", `%0d%0aX:1`, `{{7*7}}`, `kid\"} evil{`, `\u0000`, `r1\u0000`, `\u0000r1`,
		`R1`, ` r1`, `r1 `, `r1\n`, `r\u00b9`, `r1\u200b`, `0`, `1`, `r1,e1`, `*`, `/r1`, `http://127.0.0.1/r1`, `AAAA`,
	} {
		t.Run(kid, func(t *testing.T) {
			t.Parallel()
			parsed, err := jose.Parse(signed("RS256", `{"alg":"RS256","kid":"`+kid+`"}`, goodPayload))
			if err != nil {
				t.Fatal(err)
			}
			if set.Find(parsed) != nil {
				t.Error("found a key")
			}
		})
	}
	for _, length := range []int{4 << 10, 1 << 20} {
		header := `{"alg":"RS256","kid":"` + strings.Repeat("k", length) + `"}`
		if _, err := jose.Parse(signed("RS256", header, goodPayload)); err != jose.ErrTooLarge {
			t.Errorf("kid of %d octets: %v", length, err)
		}
	}
}

func TestParse_HA_16_kid_and_typ_are_strings(t *testing.T) {
	for _, value := range []string{`1`, `null`, `["r1"]`, `{"r1":1}`, `true`, `-0`, `1e3`, `[]`, `{}`} {
		for _, name := range []string{"kid", "typ"} {
			t.Run(name+" "+value, func(t *testing.T) {
				t.Parallel()
				header := `{"alg":"RS256","` + name + `":` + value + `}`
				if _, err := jose.Parse(signed("RS256", header, goodPayload)); err != jose.ErrHeader {
					t.Errorf("error %v, want %v", err, jose.ErrHeader)
				}
			})
		}
	}
}

// An empty kid is a name, and no key has it: not even the one without a kid.
func TestFind_HA_16_empty_kid(t *testing.T) {
	header := `{"alg":"RS256","kid":""}`
	for name, set := range map[string]*jose.KeySet{
		"key with kid":       keySet(t, jwk(rsaKey().Public(), "kid", "r1")),
		"key without kid":    keySet(t, jwk(rsaKey().Public())),
		"key with empty kid": keySet(t, jwk(rsaKey().Public(), "kid", "")),
	} {
		t.Run(name, func(t *testing.T) {
			token, err := jose.Parse(signed("RS256", header, goodPayload))
			if err != nil || !token.HasKeyID || token.KeyID != "" {
				t.Fatalf("parsed %+v, %v", token, err)
			}
			if set.Find(token) != nil {
				t.Error("found a key")
			}
		})
	}
}

func TestParse_refuses_what_changes_the_meaning_of_a_token(t *testing.T) {
	for name, members := range map[string]string{
		"HA-23 crit of a known claim":      `"crit":["exp"]`,
		"HA-23 crit of an extension":       `"crit":["x"],"x":1`,
		"HA-23 crit empty":                 `"crit":[]`,
		"HA-23 crit null":                  `"crit":null`,
		"HA-23 crit string":                `"crit":"exp"`,
		"HA-23 crit false":                 `"crit":false`,
		"HA-23 crit object":                `"crit":{}`,
		"HA-23 crit by an escape":          `"\u0063rit":["x"]`,
		"HA-25 b64 false":                  `"b64":false`,
		"HA-25 b64 false, critical":        `"b64":false,"crit":["b64"]`,
		"HA-26 b64 true, critical":         `"b64":true,"crit":["b64"]`,
		"HA-26 b64 true":                   `"b64":true`,
		"HA-25 b64 null":                   `"b64":null`,
		"HA-40 zip":                        `"zip":"DEF"`,
		"HA-40 zip null":                   `"zip":null`,
		"HA-40 zip of an unknown method":   `"zip":"GZ"`,
		"HA-23 crit names a header we use": `"crit":["kid"]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := `{"alg":"RS256","kid":"r1",` + members + `}`
			if _, err := jose.Parse(signed("RS256", header, goodPayload)); err != jose.ErrHeader {
				t.Errorf("error %v, want %v", err, jose.ErrHeader)
			}
		})
	}
}

// The payload as it is, and a signature over that: RFC 7797 §3.
func TestParse_HA_25_unencoded_payload(t *testing.T) {
	header := segment(`{"alg":"RS256","kid":"r1","b64":false,"crit":["b64"]}`)
	mustRefuse(t, fullSet(t), signText(rsaKey(), "RS256", header, goodPayload))
	mustRefuse(t, fullSet(t), signText(rsaKey(), "RS256", header, "$02"))
	detached := strings.Split(signText(rsaKey(), "RS256", header, goodPayload), ".")
	mustRefuse(t, fullSet(t), detached[0]+".."+detached[len(detached)-1])
}

func TestParse_HA_36_HA_38_encrypted_tokens(t *testing.T) {
	plain := segment(`{"alg":"none"}`) + "." + segment(goodPayload) + "."
	wrapped, err := jwe.Encrypt([]byte(plain), jwe.WithKey(jwa.RSA_OAEP_256, rsaKey().Public()))
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := jwe.Encrypt([]byte(plain), jwe.WithKey(jwa.RSA_OAEP_256, rsaKey().Public()), jwe.WithJSON())
	if err != nil {
		t.Fatal(err)
	}
	bomb := segment(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483647,"p2s":"AAAAAAAAAAA"}`)
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"HA-36 alg none inside":            {string(wrapped), jose.ErrEncrypted},
		"HA-36 in JSON":                    {string(asJSON), jose.ErrMalformed},
		"HA-38 2^31 rounds":                {bomb + ".AAAA.AAAA.AAAA.AAAA", jose.ErrEncrypted},
		"HA-36 direct":                     {segment(`{"alg":"dir","enc":"A128GCM"}`) + "..AAAA.AAAA.AAAA", jose.ErrEncrypted},
		"HA-36 a JWE header on three":      {segment(`{"alg":"dir","enc":"A128GCM"}`) + ".AAAA.AAAA", nil},
		"HA-38 2^31 rounds on three":       {bomb + ".AAAA.AAAA", nil},
		"five segments of nothing":         {"....", jose.ErrEncrypted},
		"six segments are no JWE":          {".....", jose.ErrMalformed},
		"five segments over the limit":     {"...." + strings.Repeat("A", jose.MaxToken), jose.ErrTooLarge},
		"five segments with a long header": {strings.Repeat("A", jose.MaxHeader+1) + "....", jose.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := jose.Parse(test.token); err != test.want {
				t.Errorf("error %v, want %v", err, test.want)
			}
			mustRefuse(t, fullSet(t), test.token)
		})
	}
}

// RFC 7515 §4.1.9: what typ may be is the issuer's rule; here it must arrive as it
// was sent.
func TestParse_HA_29_typ_is_passed_on_as_sent(t *testing.T) {
	for _, typ := range []string{"at+jwt", "AT+JWT", "application/at+jwt", " at+jwt", "at+jwt;x=1", "at+jwt\n", "dpop+jwt", ""} {
		header := fmt.Sprintf(`{"alg":"RS256","kid":"r1","typ":%q}`, typ)
		parsed, err := jose.Parse(signed("RS256", header, goodPayload))
		if err != nil || parsed.Type != typ {
			t.Errorf("typ %q, %v; want %q", parsed.Type, err, typ)
		}
	}
}

func TestVerify_the_signature_covers_every_octet(t *testing.T) {
	set := fullSet(t)
	for _, alg := range jose.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			header := fmt.Sprintf(`{"alg":%q}`, alg)
			token := signed(alg, header, goodPayload)
			if !accepts(set, token) {
				t.Fatal("the good token is refused")
			}
			mustRefuse(t, set, withSegment(token, 0, func(string) string { return segment(header + " ") }))
			mustRefuse(t, set, withSegment(token, 1, func(string) string { return segment(goodPayload + " ") }))
			mustRefuse(t, set, withSegment(token, 1, func(string) string { return "" }))
			text := strings.Split(token, ".")[2]
			octets, err := base64.RawURLEncoding.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			for _, changed := range [][]byte{
				nil, make([]byte, len(octets)), octets[:len(octets)-1], append([]byte{0}, octets...),
				append(octets[:len(octets):len(octets)], 0), append(octets[:len(octets):len(octets)], octets...),
				flipped(octets, 0), flipped(octets, len(octets)/2), flipped(octets, len(octets)-1),
			} {
				mustRefuse(t, set, withSegment(token, 2, func(string) string { return segment(changed) }))
			}
		})
	}
}

func flipped(octets []byte, at int) []byte {
	out := append([]byte(nil), octets...)
	out[at] ^= 1
	return out
}

// The hash alone, or the key alone, is no signature.
func TestVerify_with_another_key_of_the_same_kind(t *testing.T) {
	head, payload := segment(goodHeader), segment(goodPayload)
	mustRefuse(t, fullSet(t), signText(otherRSA(), "RS256", head, payload))
	sum := sha256.Sum256([]byte(head + "." + payload))
	mustRefuse(t, fullSet(t), head+"."+payload+"."+segment(sum[:]))
	//lint:ignore SA1019 what an attacker would use
	encrypted, err := rsa.EncryptPKCS1v15(rand.Reader, &rsaKey().PublicKey, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	mustRefuse(t, fullSet(t), head+"."+payload+"."+segment(encrypted))
}
