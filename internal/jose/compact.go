// Package jose is the only place that knows the JOSE libraries. It reads compact
// JWS and JWK sets strictly, verifies, and signs.
//
// golang-jwt is the only verifier of incoming tokens, jwkset reads single keys,
// keyfunc selects one, jwx signs and gives tests a second opinion.
package jose

import (
	"encoding/base64"
	"errors"
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

type header struct {
	Alg  string           `json:"alg"`
	Kid  strictjson.Value `json:"kid"`
	Typ  strictjson.Value `json:"typ"`
	Crit strictjson.Value `json:"crit"`
	B64  strictjson.Value `json:"b64"`
	Zip  strictjson.Value `json:"zip"`

	Others strictjson.Value `json:",embed"`
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
	first, last := strings.IndexByte(token, '.'), strings.LastIndexByte(token, '.')
	if first == last {
		return nil, ErrMalformed
	}
	if first > MaxHeader {
		return nil, ErrTooLarge
	}
	if strings.IndexByte(token[first+1:last], '.') >= 0 {
		if strings.Count(token, ".") == 4 {
			return nil, ErrEncrypted
		}
		return nil, ErrMalformed
	}
	jws := &JWS{signed: token[:last]}
	var err error
	if jws.Header, err = decode(token[:first]); err != nil {
		return nil, ErrMalformed
	}
	if err := jws.readHeader(); err != nil {
		return nil, err
	}
	if jws.Payload, err = decode(token[first+1 : last]); err != nil {
		return nil, ErrMalformed
	}
	if jws.signature, err = decode(token[last+1:]); err != nil {
		return nil, ErrMalformed
	}
	return jws, nil
}

func (j *JWS) readHeader() error {
	var h header
	if strictjson.Object(j.Header, &h) != nil {
		return ErrMalformed
	}
	// RFC 7515 §4.1.11: an extension that is not understood must be refused, and
	// none is. RFC 7797 §7 bans b64 in a JWT; zip belongs to JWE.
	if h.Crit != nil || h.B64 != nil || h.Zip != nil {
		return ErrHeader
	}
	if h.Others != nil && ambiguous(h.Others) {
		return ErrHeader
	}
	j.Algorithm = h.Alg
	if h.Kid != nil {
		if h.Kid.Kind() != '"' || strictjson.Unmarshal(h.Kid, &j.KeyID) != nil {
			return ErrHeader
		}
		j.HasKeyID = true
	}
	if h.Typ != nil {
		if h.Typ.Kind() != '"' || strictjson.Unmarshal(h.Typ, &j.Type) != nil {
			return ErrHeader
		}
	}
	return nil
}

// ambiguous reports a member that a reader which folds case would take for one
// of ours (RFC 7515 §4.1: names are case-sensitive).
func ambiguous(others strictjson.Value) bool {
	var members map[string]strictjson.Value
	if strictjson.Unmarshal(others, &members) != nil {
		return true
	}
	for name := range members {
		for _, ours := range []string{"alg", "kid", "typ", "crit", "b64", "zip"} {
			if strings.EqualFold(name, ours) {
				return true
			}
		}
	}
	return false
}

// strict refuses padding, the standard alphabet and non-zero trailing bits.
var strict = base64.RawURLEncoding.Strict()

func decode(segment string) ([]byte, error) { return strict.DecodeString(segment) }
