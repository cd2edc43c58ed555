package middleware_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

// catalogueKeyring holds the private halves of what A publishes, and the keys of
// B, which have names of A's.
type catalogueKeyring struct {
	rsa              *rsa.PrivateKey
	p256, p384, p521 *ecdsa.PrivateKey
	ed               ed25519.PrivateKey

	foreignEC, foreignRSA authtest.Key
}

var catalogueKeys = sync.OnceValue(func() *catalogueKeyring {
	var k catalogueKeyring
	var errs [6]error
	k.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.p256, errs[1] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.p384, errs[2] = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	k.p521, errs[3] = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	k.foreignEC, errs[4] = authtest.NewKey("ES256", "e1")
	k.foreignRSA, errs[5] = authtest.NewKey("RS256", "r1")
	for _, err := range errs {
		if err != nil {
			panic(err)
		}
	}
	k.ed = ed25519.NewKeyFromSeed([]byte("gatehouse fixed Ed25519 test key"))
	return &k
})

// published returns the usual JWKs of A, without alg.
func (k *catalogueKeyring) published() []string {
	return []string{
		catalogueJWK(k.rsa.Public(), "kid", "r1"), catalogueJWK(k.p256.Public(), "kid", "e1"), catalogueJWK(k.p384.Public(), "kid", "e3"),
		catalogueJWK(k.p521.Public(), "kid", "e5"), catalogueJWK(k.ed.Public(), "kid", "d1"),
	}
}

// catalogueJWK returns a public key as a JWK with further members.
func catalogueJWK(public crypto.PublicKey, members ...string) string {
	all := make(map[string]string)
	switch key := public.(type) {
	case *rsa.PublicKey:
		all["kty"], all["n"], all["e"] = "RSA", catalogueSegment(key.N.Bytes()), catalogueSegment(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			panic(err)
		}
		size := len(point) / 2
		all["kty"], all["crv"] = "EC", key.Params().Name
		all["x"], all["y"] = catalogueSegment(point[1:1+size]), catalogueSegment(point[1+size:])
	case ed25519.PublicKey:
		all["kty"], all["crv"], all["x"] = "OKP", "Ed25519", catalogueSegment(key)
	}
	for pair := range slices.Chunk(members, 2) {
		all[pair[0]] = pair[1]
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func catalogueSegment[T string | []byte | ed25519.PublicKey](content T) string {
	return base64.RawURLEncoding.EncodeToString([]byte(content))
}

// private returns A's key for alg.
func (k *catalogueKeyring) private(alg string) crypto.Signer {
	switch alg {
	case "ES256":
		return k.p256
	case "ES384":
		return k.p384
	case "ES512":
		return k.p521
	case "EdDSA":
		return k.ed
	}
	return k.rsa
}

// catalogueSign returns a compact JWS of exactly these octets by A's key for alg.
func catalogueSign(alg, header, payload string) string {
	return catalogueSignText(alg, catalogueSegment(header), catalogueSegment(payload))
}

// catalogueSignText signs two segments that are texts already.
func catalogueSignText(alg, head, payload string) string {
	return catalogueSignBy(catalogueKeys().private(alg), alg, head+"."+payload)
}

func catalogueSignBy(key crypto.Signer, alg, input string) string {
	return input + "." + catalogueSegment(catalogueSignature(key, alg, input))
}

func catalogueHash(alg string) crypto.Hash {
	switch {
	case strings.HasSuffix(alg, "384"):
		return crypto.SHA384
	case strings.HasSuffix(alg, "512"):
		return crypto.SHA512
	}
	return crypto.SHA256
}

func catalogueDigest(hash crypto.Hash, text string) []byte {
	h := hash.New()
	h.Write([]byte(text))
	return h.Sum(nil)
}

// catalogueSignature signs as alg says, with the standard library alone. r and s
// have the octets of alg, whatever the curve (RFC 7518 §3.4).
func catalogueSignature(key crypto.Signer, alg, input string) []byte {
	hash := catalogueHash(alg)
	switch key := key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, catalogueDigest(hash, input))
		if err != nil {
			panic(err)
		}
		return catalogueRS(r, s, map[string]int{"ES256": 32, "ES384": 48, "ES512": 66}[alg])
	case ed25519.PrivateKey:
		return ed25519.Sign(key, []byte(input))
	case *rsa.PrivateKey:
		var options crypto.SignerOpts = hash
		if strings.HasPrefix(alg, "PS") {
			options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		}
		signature, err := key.Sign(rand.Reader, catalogueDigest(hash, input), options)
		if err != nil {
			panic(err)
		}
		return signature
	}
	panic("no such key")
}

