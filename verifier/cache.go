package verifier

import (
	"bytes"
	"hash/maphash"
	"slices"
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

// remembered is a verification that succeeded: of what, by whose keys and which
// generation of them. It is immutable, but for what it has lent, and in one piece of
// memory, as far as possible: with many tokens, a hit costs what it has to fetch.
type remembered struct {
	place      uint64
	keys       *keySource
	generation uint64
	until      time.Time // the end of the token, or of its resolved issuer
	lent       lent
	text       seal
	token      Token // without what its veil hides
	record     record
	audience   [1]string // of token, if it has one
}

// tokenCache remembers verified tokens. A hit saves what cannot change: signature,
// claims and the issuer's Judge. Key and expiry are judged again every time, and
// so is policy, by those who ask.
type tokenCache struct {
	entries  *freelru.ShardedLRU[uint64, *remembered] // by place
	front    front
	seed     maphash.Seed
	sealer   *sealer
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
	entries, err := freelru.NewSharded[uint64, *remembered](uint32(size+size/2), func(place uint64) uint32 { return uint32(place) })
	if err != nil {
		return nil
	}
	c := &tokenCache{entries: entries, seed: maphash.MakeSeed(), sealer: newSealer(), leeway: leeway, capacity: size + size/2}
	entries.SetOnEvict(c.front.drop)
	return c
}

// takes reports whether a token of this length is remembered.
func (c *tokenCache) takes(token string) bool { return c != nil && len(token) <= maxCachedToken }

// place returns where a token is to be found, by what differs most: the end of its
// signature. Only the seal says that it is the same.
func (c *tokenCache) place(token string) uint64 {
	return maphash.String(c.seed, token[max(0, len(token)-64):])
}

// get returns the remembered token, if its text is the same, its key is
// still in the set and it has not expired.
func (c *tokenCache) get(token string, now time.Time) *Token {
	entry := c.find(c.place(token), now)
	switch {
	case entry == nil:
		return nil
	case !entry.current(now), !c.sealer.match(&entry.text, token):
		c.outdated.Add(1)
		return nil
	}
	return entry.lent.lend(&entry.token, token, &entry.record)
}

// find returns what is remembered at a place, nil for nothing.
func (c *tokenCache) find(place uint64, now time.Time) *remembered {
	// Once in a while the cache has to see what is in use, to keep it; and what is used
	// most is there most often, to be in front.
	seen := now.Nanosecond()%64 == 0
	if !seen {
		if entry := c.front.get(place); entry != nil {
			return entry
		}
	}
	entry, found := c.entries.Get(place)
	if found && seen {
		c.front.put(entry)
	}
	return entry
}

// current reports whether r may still be used.
func (r *remembered) current(now time.Time) bool {
	s, _ := r.keys.serving(now)
	return s != nil && s.generation == r.generation && now.Before(r.until)
}

// put remembers a token, without its credential: of the text there is but its seal.
// What has expired goes when others need its room.
func (c *tokenCache) put(text string, token *Token, issuer *trusted, generation uint64) {
	until := token.Expiry.Add(c.leeway)
	if !issuer.until.IsZero() {
		until = earlier(until, issuer.until)
	}
	entry := &remembered{
		place: c.place(text), keys: issuer.keys, generation: generation, until: until, text: c.sealer.seal(text),
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
	c.entries.Add(entry.place, entry)
	c.front.put(entry)
}
