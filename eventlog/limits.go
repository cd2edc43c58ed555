package eventlog

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// A class is what is limited together, so that a flood of one kind hides no
// other.
type class struct {
	outcome middleware.Outcome
	reason  verifier.Reason
	result  exchange.Result
}

// limits holds one limit for each class. Its map is never written after New.
type limits struct {
	classes map[class]*limit
	others  *limit
}

type limit struct {
	bucket     *rate.Limiter // nil: no limit
	suppressed atomic.Uint64
}

func newLimits(perSecond float64) limits {
	if perSecond == 0 || math.IsNaN(perSecond) {
		perSecond = 1
	}
	one := func() *limit {
		if perSecond < 0 {
			return &limit{}
		}
		return &limit{bucket: rate.NewLimiter(rate.Limit(perSecond), max(int(min(10*perSecond, 1e6)), 1))}
	}
	l := limits{classes: make(map[class]*limit), others: one()}
	for _, outcome := range middleware.Outcomes() {
		l.classes[class{outcome: outcome}] = one()
	}
	for _, reason := range verifier.Reasons() {
		l.classes[class{outcome: middleware.OutcomeInvalidToken, reason: reason}] = one()
		l.classes[class{outcome: middleware.OutcomeEnded, reason: reason}] = one()
	}
	for _, result := range exchange.Results() {
		l.classes[class{result: result}] = one()
	}
	return l
}

// allow reports whether a record may be written, and how many were left out
// before it.
func (l *limits) allow(c class, now time.Time) (suppressed uint64, ok bool) {
	one := l.classes[c]
	if one == nil {
		one = l.others
	}
	if one.bucket != nil && !one.bucket.AllowN(now, 1) {
		one.suppressed.Add(1)
		return 0, false
	}
	return one.suppressed.Swap(0), true
}

const (
	maxAsked = 1024
	askedFor = 15 * time.Minute // a person needs that long to log in
)

// memory knows who was asked for which scopes. It is bounded, and empty most of
// the time: then the accepted path only reads one word.
type memory struct {
	size    atomic.Int64
	mu      sync.Mutex
	entries map[caller]askedScopes
}

type caller struct{ issuer, subject, client, resource string }

type askedScopes struct {
	needed scopes.Set
	until  time.Time
}

func callerOf(event middleware.Event) caller {
	return caller{event.Caller.Issuer, event.Caller.Subject, event.Caller.ClientID, event.Resource}
}

func (m *memory) add(event middleware.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if m.entries == nil {
		m.entries = make(map[caller]askedScopes)
	}
	if len(m.entries) >= maxAsked {
		for who, entry := range m.entries {
			if !now.Before(entry.until) || len(m.entries) >= maxAsked {
				delete(m.entries, who)
			}
		}
	}
	m.entries[callerOf(event)] = askedScopes{event.Needed, now.Add(askedFor)}
	m.size.Store(int64(len(m.entries)))
}

// won returns the scopes that the caller was asked for and now holds, once.
func (m *memory) won(event middleware.Event) (scopes.Set, bool) {
	if m.size.Load() == 0 || event.Caller == nil {
		return scopes.Set{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	who := callerOf(event)
	entry, ok := m.entries[who]
	if !ok {
		return scopes.Set{}, false
	}
	late := !time.Now().Before(entry.until)
	if late || event.Caller.Scopes.Contains(entry.needed) {
		delete(m.entries, who)
		m.size.Store(int64(len(m.entries)))
	}
	return entry.needed, !late && event.Caller.Scopes.Contains(entry.needed)
}