func catalogueRS(r, s *big.Int, size int) []byte {
	return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
}

// catalogueHMAC returns a JWS whose signature is an HMAC.
func catalogueHMAC(alg, header, payload string, secret []byte) string {
	input := catalogueSegment(header) + "." + catalogueSegment(payload)
	mac := hmac.New(catalogueHash(alg).New, secret)
	mac.Write([]byte(input))
	return input + "." + catalogueSegment(mac.Sum(nil))
}

// cataloguePSS signs with a salt of any length (RFC 8017 §9.1.1); crypto/rsa makes
// none of zero octets.
func cataloguePSS(key *rsa.PrivateKey, input string, salt []byte) []byte {
	h := crypto.SHA256.New()
	h.Write(make([]byte, 8))
	h.Write(catalogueDigest(crypto.SHA256, input))
	h.Write(salt)
	sum := h.Sum(nil)
	db := make([]byte, key.Size()-len(sum)-1)
	copy(db[len(db)-len(salt):], salt)
	db[len(db)-len(salt)-1] = 1
	var mask []byte
	for counter := byte(0); len(mask) < len(db); counter++ {
		mask = append(mask, catalogueDigest(crypto.SHA256, string(sum)+string([]byte{0, 0, 0, counter}))...)
	}
	for i := range db {
		db[i] ^= mask[i]
	}
	db[0] &= 0x7f
	encoded := slices.Concat(db, sum, []byte{0xbc})
	return new(big.Int).Exp(new(big.Int).SetBytes(encoded), key.D, key.N).FillBytes(make([]byte, key.Size()))
}

// catalogueModulus is an RSA key by its numbers: crypto/rsa makes no weak ones.
type catalogueModulus struct{ n, e, d *big.Int }

// jwk returns its public half.
func (m catalogueModulus) jwk(kid string) string {
	return catalogueJWK(nil, "kty", "RSA", "kid", kid, "n", catalogueSegment(m.n.Bytes()), "e", catalogueSegment(m.e.Bytes()))
}

// sign returns an RS256 token. Without d the signature is the encoded message
// itself, which is what e = 1 asks for.
func (m catalogueModulus) sign(header, payload string) string {
	input := catalogueSegment(header) + "." + catalogueSegment(payload)
	size := (m.n.BitLen() + 7) / 8
	// RFC 8017 §9.2, note 1: the prefix of SHA-256.
	suffix := append([]byte("\x00\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"), catalogueDigest(crypto.SHA256, input)...)
	encoded := slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-2-len(suffix)), suffix)
	signature := new(big.Int).SetBytes(encoded)
	if m.d != nil {
		signature.Exp(signature, m.d, m.n)
	}
	return input + "." + catalogueSegment(signature.FillBytes(make([]byte, size)))
}

// catalogueShort makes a key of so many bits with e = 65537.
func catalogueShort(bits int) catalogueModulus {
	e, one := big.NewInt(65537), big.NewInt(1)
	for {
		p, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			panic(err)
		}
		q, err := rand.Prime(rand.Reader, bits-bits/2)
		if err != nil {
			panic(err)
		}
		n := new(big.Int).Mul(p, q)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		if d := new(big.Int).ModInverse(e, phi); d != nil && n.BitLen() == bits {
			return catalogueModulus{n, e, d}
		}
	}
}

// catalogueSorted makes the order of subtests the same every time.
func catalogueSorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
