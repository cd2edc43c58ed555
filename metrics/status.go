package metrics

import (
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/prometheus/client_golang/prometheus"
)

// The metrics that Status feeds.
var (
	keySetKeys = definition{"gatehouse_key_set_keys", prometheus.GaugeValue,
		"Usable keys of the issuer.", []string{"resource", "issuer"}}
	keySetUsable = definition{"gatehouse_key_set_usable", prometheus.GaugeValue,
		"1 while tokens of the issuer can be verified: keys have been seen and are not too old.", []string{"resource", "issuer"}}
	keySetAge = definition{"gatehouse_key_set_age_seconds", prometheus.GaugeValue,
		"Time since the keys were confirmed by the provider; absent before the first success.", []string{"resource", "issuer"}}
	keySetLastSuccess = definition{"gatehouse_key_set_last_success_timestamp_seconds", prometheus.GaugeValue,
		"When the keys were confirmed by the provider; absent before the first success.", []string{"resource", "issuer"}}
	keySetGeneration = definition{"gatehouse_key_set_generation", prometheus.GaugeValue,
		"Number of changes of the set since the start.", []string{"resource", "issuer"}}
	keySetFailures = definition{"gatehouse_key_set_consecutive_failures", prometheus.GaugeValue,
		"Refreshes that failed since the last success.", []string{"resource", "issuer"}}
	keySetRefreshes = definition{"gatehouse_key_set_refreshes_total", prometheus.CounterValue,
		"Refreshes of the keys by result: success or failure.", []string{"resource", "issuer", "result"}}
	keySetSkipped = definition{"gatehouse_key_set_skipped_keys", prometheus.GaugeValue,
		"Keys of the current set that are not used, by cause.", []string{"resource", "issuer", "cause"}}
	keySetSuppressed = definition{"gatehouse_key_set_unknown_kid_suppressed_total", prometheus.CounterValue,
		"Tokens with an unknown kid that caused no refresh, because one had just been made.", []string{"resource", "issuer"}}
	keySetStale = definition{"gatehouse_key_set_stale_served_total", prometheus.CounterValue,
		"Looks at keys that were due for a refresh while refreshes failed.", []string{"resource", "issuer"}}

	answersTotal = definition{"gatehouse_introspection_answers_total", prometheus.CounterValue,
		"Questions to the authorization server by result: active, inactive, refused (active, and not good here), credentials (ours are refused), limited (429), bad_answer, failed, suppressed (not asked).",
		[]string{"resource", "issuer", "result"}}
	usesTotal = definition{"gatehouse_introspection_uses_total", prometheus.CounterValue,
		"Uses of introspected tokens by where the answer came from: hit, negative_hit, stale (remembered, in an outage) or miss (asked).",
		[]string{"resource", "issuer", "source"}}
	answersInFlight = definition{"gatehouse_introspection_in_flight", prometheus.GaugeValue,
		"Questions under way.", []string{"resource", "issuer"}}
	answersWaiting = definition{"gatehouse_introspection_waiting", prometheus.GaugeValue,
		"Questions that wait for their turn.", []string{"resource", "issuer"}}
	breakerState = definition{"gatehouse_introspection_breaker", prometheus.GaugeValue,
		"1 for the circuit breaker's state: closed (all is well), open (nothing is asked) or half-open.", []string{"resource", "issuer", "state"}}
	answersRemembered = definition{"gatehouse_introspection_cache_entries", prometheus.GaugeValue,
		"Remembered answers by kind: token or refusal.", []string{"resource", "issuer", "kind"}}

	cacheEntries = definition{"gatehouse_token_cache_entries", prometheus.GaugeValue,
		"Remembered JWTs.", []string{"resource"}}
	cacheCapacity = definition{"gatehouse_token_cache_capacity", prometheus.GaugeValue,
		"JWTs that can be remembered.", []string{"resource"}}
	cacheLookups = definition{"gatehouse_token_cache_lookups_total", prometheus.CounterValue,
		"Lookups of JWTs by result: hit, miss or outdated (expired, or its key is gone).", []string{"resource", "result"}}
	cacheEvictions = definition{"gatehouse_token_cache_evictions_total", prometheus.CounterValue,
		"Remembered JWTs that made room for others.", []string{"resource"}}
)

