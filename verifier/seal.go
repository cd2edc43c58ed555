package verifier

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"sync"
	"sync/atomic"
)

// A seal says of what text it is, and does not have it: the GMAC of the text, after its
// nonce (NIST SP 800-38D).
type seal [12 + 16]byte

// A sealer recognizes texts. None but the sealed one matches, with the certainty of 128
// bits under a key that never leaves the process; nor do seals, so that it does not
// matter how many there are. It is safe for concurrent use.
type sealer struct {
	gmac    cipher.AEAD
	space   sync.Pool // of *scratch
	made    atomic.Uint32
	matches [16]struct {
		atomic.Uint64
		_ [56]byte // processors that count in one place would wait for each other
	}
}

// A scratch is where one text at a time is looked at. As a rule a processor has its own.
type scratch struct {
	text    [maxCachedToken]byte // zero: what is looked at is a credential, and must not stay
	matches *atomic.Uint64
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
	s := &sealer{gmac: gmac}
	s.space.New = func() any {
		n := s.made.Add(1) % uint32(len(s.matches))
		return &scratch{matches: &s.matches[n].Uint64}
	}
	return s
}

// seal seals text, of maxCachedToken at most.
func (s *sealer) seal(text string) (made seal) {
	scratch := s.space.Get().(*scratch)
	octets := scratch.text[:copy(scratch.text[:], text)]
	s.gmac.Seal(made[:0], nil, nil, octets)
	clear(octets)
	s.space.Put(scratch)
	return made
}

// match reports whether text is what was sealed, and counts if it is.
func (s *sealer) match(sealed *seal, text string) bool {
	scratch := s.space.Get().(*scratch)
	octets := scratch.text[:copy(scratch.text[:], text)]
	_, err := s.gmac.Open(nil, nil, sealed[:], octets)
	if err == nil {
		scratch.matches.Add(1)
	}
	clear(octets)
	s.space.Put(scratch)
	return err == nil
}

// matched returns the number of matches.
func (s *sealer) matched() (n uint64) {
	for i := range s.matches {
		n += s.matches[i].Load()
	}
	return n
}
