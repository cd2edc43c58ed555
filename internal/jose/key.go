package jose

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rsa"
	"slices"

	"filippo.io/edwards25519"
	"github.com/MicahParks/jwkset"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// Bounds on an RSA modulus, in bits: below it can be factored (RFC 7518 §3.3),
// above it costs milliseconds a verification.
const (
	minRSA = 2048
	maxRSA = 8192
)

type jwk struct {
	jwkset.JWKMarshal

	Issuer string `json:"issuer"`
}

// parseKey reads one JWK. It returns a usable key or the cause of skipping it, a
// short constant for metrics.
func parseKey(text []byte) (_ *Key, cause string) {
	var raw jwk
	if strictjson.Object(text, &raw) != nil {
		return nil, "malformed"
	}
	m := raw.JWKMarshal
	switch {
	case m.KTY == jwkset.KtyOct || m.K != "":
		// A published secret would verify tokens that anyone can sign.
		return nil, "symmetric"
	case m.D != "" || m.P != "" || m.Q != "" || m.DP != "" || m.DQ != "" || m.QI != "" || len(m.OTH) > 0:
		return nil, "private"
	case m.KTY != jwkset.KtyRSA && m.KTY != jwkset.KtyEC && m.KTY != jwkset.KtyOKP:
		return nil, "type"
	case m.USE != "" && m.USE != jwkset.UseSig:
		return nil, "use"
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return nil, "use"
	case m.ALG != "" && !slices.Contains(Algorithms(), string(m.ALG)):
		return nil, "algorithm"
	}
	// Certificates prove nothing here, and a broken one must not cost the key.
	m.X5C, m.X5T, m.X5TS256, m.X5U = nil, "", "", ""
	parsed, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return nil, "malformed"
	}
	if !safe(parsed.Key()) {
		return nil, "unsafe"
	}
	key := &Key{ID: m.KID, Issuer: raw.Issuer, jwk: parsed, algorithms: natural(parsed.Key())}
	if m.ALG != "" {
		if !slices.Contains(key.algorithms, string(m.ALG)) {
			return nil, "algorithm"
		}
		key.algorithms = []string{string(m.ALG)}
	}
	if len(key.algorithms) == 0 {
		return nil, "curve"
	}
	return key, ""
}

// safe refuses keys with which a signature proves nothing or costs too much.
func safe(public any) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		bits := key.N.BitLen()
		return bits >= minRSA && bits <= maxRSA && key.N.Bit(0) == 1 && key.E >= 3 && key.E%2 == 1
	case ed25519.PublicKey:
		return safeEd25519(key)
	}
	return true
}

// safeEd25519 refuses points of small order, with which one signature fits every
// message, and encodings that are not canonical (RFC 8032 §5.1.3, §5.1.7).
func safeEd25519(key ed25519.PublicKey) bool {
	point, err := new(edwards25519.Point).SetBytes(key)
	if err != nil || !bytes.Equal(point.Bytes(), key) {
		return false
	}
	small := new(edwards25519.Point).MultByCofactor(point)
	return small.Equal(edwards25519.NewIdentityPoint()) == 0
}
