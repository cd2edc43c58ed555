package jose_test

import (
	"crypto/ed25519"
	"crypto/elliptic"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"filippo.io/edwards25519"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// skips checks that a set of the key alone is refused, and that beside a good key
// it is skipped for this cause and costs nothing else (KS-07).
func skips(t *testing.T, key, cause string) {
	t.Helper()
	if _, err := jose.ParseKeySet(document(key)); !errors.Is(err, jose.ErrNoKeys) {
		t.Errorf("alone: error %v, want %v", err, jose.ErrNoKeys)
	}
	neighbour := jwk(edKey().Public(), "kid", "good")
	for _, keys := range [][]string{{key, neighbour}, {neighbour, key}} {
		set, err := jose.ParseKeySet(document(keys...))
		if err != nil {
			t.Fatalf("it costs the whole set: %v", err)
		}
		if set.Len() != 1 || !accepts(set, signed("EdDSA", `{"alg":"EdDSA","kid":"good"}`, "{}")) {
			t.Errorf("%d keys are usable, or the good one is not", set.Len())
		}
		skipped := 0
		for _, n := range set.Skipped() {
			skipped += n
		}
		if skipped != 1 || cause != "" && set.Skipped()[cause] != 1 {
			t.Errorf("skipped %v, want one %q", set.Skipped(), cause)
		}
	}
}

func with(key string, members ...any) string {
	var all map[string]any
	if err := json.Unmarshal([]byte(key), &all); err != nil {
		panic(err)
	}
	return jwk(nil, append(members, flatten(all, members)...)...)
}

// flatten lists the members of all whose names are not among changed.
func flatten(all map[string]any, changed []any) (out []any) {
	for name, value := range all {
		replaced := false
		for i := 0; i < len(changed); i += 2 {
			replaced = replaced || changed[i] == name
		}
		if !replaced {
			out = append(out, name, value)
		}
	}
	return out
}

func TestParseKeySet_skips_keys_that_must_not_verify(t *testing.T) {
	rsaJWK := jwk(rsaKey().Public(), "kid", "k")
	ec := jwk(ecKey(elliptic.P256()).Public(), "kid", "k")
	ed := jwk(edKey().Public(), "kid", "k")
	point, err := ecKey(elliptic.P256()).PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := point[1:33], point[33:]
	for name, test := range map[string]struct{ key, cause string }{
		"oct":                                 {`{"kty":"oct","kid":"k","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}`, "symmetric"},
		"oct with alg HS256":                  {`{"kty":"oct","kid":"k","alg":"HS256","k":"c2VjcmV0"}`, "symmetric"},
		"oct that says RS256":                 {`{"kty":"oct","kid":"k","alg":"RS256","k":"c2VjcmV0"}`, "symmetric"},
		"oct without k":                       {`{"kty":"oct","kid":"k"}`, "symmetric"},
		"RSA with k":                          {with(rsaJWK, "k", "c2VjcmV0"), "symmetric"},
		"RSA with d":                          {with(rsaJWK, "d", segment(rsaKey().D.Bytes())), "private"},
		"RSA with p":                          {with(rsaJWK, "p", segment(rsaKey().Primes[0].Bytes())), "private"},
		"RSA with q":                          {with(rsaJWK, "q", segment(rsaKey().Primes[1].Bytes())), "private"},
		"RSA with dp":                         {with(rsaJWK, "dp", "AQ"), "private"},
		"RSA with dq":                         {with(rsaJWK, "dq", "AQ"), "private"},
		"RSA with qi":                         {with(rsaJWK, "qi", "AQ"), "private"},
		"RSA with oth":                        {with(rsaJWK, "oth", []any{map[string]any{"r": "AQ", "d": "AQ", "t": "AQ"}}), "private"},
		"EC with d":                           {with(ec, "d", segment(make([]byte, 32))), "private"},
		"Ed25519 with d":                      {with(ed, "d", segment(edKey().Seed())), "private"},
		"use enc":                             {with(rsaJWK, "use", "enc"), "use"},
		"use of another case":                 {with(rsaJWK, "use", "SIG"), "use"},
		"use that nobody knows":               {with(rsaJWK, "use", "tls"), "use"},
		"key_ops encrypt":                     {with(rsaJWK, "key_ops", []any{"encrypt"}), "use"},
		"key_ops sign":                        {with(rsaJWK, "key_ops", []any{"sign"}), "use"},
		"key_ops verify but use enc":          {with(rsaJWK, "key_ops", []any{"verify"}, "use", "enc"), "use"},
		"use sig but key_ops deriveKey":       {with(ec, "key_ops", []any{"deriveKey"}, "use", "sig"), "use"},
		"alg none":                            {with(rsaJWK, "alg", "none"), "algorithm"},
		"alg HS256 on RSA":                    {with(rsaJWK, "alg", "HS256"), "algorithm"},
		"alg RSA-OAEP":                        {with(rsaJWK, "alg", "RSA-OAEP"), "algorithm"},
		"alg of another case":                 {with(rsaJWK, "alg", "rs256"), "algorithm"},
		"HA-45 alg ES384 on P-256":            {with(ec, "alg", "ES384"), "algorithm"},
		"HA-45 alg RS256 on EC":               {with(ec, "alg", "RS256"), "algorithm"},
		"HA-45 alg ES256 on RSA":              {with(rsaJWK, "alg", "ES256"), "algorithm"},
		"HA-62 alg EdDSA on RSA":              {with(rsaJWK, "alg", "EdDSA"), "algorithm"},
		"HA-63 AKP":                           {`{"kty":"AKP","kid":"k","alg":"ML-DSA-44","pub":"AAAA"}`, "type"},
		"no kty":                              {with(rsaJWK, "kty", nil), "type"},
		"kty of another case":                 {with(rsaJWK, "kty", "rsa"), "type"},
		"KTY":                                 {with(rsaJWK, "kty", nil, "KTY", "RSA"), "type"},
		"null":                                {`null`, ""},
		"a number":                            {`7`, "malformed"},
		"a string":                            {`"RSA"`, "malformed"},
		"an array":                            {`[]`, "malformed"},
		"an empty object":                     {`{}`, "type"},
		"kid is a number":                     {with(rsaJWK, "kid", 7), "malformed"},
		"kid is an array":                     {with(rsaJWK, "kid", []any{"k"}), "malformed"},
		"use is an array":                     {with(rsaJWK, "use", []any{"sig"}), "malformed"},
		"key_ops is a string":                 {with(rsaJWK, "key_ops", "verify"), "malformed"},
		"alg is an array":                     {with(rsaJWK, "alg", []any{"RS256"}), "malformed"},
		"n is a number":                       {with(rsaJWK, "n", 65537), "malformed"},
		"n is missing":                        {with(rsaJWK, "n", nil), "malformed"},
		"e is missing":                        {with(rsaJWK, "e", nil), "malformed"},
		"n is not base64url":                  {with(rsaJWK, "n", "!!!!"), "malformed"},
		"n in the standard alphabet":          {with(rsaJWK, "n", "++//"), "malformed"},
		"EC without y":                        {with(ec, "y", nil), "malformed"},
		"EC without crv":                      {with(ec, "crv", nil), "malformed"},
		"HA-45 EC of secp256k1":               {with(ec, "crv", "secp256k1"), "malformed"},
		"HA-45 EC of another curve's name":    {with(ec, "crv", "P-384"), "malformed"},
		"EC off the curve":                    {with(ec, "y", segment(flipped(y, 31))), "malformed"},
		"EC at 0, 0":                          {with(ec, "x", segment(make([]byte, 32)), "y", segment(make([]byte, 32))), "malformed"},
		"EC whose x is not reduced":           {with(ec, "x", segment(new(big.Int).Add(new(big.Int).SetBytes(x), elliptic.P256().Params().P).Bytes())), "malformed"},
		"wrong kty, EC's members":             {with(ec, "kty", "RSA"), "malformed"},
		"HA-60 Ed25519 of 0 octets":           {with(ed, "x", ""), "malformed"},
		"HA-60 Ed25519 of 31 octets":          {with(ed, "x", segment(make([]byte, 31))), "malformed"},
		"HA-60 Ed25519 of 33 octets":          {with(ed, "x", segment(append([]byte(edKey().Public().(ed25519.PublicKey)), 0))), "malformed"},
		"HA-62 Ed448":                         {`{"kty":"OKP","kid":"k","crv":"Ed448","x":"` + segment(make([]byte, 57)) + `"}`, "malformed"},
		"HA-62 X25519":                        {`{"kty":"OKP","kid":"k","crv":"X25519","x":"` + segment([]byte(edKey().Public().(ed25519.PublicKey))) + `"}`, ""},
		"HA-62 X25519 that says EdDSA":        {`{"kty":"OKP","kid":"k","alg":"EdDSA","crv":"X25519","x":"` + segment([]byte(edKey().Public().(ed25519.PublicKey))) + `"}`, ""},
		"HA-59 Ed25519 that is not on it":     {with(ed, "x", segment(append([]byte{2}, make([]byte, 31)...))), "unsafe"},
		"HA-50 e=1":                           {with(rsaJWK, "e", "AQ"), ""},
		"HA-50 e=0":                           {with(rsaJWK, "e", "AA"), ""},
		"HA-50 e=2":                           {with(rsaJWK, "e", "Ag"), "unsafe"},
		"HA-50 e=65536":                       {with(rsaJWK, "e", "AQAA"), "unsafe"},
		"HA-50 e of 5 octets":                 {with(rsaJWK, "e", segment([]byte{1, 0, 0, 0, 1})), "malformed"},
		"HA-50 e of 9 octets, cut to 65537":   {with(rsaJWK, "e", segment([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})), "malformed"},
		"HA-50 e of 256 octets, cut to 65537": {with(rsaJWK, "e", segment(append(append([]byte{1}, make([]byte, 252)...), 1, 0, 1))), "malformed"},
		"HA-50 e that wraps to minus one":     {with(rsaJWK, "e", segment([]byte{255, 255, 255, 255, 255, 255, 255, 255})), "malformed"},
		"HA-52 even modulus":                  {with(rsaJWK, "n", segment(new(big.Int).Sub(rsaKey().N, big.NewInt(1)).Bytes())), "unsafe"},
		"HA-52 modulus zero":                  {with(rsaJWK, "n", "AA"), "unsafe"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			skips(t, test.key, test.cause)
		})
	}
}

