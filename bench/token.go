package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"time"
)

const (
	resource = "https://mcp.example.com/mcp"
	scope    = "files:read"
	// tokenSize is about what large providers send.
	tokenSize = 900
)

// A spec says what to sign. The zero value of a field stands for the valid one.
type spec struct {
	issuer, audience, kid, id, scope string
	lifetime                         time.Duration
}

// A signed token keeps what the bare signature check needs.
type signed struct {
	text      string
	input     []byte
	signature []byte
}

// mint signs one access token (RFC 9068), filled up to about tokenSize.
func (i *issuer) mint(algorithm string, s spec) (signed, error) {
	now := time.Now()
	claims := map[string]any{
		"iss":       or(s.issuer, i.URL),
		"aud":       or(s.audience, resource),
		"sub":       "248289761001-a-user",
		"client_id": "s6BhdRkqt3-a-client",
		"jti":       or(s.id, "b6e4bb5c-0000-4000-8000-000000000000"),
		"scope":     or(s.scope, "files:read files:write mcp:tools"),
		"iat":       now.Unix(),
		"exp":       now.Add(or(s.lifetime, time.Hour)).Unix(),
		"email":     "user@example.com",
		"groups":    []string{},
	}
	header, err := json.Marshal(map[string]any{"alg": algorithm, "kid": or(s.kid, keyID(algorithm)), "typ": "at+jwt"})
	if err != nil {
		return signed{}, err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return signed{}, err
	}
	claims["groups"] = groups(tokenSize*3/4 - len(header) - len(payload) - signatureSize(algorithm))
	if payload, err = json.Marshal(claims); err != nil {
		return signed{}, err
	}
	input := []byte(encode(header) + "." + encode(payload))
	signature, err := i.sign(algorithm, input)
	if err != nil {
		return signed{}, err
	}
	return signed{text: string(input) + "." + encode(signature), input: input, signature: signature}, nil
}

// groups returns names that take about size octets as a JSON array: a token
// grows by short strings, not by one long one.
func groups(size int) []string {
	names := []string{}
	for n := 0; size > 0; n++ {
		name := fmt.Sprintf("team-%02d-of-the-company", n)
		name = name[:min(len(name), max(size-3, 1))]
		names = append(names, name)
		size -= len(name) + len(`"",`)
	}
	return names
}

func signatureSize(algorithm string) int {
	if algorithm == "RS256" {
		return 256
	}
	return 64
}

func (i *issuer) sign(algorithm string, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch algorithm {
	case "RS256":
		return rsa.SignPKCS1v15(nil, i.rsa, crypto.SHA256, digest[:])
	case "ES256":
		r, s, err := ecdsa.Sign(rand.Reader, i.ecdsa, digest[:])
		if err != nil {
			return nil, err
		}
		signature := make([]byte, 64) // RFC 7518 §3.4: r and s, 32 octets each
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
		return signature, nil
	case "EdDSA":
		return ed25519.Sign(i.ed25519, input), nil
	}
	return nil, fmt.Errorf("no key for %q", algorithm)
}

// bareCheck returns the signature check alone: the hash and the call that no
// verifier can do without.
func (i *issuer) bareCheck(algorithm string, token signed) func() bool {
	input, signature := token.input, token.signature
	switch algorithm {
	case "RS256":
		public := &i.rsa.PublicKey
		return func() bool {
			digest := sha256.Sum256(input)
			return rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature) == nil
		}
	case "ES256":
		public := &i.ecdsa.PublicKey
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return func() bool {
			digest := sha256.Sum256(input)
			return ecdsa.Verify(public, digest[:], r, s)
		}
	default:
		public := i.ed25519.Public().(ed25519.PublicKey)
		return func() bool { return ed25519.Verify(public, input, signature) }
	}
}

// pool signs n valid tokens that differ in jti, on all cores: RSA is slow.
func (i *issuer) pool(algorithm string, n int) ([]signed, error) {
	tokens, errs := make([]signed, n), make([]error, n)
	var wait sync.WaitGroup
	for part := range 2 {
		wait.Go(func() {
			for at := part; at < n; at += 2 {
				tokens[at], errs[at] = i.mint(algorithm, spec{id: fmt.Sprintf("b6e4bb5c-0000-4000-8000-%012d", at)})
			}
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// The names of the hostile tokens.
const (
	garbage       = "garbage"
	dots          = "16 KiB of dots"
	unknownIssuer = "unknown issuer"
	wrongAlg      = "wrong alg"
	unknownKid    = "unknown kid"
	badSignature  = "bad signature, known kid"
)

// A hostile token is one that every contender must refuse.
type hostile struct{ name, text string }

// hostileTokens returns what arrives from scanners, broken clients and attackers.
func (i *issuer) hostileTokens(algorithm string) ([]hostile, error) {
	valid, err := i.mint(algorithm, spec{})
	if err != nil {
		return nil, err
	}
	stranger, err := i.mint(algorithm, spec{issuer: "https://login.example.net/unknown"})
	if err != nil {
		return nil, err
	}
	unknown, err := i.mint(algorithm, spec{kid: "unknown-" + strings.Repeat("k", 35)})
	if err != nil {
		return nil, err
	}
	symmetric, _ := json.Marshal(map[string]string{"alg": "HS256", "kid": keyID(algorithm), "typ": "at+jwt"})
	_, rest, _ := strings.Cut(valid.text, ".")
	forged := make([]byte, len(valid.signature))
	copy(forged, valid.signature)
	forged[len(forged)/3] ^= 1
	return []hostile{
		{garbage, strings.Repeat("garbage-", tokenSize/8)},
		{dots, strings.Repeat(".", 16<<10)},
		{unknownIssuer, stranger.text},
		{wrongAlg, encode(symmetric) + "." + rest},
		{unknownKid, unknown.text},
		{badSignature, string(valid.input) + "." + encode(forged)},
	}, nil
}

func or[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}
