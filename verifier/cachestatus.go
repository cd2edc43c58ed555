package verifier

// A CacheStatus describes the remembered tokens of a JWT at one moment.
type CacheStatus struct {
	// Entries is the number of tokens remembered, some of which may have expired;
	// Capacity bounds it. Both are zero where nothing is remembered.
	Entries, Capacity int
	// Hits counts lookups that spared a verification, Outdated those that found a
	// token whose key or time is over or whose signature is borrowed, and Misses all
	// others.
	Hits, Outdated, Misses uint64
	// Evictions counts tokens that made room for others.
	Evictions uint64
}

// CacheStatus describes the remembered tokens. It does no I/O.
func (j *JWT) CacheStatus() CacheStatus {
	if j.cache == nil {
		return CacheStatus{}
	}
	counts := j.cache.entries.Metrics()
	return CacheStatus{
		Entries:   j.cache.entries.Len(),
		Capacity:  j.cache.capacity,
		Hits:      j.cache.sealer.matched(),
		Outdated:  j.cache.outdated.Load(),
		Misses:    counts.Misses,
		Evictions: counts.Evictions,
	}
}