// modulus returns an odd number of exactly so many bits.
func modulus(bits int) string {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return segment(n.SetBit(n, 0, 1).SetBit(n, bits/2, 1).Bytes())
}

func TestParseKeySet_HA_49_HA_51_size_of_RSA(t *testing.T) {
	for bits, usable := range map[int]bool{
		8: false, 512: false, 1023: false, 1024: false, 2047: false, 2048: true, 3072: true, 4096: true, 8192: true,
		8193: false, 16384: false, 65536: false,
	} {
		t.Run(fmt.Sprint(bits), func(t *testing.T) {
			t.Parallel()
			for _, e := range []string{"AQAB", "Aw", segment([]byte{0x7f, 0xff, 0xff, 0xff})} {
				key := `{"kty":"RSA","kid":"k","n":"` + modulus(bits) + `","e":"` + e + `"}`
				if !usable {
					skips(t, key, "unsafe")
				} else if set := keySet(t, key); set.Len() != 1 {
					t.Errorf("e %s: %d keys", e, set.Len())
				}
			}
		})
	}
}

// A real key of 1024 bits whose signature the library verifies: only the size can
// refuse it.
func TestVerify_HA_49_short_key_with_a_good_signature(t *testing.T) {
	short := shortRSA(t)
	token := signText(short, "RS256", segment(`{"alg":"RS256","kid":"k"}`), segment("{}"))
	set := keySet(t, jwk(short.Public(), "kid", "k"), jwk(edKey().Public(), "kid", "d1"))
	if accepts(set, token) || set.Skipped()["unsafe"] != 1 {
		t.Errorf("skipped %v", set.Skipped())
	}
}

