// Package jose is the only place that knows the JOSE libraries. It reads compact
// JWS and JWK sets strictly, verifies, and signs.
//
// golang-jwt is the only verifier of incoming tokens, jwkset reads single keys,
// keyfunc selects one, jwx signs and gives tests a second opinion.
package jose

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// Limits on a compact JWS, in octets of its text.
const (
	MaxToken  = 16 << 10
	MaxHeader = 2 << 10
)

// The ways in which Parse refuses a token.
var (
	ErrMalformed = errors.New("not a compact JWS")
	ErrEncrypted = errors.New("an encrypted token (JWE)")
	ErrTooLarge  = errors.New("over the size limit")
	ErrHeader    = errors.New("unsupported header parameter")
)

// A JWS is a parsed, unverified compact JWS.
type JWS struct {
	// Algorithm is alg, unchecked.
	Algorithm string
	// KeyID is kid; meaningful only where HasKeyID.
	KeyID    string
	HasKeyID bool
	// Type is typ as sent; empty where absent.
	Type string
	// Header and Payload are decoded and unverified.
	Header  []byte
	Payload []byte

	signed    string
	signature []byte
}

// Parse splits and decodes token. What it accepts is spelled in one way: three
// segments of unpadded base64url with zero trailing bits (RFC 7515 §2, §7.1). An
// ECDSA signature still has a twin, so a deny-list must go by jti, not by text.
func Parse(token string) (*JWS, error) {
	if len(token) > MaxToken {
		return nil, ErrTooLarge
	}
	// Go's base64 skips line breaks even in strict mode.
	if strings.IndexByte(token, '\n') >= 0 || strings.IndexByte(token, '\r') >= 0 {
		return nil, ErrMalformed
	}
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	switch {
	case !ok:
		return nil, ErrMalformed
	case len(header) > MaxHeader:
		return nil, ErrTooLarge
	case strings.IndexByte(signature, '.') >= 0:
		if strings.Count(signature, ".") == 2 {
			return nil, ErrEncrypted
		}
		return nil, ErrMalformed
	}
	jws := &JWS{signed: token[:len(header)+1+len(payload)]}
	space := make([]byte, len(token)*3/4) // for all three segments
	if jws.Header, space, ok = decode(space, header); !ok {
		return nil, ErrMalformed
	}
	if err := jws.readHeader(); err != nil {
		return nil, err
	}
	if jws.Payload, space, ok = decode(space, payload); !ok {
		return nil, ErrMalformed
	}
	if jws.signature, _, ok = decode(space, signature); !ok {
		return nil, ErrMalformed
	}
	return jws, nil
}

// maxParameters bounds the members of a header.
const maxParameters = 256

func (j *JWS) readHeader() error {
	reader := strictjson.NewReader(j.Header, strictjson.MaxDepth)
	reader.AtMost(maxParameters)
	members, err := reader.Members()
	flaw := error(nil)
	for err == nil {
		var name []byte
		var more bool
		if name, more, err = members.Next(); err != nil || !more {
			break
		}
		parameter := string(name)
		var value []byte
		if value, err = reader.Value(); err == nil && flaw == nil {
			flaw = j.set(parameter, value)
		}
	}
	if err != nil || reader.End() != nil {
		return ErrMalformed
	}
	return flaw
}

// set keeps one header parameter, or says why there must not be one like it.
func (j *JWS) set(parameter string, value []byte) error {
	ok := true
	switch parameter {
	case "alg":
		if j.Algorithm, ok = word(value); !ok {
			return ErrMalformed
		}
	case "kid":
		j.KeyID, ok = word(value)
		j.HasKeyID = true
	case "typ":
		j.Type, ok = word(value)
	case "crit", "b64", "zip":
		// RFC 7515 §4.1.11: an extension that is not understood must be refused, and
		// none is. RFC 7797 §7 bans b64 in a JWT; zip belongs to JWE.
		return ErrHeader
	default:
		// Names are case-sensitive (RFC 7515 §4.1), and not for every reader.
		ok = !slices.ContainsFunc([]string{"alg", "kid", "typ", "crit", "b64", "zip"}, func(ours string) bool {
			return strings.EqualFold(parameter, ours)
		})
	}
	if !ok {
		return ErrHeader
	}
	return nil
}

// word reads a string. Those that nearly every token has are not made again.
func word(value []byte) (string, bool) {
	switch string(value) {
	case `"RS256"`:
		return "RS256", true
	case `"ES256"`:
		return "ES256", true
	case `"JWT"`:
		return "JWT", true
	case `"at+jwt"`:
		return "at+jwt", true
	}
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	s, err := strictjson.Unquote(value)
	return s, err == nil
}

// strict refuses padding, the standard alphabet and non-zero trailing bits.
var strict = base64.RawURLEncoding.Strict()

// decode decodes segment to the beginning of space, and returns the rest of it.
func decode(space []byte, segment string) (decoded, rest []byte, ok bool) {
	n, err := strict.Decode(space, []byte(segment))
	return space[:n:n], space[n:], err == nil
}