func statusDefinitions() []definition {
	return []definition{
		keySetUsable, keySetKeys, keySetAge, keySetLastSuccess, keySetGeneration, keySetRefreshes, keySetFailures,
		keySetSkipped, keySetSuppressed, keySetStale,
		answersTotal, usesTotal, answersInFlight, answersWaiting, breakerState, answersRemembered,
		cacheLookups, cacheEntries, cacheCapacity, cacheEvictions,
	}
}

// snapshot writes what several Guards know, nothing twice: a registry refuses
// the whole scrape for one duplicate.
type snapshot struct {
	ch   chan<- prometheus.Metric
	seen map[string]bool
}

func (s *snapshot) first(key string) bool {
	if s.seen[key] {
		return false
	}
	s.seen[key] = true
	return true
}

func (s *snapshot) add(d definition, value float64, labels ...string) {
	for i := range labels {
		labels[i] = label(labels[i])
	}
	s.ch <- prometheus.MustNewConstMetric(d.desc(), d.kind, value, labels...)
}

func (s *snapshot) collect(status middleware.Status) {
	resource := status.Resource
	for _, keys := range status.Keys {
		if s.first("keys " + resource + " " + keys.Issuer) {
			s.keys(resource, keys)
		}
	}
	if asked := status.Introspection; asked.Issuer != "" && s.first("answers "+resource+" "+asked.Issuer) {
		s.introspection(resource, asked)
	}
	if cache := status.Cache; cache.Capacity > 0 && s.first("cache "+resource) {
		s.add(cacheLookups, float64(cache.Hits), resource, "hit")
		s.add(cacheLookups, float64(cache.Misses), resource, "miss")
		s.add(cacheLookups, float64(cache.Outdated), resource, "outdated")
		s.add(cacheEntries, float64(cache.Entries), resource)
		s.add(cacheCapacity, float64(cache.Capacity), resource)
		s.add(cacheEvictions, float64(cache.Evictions), resource)
	}
}

func (s *snapshot) keys(resource string, k verifier.KeyStatus) {
	usable := 0.0
	if k.Usable {
		usable = 1
	}
	s.add(keySetUsable, usable, resource, k.Issuer)
	s.add(keySetKeys, float64(k.Keys), resource, k.Issuer)
	if !k.Fetched.IsZero() {
		s.add(keySetAge, time.Since(k.Fetched).Seconds(), resource, k.Issuer)
		s.add(keySetLastSuccess, float64(k.Fetched.UnixMilli())/1e3, resource, k.Issuer)
	}
	s.add(keySetGeneration, float64(k.Generation), resource, k.Issuer)
	s.add(keySetFailures, float64(k.Failures), resource, k.Issuer)
	s.add(keySetRefreshes, float64(k.Counts.Succeeded), resource, k.Issuer, "success")
	s.add(keySetRefreshes, float64(k.Counts.Failed), resource, k.Issuer, "failure")
	for cause, n := range k.Skipped {
		s.add(keySetSkipped, float64(n), resource, k.Issuer, cause)
	}
	s.add(keySetSuppressed, float64(k.Counts.Suppressed), resource, k.Issuer)
	s.add(keySetStale, float64(k.Counts.StaleServed), resource, k.Issuer)
}

func (s *snapshot) introspection(resource string, i verifier.IntrospectionStatus) {
	for result, n := range map[string]uint64{
		"active": i.Counts.Active, "inactive": i.Counts.Inactive, "refused": i.Counts.Refused,
		"credentials": i.Counts.Credentials, "limited": i.Counts.Limited, "bad_answer": i.Counts.BadAnswers,
		"failed": i.Counts.Failed, "suppressed": i.Counts.Suppressed,
	} {
		s.add(answersTotal, float64(n), resource, i.Issuer, result)
	}
	for source, n := range map[string]uint64{
		"hit": i.Counts.Hits, "negative_hit": i.Counts.NegativeHits, "stale": i.Counts.Stale, "miss": i.Counts.Misses,
	} {
		s.add(usesTotal, float64(n), resource, i.Issuer, source)
	}
	s.add(answersInFlight, float64(i.InFlight), resource, i.Issuer)
	s.add(answersWaiting, float64(i.Waiting), resource, i.Issuer)
	for _, state := range []string{"closed", "open", "half-open"} {
		value := 0.0
		if i.Breaker == state {
			value = 1
		}
		s.add(breakerState, value, resource, i.Issuer, state)
	}
	s.add(answersRemembered, float64(i.Remembered), resource, i.Issuer, "token")
	s.add(answersRemembered, float64(i.RememberedRefusals), resource, i.Issuer, "refusal")
}
