// Package metrics counts the decisions of the front door for Prometheus. The
// caller owns the registry:
//
//	m := metrics.New(metrics.Config{})
//	registry.MustRegister(m)
//	guard, err := middleware.New(middleware.Config{..., Observe: m.Observe})
//
// One Metrics serves every Guard of a process. The metrics are:
//
//	gatehouse_requests_total{resource,outcome,reason}
//	gatehouse_verification_duration_seconds{resource,issuer}
//
// outcome is a [middleware.Outcome]; reason is a [verifier.Reason] for
// invalid_token and empty for every other outcome; issuer is empty where a
// token was refused before its issuer was known. No label takes its value from
// a request, so no client can create series.
package metrics

import (
	"context"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/prometheus/client_golang/prometheus"
)

// Config configures a Metrics. The zero value is ready to use.
type Config struct {
	_ [0]func() // unkeyed literals do not compile

	// Resources are the resource identifiers whose counters exist, at zero, from
	// the start, so that a rate over the first refusal is not lost. Those of
	// other Guards appear with their first request. Nil: none.
	Resources []string
}

// Metrics is a [prometheus.Collector] fed by the events of one or more Guards.
// Make it with New. It is safe for concurrent use.
type Metrics struct {
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec

	// The children are resolved once, so that Observe neither hashes labels nor
	// allocates.
	counters  table[string, *counters]
	observers table[verification, prometheus.Observer]
}

var _ prometheus.Collector = (*Metrics)(nil)

// New returns a Metrics that is registered nowhere yet.
func New(config Config) *Metrics {
	m := &Metrics{requests: newRequests(), durations: newDurations()}
	for _, resource := range config.Resources {
		m.resource(resource)
	}
	return m
}

// Observe counts one event. It fits [middleware.Config].Observe and does not
// block.
func (m *Metrics) Observe(_ context.Context, event middleware.Event) {
	m.resource(event.Resource).of(event.Outcome, event.Reason).Inc()
	// A Duration of zero says that no Verifier was asked; counting it would make
	// refusals look like fast verifications.
	if event.Duration > 0 {
		m.observer(verification{event.Resource, event.Issuer}).Observe(event.Duration.Seconds())
	}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	m.requests.Describe(ch)
	m.durations.Describe(ch)
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	m.requests.Collect(ch)
	m.durations.Collect(ch)
}

func (m *Metrics) resource(resource string) *counters {
	if found, ok := m.counters.get(resource); ok {
		return found
	}
	return m.counters.add(resource, other, func(resource string) *counters {
		return newCounters(m.requests, resource)
	})
}

func (m *Metrics) observer(key verification) prometheus.Observer {
	if found, ok := m.observers.get(key); ok {
		return found
	}
	return m.observers.add(key, verification{other, other}, func(key verification) prometheus.Observer {
		return m.durations.WithLabelValues(label(key.resource), label(key.issuer))
	})
}

// A verification names the children of the histogram.
type verification struct{ resource, issuer string }

// counters are the children of one resource.
type counters struct {
	byOutcome map[middleware.Outcome]prometheus.Counter
	byReason  map[verifier.Reason]prometheus.Counter
	unknown   prometheus.Counter
}

// newCounters creates every series of a resource at once: a counter that first
// appears with the value 1 hides that first increase from rate().
func newCounters(requests *prometheus.CounterVec, resource string) *counters {
	resource = label(resource)
	c := &counters{
		byOutcome: make(map[middleware.Outcome]prometheus.Counter),
		byReason:  make(map[verifier.Reason]prometheus.Counter),
		unknown:   requests.WithLabelValues(resource, other, ""),
	}
	for _, outcome := range middleware.Outcomes() {
		if outcome != middleware.OutcomeInvalidToken {
			c.byOutcome[outcome] = requests.WithLabelValues(resource, string(outcome), "")
		}
	}
	for _, reason := range verifier.Reasons() {
		c.byReason[reason] = requests.WithLabelValues(resource, string(middleware.OutcomeInvalidToken), string(reason))
	}
	return c
}

func (c *counters) of(outcome middleware.Outcome, reason verifier.Reason) prometheus.Counter {
	if outcome == middleware.OutcomeInvalidToken {
		if found, ok := c.byReason[reason]; ok {
			return found
		}
		// A custom Verifier may invent Reasons; the label set stays closed.
		return c.byReason[verifier.ReasonUnspecified]
	}
	if found, ok := c.byOutcome[outcome]; ok {
		return found
	}
	return c.unknown
}
