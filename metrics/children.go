package metrics

import (
	"slices"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/prometheus/client_golang/prometheus"
)

// perResource holds the children of one resource.
type perResource struct {
	metrics       *Metrics
	name          string // fit for a label
	schemes       table[middleware.Scheme, *outcomes]
	verifications table[verification, prometheus.Observer]
	policies      table[string, *decisions]
	stepUps       table[string, prometheus.Counter]
	ended         map[verifier.Reason]prometheus.Counter
}

// A verification names a child of the histogram.
type verification struct{ issuer, kind string }

func (m *Metrics) resource(resource string) *perResource {
	if found, ok := m.resources.get(resource); ok {
		return found
	}
	return m.resources.add(resource, other, func(resource string) *perResource {
		p := &perResource{metrics: m, name: label(resource), ended: make(map[verifier.Reason]prometheus.Counter)}
		for _, reason := range append(verifier.Reasons(), "") {
			p.ended[reason] = m.ended.WithLabelValues(p.name, string(reason))
		}
		p.policy("")
		p.policy(other)
		return p
	})
}

func (p *perResource) scheme(scheme middleware.Scheme) *outcomes {
	if found, ok := p.schemes.get(scheme); ok {
		return found
	}
	if scheme != "" && !slices.Contains(middleware.Schemes(), scheme) {
		scheme = other
	}
	return p.schemes.add(scheme, other, func(scheme middleware.Scheme) *outcomes {
		return newOutcomes(p.metrics.requests, p.name, string(scheme))
	})
}

func (p *perResource) verification(issuer, kind string) prometheus.Observer {
	key := verification{issuer, kind}
	if found, ok := p.verifications.get(key); ok {
		return found
	}
	return p.verifications.add(key, verification{other, other}, func(key verification) prometheus.Observer {
		return p.metrics.durations.WithLabelValues(p.name, label(key.issuer), key.kind)
	})
}

func (p *perResource) policy(operation string) *decisions {
	if found, ok := p.policies.get(operation); ok {
		return found
	}
	return p.policies.add(operation, other, func(operation string) *decisions {
		child := func(decision string) prometheus.Counter {
			return p.metrics.policies.WithLabelValues(p.name, label(operation), decision)
		}
		return &decisions{child(decisionAllowed), child(decisionStepUp), child(decisionDenied)}
	})
}

func (p *perResource) stepUp(scope string) prometheus.Counter {
	if found, ok := p.stepUps.get(scope); ok {
		return found
	}
	return p.stepUps.add(scope, other, func(scope string) prometheus.Counter {
		return p.metrics.stepUps.WithLabelValues(p.name, label(scope))
	})
}

// end returns the counter of answers that were cut.
func (p *perResource) end(reason verifier.Reason) prometheus.Counter {
	if found, ok := p.ended[reason]; ok {
		return found
	}
	return p.ended[verifier.ReasonUnspecified]
}

// decisions are the children of one operation.
type decisions struct{ allowed, stepUp, denied prometheus.Counter }

// count counts what a policy decides; other outcomes come before or after it.
func (d *decisions) count(outcome middleware.Outcome) {
	switch outcome {
	case middleware.OutcomeAllowed, middleware.OutcomeAnonymous:
		d.allowed.Inc()
	case middleware.OutcomeInsufficientScope, middleware.OutcomeWeakAuthentication:
		d.stepUp.Inc()
	case middleware.OutcomeDenied:
		d.denied.Inc()
	}
}

// kindOf says how the token of an event was judged.
func kindOf(event middleware.Event) string {
	switch {
	case event.Caller != nil && event.Caller.Source() != "":
		return string(event.Caller.Source())
	case event.Outcome == middleware.OutcomeInvalidToken:
		return kindRefused
	case event.Outcome == middleware.OutcomeUnavailable, event.Outcome == middleware.OutcomeCanceled:
		return kindUnavailable
	}
	return kindCustom
}

// outcomes are the request counters of one resource and scheme.
type outcomes struct {
	byOutcome map[middleware.Outcome]prometheus.Counter
	byReason  map[verifier.Reason]prometheus.Counter
	unknown   prometheus.Counter
	allowed   prometheus.Counter
}

// newOutcomes creates every series at once: a counter that first appears with
// the value 1 hides that first increase from rate().
func newOutcomes(requests *prometheus.CounterVec, resource, scheme string) *outcomes {
	o := &outcomes{
		byOutcome: make(map[middleware.Outcome]prometheus.Counter),
		byReason:  make(map[verifier.Reason]prometheus.Counter),
		unknown:   requests.WithLabelValues(resource, other, "", scheme),
	}
	for _, outcome := range middleware.Outcomes() {
		if outcome != middleware.OutcomeInvalidToken && outcome != middleware.OutcomeEnded {
			o.byOutcome[outcome] = requests.WithLabelValues(resource, string(outcome), "", scheme)
		}
	}
	o.allowed = o.byOutcome[middleware.OutcomeAllowed]
	for _, reason := range verifier.Reasons() {
		o.byReason[reason] = requests.WithLabelValues(resource, string(middleware.OutcomeInvalidToken), string(reason), scheme)
	}
	return o
}

func (o *outcomes) of(outcome middleware.Outcome, reason verifier.Reason) prometheus.Counter {
	if outcome == middleware.OutcomeAllowed { // of every warm request: spare it the map
		return o.allowed
	}
	if outcome == middleware.OutcomeInvalidToken {
		if found, ok := o.byReason[reason]; ok {
			return found
		}
		// A custom Verifier may invent Reasons; the label set stays closed.
		return o.byReason[verifier.ReasonUnspecified]
	}
	if found, ok := o.byOutcome[outcome]; ok {
		return found
	}
	return o.unknown
}
