package jose_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// publicEncodings returns every text and octet string by which a public key of the
// set may be known to an attacker.
func publicEncodings(t *testing.T) map[string][]byte {
	t.Helper()
	public := &rsaKey().PublicKey
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<31, 0),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, public, rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	text := block("PUBLIC KEY", spki)
	ec := &ecKey(elliptic.P256()).PublicKey
	point, err := ec.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	n := segment(public.N.Bytes())
	return map[string][]byte{
		"HA-06 SPKI PEM":                       text,
		"HA-06 SPKI PEM without final newline": bytes.TrimSuffix(text, []byte("\n")),
		"HA-06 SPKI PEM with CRLF":             bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")),
		"HA-06 SPKI PEM with a leading blank":  append([]byte(" "), text...),
		"HA-06 SPKI DER":                       spki,
		"HA-06 PKCS #1 PEM":                    block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(public)),
		"HA-06 PKCS #1 DER":                    x509.MarshalPKCS1PublicKey(public),
		"HA-06 certificate PEM":                block("CERTIFICATE", certificate),
		"HA-06 certificate DER":                certificate,
		"HA-06 modulus":                        public.N.Bytes(),
		"HA-06 modulus in base64url":           []byte(n),
		"HA-07 JWK as served":                  []byte(jwk(public, "kid", "r1")),
		"HA-07 canonical JWK (RFC 7638)":       fmt.Appendf(nil, `{"e":"AQAB","kty":"RSA","n":%q}`, n),
		"HA-07 whole key set":                  document(jwk(public, "kid", "r1")),
		"HA-07 x of the EC key":                point[1:33],
		"HA-07 x and y of the EC key":          point[1:],
		"HA-07 uncompressed point":             point,
		"HA-07 Ed25519 octets":                 edKey().Public().(ed25519.PublicKey),
		"HA-06 nothing":                        {},
		"HA-06 a zero octet":                   {0},
		"HA-06 the kid":                        []byte("r1"),
	}
}

func TestVerify_a_public_key_is_no_HMAC_secret(t *testing.T) {
	set := fullSet(t)
	for name, secret := range publicEncodings(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, alg := range []string{"HS256", "HS384", "HS512"} {
				for _, kid := range []string{`,"kid":"r1"`, `,"kid":"e1"`, `,"kid":"d1"`, ``, `,"kid":"zz"`} {
					mustRefuse(t, set, hmacToken(alg, `{"alg":"`+alg+`"`+kid+`}`, secret))
				}
				// An HMAC under the name of a signature.
				mustRefuse(t, set, hmacToken(alg, `{"alg":"RS256","kid":"r1"}`, secret))
			}
		})
	}
}

// The attack must be real: a library that is asked accepts the forged token.
func TestVerify_the_HMAC_forgery_is_well_formed(t *testing.T) {
	secret := publicEncodings(t)["HA-06 SPKI PEM"]
	token := hmacToken("HS256", `{"alg":"HS256","kid":"r1"}`, secret)
	if _, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return secret, nil }); err != nil {
		t.Error(err)
	}
}

func TestFind_key_type_and_alg_must_fit(t *testing.T) {
	set := fullSet(t)
	fits := map[string][]string{
		"r1": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
		"e1": {"ES256"}, "e3": {"ES384"}, "e5": {"ES512"}, "d1": {"EdDSA"},
	}
	algorithms := append(jose.Algorithms(), "", "none", "HS256", "HS384", "HS512", "ES256K", "Ed25519", "Ed448", "RSA-OAEP",
		"dir", "A128KW", "ECDH-ES", "RS1", "ES224", "ML-DSA-44", "rs256")
	for kid, wanted := range fits {
		for _, alg := range algorithms {
			found := set.Find(&jose.JWS{Algorithm: alg, KeyID: kid, HasKeyID: true})
			want := false
			for _, name := range wanted {
				want = want || name == alg
			}
			if got := found != nil; got != want {
				t.Errorf("HA-19 %s for %q: %t, want %t", kid, alg, got, want)
			}
			if found != nil && (found.ID != kid || !found.Serves(alg)) {
				t.Errorf("%s for %q: found %q", kid, alg, found.ID)
			}
		}
	}
}

// Signed by r1 or by the EC key, under another alg and kid.
func TestVerify_HA_19_signature_of_another_kind(t *testing.T) {
	set := fullSet(t)
	for _, by := range []string{"RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"} {
		for _, alg := range append(jose.Algorithms(), "none", "HS256") {
			if alg == by {
				continue
			}
			for _, kid := range []string{"r1", "e1", "e3", "d1"} {
				mustRefuse(t, set, signed(by, fmt.Sprintf(`{"alg":%q,"kid":%q}`, alg, kid), goodPayload))
			}
		}
	}
}

