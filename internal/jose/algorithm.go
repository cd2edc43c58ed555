package jose

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"

	"github.com/golang-jwt/jwt/v5"
)

// Algorithms lists every alg that can be verified: asymmetric ones only, so that
// no key of the provider's can serve as an HMAC secret (RFC 8725 §2.1).
func Algorithms() []string {
	return []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
		"ES256", "ES384", "ES512", "EdDSA",
	}
}

// method returns golang-jwt's implementation of alg, one of Algorithms. It does
// not ask that library's registry, which any package of the process can change.
func method(alg string) jwt.SigningMethod {
	switch alg {
	case "RS256":
		return jwt.SigningMethodRS256
	case "RS384":
		return jwt.SigningMethodRS384
	case "RS512":
		return jwt.SigningMethodRS512
	case "PS256":
		return strictPSS(jwt.SigningMethodPS256)
	case "PS384":
		return strictPSS(jwt.SigningMethodPS384)
	case "PS512":
		return strictPSS(jwt.SigningMethodPS512)
	case "ES256":
		return jwt.SigningMethodES256
	case "ES384":
		return jwt.SigningMethodES384
	case "ES512":
		return jwt.SigningMethodES512
	case "EdDSA":
		return jwt.SigningMethodEdDSA
	}
	return nil
}

// strictPSS verifies with the salt as long as the hash (RFC 7518 §3.5); the
// library's own instances take any length.
func strictPSS(lax *jwt.SigningMethodRSAPSS) *jwt.SigningMethodRSAPSS {
	return &jwt.SigningMethodRSAPSS{SigningMethodRSA: lax.SigningMethodRSA, Options: lax.Options}
}

// natural returns the algorithms that a public key can serve when its JWK names
// none. An elliptic curve serves exactly one (RFC 7518 §3.4).
func natural(public any) []string {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return Algorithms()[:6]
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return []string{"ES256"}
		case elliptic.P384():
			return []string{"ES384"}
		case elliptic.P521():
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}
	}
	return nil
}
