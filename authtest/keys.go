package authtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// A Key signs tokens with one alg. It is immutable and safe for concurrent use;
// the zero value signs nothing.
type Key struct{ signing jose.SigningKey }

// NewKey generates a key that no issuer publishes yet: an attacker's, or one for
// AddKey and SetKeys. alg is RS, PS or ES with 256, 384 or 512, or EdDSA; RSA
// takes a moment. An empty kid stands for none.
func NewKey(alg, kid string) (Key, error) {
	signing, err := jose.GenerateKey(alg, kid)
	return Key{signing: signing}, err
}

// KeyID returns kid; empty for none.
func (k Key) KeyID() string { return k.signing.KeyID() }

// Algorithm returns alg.
func (k Key) Algorithm() string { return k.signing.Algorithm() }

// JWK returns the public key as a JSON object (RFC 7517 §4).
func (k Key) JWK() ([]byte, error) { return k.signing.PublicJWK() }

// Thumbprint returns the base64url SHA-256 thumbprint (RFC 7638 §3).
func (k Key) Thumbprint() (string, error) { return k.signing.Thumbprint() }

// Sign returns a compact JWS over exactly these octets, JSON or not. Nothing is
// added to the header, and the signature is made with the key's own alg.
func (k Key) Sign(header, payload []byte) (string, error) {
	return k.signing.SignRaw(header, payload)
}

// keyring holds the keys. Generation waits until a key is needed, because RSA
// would cost every test a tenth of a second.
type keyring struct {
	mu         sync.Mutex
	algorithms []string // of the initial keys, until they are generated
	published  []Key    // the first signs
	raw        []byte   // replaces the document where not nil
	serial     int
}

func (k *keyring) init(algorithms []string) { k.algorithms = algorithms }

// load generates the initial keys. The caller holds mu.
func (k *keyring) load() error {
	for len(k.algorithms) > 0 {
		key, err := k.generate(k.algorithms[0])
		if err != nil {
			return err
		}
		k.published = append(k.published, key)
		k.algorithms = k.algorithms[1:]
	}
	return nil
}

func (k *keyring) generate(alg string) (Key, error) {
	k.serial++
	return NewKey(alg, fmt.Sprintf("%s-%d", strings.ToLower(alg), k.serial))
}

// signer returns the first key for alg, any for "". It publishes a new one where
// there is none.
func (k *keyring) signer(alg string) (Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(); err != nil {
		return Key{}, err
	}
	for _, key := range k.published {
		if alg == "" || key.Algorithm() == alg {
			return key, nil
		}
	}
	if alg == "" {
		return Key{}, errors.New("authtest: the issuer has no keys")
	}
	key, err := k.generate(alg)
	if err == nil {
		k.published = append(k.published, key)
	}
	return key, err
}

func (k *keyring) document() ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.raw != nil {
		return k.raw, nil
	}
	if err := k.load(); err != nil {
		return nil, err
	}
	set := struct {
		Keys []json.RawMessage `json:"keys"`
	}{Keys: []json.RawMessage{}}
	for _, key := range k.published {
		text, err := key.JWK()
		if err != nil {
			return nil, err
		}
		set.Keys = append(set.Keys, text)
	}
	return json.Marshal(set)
}

// Key returns the key that signs now.
func (i *Issuer) Key() Key {
	key, err := i.keys.signer("")
	if err != nil {
		i.fail(err)
	}
	return key
}

// Rotate makes a new key of the current one's alg, which signs from now on, and
// returns it. Of the keys so far the first keep stay published, the current one
// foremost: 1 is the usual rotation with overlap, 0 an abrupt one.
func (i *Issuer) Rotate(keep int) Key {
	k := &i.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.load()
	alg := "ES256"
	if len(k.published) > 0 {
		alg = k.published[0].Algorithm()
	}
	var key Key
	if err == nil {
		key, err = k.generate(alg)
	}
	if err != nil {
		i.fail(err)
		return Key{}
	}
	keep = max(0, min(keep, len(k.published)))
	k.published = slices.Concat([]Key{key}, k.published[:keep])
	return key
}

// AddKey publishes key without signing with it, as a provider does before a
// rotation.
func (i *Issuer) AddKey(key Key) {
	k := &i.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.load(); err != nil {
		i.fail(err)
		return
	}
	k.published = append(k.published, key)
}

// SetKeys publishes exactly these keys; the first one signs. A key under the kid
// of another is how a provider reuses a kid.
func (i *Issuer) SetKeys(keys ...Key) {
	k := &i.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	k.algorithms, k.published = nil, slices.Clone(keys)
}

// SetJWKS serves document as the key set, whatever it is, and signs as before.
// nil goes back to the real one.
func (i *Issuer) SetJWKS(document []byte) {
	k := &i.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	k.raw = slices.Clone(document)
}

// JWKS returns the key set that is served now, a JSON object (RFC 7517 §5).
func (i *Issuer) JWKS() []byte {
	document, err := i.keys.document()
	if err != nil {
		i.fail(err)
	}
	return slices.Clone(document)
}