func TestVerify_HA_57_alg_of_the_key_binds(t *testing.T) {
	for _, bound := range jose.Algorithms()[:6] {
		set := keySet(t, jwk(rsaKey().Public(), "kid", "r1", "alg", bound))
		for _, alg := range jose.Algorithms()[:6] {
			for _, kid := range []string{`,"kid":"r1"`, ``} {
				token := signed(alg, `{"alg":"`+alg+`"`+kid+`}`, goodPayload)
				if got, want := accepts(set, token), alg == bound; got != want {
					t.Errorf("key for %s, token of %s: accepted %t", bound, alg, got)
				}
			}
		}
	}
	// Without alg the key serves the whole family, and the issuer's list decides.
	free := keySet(t, jwk(rsaKey().Public()))
	for _, alg := range jose.Algorithms()[:6] {
		if !accepts(free, signed(alg, `{"alg":"`+alg+`"}`, goodPayload)) {
			t.Errorf("%s is refused", alg)
		}
	}
}

func TestVerify_HA_42_ECDSA_in_DER(t *testing.T) {
	input := segment(`{"alg":"ES256","kid":"e1"}`) + "." + segment(goodPayload)
	der, err := ecKey(elliptic.P256()).Sign(nil, digest(crypto.SHA256, input), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.VerifyASN1(&ecKey(elliptic.P256()).PublicKey, digest(crypto.SHA256, input), der) {
		t.Fatal("the control does not verify")
	}
	mustRefuse(t, fullSet(t), input+"."+segment(der))
}

// crossed signs with the key of one curve under the alg of another: the alg's hash,
// and r and s padded to the octets that alg has.
func crossed(key *ecdsa.PrivateKey, alg, kid string) (token string, raw []byte) {
	input := segment(fmt.Sprintf(`{"alg":%q,"kid":%q}`, alg, kid)) + "." + segment(goodPayload)
	raw = signature(key, alg, input)
	return input + "." + segment(raw), raw
}

func TestVerify_HA_44_HA_45_curve_and_alg_must_fit(t *testing.T) {
	p256, p384 := ecKey(elliptic.P256()), ecKey(elliptic.P384())
	for name, test := range map[string]struct {
		key    *ecdsa.PrivateKey
		alg    string
		method jwt.SigningMethod
	}{
		"HA-44 ES384 by P-256": {p256, "ES384", jwt.SigningMethodES384},
		"HA-45 ES512 by P-256": {p256, "ES512", jwt.SigningMethodES512},
		"HA-45 ES512 by P-384": {p384, "ES512", jwt.SigningMethodES512},
	} {
		t.Run(name, func(t *testing.T) {
			token, raw := crossed(test.key, test.alg, "k")
			input := token[:strings.LastIndexByte(token, '.')]
			if err := test.method.Verify(input, raw, &test.key.PublicKey); err != nil {
				t.Fatalf("the library has become strict: %v", err)
			}
			if accepts(keySet(t, jwk(test.key.Public(), "kid", "k")), token) {
				t.Error("accepted")
			}
			mustRefuse(t, fullSet(t), token)
			// A JWK that claims the wrong alg itself is no key.
			if _, err := jose.ParseKeySet(document(jwk(test.key.Public(), "kid", "k", "alg", test.alg))); err != jose.ErrNoKeys {
				t.Errorf("key with alg %s: %v", test.alg, err)
			}
		})
	}
	for _, curve := range []elliptic.Curve{elliptic.P384(), elliptic.P521()} {
		key := ecKey(curve)
		input := segment(`{"alg":"ES256","kid":"k"}`) + "." + segment(goodPayload)
		r, s := pair(key, digest(crypto.SHA256, input))
		size := (curve.Params().BitSize + 7) / 8
		raw := append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		if accepts(keySet(t, jwk(key.Public(), "kid", "k")), input+"."+segment(raw)) {
			t.Errorf("HA-45 ES256 by %s: accepted", curve.Params().Name)
		}
	}
	mustRefuse(t, fullSet(t), signed("ES256", `{"alg":"ES256K","kid":"e1"}`, goodPayload))
}

// CVE-2022-21449: r and s that make the equation trivially true.
func TestVerify_ECDSA_with_trivial_r_and_s(t *testing.T) {
	order := elliptic.P256().Params().N
	numbers := []*big.Int{big.NewInt(0), big.NewInt(1), order, new(big.Int).Sub(order, big.NewInt(1)), new(big.Int).Add(order, big.NewInt(1)), elliptic.P256().Params().P}
	input := segment(`{"alg":"ES256","kid":"e1"}`) + "." + segment(goodPayload)
	for _, r := range numbers {
		for _, s := range numbers {
			raw := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
			mustRefuse(t, fullSet(t), input+"."+segment(raw))
		}
	}
}

func TestVerify_HA_53_PSS_salt_is_as_long_as_the_hash(t *testing.T) {
	for alg, method := range map[string]jwt.SigningMethod{
		"PS256": jwt.SigningMethodPS256, "PS384": jwt.SigningMethodPS384, "PS512": jwt.SigningMethodPS512,
	} {
		hash := hashOf(alg)
		longest := rsaKey().Size() - 2 - hash.Size()
		for _, salt := range []int{0, 1, 16, 20, 32, 48, 64, longest} {
			t.Run(fmt.Sprintf("%s salt %d", alg, salt), func(t *testing.T) {
				t.Parallel()
				input := segment(`{"alg":"`+alg+`","kid":"r1"}`) + "." + segment(goodPayload)
				raw := signPSS(rsaKey(), hash, input, salt)
				if err := method.Verify(input, raw, &rsaKey().PublicKey); err != nil {
					t.Fatalf("the library has become strict: %v", err)
				}
				got := accepts(fullSet(t), input+"."+segment(raw))
				if want := salt == hash.Size(); got != want {
					t.Errorf("accepted: %t, want %t", got, want)
				}
			})
		}
	}
}

// signPSS signs with a salt of any length (RFC 8017 §9.1.1); crypto/rsa makes none
// of zero octets.
func signPSS(key *rsa.PrivateKey, hash crypto.Hash, input string, length int) []byte {
	size := key.Size()
	salt := bytes.Repeat([]byte{7}, length)
	h := hash.New()
	h.Write(make([]byte, 8))
	h.Write(digest(hash, input))
	h.Write(salt)
	sum := h.Sum(nil)
	block := make([]byte, size-hash.Size()-1)
	block[len(block)-length-1] = 1
	copy(block[len(block)-length:], salt)
	var mask []byte
	for counter := byte(0); len(mask) < len(block); counter++ {
		h.Reset()
		h.Write(sum)
		h.Write([]byte{0, 0, 0, counter})
		mask = h.Sum(mask)
	}
	for i := range block {
		block[i] ^= mask[i]
	}
	block[0] &= 0x7f // the modulus has a multiple of 8 bits
	encoded := append(append(block, sum...), 0xbc)
	return new(big.Int).Exp(new(big.Int).SetBytes(encoded), key.D, key.N).FillBytes(make([]byte, size))
}

func TestVerify_HA_61_EdDSA_signature_forms(t *testing.T) {
	token := signed("EdDSA", `{"alg":"EdDSA","kid":"d1"}`, goodPayload)
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[2])
	if err != nil {
		t.Fatal(err)
	}
	// S + L is the same S: RFC 8032 §5.1.7 has it refused.
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	backwards := func(in []byte) []byte {
		out := make([]byte, len(in))
		for i, c := range in {
			out[len(in)-1-i] = c
		}
		return out
	}
	s := new(big.Int).SetBytes(backwards(raw[32:]))
	twin := append(append([]byte(nil), raw[:32]...), backwards(new(big.Int).Add(s, order).FillBytes(make([]byte, 32)))...)
	for name, changed := range map[string][]byte{
		"63 octets": raw[:63], "65 octets": append(raw[:64:64], 0), "S not reduced": twin, "none": {},
	} {
		t.Run(name, func(t *testing.T) {
			mustRefuse(t, fullSet(t), withSegment(token, 2, func(string) string { return segment(changed) }))
		})
	}
}

func TestVerify_HA_62_HA_63_algorithms_that_are_not_ours(t *testing.T) {
	for _, alg := range []string{"Ed25519", "Ed448", "ESP256", "eddsa", "EDDSA", "ML-DSA-44", "ML-DSA-65", "SLH-DSA-SHA2-128s"} {
		mustRefuse(t, fullSet(t), signed("EdDSA", `{"alg":"`+alg+`","kid":"d1"}`, goodPayload))
		mustRefuse(t, fullSet(t), signed("EdDSA", `{"alg":"`+alg+`"}`, goodPayload))
	}
}
