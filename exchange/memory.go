package exchange

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync/atomic"
	"time"

	"github.com/elastic/go-freelru"
)

const (
	// maxMargin is how long before its end a token is not used any more, so that it
	// does not end on its way; a tenth of its lifetime where that is less.
	maxMargin = 10 * time.Second
	// retryAfter is the least time from one refresh ahead of time, or one new token
	// because of a 401, to the next.
	retryAfter = 10 * time.Second
	// minSignature is the least that tells tokens apart by itself.
	minSignature = 40
)

// A key names whose token it is, for what, and by which token of the user's it was
// obtained: another token of the same user may grant less.
type key [sha256.Size]byte

// identify gives a question its key, hashed with the client's own seed, so that nobody
// can choose tokens that land in one bucket. To hash a whole JWT would take longer
// than the rest of a call, so what its signature signs is not hashed but compared.
func (c *Client) identify(q *question) {
	var space [1024]byte // spares the heap a copy of an ordinary token
	text := append(space[:0], c.seed[:]...)
	text = append(text, q.digest[:]...)
	part := func(s string) {
		text = binary.LittleEndian.AppendUint32(text, uint32(len(s)))
		text = append(text, s...)
	}
	if q.actor != nil {
		part(q.actor.Type)
		part(q.actor.AccessToken())
	} else {
		part("")
	}
	if q.subject != nil {
		signature := q.subject.DangerouslyRaw()
		if dot := strings.LastIndexByte(signature, '.'); dot > 0 && len(signature)-dot > minSignature {
			q.signed, signature = signature[:dot], signature[dot:]
		}
		part(q.subject.Issuer)
		part(q.subject.Subject)
		part(q.subject.ClientID)
		part(signature)
	}
	q.key = sha256.Sum256(text)
}

// An entry is a token and the times of its use.
type entry struct {
	token  *Token
	signed string    // of the user's, which is no credential without its signature
	ahead  time.Time // from then on it is refreshed ahead
	until  time.Time // from then on it is not used

	next  atomic.Int64 // no refresh ahead before, in ns since 1970
	renew atomic.Int64 // no new token because of a 401 before, in ns since 1970
}

// newEntry plans the use of a token that was asked for at a time. It ends with the
// user's own: what the client may no longer do, we may no longer do for it.
func newEntry(token *Token, q *question, asked time.Time) *entry {
	lifetime := token.Expiry.Sub(asked)
	e := &entry{token: token, signed: strings.Clone(q.signed), until: token.Expiry.Add(-min(maxMargin, lifetime/10))}
	if q.subject != nil && q.subject.Expiry.Before(e.until) {
		e.until, e.ahead = q.subject.Expiry, q.subject.Expiry // nothing newer to be had by it
		return e
	}
	// From 75 to 85 in a hundred, so that not all tokens of one hour end together.
	part := 750 + time.Duration(q.key[0])*100/255
	e.ahead = asked.Add(e.until.Sub(asked) / 1000 * part)
	return e
}

func (e *entry) usable(now time.Time) bool { return e != nil && now.Before(e.until) }

// due reports, to one caller every while, that the entry is to be refreshed.
func (e *entry) due(now time.Time) bool {
	if now.Before(e.ahead) {
		return false
	}
	before := e.next.Load()
	return now.UnixNano() >= before && e.next.CompareAndSwap(before, now.Add(retryAfter).UnixNano())
}

// memory remembers the latest tokens. One past its time is not used, and goes when
// it is replaced or others need its room: the cache would look at the clock under its
// lock.
type memory struct {
	entries *freelru.ShardedLRU[key, *entry]
}

// newMemory returns nil for a size of zero or less, which remembers nothing.
func newMemory(size int) *memory {
	if size <= 0 {
		return nil
	}
	// Shards fill unevenly: without some room, those that are full first would drop
	// tokens before size is reached. The only error is a capacity of zero.
	entries, _ := freelru.NewSharded[key, *entry](uint32(size+size/2), func(k key) uint32 {
		return binary.LittleEndian.Uint32(k[:])
	})
	return &memory{entries}
}

func (m *memory) get(q *question, now time.Time) *entry {
	if m == nil {
		return nil
	}
	e, ok := m.entries.Get(q.key)
	if !ok || e.signed != q.signed || !e.usable(now) {
		return nil
	}
	return e
}

func (m *memory) put(q *question, e *entry, now time.Time) {
	if m != nil && e.usable(now) {
		m.entries.Add(q.key, e)
	}
}

func (m *memory) drop(q *question) {
	if m != nil {
		m.entries.Remove(q.key)
	}
}
