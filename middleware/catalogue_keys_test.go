package middleware_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// catalogueRaw64 decodes the signature of a token.
func catalogueRaw64(t *testing.T, token string) (input string, signature []byte) {
	t.Helper()
	cut := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[cut+1:])
	if err != nil {
		t.Fatal(err)
	}
	return token[:cut], signature
}

func (c *catalogue) signatures(t *testing.T) {
	w := c.world(t)
	k := catalogueKeys()
	ecToken := catalogueSign("ES256", catalogueNamed("ES256", "e1"), w.payload())
	input, raw := catalogueRaw64(t, ecToken)
	r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil || !ecdsa.VerifyASN1(&k.p256.PublicKey, catalogueDigest(crypto.SHA256, input), der) {
		t.Fatal("the DER control does not verify")
	}
	twin := catalogueRS(r, new(big.Int).Sub(elliptic.P256().Params().N, s), 32)
	refused := func(name, token string, reason verifier.Reason) {
		w.rows(t, catalogueRow{name: name, token: token, reason: reason})
	}
	// Which key a token gets is known by kid and alg: a pair that does not fit is an
	// unknown key, and may cause one fetch.
	unfit := func(name, token string) {
		w.rows(t, catalogueRow{name: name, token: token, refresh: true, reason: verifier.ReasonUnknownKey})
	}
	refused("HA-42 ES256 in DER", input+"."+catalogueSegment(der), verifier.ReasonSignature)
	refused("HA-42 ES256 with trivial r and s", input+"."+catalogueSegment(make([]byte, 64)), verifier.ReasonSignature)
	crossed := func(name string, key *ecdsa.PrivateKey, alg, kid string) {
		unfit(name, catalogueSignBy(key, alg, catalogueSegment(catalogueNamed(alg, kid))+"."+catalogueSegment(w.payload())))
	}
	crossed("HA-44 ES384 by a P-256 key", k.p256, "ES384", "e1")
	crossed("HA-45 ES512 by a P-256 key", k.p256, "ES512", "e1")
	crossed("HA-45 ES512 by a P-384 key", k.p384, "ES512", "e3")
	for name, key := range map[string]*ecdsa.PrivateKey{"e3": k.p384, "e5": k.p521} {
		in := catalogueSegment(catalogueNamed("ES256", name)) + "." + catalogueSegment(w.payload())
		r, s, err := ecdsa.Sign(rand.Reader, key, catalogueDigest(crypto.SHA256, in))
		if err != nil {
			t.Fatal(err)
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		unfit("HA-45 ES256 by "+key.Curve.Params().Name, in+"."+catalogueSegment(catalogueRS(r, s, size)))
	}
	refused("HA-45 ES256K", catalogueSign("ES256", catalogueNamed("ES256K", "e1"), w.payload()), verifier.ReasonAlgorithm)
	// JOSE has no rule against the twin; no cache may take it for the same text.
	w.rows(t, catalogueRow{name: "HA-46 the high-s twin is a valid signature", token: input + "." + catalogueSegment(twin), want: ok})

	for name, salt := range map[string]int{"0": 0, "16": 16, "31": 31, "33": 33, "48": 48, "the longest": k.rsa.Size() - 2 - 32} {
		in := catalogueSegment(catalogueNamed("PS256", "r1")) + "." + catalogueSegment(w.payload())
		refused("HA-53 PS256 with a salt of "+name, in+"."+catalogueSegment(cataloguePSS(k.rsa, in, make([]byte, salt))), verifier.ReasonSignature)
	}
	in := catalogueSegment(catalogueNamed("PS256", "r1")) + "." + catalogueSegment(w.payload())
	w.rows(t, catalogueRow{name: "HA-53 control: PS256 with a salt of 32", token: in + "." + catalogueSegment(cataloguePSS(k.rsa, in, make([]byte, 32))), want: ok})

	edToken := catalogueSign("EdDSA", catalogueNamed("EdDSA", "d1"), w.payload())
	in, raw = catalogueRaw64(t, edToken)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	scalar := slices.Clone(raw[32:])
	slices.Reverse(scalar)
	large := new(big.Int).Add(new(big.Int).SetBytes(scalar), order).FillBytes(make([]byte, 32))
	slices.Reverse(large)
	w.rows(t, catalogueRow{name: "HA-61 control: EdDSA", token: edToken, want: ok})
	refused("HA-61 EdDSA of 63 octets", in+"."+catalogueSegment(raw[:63]), verifier.ReasonSignature)
	refused("HA-61 EdDSA of 65 octets", in+"."+catalogueSegment(append(slices.Clone(raw), 0)), verifier.ReasonSignature)
	refused("HA-61 EdDSA with S not reduced", in+"."+catalogueSegment(slices.Concat(raw[:32], large)), verifier.ReasonSignature)
	for _, alg := range []string{"Ed25519", "Ed448", "eddsa"} {
		refused("HA-62 alg "+alg, catalogueSign("EdDSA", catalogueNamed(alg, "d1"), w.payload()), verifier.ReasonAlgorithm)
	}

	// HA-19: the kid decides the key, and its type must fit alg.
	unfit("HA-19 RS256 with the kid of e1", catalogueSign("RS256", catalogueNamed("RS256", "e1"), w.payload()))
	unfit("HA-19 ES256 with the kid of r1", catalogueSign("ES256", catalogueNamed("ES256", "r1"), w.payload()))
	unfit("HA-19 an ES256 signature that says RS256 and e1", catalogueSign("ES256", catalogueNamed("RS256", "e1"), w.payload()))
	unfit("HA-19 EdDSA with the kid of e1", catalogueSign("EdDSA", catalogueNamed("EdDSA", "e1"), w.payload()))
	refused("HA-19 an ES256 signature under RS256 and r1", catalogueSign("ES256", catalogueHeader(), w.payload()), verifier.ReasonSignature)
}

func (c *catalogue) keyChoice(t *testing.T) {
	k := catalogueKeys()
	anonymous := catalogueRaw{"kid": ""}
	one := c.world(t, func(s *catalogueSetup) { s.keys = k.published()[:1] })
	one.rows(t, catalogueRow{name: "HA-17 kid absent, one key fits", token: one.token(anonymous, nil), want: ok})
	w := c.world(t)
	w.rows(t, catalogueRow{name: "HA-17 kid absent, two keys fit", refresh: true, reason: verifier.ReasonUnknownKey,
		token: catalogueSign("ES256", catalogueHeader(anonymous, catalogueRaw{"alg": `"ES256"`}), w.payload())})

	var keys []string
	var last *ecdsa.PrivateKey
	for i := range 20 {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		keys, last = append(keys, catalogueJWK(key.Public(), "kid", fmt.Sprint("k", i))), key
	}
	many := c.world(t, func(s *catalogueSetup) { s.keys = append(keys, s.keys...) })
	by := func(header string) string {
		return catalogueSignBy(last, "ES256", catalogueSegment(header)+"."+catalogueSegment(many.payload()))
	}
	many.rows(t,
		catalogueRow{name: "HA-18 kid absent, signed by the last of 20", token: by(catalogueHeader(anonymous, catalogueRaw{"alg": `"ES256"`})), refresh: true, reason: verifier.ReasonUnknownKey},
		catalogueRow{name: "HA-18 control: the same with kid", token: by(catalogueNamed("ES256", "k19")), want: ok},
	)

	first, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	double := c.world(t, func(s *catalogueSetup) {
		s.keys = append(s.keys, catalogueJWK(first.Public(), "kid", "dup"), catalogueJWK(last.Public(), "kid", "dup"), catalogueJWK(k.ed.Public(), "kid", "mix"), catalogueJWK(first.Public(), "kid", "mix"))
	})
	for name, token := range map[string]string{
		"HA-20 two keys of one kid, signed by the first":   catalogueSignBy(first, "ES256", catalogueSegment(catalogueNamed("ES256", "dup"))+"."+catalogueSegment(double.payload())),
		"HA-20 two keys of one kid, signed by the second":  catalogueSignBy(last, "ES256", catalogueSegment(catalogueNamed("ES256", "dup"))+"."+catalogueSegment(double.payload())),
		"HA-20 two types of one kid, signed by the first":  catalogueSignBy(k.ed, "EdDSA", catalogueSegment(catalogueNamed("EdDSA", "mix"))+"."+catalogueSegment(double.payload())),
		"HA-20 two types of one kid, signed by the second": catalogueSignBy(first, "ES256", catalogueSegment(catalogueNamed("ES256", "mix"))+"."+catalogueSegment(double.payload())),
	} {
		double.rows(t, catalogueRow{name: name, token: token, refresh: true, reason: verifier.ReasonUnknownKey})
	}

	// B's keys have names of A's, and were fetched after A's.
	for alg, key := range map[string]authtest.Key{"ES256": k.foreignEC, "RS256": k.foreignRSA} {
		token, err := key.Sign([]byte(catalogueNamed(alg, key.KeyID())), []byte(w.payload()))
		if err != nil {
			t.Fatal(err)
		}
		w.rows(t, catalogueRow{name: "HA-22 B's " + alg + " key, which has a name of A's", token: token, reason: verifier.ReasonSignature})
	}
	w.rows(t, catalogueRow{name: "HA-22 A's key for a token of B", token: w.token(nil, catalogueRaw{"iss": strconv.Quote(catalogueB)}), reason: verifier.ReasonSignature})
}

func (c *catalogue) rsaKeys(t *testing.T) {
	usual := catalogueKeys().rsa
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(usual.Primes[0], one), new(big.Int).Sub(usual.Primes[1], one))
	exponent := func(e *big.Int) catalogueModulus {
		return catalogueModulus{usual.N, e, new(big.Int).ModInverse(e, phi)}
	}
	odd := func(bits uint) *big.Int { // an odd exponent of so many bits that has an inverse
		for e := new(big.Int).SetBit(new(big.Int).Lsh(one, bits-1), 0, 1); ; e.Add(e, big.NewInt(2)) {
			if new(big.Int).GCD(nil, nil, e, phi).Cmp(one) == 0 {
				return e
			}
		}
	}
	huge := func(bits uint) catalogueModulus {
		n := new(big.Int).SetBit(new(big.Int).Lsh(one, bits-1), 0, 1)
		return catalogueModulus{n.SetBit(n, int(bits/2), 1), big.NewInt(1<<31 - 1), nil}
	}
	all := map[string]catalogueModulus{
		"HA-49 512 bit": catalogueShort(512), "HA-49 1023 bit": catalogueShort(1023), "HA-49 1024 bit": catalogueShort(1024), "HA-49 2047 bit": catalogueShort(2047),
		"HA-50 e of 1, where the message is its signature": {usual.N, one, nil},
		"HA-50 e of 0":                  {usual.N, new(big.Int), nil},
		"HA-50 e of 2":                  {usual.N, big.NewInt(2), nil},
		"HA-50 e of 65536":              {usual.N, big.NewInt(65536), nil},
		"HA-50 e of 5 octets":           exponent(odd(33)),
		"HA-50 e of 256 octets":         exponent(odd(2047)),
		"HA-50 e that is -1 in 64 bits": {usual.N, new(big.Int).SetUint64(1<<64 - 1), nil},
		"HA-51 16384 bit":               huge(16384), "HA-51 65536 bit": huge(65536),
		"HA-52 even modulus": {new(big.Int).Sub(usual.N, one), big.NewInt(65537), nil},
	}
	// Each is in the set beside the good keys, and is no key: not even its
	// signature is looked at.
	var names, keys []string
	for i, name := range catalogueSorted(all) {
		names, keys = append(names, name), append(keys, all[name].jwk(fmt.Sprint("bad", i)))
	}
	padded := catalogueJWK(nil, "kty", "RSA", "kid", "padded", "e", "AQAB", "n", catalogueSegment(append([]byte{0}, usual.N.Bytes()...)))
	w := c.world(t, func(s *catalogueSetup) { s.keys = slices.Concat(keys, s.keys, []string{padded}) })
	for i, name := range names {
		token := all[name].sign(catalogueNamed("RS256", fmt.Sprint("bad", i)), w.payload())
		w.rows(t, catalogueRow{name: name, token: token, refresh: true, reason: verifier.ReasonUnknownKey})
	}
	// RFC 7518 §6.3.1.1 knows of writers that put the zero there.
	w.rows(t, catalogueRow{name: "HA-52 control: a modulus with a leading zero is the same key", token: catalogueSign("RS256", catalogueNamed("RS256", "padded"), w.payload()), want: ok})
}

