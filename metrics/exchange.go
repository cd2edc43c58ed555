package metrics

import (
	"context"

	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/prometheus/client_golang/prometheus"
)

// The metrics that the events of package exchange feed.
var (
	exchangesTotal = definition{"gatehouse_exchanges_total", prometheus.CounterValue,
		"Needs for a token for another API, by why (trigger: call, unauthorized or ahead) and how they ended (result: remembered, obtained, shared, invalid_grant, interaction_required, refused, our_credentials, unavailable, misused or canceled).",
		[]string{"issuer", "trigger", "result"}}
	exchangeSeconds = histogram{"gatehouse_exchange_duration_seconds",
		"Time a token for another API took, where it was not remembered and the call was not misused.",
		[]string{"issuer"},
		[]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}}
)

// need is why a token was needed, and how that ended.
type need struct {
	trigger exchange.Trigger
	result  exchange.Result
}

// exchanges are the children of one issuer.
type exchanges struct {
	counters map[need]prometheus.Counter
	seconds  prometheus.Observer
}

// ObserveExchange counts one need for a token. It fits [exchange.Config].Observe
// and does not block.
func (m *Metrics) ObserveExchange(ctx context.Context, event exchange.Event) {
	children := m.exchange(event.Issuer)
	counter, ok := children.counters[need{event.Trigger, event.Result}]
	if !ok {
		counter = children.counters[need{other, other}]
	}
	trace := m.trace(ctx)
	inc(counter, trace)
	if event.Result != exchange.ResultRemembered && event.Result != exchange.ResultMisused {
		observe(children.seconds, event.Duration, trace)
	}
}

func (m *Metrics) exchange(issuer string) *exchanges {
	if found, ok := m.exchanges.get(issuer); ok {
		return found
	}
	return m.exchanges.add(issuer, other, func(issuer string) *exchanges {
		name := label(issuer)
		children := &exchanges{counters: make(map[need]prometheus.Counter), seconds: m.exchangeTimes.WithLabelValues(name)}
		child := func(n need) {
			children.counters[n] = m.exchanged.WithLabelValues(name, string(n.trigger), string(n.result))
		}
		for _, trigger := range exchange.Triggers() {
			for _, result := range exchange.Results() {
				child(need{trigger, result})
			}
		}
		child(need{other, other})
		return children
	})
}
