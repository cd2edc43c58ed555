// Package metrics counts the decisions of the front door for Prometheus, and
// shows what its verifiers know of their providers. The caller owns the registry:
//
//	m := metrics.New(metrics.Config{})
//	registry.MustRegister(m)
//	guard, err := middleware.New(middleware.Config{..., Observe: m.Observe})
//	m.Watch(guard.Status)
//	exchanger, err := exchange.New(exchange.Config{..., Observe: m.ObserveExchange})
//
// One Metrics serves every Guard of a process. docs/operations.md lists the
// metrics. No label takes its value from a request: values are of closed lists,
// or of the configuration, or "other"; so no client can create series.
package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// Config configures a Metrics. The zero value is ready to use.
type Config struct {
	_ [0]func() // unkeyed literals do not compile

	// Resources are the resource identifiers whose counters exist, at zero, from
	// the start, so that a rate over the first refusal is not lost. Those of
	// other Guards appear with their first request. Nil: none.
	Resources []string

	// Exchanges are the issuers, exchange.Config.Issuer, whose counters exist at
	// zero from the start, for the same reason. Nil: none.
	Exchanges []string

	// TraceID returns the id of the trace that the context belongs to, or "". It
	// becomes the trace_id of OpenMetrics exemplars; letters, digits, "-" and "_"
	// only, at most 64 of them. It is called for every event. Nil: no exemplars.
	TraceID func(context.Context) string
}

// Metrics is a [prometheus.Collector] fed by the events of one or more Guards and
// exchange clients. Make it with New. It is safe for concurrent use.
type Metrics struct {
	requests      *prometheus.CounterVec
	durations     *prometheus.HistogramVec
	policies      *prometheus.CounterVec
	stepUps       *prometheus.CounterVec
	ended         *prometheus.CounterVec
	exchanged     *prometheus.CounterVec
	exchangeTimes *prometheus.HistogramVec
	traceID       func(context.Context) string

	// The children are resolved once, so that Observe neither hashes labels nor
	// allocates.
	resources table[string, *perResource]
	exchanges table[string, *exchanges]

	watching sync.Mutex
	watched  []func() middleware.Status
}

var _ prometheus.Collector = (*Metrics)(nil)

// New returns a Metrics that is registered nowhere yet.
func New(config Config) *Metrics {
	m := &Metrics{
		requests:      requestsTotal.counters(),
		durations:     verificationSeconds.vec(),
		policies:      policyTotal.counters(),
		stepUps:       stepUpsTotal.counters(),
		ended:         endedTotal.counters(),
		exchanged:     exchangesTotal.counters(),
		exchangeTimes: exchangeSeconds.vec(),
		traceID:       config.TraceID,
	}
	for _, issuer := range config.Exchanges {
		m.exchange(issuer)
	}
	for _, resource := range config.Resources {
		children := m.resource(resource)
		children.scheme("")
		children.scheme(middleware.SchemeBearer)
	}
	return m
}

// Observe counts one event. It fits [middleware.Config].Observe and does not
// block.
func (m *Metrics) Observe(ctx context.Context, event middleware.Event) {
	children := m.resource(event.Resource)
	trace := m.trace(ctx)
	if event.Outcome == middleware.OutcomeEnded { // the request is counted already
		inc(children.end(event.Reason), trace)
		return
	}
	inc(children.scheme(event.Scheme).of(event.Outcome, event.Reason), trace)
	// A Duration of zero says that no Verifier was asked; counting it would make
	// refusals look like fast verifications.
	if event.Duration > 0 {
		observe(children.verification(event.Issuer, kindOf(event)), event.Duration, trace)
	}
	children.policy(event.Operation).count(event.Outcome)
	if event.Outcome == middleware.OutcomeInsufficientScope {
		for scope := range event.Needed.All() {
			children.stepUp(scope).Inc()
		}
	}
}

// inc counts one, with an exemplar where there is a trace.
func inc(counter prometheus.Counter, trace prometheus.Labels) {
	if exemplary, ok := counter.(prometheus.ExemplarAdder); ok && trace != nil {
		exemplary.AddWithExemplar(1, trace)
		return
	}
	counter.Inc()
}

// observe measures one, with an exemplar where there is a trace.
func observe(observer prometheus.Observer, took time.Duration, trace prometheus.Labels) {
	if exemplary, ok := observer.(prometheus.ExemplarObserver); ok && trace != nil {
		exemplary.ObserveWithExemplar(took.Seconds(), trace)
		return
	}
	observer.Observe(took.Seconds())
}

// trace returns the labels of an exemplar. The client library panics on long
// ones, and an id from a request could carry anything.
func (m *Metrics) trace(ctx context.Context) prometheus.Labels {
	if m.traceID == nil {
		return nil
	}
	id := m.traceID(ctx)
	if id == "" || len(id) > 64 {
		return nil
	}
	for i := range len(id) {
		switch c := id[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '-', c == '_':
		default:
			return nil
		}
	}
	return prometheus.Labels{"trace_id": id}
}

// Watch has Collect show what status returns: a Guard's Status, or one put
// together from verifiers. It must be fast and safe for concurrent use. Of two
// with the same resource and issuer, the first counts.
func (m *Metrics) Watch(status func() middleware.Status) {
	m.watching.Lock()
	defer m.watching.Unlock()
	m.watched = append(m.watched, status)
}

// collectors are those that events feed.
func (m *Metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.requests, m.durations, m.policies, m.stepUps, m.ended, m.exchanged, m.exchangeTimes,
	}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, collector := range m.collectors() {
		collector.Describe(ch)
	}
	for _, d := range statusDefinitions() {
		ch <- d.desc()
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, collector := range m.collectors() {
		collector.Collect(ch)
	}
	m.watching.Lock()
	watched := m.watched
	m.watching.Unlock()
	s := snapshot{ch: ch, seen: make(map[string]bool)}
	for _, status := range watched {
		s.collect(status())
	}
}