// cataloguePoints are the encodings of points of small order (RFC 8032 §5.1.7).
var cataloguePoints = map[string]string{
	"HA-58 identity":                     "0100000000000000000000000000000000000000000000000000000000000000",
	"HA-59 order 2":                      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"HA-59 order 4":                      "0000000000000000000000000000000000000000000000000000000000000000",
	"HA-59 order 4, negative":            "0000000000000000000000000000000000000000000000000000000000000080",
	"HA-59 order 8, one":                 "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"HA-59 order 8, two":                 "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"HA-59 order 8, three":               "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"HA-59 order 8, four":                "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"HA-59 y of p":                       "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"HA-59 y of p, negative":             "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"HA-59 y of p+1":                     "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"HA-59 y of p+1, negative":           "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"HA-59 identity with a sign":         "0100000000000000000000000000000000000000000000000000000000000080",
	"HA-59 order 2 with a needless sign": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

func (c *catalogue) edKeys(t *testing.T) {
	okp := func(crv, kid string, x []byte) string {
		return catalogueJWK(nil, "kty", "OKP", "crv", crv, "kid", kid, "x", catalogueSegment(x))
	}
	public := []byte(catalogueKeys().ed.Public().(ed25519.PublicKey))
	keys := []string{
		okp("Ed25519", "short", public[:31]), okp("Ed25519", "long", append(slices.Clone(public), 0)), okp("Ed25519", "empty", nil),
		okp("Ed448", "ed448", make([]byte, 57)), okp("X25519", "x25519", public),
		`{"kty":"AKP","kid":"akp","alg":"ML-DSA-44","pub":"AAAA"}`,
	}
	for _, name := range catalogueSorted(cataloguePoints) {
		point, err := hex.DecodeString(cataloguePoints[name])
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, okp("Ed25519", name, point))
	}
	// y and y+p are one point; some of these are on the curve, and of no small order.
	prime := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	for y := range int64(19) {
		spelling := new(big.Int).Add(prime, big.NewInt(y)).FillBytes(make([]byte, 32))
		slices.Reverse(spelling)
		keys = append(keys, okp("Ed25519", fmt.Sprint("p+", y), spelling))
	}
	w := c.world(t, func(s *catalogueSetup) { s.keys = append(keys, s.keys...) })
	for y := range 19 {
		w.rows(t, catalogueRow{name: fmt.Sprint("HA-59 a key whose y is p+", y), refresh: true, reason: verifier.ReasonUnknownKey,
			token: catalogueSign("EdDSA", catalogueNamed("EdDSA", fmt.Sprint("p+", y)), w.payload())})
	}
	for _, name := range catalogueSorted(cataloguePoints) {
		w.rows(t, catalogueRow{name: name, token: w.universal(t, name), refresh: true, reason: verifier.ReasonUnknownKey})
	}
	for kid, name := range map[string]string{
		"short": "HA-60 Ed25519 of 31 octets", "long": "HA-60 Ed25519 of 33 octets", "empty": "HA-60 Ed25519 of 0 octets",
		"ed448": "HA-62 an Ed448 key for EdDSA", "x25519": "HA-62 an X25519 key for EdDSA", "akp": "HA-63 an AKP key for EdDSA",
	} {
		w.rows(t, catalogueRow{name: name, token: catalogueSign("EdDSA", catalogueNamed("EdDSA", kid), w.payload()), refresh: true, reason: verifier.ReasonUnknownKey})
	}
	w.rows(t, catalogueRow{name: "HA-63 alg ML-DSA-44", token: catalogueSign("EdDSA", catalogueNamed("ML-DSA-44", "akp"), w.payload()), reason: verifier.ReasonAlgorithm})
}

// universal returns a token whose constant signature crypto/ed25519 verifies with
// the point of small order as the key: only refusing the key helps.
func (w *catalogueWorld) universal(t *testing.T, name string) string {
	t.Helper()
	point, err := hex.DecodeString(cataloguePoints[name])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	signature[0] = 1 // R is the identity, S is 0
	for i := range 1000 {
		input := catalogueSegment(catalogueNamed("EdDSA", name)) + "." + catalogueSegment(w.payload(catalogueRaw{"n": fmt.Sprint(i)}))
		if ed25519.Verify(point, []byte(input), signature) {
			return input + "." + catalogueSegment(signature)
		}
	}
	t.Fatalf("%s: no message found", name)
	return ""
}
