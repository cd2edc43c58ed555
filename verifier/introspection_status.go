package verifier

import (
	"errors"
	"net/http"
	"sync/atomic"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

// IntrospectionCounts counts since the start. A token that is used is one of
// Hits, NegativeHits, Stale and Misses; a question is one of the others.
type IntrospectionCounts struct {
	// Hits and NegativeHits count uses of remembered tokens and refusals.
	Hits, NegativeHits uint64
	// Stale counts uses of a remembered token past its time, in an outage.
	Stale uint64
	// Misses counts tokens that had to be asked about, alone or with others.
	Misses uint64

	// Active and Inactive count answers by what they say.
	Active, Inactive uint64
	// Refused counts active answers about tokens that are not for this resource,
	// expired, or otherwise not accepted here.
	Refused uint64
	// Credentials counts questions for which our own credentials did not work.
	Credentials uint64
	// Limited counts answers with status 429.
	Limited uint64
	// BadAnswers counts answers that say nothing.
	BadAnswers uint64
	// Failed counts questions without an answer, for any other cause.
	Failed uint64
	// Suppressed counts questions that were not asked: too many at a time, or the
	// server was left alone after failures.
	Suppressed uint64
}

// introspectionCounts is IntrospectionCounts while it is counted. The cache counts
// hits itself, unused ones among them: one number for all would be in the way of
// several cores.
type introspectionCounts struct {
	unused, negativeHits, stale, misses                                             atomic.Uint64
	active, inactive, refused, credentials, limited, badAnswers, failed, suppressed atomic.Uint64
}

func (c *introspectionCounts) read() IntrospectionCounts {
	return IntrospectionCounts{
		NegativeHits: c.negativeHits.Load(), Stale: c.stale.Load(), Misses: c.misses.Load(),
		Active: c.active.Load(), Inactive: c.inactive.Load(), Refused: c.refused.Load(),
		Credentials: c.credentials.Load(), Limited: c.limited.Load(), BadAnswers: c.badAnswers.Load(),
		Failed: c.failed.Load(), Suppressed: c.suppressed.Load(),
	}
}

// count files a failed question.
func (c *introspectionCounts) count(err error) {
	status, answered := errors.AsType[*fetch.StatusError](err)
	switch {
	case errors.Is(err, errNotAsked):
		c.suppressed.Add(1)
	case errors.Is(err, ErrOurCredentials):
		c.credentials.Add(1)
	case answered && status.Status == http.StatusTooManyRequests:
		c.limited.Add(1)
	case errors.Is(err, errAnswer):
		c.badAnswers.Add(1)
	default:
		c.failed.Add(1)
	}
}

// An IntrospectionStatus describes an Introspection at one moment.
type IntrospectionStatus struct {
	// Issuer is the authorization server's identifier.
	Issuer string
	// InFlight is the number of questions under way; Waiting, of those that wait
	// for their turn.
	InFlight, Waiting int
	// Breaker is the circuit breaker's state: closed (all is well), open (nothing
	// is asked) or half-open (one question tries).
	Breaker string
	// Remembered and RememberedRefusals are the numbers of cache entries, some of
	// which may be past their time.
	Remembered, RememberedRefusals int
	// LastError is why the last question failed; nil after an answer.
	LastError error
	// Counts holds the totals.
	Counts IntrospectionCounts
}

// Status describes the verifier. It does no I/O.
func (i *Introspection) Status() IntrospectionStatus {
	if i.line == nil {
		return IntrospectionStatus{}
	}
	status := IntrospectionStatus{
		Issuer:   i.issuer,
		InFlight: len(i.line.slots.taken),
		Waiting:  int(i.line.slots.waiting.Load()),
		Breaker:  i.line.breaker.State().String(),
		Counts:   i.counts.read(),
	}
	if i.memory != nil {
		status.Remembered, status.RememberedRefusals = i.memory.positives.Len(), i.memory.negatives.Len()
		found := i.memory.positives.Metrics().Hits
		status.Counts.Hits = found - min(i.counts.unused.Load(), found) // two reads, not one moment
	}
	if last := i.line.lastError.Load(); last != nil {
		status.LastError = *last
	}
	return status
}
