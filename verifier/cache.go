package verifier

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/elastic/go-freelru"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

const (
	// defaultCacheSize is the number of tokens remembered.
	defaultCacheSize = 10_000
	maxCacheSize     = 1_000_000
	// maxCachedToken keeps a few huge tokens from taking the memory of many.
	maxCachedToken = 4 << 10
)

// tokenID names a token in a cache.
type tokenID [sha256.Size]byte

// A named is the text of a JWT and what it is remembered by: the SHA-256 of its
// signature, and what was signed, which has to be compared. To hash all of a text
// takes longer than the rest of a hit.
type named struct {
	text, signed string
	id           tokenID
}

func identify(token string) named {
	_, rest, _ := strings.Cut(token, ".")
	_, signature, _ := strings.Cut(rest, ".")
	return named{token, token[:len(token)-len(signature)], digest(nil, signature)}
}

// digest returns the SHA-256 of seed and text. It goes piece by piece, because a
// copy of a whole text is one for the heap.
func digest(seed []byte, text string) (id tokenID) {
	hash, piece := sha256.New(), [256]byte{}
	_, _ = hash.Write(seed)
	for len(text) > 0 {
		n := copy(piece[:], text)
		_, _ = hash.Write(piece[:n])
		text = text[n:]
	}
	hash.Sum(id[:0])
	return id
}

// remembered is a verification that succeeded: of what, by whose keys and which
// generation of them. It is immutable, but for what it has lent, and in one piece of
// memory, as far as possible: with many tokens, a hit costs what it has to fetch.
type remembered struct {
	signed     string
	keys       *keySource
	generation uint64
	until      time.Time // of a resolved issuer; else zero
	token      Token     // without what its veil hides
	record     record
	audience   [1]string // of token, if it has one
	lent       lent
}

// tokenCache remembers verified tokens. A hit saves what cannot change: signature,
// claims and the issuer's Judge. Key and expiry are judged again every time, and
// so is policy, by those who ask.
type tokenCache struct {
	entries  *freelru.ShardedLRU[tokenID, *remembered]
	leeway   time.Duration
	capacity int
	outdated atomic.Uint64              // entries found and not used
	granted  atomic.Pointer[scopes.Set] // by the last token that was remembered
}

// newTokenCache returns nil for a size of zero or less, which remembers nothing.
func newTokenCache(size int, leeway time.Duration) *tokenCache {
	if size <= 0 {
		return nil
	}
	// Shards fill unevenly: without some room, those that are full first would
	// drop tokens before size is reached.
	entries, err := freelru.NewSharded[tokenID, *remembered](uint32(size+size/2), func(id tokenID) uint32 {
		return binary.LittleEndian.Uint32(id[:])
	})
	if err != nil {
		return nil
	}
	return &tokenCache{entries: entries, leeway: leeway, capacity: size + size/2}
}

// get returns the remembered token, if its text is the same, its key is
// still in the set and it has not expired.
func (c *tokenCache) get(name named, now time.Time) *Token {
	entry, ok := c.entries.Get(name.id)
	switch {
	case !ok:
		return nil
	case entry.signed != name.signed, !c.current(entry, now):
		c.outdated.Add(1)
		return nil
	}
	return entry.lent.lend(&entry.token, name.text, &entry.record)
}

// current reports whether entry may still be used.
func (c *tokenCache) current(entry *remembered, now time.Time) bool {
	if !entry.until.IsZero() && !now.Before(entry.until) {
		return false
	}
	s, _ := entry.keys.serving(now)
	return s != nil && s.generation == entry.generation && now.Before(entry.token.Expiry.Add(c.leeway))
}

// put remembers a token, without its credential: nobody can sign again what is kept.
// What has expired goes when others need its room.
func (c *tokenCache) put(name named, token *Token, issuer *trusted, generation uint64) {
	entry := &remembered{
		signed: strings.Clone(name.signed), keys: issuer.keys, generation: generation, until: issuer.until,
		token:  *token,
		record: record{bytes.Clone(token.hidden().shared.claims), SourceRemembered}, // behind the original lies the signature
	}
	entry.token.veil = nil
	// What tokens have in common is kept once.
	if token.Issuer == issuer.URL {
		entry.token.Issuer = issuer.URL
	}
	if last := c.granted.Load(); last != nil && last.Equal(token.Scopes) {
		entry.token.Scopes = *last
	} else {
		granted := token.Scopes
		c.granted.Store(&granted)
	}
	if len(token.Audience) == 1 {
		entry.audience[0] = token.Audience[0]
		if i := slices.Index(issuer.audiences, token.Audience[0]); i >= 0 {
			entry.audience[0] = issuer.audiences[i]
		}
		entry.token.Audience = entry.audience[:]
	}
	c.entries.Add(name.id, entry)
}
