package jose

import (
	"crypto"
	"fmt"
	"slices"

	"github.com/lestrrat-go/jwx/v2/jwa"
	jwxkey "github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// NewSigningKey returns a key that signs with signer, which may keep the private
// half to itself (an HSM, a key service). It fails where alg is not one that the
// key can serve, or the key is too weak to be accepted here.
func NewSigningKey(alg, kid string, signer crypto.Signer) (SigningKey, error) {
	if signer == nil {
		return SigningKey{}, errNoKey
	}
	raw := signer.Public()
	if !slices.Contains(natural(raw), alg) {
		return SigningKey{}, fmt.Errorf("jose: a key of type %T cannot sign with alg %q", raw, alg)
	}
	if !safe(raw) {
		return SigningKey{}, fmt.Errorf("jose: the key is not safe for alg %q", alg)
	}
	method, err := jws.NewSigner(jwa.SignatureAlgorithm(alg))
	if err != nil {
		return SigningKey{}, fmt.Errorf("jose: %w", err)
	}
	public, err := jwxkey.FromRaw(raw)
	if err != nil {
		return SigningKey{}, fmt.Errorf("jose: %w", err)
	}
	return SigningKey{alg: alg, kid: kid, private: signer, signer: method, public: public}, nil
}
