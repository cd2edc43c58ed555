package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const (
	exchangesTotal = "gatehouse_exchanges_total"
	exchangeTimes  = "gatehouse_exchange_duration_seconds"

	reports        = "https://reports.example.com/"
	serverID       = "mcp-server"
	exchangeSecret = "s3cret-of-the-server"
)

var seriesPerIssuer = len(exchange.Triggers())*len(exchange.Results()) + 1

// exchanging is a real exchange client that m observes, and a user's token.
func exchanging(t *testing.T, m *metrics.Metrics) (*authtest.Issuer, *exchange.Client, exchange.Request) {
	t.Helper()
	issuer := authtest.NewIssuer(t, authtest.Config{
		Resources: []string{resource},
		Clients:   []authtest.Client{{ID: serverID, Secret: exchangeSecret}},
		Exchanges: []authtest.Exchange{{ClientID: serverID, Resource: resource, Targets: []string{reports}}},
	})
	client, err := exchange.New(exchange.Config{
		Issuer: issuer.URL(), Auth: clientauth.SecretBasic(serverID, exchangeSecret), Transport: issuer.Transport(),
		Observe: m.ObserveExchange,
	})
	if err != nil {
		t.Fatal(err)
	}
	jwt, err := verifier.NewJWT(verifier.JWTConfig{
		Resource: resource, Issuers: []verifier.Issuer{{URL: issuer.URL()}}, Transport: issuer.Transport(),
	})
	if err != nil {
		t.Fatal(err)
	}
	user, err := jwt.Verify(t.Context(), issuer.Token(nil))
	if err != nil {
		t.Fatal(err)
	}
	return issuer, client, exchange.Request{Subject: user, Target: exchange.Target{Resource: []string{reports}}}
}

func TestExchangesAreCounted(t *testing.T) {
	m := metrics.New(metrics.Config{TraceID: func(context.Context) string { return "4bf92f3577b34da6" }})
	issuer, client, request := exchanging(t, m)
	for range 3 {
		if _, err := client.Exchange(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	issuer.SetFault(authtest.EndpointToken, authtest.Down())
	request.Target.Scopes = []string{"reports:read"}
	if _, err := client.Exchange(t.Context(), request); err == nil {
		t.Fatal("a token in an outage")
	}
	if _, err := client.Exchange(t.Context(), exchange.Request{}); err == nil {
		t.Fatal("a token for nobody")
	}

	d := &door{registry: prometheus.NewPedanticRegistry()}
	d.registry.MustRegister(m)
	for labels, want := range map[string]string{
		`result="obtained",trigger="call"`:        "1",
		`result="remembered",trigger="call"`:      "2",
		`result="unavailable",trigger="call"`:     "1",
		`result="misused",trigger="call"`:         "1",
		`result="our_credentials",trigger="call"`: "0",
	} {
		series := fmt.Sprintf("%s{issuer=%q,%s}", exchangesTotal, issuer.URL(), labels)
		if got := d.value(t, series); got != want {
			t.Errorf("%s is %s, want %s", series, got, want)
		}
	}
	if got := d.value(t, fmt.Sprintf("%s_count{issuer=%q}", exchangeTimes, issuer.URL())); got != "2" {
		t.Errorf("%s durations, want those of the two that were asked for", got)
	}
	if n := d.count(t, exchangesTotal); n != seriesPerIssuer {
		t.Errorf("%d series, want %d", n, seriesPerIssuer)
	}
	problems, err := testutil.GatherAndLint(d.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

func TestEveryTriggerAndResultHasItsOwnCounter(t *testing.T) {
	for _, trigger := range exchange.Triggers() {
		for _, result := range exchange.Results() {
			m := metrics.New(metrics.Config{})
			m.ObserveExchange(t.Context(), exchange.Event{Issuer: issuer, Trigger: trigger, Result: result, Duration: time.Millisecond})
			d := &door{registry: prometheus.NewPedanticRegistry()}
			d.registry.MustRegister(m)
			series := fmt.Sprintf("%s{issuer=%q,result=%q,trigger=%q}", exchangesTotal, issuer, result, trigger)
			if got := d.value(t, series); got != "1" {
				t.Errorf("%s is %s", series, got)
			}
		}
	}
}

// DS-11: targets, errors, and Issuers without end make no series without end.
// The first failure of an issuer must show in a rate.
func TestExchangesOfKnownIssuersExistFromTheStart(t *testing.T) {
	known, unknown := metrics.New(metrics.Config{Exchanges: []string{"https://login.example.com"}}), metrics.New(metrics.Config{})
	if n := testutil.CollectAndCount(known, exchangesTotal); n != seriesPerIssuer {
		t.Errorf("%d series, want %d", n, seriesPerIssuer)
	}
	if n := testutil.CollectAndCount(unknown, exchangesTotal); n != 0 {
		t.Errorf("%d series of nobody", n)
	}
}

func TestExchangeSeriesAreBounded(t *testing.T) {
	const limit = 256
	m := metrics.New(metrics.Config{})
	for i := range 3 * limit {
		text := fmt.Sprintf("\xff%d\n\"", i)
		m.ObserveExchange(t.Context(), exchange.Event{
			Issuer: text, Target: text, Trigger: exchange.Trigger(text), Result: exchange.Result(text), Err: errors.New(text),
		})
	}
	if got, want := testutil.CollectAndCount(m, exchangesTotal), (limit+1)*seriesPerIssuer; got != want {
		t.Errorf("DS-11 %d counters, want %d", got, want)
	}
}

func TestObserveExchangeDoesNotAllocate(t *testing.T) {
	m := metrics.New(metrics.Config{})
	event := exchange.Event{Issuer: issuer, Trigger: exchange.TriggerCall, Result: exchange.ResultObtained, Duration: time.Millisecond}
	if got := testing.AllocsPerRun(1000, func() { m.ObserveExchange(t.Context(), event) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}
