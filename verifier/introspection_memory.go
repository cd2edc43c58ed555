package verifier

import (
	"crypto/sha256"
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/elastic/go-freelru"
)

// maxKeptAnswer keeps a few huge answers from taking the memory of many.
const maxKeptAnswer = 16 << 10

// tokenID names a token in a cache.
type tokenID [sha256.Size]byte

// A confirmed token is what the server called active at a time. It is immutable, but
// for what it has lent.
type confirmed struct {
	token   *Token    // of SourceIntrospection, without its credential
	again   record    // the same, of SourceAnswer
	lent    lent      // of SourceAnswer
	lasting bool      // the answer named no end
	asked   time.Time // when the question was put
	fresh   time.Time // ask again from
	stale   time.Time // and do not serve it from, even in an outage
}

// at returns the token for a request at now. A token that names no end is good for
// as long as its answer is used; the front door and streams need an Expiry.
func (c *confirmed) at(now time.Time, raw string, ttl time.Duration, source Source) *Token {
	shared := c.token.hidden().shared
	if source == SourceAnswer {
		shared = &c.again
	}
	if source == SourceAnswer && !c.lasting {
		return c.lent.lend(c.token, raw, shared)
	}
	token := c.token.hold(raw, shared)
	if c.lasting {
		token.Expiry = now.Add(ttl)
	}
	return token
}

// refused is a refusal that is used for a while.
type refused struct {
	err   InvalidTokenError
	until time.Time
}

// answerMemory remembers answers. Refusals live apart, because anybody can make
// them: they must not push good tokens out. Nothing extends an entry's life; what is
// past its time goes when others need its room. That is judged here and not by the
// cache, which would look at the clock under its lock.
type answerMemory struct {
	positives *freelru.ShardedLRU[tokenID, *confirmed]
	negatives *freelru.ShardedLRU[tokenID, *refused]

	ttl, negativeTTL, serveStale time.Duration

	// forgotten counts calls of forget, by the first octet of the name. An answer
	// on its way when its token is forgotten must not come back.
	forgotten [256]atomic.Uint64
}

// newAnswerMemory returns nil for a size of zero or less, which remembers
// nothing.
func newAnswerMemory(size int, ttl, negativeTTL, serveStale time.Duration) *answerMemory {
	if size <= 0 {
		return nil
	}
	hash := func(id tokenID) uint32 { return binary.LittleEndian.Uint32(id[:]) }
	// Shards fill unevenly: without some room, those that are full first would
	// drop tokens before size is reached. The only error is a capacity of zero.
	positives, _ := freelru.NewSharded[tokenID, *confirmed](uint32(size+size/2), hash)
	negatives, _ := freelru.NewSharded[tokenID, *refused](uint32(size+size/2), hash)
	return &answerMemory{positives: positives, negatives: negatives, ttl: ttl, negativeTTL: negativeTTL, serveStale: serveStale}
}

// identify names a token for one verifier: the SHA-256 of a random seed, which keeps
// verifiers apart and keeps anybody from choosing tokens that land in one bucket, and
// the text. It goes piece by piece, because a copy of a whole text is one for the heap.
func (i *Introspection) identify(token string) (id tokenID) {
	hash, piece := sha256.New(), [256]byte{}
	_, _ = hash.Write(i.seed[:])
	for len(token) > 0 {
		n := copy(piece[:], token)
		_, _ = hash.Write(piece[:n])
		token = token[n:]
	}
	hash.Sum(id[:0])
	return id
}

// confirmed returns the remembered answer, which may be past its time, and counts a
// hit in the cache.
func (m *answerMemory) confirmed(id tokenID) *confirmed {
	if m == nil {
		return nil
	}
	known, _ := m.positives.Get(id)
	return known
}

// again is confirmed for a second look, which does not count.
func (m *answerMemory) again(id tokenID) *confirmed {
	if m == nil {
		return nil
	}
	known, _ := m.positives.Peek(id)
	return known
}

// refusal returns the remembered refusal.
func (m *answerMemory) refusal(id tokenID, now time.Time) error {
	if m == nil {
		return nil
	}
	known, ok := m.negatives.Get(id)
	if !ok || !now.Before(known.until) {
		return nil
	}
	err := known.err
	return &err
}

// confirm returns token as it was confirmed by an answer to a question of asked.
// Its time counts from the question: later, the server may have known better.
func (m *answerMemory) confirm(token *Token, lasting bool, asked time.Time) *confirmed {
	c := &confirmed{token: token, again: record{token.hidden().shared.claims, SourceAnswer}, lasting: lasting, asked: asked}
	if m == nil {
		return c
	}
	c.fresh = asked.Add(m.ttl)
	c.stale = c.fresh.Add(m.serveStale)
	if !lasting { // RFC 7662 §4: not beyond exp
		c.fresh, c.stale = earlier(c.fresh, token.Expiry), earlier(c.stale, token.Expiry)
	}
	return c
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// mark is to be taken before the question, for keep.
func (m *answerMemory) mark(id tokenID) uint64 {
	if m == nil {
		return 0
	}
	return m.forgotten[id[0]].Load()
}

// outdated reports that the token may have been forgotten since mark. What an
// older question then brings must not touch what a newer one brought.
func (m *answerMemory) outdated(id tokenID, mark uint64) bool {
	return m.forgotten[id[0]].Load() != mark
}

// keep remembers an answer, unless its token was forgotten since mark.
func (m *answerMemory) keep(id tokenID, mark uint64, c *confirmed, now time.Time) {
	if m == nil || !now.Before(c.stale) || len(c.again.claims) > maxKeptAnswer || m.outdated(id, mark) {
		return
	}
	m.negatives.Remove(id)
	m.positives.Add(id, c)
	if m.outdated(id, mark) { // just now
		m.positives.Remove(id)
	}
}

// refuse remembers a refusal in the place of what was known.
func (m *answerMemory) refuse(id tokenID, mark uint64, err InvalidTokenError, now time.Time) {
	if m == nil || m.outdated(id, mark) {
		return
	}
	m.positives.Remove(id)
	m.negatives.Add(id, &refused{err, now.Add(m.negativeTTL)})
	if m.outdated(id, mark) {
		m.negatives.Remove(id)
	}
}

// forget drops what is known, and what is just being asked.
func (m *answerMemory) forget(id tokenID) {
	if m == nil {
		return
	}
	m.forgotten[id[0]].Add(1)
	m.positives.Remove(id)
	m.negatives.Remove(id)
}
