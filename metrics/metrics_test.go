package metrics_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
)

const (
	resource = "https://mcp.example.com/mcp"
	issuer   = "https://login.example.com"

	requestsTotal = "gatehouse_requests_total"
	durationName  = "gatehouse_verification_duration_seconds"
)

// seriesPerScheme is what one scheme of a resource costs: every outcome but
// ended, invalid_token by reason, and one for outcomes that are not in the list.
var seriesPerScheme = len(middleware.Outcomes()) - 2 + len(verifier.Reasons()) + 1

var _ func(context.Context, middleware.Event) = metrics.New(metrics.Config{}).Observe

func TestEveryOutcomeAndReasonHasItsOwnCounter(t *testing.T) {
	var events []middleware.Event
	for _, outcome := range middleware.Outcomes() {
		if outcome == middleware.OutcomeInvalidToken {
			for _, reason := range verifier.Reasons() {
				events = append(events, middleware.Event{Outcome: outcome, Reason: reason})
			}
			continue
		}
		if outcome == middleware.OutcomeEnded {
			continue // counted apart
		}
		events = append(events, middleware.Event{Outcome: outcome})
	}

	for _, event := range events {
		t.Run(string(event.Outcome)+"/"+string(event.Reason), func(t *testing.T) {
			m := metrics.New(metrics.Config{Resources: []string{resource}})
			event.Resource = resource
			m.Observe(t.Context(), event)
			m.Observe(t.Context(), event)

			counted := nonZero(t, m)
			want := fmt.Sprintf("outcome=%s reason=%s resource=%s scheme=", event.Outcome, event.Reason, resource)
			if len(counted) != 1 || counted[want] != 2 {
				t.Errorf("counted %v, want only %q twice", counted, want)
			}
		})
	}
}

func TestEndedStreamsAreCountedByReason(t *testing.T) {
	m := metrics.New(metrics.Config{Resources: []string{resource}})
	series := testutil.CollectAndCount(m)
	for _, reason := range []verifier.Reason{verifier.ReasonExpired, verifier.ReasonExpired, verifier.ReasonInactive, "", "invented"} {
		m.Observe(t.Context(), middleware.Event{Resource: resource, Outcome: middleware.OutcomeEnded, Reason: reason})
	}
	if counted := nonZero(t, m); len(counted) != 0 {
		t.Errorf("ended streams count as requests: %v", counted)
	}
	want := map[string]float64{"expired": 2, "inactive": 1, "": 1, "unspecified": 1}
	got := map[string]float64{}
	for _, metric := range family(t, m, "gatehouse_streams_ended_total").GetMetric() {
		if value := metric.GetCounter().GetValue(); value != 0 {
			got[metric.GetLabel()[0].GetValue()] = value
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("counted %v, want %v", got, want)
	}
	if after := testutil.CollectAndCount(m); after != series {
		t.Errorf("%d series, %d before", after, series)
	}
}

func TestExposition(t *testing.T) {
	m := metrics.New(metrics.Config{})
	ctx := t.Context()
	m.Observe(ctx, middleware.Event{Resource: resource, Outcome: middleware.OutcomeUnauthenticated})
	m.Observe(ctx, middleware.Event{Resource: resource, Issuer: issuer, Outcome: middleware.OutcomeAllowed, Duration: 2 * time.Millisecond})

	// The histogram only: the counters are compared one by one above.
	want := `
# HELP gatehouse_verification_duration_seconds Time the verifier took to judge a token, waiting for the provider included; kind is how a good token was found valid, refused, unavailable, or custom.
# TYPE gatehouse_verification_duration_seconds histogram
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="2e-06"} 0
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="1e-05"} 0
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="5e-05"} 0
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="0.0001"} 0
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="0.00025"} 0
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="0.0005"} 0
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="0.001"} 0
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="0.005"} 1
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="0.025"} 1
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="0.1"} 1
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="0.5"} 1
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="1"} 1
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="5"} 1
gatehouse_verification_duration_seconds_bucket{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp",le="+Inf"} 1
gatehouse_verification_duration_seconds_sum{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp"} 0.002
gatehouse_verification_duration_seconds_count{issuer="https://login.example.com",kind="custom",resource="https://mcp.example.com/mcp"} 1
`
	if err := testutil.CollectAndCompare(m, strings.NewReader(want), durationName); err != nil {
		t.Error(err)
	}

	histogram := family(t, m, durationName).GetMetric()[0].GetHistogram()
	if len(histogram.GetPositiveSpan()) == 0 {
		t.Error("the histogram has no native buckets")
	}
}

func TestNamesAndHelpsAreClean(t *testing.T) {
	m := metrics.New(metrics.Config{})
	m.Observe(t.Context(), middleware.Event{Resource: resource, Issuer: issuer, Outcome: middleware.OutcomeAllowed, Duration: time.Millisecond})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)

	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	if n, err := testutil.GatherAndCount(registry, durationName); err != nil || n != 1 {
		t.Errorf("the lint saw %d histograms (%v), want 1", n, err)
	}
}

func TestCountersOfAConfiguredResourceStartAtZero(t *testing.T) {
	m := metrics.New(metrics.Config{Resources: []string{resource}})
	if got := testutil.CollectAndCount(m, requestsTotal); got != 2*seriesPerScheme {
		t.Errorf("%d counters before the first request, want %d", got, 2*seriesPerScheme)
	}
	if counted := nonZero(t, m); len(counted) != 0 {
		t.Errorf("counted %v before the first request", counted)
	}
}

