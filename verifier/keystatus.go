package verifier

import (
	"maps"
	"time"
)

// KeyCounts counts what happened to the keys of one issuer since the start.
type KeyCounts struct {
	// Succeeded and Failed count refreshes.
	Succeeded, Failed uint64
	// Suppressed counts tokens with an unknown kid that caused no refresh,
	// because one had just been made.
	Suppressed uint64
	// StaleServed counts looks at keys that were due for a refresh while
	// refreshes failed.
	StaleServed uint64
}

// A KeyStatus describes the keys of one issuer at one moment.
type KeyStatus struct {
	// Issuer is the configured issuer identifier.
	Issuer string
	// Keys is the number of usable keys; zero before the first success.
	Keys int
	// Skipped counts the keys of the current set that are not used, by cause.
	Skipped map[string]int
	// Fetched is the time of the last success; zero before.
	Fetched time.Time
	// Failures counts the refreshes that failed since the last success.
	Failures int
	// Generation counts the changes of the set; zero before the first success.
	Generation uint64
	// Usable reports whether tokens can be verified now.
	Usable bool
	// LastError is the cause of the last failure; nil after a success.
	LastError error
	// Counts holds the totals.
	Counts KeyCounts
}

// status returns a copy that shares nothing.
func (k *keySource) status(now time.Time) KeyStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	status := KeyStatus{Issuer: k.locate.Issuer, LastError: k.lastErr, Failures: k.failures, Counts: k.counts}
	status.Counts.StaleServed = k.stale.Load()
	if s := k.current.Load(); s != nil {
		status.Keys = s.set.Len()
		status.Skipped = maps.Clone(s.set.Skipped())
		status.Fetched = s.fetched
		status.Generation = s.generation
		status.Usable = k.good(now) != nil
	}
	return status
}
