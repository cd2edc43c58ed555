package metrics

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// other stands for everything beyond the closed lists and the limits.
const other = "other"

// A definition describes one metric. The table of them is what the collectors
// and the documentation are made of.
type definition struct {
	name   string
	kind   prometheus.ValueType
	help   string
	labels []string
}

// The metrics that events feed.
var (
	requestsTotal = definition{"gatehouse_requests_total", prometheus.CounterValue,
		"Requests by how they were decided at the front door; reason is set for invalid_token only. One that is refused while its handler runs (LateStepUp) counts twice: allowed, and refused.",
		[]string{"resource", "outcome", "reason", "scheme"}}
	policyTotal = definition{"gatehouse_policy_decisions_total", prometheus.CounterValue,
		"Decisions of the policy by operation, a key of the policy: allowed, step_up (more scopes or a stronger login are asked for) or denied; no operation where the policy is per route.",
		[]string{"resource", "operation", "decision"}}
	stepUpsTotal = definition{"gatehouse_step_ups_total", prometheus.CounterValue,
		"Scopes asked for by 403 insufficient_scope, each scope of a challenge once.",
		[]string{"resource", "scope"}}
	endedTotal = definition{"gatehouse_streams_ended_total", prometheus.CounterValue,
		"Answers of allowed requests that were cut because their token ended: reason is expired, or what a re-check found; none where the token is good, and grants less than before.",
		[]string{"resource", "reason"}}
)

func eventDefinitions() []definition {
	return []definition{requestsTotal, policyTotal, stepUpsTotal, endedTotal, exchangesTotal}
}

func histograms() []histogram { return []histogram{verificationSeconds, exchangeSeconds} }

// A histogram describes one histogram, native and classic.
type histogram struct {
	name    string
	help    string
	labels  []string
	buckets []float64
}

var verificationSeconds = histogram{"gatehouse_verification_duration_seconds",
	"Time the verifier took to judge a token, waiting for the provider included; kind is how a good token was found valid, refused, unavailable, or custom.",
	[]string{"resource", "issuer", "kind"},
	// A remembered token takes about a microsecond, a warm signature check tens, a
	// fetch of keys up to seconds: the classic buckets span all.
	[]float64{0.000002, 0.00001, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5}}

// The kinds of verifications besides verifier.Sources.
const (
	kindRefused     = "refused"
	kindUnavailable = "unavailable"
	kindCustom      = "custom"
)

// The decisions of a policy.
const (
	decisionAllowed = "allowed"
	decisionStepUp  = "step_up"
	decisionDenied  = "denied"
)

func (d definition) counters() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.name, Help: d.help}, d.labels)
}

func (d definition) desc() *prometheus.Desc {
	return prometheus.NewDesc(d.name, d.help, d.labels, nil)
}

func (h histogram) vec() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:                            h.name,
		Help:                            h.help,
		Buckets:                         h.buckets,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  100,
		NativeHistogramMinResetDuration: time.Hour,
	}, h.labels)
}

// label makes value fit for a label: the client library panics on invalid UTF-8.
func label(value string) string { return strings.ToValidUTF8(value, "\uFFFD") }
