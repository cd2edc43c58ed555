package jose

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// MaxKeys bounds a key set; the largest providers publish some hundred.
const MaxKeys = 1000

// ErrNoKeys is returned for a set without one usable key. It must never replace
// a good set: an error page that happens to be JSON looks like this.
var ErrNoKeys = errors.New("no usable key in the set")

// A Key is one usable public key.
type Key struct {
	// ID is kid; empty where the JWK has none.
	ID string
	// Issuer is the JWK's own issuer member, which Microsoft Entra sets where
	// one set serves several issuers; empty elsewhere.
	Issuer string

	algorithms []string
	methods    map[string]jwt.SigningMethod // by algorithm
	jwk        jwkset.JWK
	public     any // as keyfunc gave it out
}

// Serves reports whether the key can verify alg.
func (k *Key) Serves(alg string) bool { return slices.Contains(k.algorithms, alg) }

// equal reports the same key under the same name and use.
func (k *Key) equal(other *Key) bool {
	public, ok := k.jwk.Key().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(other.jwk.Key()) && k.ID == other.ID && k.Issuer == other.Issuer &&
		slices.Equal(k.algorithms, other.algorithms)
}

// A KeySet is an immutable set of usable keys. It is safe for concurrent use.
type KeySet struct {
	keys    []*Key
	byID    map[string]*Key
	skipped map[string]int
}

// ParseKeySet reads a JWK Set (RFC 7517 §5). A key that is broken, foreign or
// unsafe is skipped and counted, so that one of them cannot cost the others; a
// document that is not a set, or has no usable key, is an error.
func ParseKeySet(document []byte) (*KeySet, error) {
	var set struct {
		Keys []strictjson.Value `json:"keys"`
	}
	if err := strictjson.Object(document, &set); err != nil {
		return nil, errors.New("not a JWK set")
	}
	if len(set.Keys) > MaxKeys {
		return nil, fmt.Errorf("more than %d keys", MaxKeys)
	}
	s := &KeySet{byID: make(map[string]*Key), skipped: make(map[string]int)}
	banned := make(map[string]bool)
	for _, text := range set.Keys {
		key, cause := parseKey(text)
		if cause != "" {
			s.skipped[cause]++
			continue
		}
		s.add(key, banned)
	}
	if len(s.keys) == 0 {
		return nil, ErrNoKeys
	}
	for _, key := range s.keys {
		if err := key.ready(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// ready has keyfunc give the key out once for each algorithm that it serves, so
// that nothing is left to choose when a token comes.
func (k *Key) ready() error {
	adapter, err := keyfunc.New(keyfunc.Options{
		Storage:      storage{Storage: jwkset.NewMemoryStorage(), jwk: k.jwk},
		UseWhitelist: []jwkset.USE{jwkset.UseSig, ""},
	})
	if err != nil {
		return err
	}
	k.methods = make(map[string]jwt.SigningMethod, len(k.algorithms))
	for _, algorithm := range k.algorithms {
		k.methods[algorithm] = method(algorithm)
		k.public, err = adapter.Keyfunc(&jwt.Token{Header: map[string]any{"kid": k.ID, "alg": algorithm}})
		if err != nil {
			return err
		}
	}
	return nil
}

// storage shows one key to keyfunc, which only ever calls KeyRead.
type storage struct {
	jwkset.Storage
	jwk jwkset.JWK
}

func (s storage) KeyRead(context.Context, string) (jwkset.JWK, error) { return s.jwk, nil }

// add keeps key unless its kid names another key already: then both go, because
// trying one after the other would let the order decide (RFC 7517 §4.5).
func (s *KeySet) add(key *Key, banned map[string]bool) {
	other, taken := s.byID[key.ID]
	switch {
	case banned[key.ID]:
		s.skipped["duplicate"]++
	case key.ID == "":
		s.keys = append(s.keys, key)
	case !taken:
		s.keys = append(s.keys, key)
		s.byID[key.ID] = key
	case !other.equal(key):
		banned[key.ID] = true
		s.keys = slices.DeleteFunc(s.keys, func(k *Key) bool { return k == other })
		delete(s.byID, key.ID)
		s.skipped["duplicate"] += 2
	}
}

// Len returns the number of usable keys.
func (s *KeySet) Len() int { return len(s.keys) }

// Skipped returns how many keys were skipped, by cause.
func (s *KeySet) Skipped() map[string]int { return s.skipped }

// Equal reports whether both sets hold the same keys in the same order.
func (s *KeySet) Equal(other *KeySet) bool {
	return other != nil && slices.EqualFunc(s.keys, other.keys, (*Key).equal)
}

// Find returns the one key that may verify the token, or nil. A token without a
// kid is taken only where exactly one key fits its alg: trying several would
// multiply the cost of garbage (RFC 9068 §4 leaves the choice to us).
func (s *KeySet) Find(token *JWS) *Key {
	if token.HasKeyID {
		if key := s.byID[token.KeyID]; key != nil && key.Serves(token.Algorithm) {
			return key
		}
		return nil
	}
	var only *Key
	for _, key := range s.keys {
		if key.Serves(token.Algorithm) {
			if only != nil {
				return nil
			}
			only = key
		}
	}
	return only
}

// Verify checks the token's signature with the key.
func (k *Key) Verify(token *JWS) bool {
	algorithm := k.methods[token.Algorithm]
	return algorithm != nil && algorithm.Verify(token.signed, token.signature, k.public) == nil
}