func TestParseKeySet_HA_58_HA_59_points_of_small_order(t *testing.T) {
	identity := edwards25519.NewIdentityPoint()
	for name, text := range small {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := hex.DecodeString(text)
			if err != nil {
				t.Fatal(err)
			}
			point, err := new(edwards25519.Point).SetBytes(key)
			if err != nil || new(edwards25519.Point).MultByCofactor(point).Equal(identity) != 1 {
				t.Fatalf("not a point of small order: %v", err)
			}
			skips(t, jwk(ed25519.PublicKey(key), "kid", "k"), "unsafe")
			skips(t, jwk(ed25519.PublicKey(key), "alg", "EdDSA"), "unsafe")
		})
	}
}

// The point is good, but it has a second spelling: two keys that are one.
func TestParseKeySet_HA_59_y_that_is_not_reduced(t *testing.T) {
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	found := 0
	for y := int64(2); y < 19; y++ {
		key := new(big.Int).Add(prime, big.NewInt(y)).FillBytes(make([]byte, 32))
		slices.Reverse(key)
		if _, err := new(edwards25519.Point).SetBytes(key); err != nil {
			continue
		}
		found++
		skips(t, jwk(ed25519.PublicKey(key), "kid", "k"), "unsafe")
	}
	if found == 0 {
		t.Error("no such point")
	}
}

