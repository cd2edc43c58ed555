package verifier

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"sync"
)

// A seal says of what text it is, and does not have it: the GMAC of the text, after its
// nonce (NIST SP 800-38D).
type seal [12 + 16]byte

// A sealer recognizes texts. None but the sealed one matches, with the certainty of 128
// bits under a key that never leaves the process; nor do seals, so that it does not
// matter how many there are. It is safe for concurrent use.
type sealer struct {
	gmac  cipher.AEAD
	space sync.Pool // of *[maxCachedToken]byte, empty
}

func newSealer() *sealer {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the length of key is a constant
	}
	gmac, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // block is of package aes
	}
	return &sealer{gmac: gmac, space: sync.Pool{New: func() any { return new([maxCachedToken]byte) }}}
}

// seal seals text, of maxCachedToken at most.
func (s *sealer) seal(text string) (made seal) {
	s.with(text, func(text []byte) { s.gmac.Seal(made[:0], nil, nil, text) })
	return made
}

// matches reports whether text is what was sealed.
func (s *sealer) matches(sealed *seal, text string) (same bool) {
	s.with(text, func(text []byte) {
		_, err := s.gmac.Open(nil, nil, sealed[:], text)
		same = err == nil
	})
	return same
}

// with lends the octets of text, which is a credential and must not stay.
func (s *sealer) with(text string, use func([]byte)) {
	space := s.space.Get().(*[maxCachedToken]byte)
	octets := space[:copy(space[:], text)]
	use(octets)
	clear(octets)
	s.space.Put(space)
}