func TestARefusalBeforeVerificationHasNoDuration(t *testing.T) {
	m := metrics.New(metrics.Config{})
	m.Observe(t.Context(), middleware.Event{Resource: resource, Outcome: middleware.OutcomeUnauthenticated})
	if got := testutil.CollectAndCount(m, durationName); got != 0 {
		t.Errorf("%d histograms, want none", got)
	}
}

func TestHostileEventsCreateNoSeries(t *testing.T) {
	m := metrics.New(metrics.Config{Resources: []string{resource}})
	before := testutil.CollectAndCount(m, requestsTotal)
	for i := range 1000 {
		text := fmt.Sprintf("\xff%d\n\"", i)
		m.Observe(t.Context(), middleware.Event{
			Resource: resource, Outcome: middleware.OutcomeInvalidToken, Reason: verifier.Reason(text),
		})
		m.Observe(t.Context(), middleware.Event{Resource: resource, Outcome: middleware.Outcome(text)})
		m.Observe(t.Context(), middleware.Event{
			Resource: resource, Outcome: middleware.OutcomeAllowed, Reason: verifier.Reason(text),
			Err:   fmt.Errorf("cause %d", i),
			Token: &verifier.Token{Issuer: text, Subject: text, ClientID: text, ID: text, Tenant: text},
		})
	}
	if after := testutil.CollectAndCount(m, requestsTotal); after != before {
		t.Errorf("%d counters, %d before", after, before)
	}
	want := map[string]float64{
		"outcome=invalid_token reason=unspecified resource=" + resource + " scheme=": 1000,
		"outcome=other reason= resource=" + resource + " scheme=":                    1000,
		"outcome=allowed reason= resource=" + resource + " scheme=":                  1000,
	}
	if got := nonZero(t, m); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

func TestGuardsWithoutEndShareOneSetOfSeries(t *testing.T) {
	const limit = 256
	m := metrics.New(metrics.Config{})
	for i := range 3 * limit {
		m.Observe(t.Context(), middleware.Event{
			Resource: fmt.Sprintf("https://mcp.example.com/%d\xff", i),
			Issuer:   fmt.Sprintf("https://login.example.com/%d\xff", i),
			Outcome:  middleware.OutcomeAllowed,
			Duration: time.Millisecond,
		})
	}
	if got, want := testutil.CollectAndCount(m, requestsTotal), (limit+1)*seriesPerScheme; got != want {
		t.Errorf("%d counters, want %d", got, want)
	}
	if got, want := testutil.CollectAndCount(m, durationName), limit+limit+1; got != want {
		t.Errorf("%d histograms, want %d", got, want)
	}
	if got := nonZero(t, m)["outcome=allowed reason= resource=other scheme="]; got != 2*limit {
		t.Errorf("counted %v events under other, want %d", got, 2*limit)
	}
}

func TestConcurrentEventsAreAllCounted(t *testing.T) {
	m := metrics.New(metrics.Config{})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for range 500 {
				m.Observe(t.Context(), middleware.Event{
					Resource: fmt.Sprint("https://mcp.example.com/", i%4), Issuer: issuer,
					Outcome: middleware.OutcomeAllowed, Duration: time.Microsecond,
				})
			}
		})
		group.Go(func() {
			for range 20 {
				if _, err := registry.Gather(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	for i := range 4 {
		key := fmt.Sprint("outcome=allowed reason= resource=https://mcp.example.com/", i, " scheme=")
		if got := nonZero(t, m)[key]; got != 1000 {
			t.Errorf("%s: counted %v, want 1000", key, got)
		}
	}
	for _, metric := range family(t, m, durationName).GetMetric() {
		if got := metric.GetHistogram().GetSampleCount(); got != 1000 {
			t.Errorf("%v: %d observations, want 1000", metric.GetLabel(), got)
		}
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	m := metrics.New(metrics.Config{})
	for name, event := range map[string]middleware.Event{
		"allowed":         {Resource: resource, Issuer: issuer, Outcome: middleware.OutcomeAllowed, Duration: 80 * time.Microsecond},
		"unauthenticated": {Resource: resource, Outcome: middleware.OutcomeUnauthenticated},
		"invalid token":   {Resource: resource, Outcome: middleware.OutcomeInvalidToken, Reason: verifier.ReasonExpired, Duration: time.Millisecond},
	} {
		if got := testing.AllocsPerRun(1000, func() { m.Observe(t.Context(), event) }); got != 0 {
			t.Errorf("%s: %v allocations", name, got)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	m := metrics.New(metrics.Config{})
	event := middleware.Event{Resource: resource, Issuer: issuer, Outcome: middleware.OutcomeAllowed, Duration: 80 * time.Microsecond}
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(b.Context(), event)
	}
}

// nonZero returns the counters that have counted something, by their labels.
func nonZero(t *testing.T, m *metrics.Metrics) map[string]float64 {
	t.Helper()
	counted := map[string]float64{}
	for _, metric := range family(t, m, requestsTotal).GetMetric() {
		var labels []string
		for _, pair := range metric.GetLabel() {
			labels = append(labels, pair.GetName()+"="+pair.GetValue())
		}
		if value := metric.GetCounter().GetValue(); value != 0 {
			counted[strings.Join(labels, " ")] = value
		}
	}
	return counted
}

func family(t *testing.T, m *metrics.Metrics, name string) *dto.MetricFamily {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range families {
		if found.GetName() == name {
			return found
		}
	}
	return &dto.MetricFamily{}
}
