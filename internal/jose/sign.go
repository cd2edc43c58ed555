package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/lestrrat-go/jwx/v2/jwa"
	jwxkey "github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// errNoKey is returned by every method of the zero SigningKey.
var errNoKey = errors.New("jose: no signing key")

// A SigningKey is a private key, the one alg that it signs with, and its kid. The
// zero value signs nothing. It is immutable and safe for concurrent use.
type SigningKey struct {
	alg, kid string
	private  crypto.Signer
	signer   jws.Signer
	public   jwxkey.Key
}

// GenerateKey makes a new key for alg, one of Algorithms. RSA keys have 2048 bits
// and take up to some hundred milliseconds. An empty kid stands for none.
func GenerateKey(alg, kid string) (SigningKey, error) {
	private, err := generate(alg)
	if err != nil {
		return SigningKey{}, err
	}
	signer, err := jws.NewSigner(jwa.SignatureAlgorithm(alg))
	if err != nil {
		return SigningKey{}, fmt.Errorf("jose: %w", err)
	}
	public, err := jwxkey.FromRaw(private.Public())
	if err != nil {
		return SigningKey{}, fmt.Errorf("jose: %w", err)
	}
	members := map[string]any{jwxkey.AlgorithmKey: alg, jwxkey.KeyUsageKey: jwxkey.ForSignature}
	if kid != "" {
		members[jwxkey.KeyIDKey] = kid
	}
	for name, value := range members {
		if err := public.Set(name, value); err != nil {
			return SigningKey{}, fmt.Errorf("jose: %s: %w", name, err)
		}
	}
	return SigningKey{alg: alg, kid: kid, private: private, signer: signer, public: public}, nil
}

func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		return rsa.GenerateKey(rand.Reader, minRSA)
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("jose: cannot sign with alg %q", alg)
}

// Algorithm returns the key's alg; empty for the zero value.
func (k SigningKey) Algorithm() string { return k.alg }

// KeyID returns the key's kid; empty for none.
func (k SigningKey) KeyID() string { return k.kid }

// Sign returns a compact JWS with the members of header, in alphabetical order.
// alg and kid are the key's unless header has them; a nil value leaves a member
// out. The signature is always made with the key's own alg.
func (k SigningKey) Sign(header map[string]any, payload []byte) (string, error) {
	members := map[string]any{"alg": k.alg}
	if k.kid != "" {
		members["kid"] = k.kid
	}
	maps.Copy(members, header)
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(members)
	if err != nil {
		return "", fmt.Errorf("jose: header: %w", err)
	}
	return k.SignRaw(text, payload)
}

// SignRaw returns a compact JWS over exactly these octets. Neither has to be
// JSON, so that tests can sign what no JOSE library would write.
func (k SigningKey) SignRaw(header, payload []byte) (string, error) {
	if k.signer == nil {
		return "", errNoKey
	}
	// RFC 7515 §5.1: the signing input. jws.Sign would rewrite the header.
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := k.signer.Sign([]byte(input), k.private)
	if err != nil {
		return "", fmt.Errorf("jose: %w", err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// PublicJWK returns the public half as a JWK (RFC 7517 §4) with alg, use and kid.
func (k SigningKey) PublicJWK() ([]byte, error) {
	if k.public == nil {
		return nil, errNoKey
	}
	return json.Marshal(k.public)
}

// Thumbprint returns the base64url SHA-256 thumbprint (RFC 7638 §3), which does
// not depend on alg, use or kid.
func (k SigningKey) Thumbprint() (string, error) {
	if k.public == nil {
		return "", errNoKey
	}
	sum, err := k.public.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("jose: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}
