package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// The keys are constants, so that a fuzz corpus signed by one process verifies in
// another. They protect nothing.
const (
	primeP = "cecc5371c57392bcd05e83e8e0de58bd1238e824fa7ced2962b48c9b4b7828e6add5ef002544f9705b6d3ffef094c718" +
		"28d5e763469faa1053ee1c28b09937e5dc8306d273f812b54ffb61e25d320338333a2594f87a54e86822056f295c650e" +
		"30e6c4181b9d067802392e3dec3d7bc4aaeb579f55c0cad8639d0d0a8a29c37f"
	primeQ = "d0f8a4c5ec8f176c458c9300f525859e43b777ca6ee1ef478bc9870b75edb0711c1ee6358ecc323c78df986e60e0b980" +
		"683ca666535f540108f48db8f2944f3a990b8286b3279a88985934e85b6aff12239f915883490db1e80bd74b94571db3" +
		"75a5adaebe9d6687d7fb8c8d52832df1b03d0807c06db30e17c687fa3ad13a61"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	p, _ := new(big.Int).SetString(primeP, 16)
	q, _ := new(big.Int).SetString(primeQ, 16)
	one, e := big.NewInt(1), big.NewInt(65537)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537},
		D:         new(big.Int).ModInverse(e, phi),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	return key
})

// otherRSA is a second RSA key.
var otherRSA = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// shortRSA returns a key of 1024 bits.
func shortRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ecKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	scalar := make([]byte, (curve.Params().BitSize+7)/8)
	for i := range scalar[1:] {
		scalar[i+1] = byte(i + 1)
	}
	key, err := ecdsa.ParseRawPrivateKey(curve, scalar)
	if err != nil {
		panic(err)
	}
	return key
}

func edKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed([]byte("gatehouse fixed Ed25519 test key"))
}

// privateKey returns the fixed key that alg takes.
func privateKey(alg string) crypto.Signer {
	switch alg {
	case "ES256":
		return ecKey(elliptic.P256())
	case "ES384":
		return ecKey(elliptic.P384())
	case "ES512":
		return ecKey(elliptic.P521())
	case "EdDSA":
		return edKey()
	}
	return rsaKey()
}

func segment[T string | []byte](content T) string {
	return base64.RawURLEncoding.EncodeToString([]byte(content))
}

// jwk returns the JWK of a public key. members are names and values that are
// added, or replaced, or left out where the value is nil.
func jwk(public crypto.PublicKey, members ...any) string {
	all := map[string]any{}
	switch key := public.(type) {
	case *rsa.PublicKey:
		all["kty"], all["n"], all["e"] = "RSA", segment(key.N.Bytes()), segment(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			panic(err)
		}
		size := len(point) / 2
		all["kty"], all["crv"] = "EC", key.Params().Name
		all["x"], all["y"] = segment(point[1:1+size]), segment(point[1+size:])
	case ed25519.PublicKey:
		all["kty"], all["crv"], all["x"] = "OKP", "Ed25519", segment([]byte(key))
	}
	for i := 0; i < len(members); i += 2 {
		all[members[i].(string)] = members[i+1]
	}
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func document(keys ...string) []byte { return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`) }

func keySet(t testing.TB, keys ...string) *jose.KeySet {
	t.Helper()
	set, err := jose.ParseKeySet(document(keys...))
	if err != nil {
		t.Fatalf("key set: %v", err)
	}
	return set
}

// fullSet holds r1 (RSA), e1, e3, e5 (elliptic curves) and d1 (Ed25519), none of
// them with alg.
func fullSet(t testing.TB) *jose.KeySet {
	t.Helper()
	return keySet(t,
		jwk(rsaKey().Public(), "kid", "r1"),
		jwk(privateKey("ES256").Public(), "kid", "e1"),
		jwk(privateKey("ES384").Public(), "kid", "e3"),
		jwk(privateKey("ES512").Public(), "kid", "e5"),
		jwk(edKey().Public(), "kid", "d1"))
}

func hashOf(alg string) crypto.Hash {
	switch {
	case strings.HasSuffix(alg, "384"):
		return crypto.SHA384
	case strings.HasSuffix(alg, "512"):
		return crypto.SHA512
	}
	return crypto.SHA256
}

func digest(hash crypto.Hash, text string) []byte {
	h := hash.New()
	h.Write([]byte(text))
	return h.Sum(nil)
}

// signature signs input as alg says, with the standard library alone. The hash is
// alg's; the octets of r and s are size, where alg is one of ES*.
func signature(private crypto.Signer, alg, input string) []byte {
	hash := hashOf(alg)
	switch key := private.(type) {
	case *ecdsa.PrivateKey:
		size := map[string]int{"ES256": 32, "ES384": 48, "ES512": 66}[alg]
		r, s := pair(key, digest(hash, input))
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case ed25519.PrivateKey:
		return ed25519.Sign(key, []byte(input))
	case *rsa.PrivateKey:
		var options crypto.SignerOpts = hash
		if strings.HasPrefix(alg, "PS") {
			options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		}
		out, err := key.Sign(rand.Reader, digest(hash, input), options)
		if err != nil {
			panic(err)
		}
		return out
	}
	panic("no such key")
}

// pair signs a digest deterministically (RFC 6979).
func pair(key *ecdsa.PrivateKey, sum []byte) (r, s *big.Int) {
	hash := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(sum)]
	der, err := key.Sign(nil, sum, hash)
	if err != nil {
		panic(err)
	}
	var out struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &out); err != nil {
		panic(err)
	}
	return out.R, out.S
}

// signText signs two segments that are texts already.
func signText(private crypto.Signer, alg, head, payload string) string {
	input := head + "." + payload
	return input + "." + segment(signature(private, alg, input))
}

// signed returns a compact JWS of exactly these octets with alg's fixed key.
func signed(alg, header, payload string) string {
	return signText(privateKey(alg), alg, segment(header), segment(payload))
}

func hmacToken(alg, header string, secret []byte) string {
	input := segment(header) + "." + segment(`{"sub":"u"}`)
	mac := hmac.New(hashOf(alg).New, secret)
	mac.Write([]byte(input))
	return input + "." + segment(mac.Sum(nil))
}

// accepts reports whether token is parsed, finds its key and verifies.
func accepts(set *jose.KeySet, token string) bool {
	parsed, err := jose.Parse(token)
	if err != nil {
		return false
	}
	key := set.Find(parsed)
	return key != nil && key.Verify(parsed)
}

// mustRefuse fails the test for a token that is accepted, with its own key or with
// any other of the set: Verify must not lean on Find.
func mustRefuse(t *testing.T, set *jose.KeySet, token string) {
	t.Helper()
	parsed, err := jose.Parse(token)
	if err != nil {
		return
	}
	if key := set.Find(parsed); key != nil && key.Verify(parsed) {
		t.Error("accepted")
	}
	for _, name := range []string{"r1", "e1", "e3", "e5", "d1"} {
		for _, alg := range jose.Algorithms() {
			other := set.Find(&jose.JWS{Algorithm: alg, KeyID: name, HasKeyID: true})
			if other != nil && other.Verify(parsed) {
				t.Errorf("accepted with the key %s", name)
			}
		}
	}
}
