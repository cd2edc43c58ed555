package verifier

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/elastic/go-freelru"
)

const (
	// defaultCacheSize is the number of tokens remembered.
	defaultCacheSize = 10_000
	maxCacheSize     = 1_000_000
	// maxCachedToken keeps a few huge tokens from taking the memory of many.
	maxCachedToken = 4 << 10
)

// tokenID names a token by the SHA-256 of its exact text, so that no credential
// is kept and no two tokens can share an entry.
type tokenID [sha256.Size]byte

func identify(token string) tokenID {
	var text [1536]byte // spares the heap a copy of an ordinary token
	if len(token) > len(text) {
		return sha256.Sum256([]byte(token))
	}
	return sha256.Sum256(text[:copy(text[:], token)])
}

// remembered is a verification that succeeded: by whose keys and which
// generation of them.
type remembered struct {
	token      *Token
	issuer     *trusted
	generation uint64
}

// tokenCache remembers verified tokens. A hit saves what cannot change: signature,
// claims and the issuer's Judge. Key and expiry are judged again every time, and
// so is policy, by those who ask.
type tokenCache struct {
	entries  *freelru.ShardedLRU[tokenID, remembered]
	leeway   time.Duration
	capacity int
	outdated atomic.Uint64 // entries found and not used
}

// newTokenCache returns nil for a size of zero or less, which remembers nothing.
func newTokenCache(size int, leeway time.Duration) *tokenCache {
	if size <= 0 {
		return nil
	}
	// Shards fill unevenly: without some room, those that are full first would
	// drop tokens before size is reached.
	entries, err := freelru.NewSharded[tokenID, remembered](uint32(size+size/2), func(id tokenID) uint32 {
		return binary.LittleEndian.Uint32(id[:])
	})
	if err != nil {
		return nil
	}
	return &tokenCache{entries: entries, leeway: leeway, capacity: size + size/2}
}

// get returns a copy of the remembered token, if its key is still in the set and
// it has not expired.
func (c *tokenCache) get(id tokenID, raw string, now time.Time) *Token {
	entry, ok := c.entries.Get(id)
	if !ok {
		return nil
	}
	if !c.current(entry, now) {
		c.outdated.Add(1)
		return nil
	}
	return entry.token.hold(raw, entry.token.hidden().claims).from(SourceRemembered)
}

// current reports whether entry may still be used.
func (c *tokenCache) current(entry remembered, now time.Time) bool {
	if !entry.issuer.until.IsZero() && !now.Before(entry.issuer.until) {
		return false
	}
	s, _ := entry.issuer.keys.serving(now)
	return s != nil && s.generation == entry.generation && now.Before(entry.token.Expiry.Add(c.leeway))
}

// put remembers token, without its credential, until it expires.
func (c *tokenCache) put(id tokenID, token *Token, issuer *trusted, generation uint64, now time.Time) {
	kept := token.hold("", token.hidden().claims)
	c.entries.AddWithLifetime(id, remembered{kept, issuer, generation}, token.Expiry.Add(c.leeway).Sub(now))
}
