package mcpgo

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// An id is a nonce and the MAC over it and the owner. 48 bytes fill base64
// exactly, so there is one spelling of each id and no padding.
const (
	nonceSize = 16
	macSize   = minKey
	idLength  = (nonceSize + macSize) / 3 * 4
)

// purpose keeps these MACs apart from others that a user makes with the key.
const purpose = "gatehouse mcpgo session id 1"

// An owner is what a session id is signed for.
type owner string

const (
	nameless  owner = ""         // a token without subject: owns nothing
	anonymous owner = "\x00none" // no token
)

// ownerOf encodes a user injectively: no choice of issuer and subject names
// another user, nor the anonymous.
func ownerOf(token *verifier.Token) owner {
	switch {
	case token == nil:
		return anonymous
	case token.Subject == "":
		return nameless
	}
	encoded := binary.BigEndian.AppendUint64([]byte{1}, uint64(len(token.Issuer)))
	encoded = append(encoded, token.Issuer...)
	return owner(append(encoded, token.Subject...))
}

// mint returns a new id for o, "" for one who can own none.
func (s *Sessions) mint(o owner) string {
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails
	return s.sign(nonce[:], o)
}

// sign returns the id with this nonce that belongs to o.
func (s *Sessions) sign(nonce []byte, o owner) string {
	if s == nil || s.newMAC == nil || o == nameless {
		return ""
	}
	mac := s.newMAC()
	mac.Write([]byte(purpose))
	mac.Write(nonce) // of fixed size, so that the owner is the rest
	mac.Write([]byte(o))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(append([]byte(nil), nonce...)))
}

// admit returns the id under which the server knows the session that caller
// means by id. It is id itself for its owner. For a user who presents an
// anonymous id it is another, which is theirs and which nobody ever sees.
func (s *Sessions) admit(id string, caller owner) (string, bool) {
	nonce, ok := nonceOf(id)
	if !ok {
		return "", false
	}
	own := s.sign(nonce, caller)
	if own == "" {
		return "", false
	}
	ownsIt, nobodys := same(id, own), same(id, s.sign(nonce, anonymous))
	return own, ownsIt || nobodys
}

// owns reports whether id is o's own.
func (s *Sessions) owns(id string, o owner) bool {
	nonce, ok := nonceOf(id)
	return ok && same(id, s.sign(nonce, o))
}

func nonceOf(id string) ([]byte, bool) {
	if len(id) != idLength {
		return nil, false // before anything that costs more
	}
	decoded, err := base64.RawURLEncoding.DecodeString(id)
	if err != nil || len(decoded) != nonceSize+macSize {
		return nil, false
	}
	return decoded[:nonceSize], true
}

// same compares in constant time: the time must not tell how much of a guessed
// signature is right.
func same(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }
