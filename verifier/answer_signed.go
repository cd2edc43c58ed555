package verifier

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/elastic/go-freelru"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// signedType is the media type and the typ of signed answers (RFC 9701 §4, §5).
const signedType = "token-introspection+jwt"

// maxSeen bounds the signed answers remembered against replay.
const maxSeen = 10_000

// signedAnswers verifies signed answers (RFC 9701).
type signedAnswers struct {
	issuer     string
	audience   string
	algorithms []string
	leeway     time.Duration
	keys       *keySource
	seen       *freelru.SyncedLRU[tokenID, tokenID] // text of an active answer -> token it was about
}

func newSignedAnswers(issuer, audience string, algorithms []string, leeway time.Duration, keys *keySource) *signedAnswers {
	// The only error is a capacity of zero.
	seen, _ := freelru.NewSynced[tokenID, tokenID](maxSeen, func(id tokenID) uint32 {
		return binary.LittleEndian.Uint32(id[:])
	})
	seen.SetLifetime(2*leeway + time.Second + fetch.Timeout) // as long as judgeAge can take one
	return &signedAnswers{issuer: issuer, audience: audience, algorithms: algorithms, leeway: leeway, keys: keys, seen: seen}
}

// open returns the answer inside. repeated reports that the very same text was
// given before: it says nothing new.
func (s *signedAnswers) open(ctx context.Context, received *fetch.Answer, token tokenID, asked time.Time) (body []byte, repeated bool, err error) {
	// RFC 9701 §8.1 and §5: one that could be a plain answer, or another kind of
	// JWT of the same server, is none.
	if received.MediaType != "application/"+signedType {
		return nil, false, fmt.Errorf("%w: it is not signed, though Signed asks for that (RFC 9701)", errAnswer)
	}
	jws, err := jose.Parse(string(received.Body))
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", errAnswer, err)
	}
	if mediaType(jws.Type) != signedType {
		return nil, false, fmt.Errorf("%w: its typ is not %s", errAnswer, signedType)
	}
	if err := s.verify(ctx, jws); err != nil {
		return nil, false, err
	}
	if body, err = s.content(jws.Payload, asked); err != nil {
		return nil, false, err
	}
	// Inactive answers are alike for all tokens, so they may well be the same text.
	if yes, err := active(body); err != nil || !yes {
		return body, false, err
	}
	repeated, err = s.remember(received.Body, token, alike(jws.Algorithm, body))
	return body, repeated, err
}

// verify checks alg and signature with the issuer's keys.
func (s *signedAnswers) verify(ctx context.Context, jws *jose.JWS) error {
	if !slices.Contains(s.algorithms, jws.Algorithm) {
		return fmt.Errorf("%w: its alg is not among Algorithms", errAnswer)
	}
	_, key, err := s.keys.find(ctx, jws)
	switch {
	case errors.Is(err, errUnknownKey):
		return fmt.Errorf("%w: %w", errAnswer, err)
	case err != nil:
		return err
	case !key.Verify(jws):
		return fmt.Errorf("%w: its signature does not verify", errAnswer)
	}
	return nil
}

// content checks iss, aud and iat (RFC 9701 §5) and returns the member that
// holds the answer. What stands beside it is about the answer, not the token.
func (s *signedAnswers) content(payload []byte, asked time.Time) ([]byte, error) {
	var c claims
	if strictjson.Object(payload, &c) != nil {
		return nil, fmt.Errorf("%w: its payload is not strict JSON", errAnswer)
	}
	audience, ok := list(c.Audience)
	switch {
	case c.Issuer != s.issuer:
		return nil, fmt.Errorf("%w: its iss is not the Issuer", errAnswer)
	case !ok || !slices.Contains(audience, s.audience):
		return nil, fmt.Errorf("%w: its aud is not SignedAudience", errAnswer)
	case !s.fresh(c.IssuedAt, asked, time.Now()):
		return nil, fmt.Errorf("%w: its iat is not the time of the question; compare the clocks", errAnswer)
	case c.Introspection.Kind() != '{':
		return nil, fmt.Errorf("%w: token_introspection is not an object", errAnswer)
	}
	return c.Introspection, nil
}

// fresh reports whether iat lies between question and answer, within the leeway
// and the second that it is rounded to.
func (s *signedAnswers) fresh(iat strictjson.Value, asked, now time.Time) bool {
	issued, ok := date(iat)
	return ok && !issued.Add(time.Second).Before(asked.Add(-s.leeway)) && !issued.After(now.Add(s.leeway))
}

// alike reports that honest answers about two tokens can be one text: where the
// signature adds no randomness and nothing inside names the token.
func alike(algorithm string, body []byte) bool {
	var a answer
	return (strings.HasPrefix(algorithm, "RS") || algorithm == "EdDSA") && strictjson.Object(body, &a) == nil && a.ID == ""
}

// remember refuses an answer that was given about another token: nothing in
// RFC 9701 ties an answer to its question. Where answers may be alike it counts
// as repeated, which is not to be remembered.
func (s *signedAnswers) remember(text []byte, token tokenID, alike bool) (repeated bool, err error) {
	id := tokenID(sha256.Sum256(text))
	before, repeated := s.seen.Get(id)
	if !repeated {
		s.seen.Add(id, token)
		return false, nil
	}
	if before != token && !alike {
		return false, fmt.Errorf("%w: the same signed answer was given about another token", errAnswer)
	}
	return true, nil
}