// Why: with the identity as key, one signature fits every message.
func TestVerify_HA_58_the_attack_is_real(t *testing.T) {
	key, err := hex.DecodeString(small["HA-58 identity"])
	if err != nil {
		t.Fatal(err)
	}
	forged := append(append([]byte(nil), key...), make([]byte, 32)...)
	input := segment(`{"alg":"EdDSA","kid":"k"}`) + "." + segment(goodPayload)
	if !ed25519.Verify(key, []byte(input), forged) {
		t.Fatal("the library has become strict")
	}
	set := keySet(t, jwk(ed25519.PublicKey(key), "kid", "k"), jwk(edKey().Public(), "kid", "d1"))
	if accepts(set, input+"."+segment(forged)) {
		t.Error("accepted")
	}
}

// The negative controls: legal keys that a strict reader must not lose.
func TestParseKeySet_keeps_legal_keys(t *testing.T) {
	rsaJWK := jwk(rsaKey().Public(), "kid", "k")
	token := signed("RS256", `{"alg":"RS256","kid":"k"}`, "{}")
	for name, key := range map[string]string{
		"nothing but the key":                rsaJWK,
		"use sig":                            with(rsaJWK, "use", "sig"),
		"key_ops verify":                     with(rsaJWK, "key_ops", []any{"verify"}),
		"key_ops verify among others":        with(rsaJWK, "key_ops", []any{"sign", "verify"}),
		"key_ops empty":                      with(rsaJWK, "key_ops", []any{}),
		"alg":                                with(rsaJWK, "alg", "RS256"),
		"unknown members":                    with(rsaJWK, "x-vendor", map[string]any{"a": []any{1}}, "exp", 1, "revoked", nil),
		"members of an elliptic curve":       with(rsaJWK, "crv", "P-256"),
		"issuer, as Microsoft Entra has it":  with(rsaJWK, "issuer", "https://login.example.com/{tenantid}/v2.0"),
		"padded n, as some providers write":  with(rsaJWK, "n", segment(rsaKey().N.Bytes())+"=="),
		"n with a leading zero, as some do":  with(rsaJWK, "n", segment(append([]byte{0}, rsaKey().N.Bytes()...))),
		"KS-36 x5c that is garbage":          with(rsaJWK, "x5c", []any{"garbage"}),
		"KS-36 x5c of nothing":               with(rsaJWK, "x5c", []any{}),
		"KS-36 x5t that fits nothing":        with(rsaJWK, "x5t", "AAAA", "x5t#S256", "AAAA"),
		"KS-36 x5u over http":                with(rsaJWK, "x5u", "http://127.0.0.1:1/x5u"),
		"KS-36 x5u that is no URL":           with(rsaJWK, "x5u", "::"),
		"a case variant of a private member": with(rsaJWK, "D", "AQ"),
		"null for what is optional":          strings.TrimSuffix(rsaJWK, "}") + `,"use":null,"alg":null,"key_ops":null,"x5c":null}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := keySet(t, key)
			if !accepts(set, token) || len(set.Skipped()) != 0 {
				t.Errorf("refused, skipped %v", set.Skipped())
			}
		})
	}
}

func TestParseKeySet_keeps_the_issuer_member(t *testing.T) {
	set := keySet(t, jwk(rsaKey().Public(), "kid", "k", "issuer", "https://i.example"), jwk(edKey().Public(), "kid", "d1"))
	for kid, want := range map[string]string{"k": "https://i.example", "d1": ""} {
		alg := map[string]string{"k": "RS256", "d1": "EdDSA"}[kid]
		key := set.Find(&jose.JWS{Algorithm: alg, KeyID: kid, HasKeyID: true})
		if key == nil || key.Issuer != want || key.ID != kid {
			t.Errorf("%s: %+v", kid, key)
		}
	}
}

// small is every encoding of a point of small order on edwards25519: eight points,
// of which some have a second spelling with y >= p or with a needless sign.
var small = map[string]string{
	"HA-58 identity":                    "0100000000000000000000000000000000000000000000000000000000000000",
	"HA-59 order 2":                     "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"HA-59 order 4":                     "0000000000000000000000000000000000000000000000000000000000000000",
	"HA-59 order 4, other sign":         "0000000000000000000000000000000000000000000000000000000000000080",
	"HA-59 order 8":                     "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"HA-59 order 8, other sign":         "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"HA-59 order 8, the other":          "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"HA-59 order 8, the other and sign": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"HA-59 identity with a sign":        "0100000000000000000000000000000000000000000000000000000000000080",
	"HA-59 order 2 with a sign":         "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"HA-59 p for 0":                     "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"HA-59 p for 0 with a sign":         "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"HA-59 p+1 for 1":                   "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"HA-59 p+1 for 1 with a sign":       "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}
