package metrics_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// door is a real Guard with a real verifier that m observes.
type door struct {
	issuer   *authtest.Issuer
	guard    *middleware.Guard
	registry *prometheus.Registry
	handler  http.Handler
}

func newDoor(t testing.TB, m *metrics.Metrics, policy scopes.Policy) *door {
	t.Helper()
	d := &door{registry: prometheus.NewPedanticRegistry()}
	d.issuer = authtest.NewIssuer(t, authtest.Config{Resources: []string{resource}, Scopes: []string{"files:read", "files:write"}})
	config := middleware.Config{
		Metadata:  prm.Metadata{Resource: resource, AuthorizationServers: []string{d.issuer.URL()}},
		Transport: d.issuer.Transport(),
	}
	if m != nil {
		config.Observe = m.Observe
		d.registry.MustRegister(m)
	}
	var err error
	if d.guard, err = middleware.New(config); err != nil {
		t.Fatal(err)
	}
	if m != nil {
		m.Watch(d.guard.Status)
	}
	d.handler = d.guard.Protect(policy)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	return d
}

func (d *door) send(token string) int {
	r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w.Code
}

func (d *door) count(t testing.TB, names ...string) int {
	t.Helper()
	n, err := testutil.GatherAndCount(d.registry, names...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// value returns the value of the one series with this name and these labels, in
// the text format.
func (d *door) value(t testing.TB, series string) string {
	t.Helper()
	for line := range strings.Lines(d.scrape(t, "")) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return "absent"
}

func (d *door) scrape(t testing.TB, accept string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(d.registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, r)
	return w.Body.String()
}

func TestWatchShowsKeysAndCache(t *testing.T) {
	d := newDoor(t, metrics.New(metrics.Config{}), scopes.Policy{Base: scopes.All("files:read")})
	labels := fmt.Sprintf(`{issuer=%q,resource=%q`, d.issuer.URL(), resource)
	series := func(name, more string) string {
		if more != "" {
			more = "," + more
		}
		return "gatehouse_key_set_" + name + labels + more + "}"
	}
	if got := d.value(t, series("usable", "")); got != "0" {
		t.Errorf("usable before the first request: %s", got)
	}
	token := d.issuer.Token(nil)
	for range 3 {
		if status := d.send(token); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	d.send(d.issuer.Token(authtest.Claims{"scope": "files:write"}))
	for _, test := range []struct{ series, want string }{
		{series("usable", ""), "1"},
		{series("keys", ""), "1"},
		{series("generation", ""), "1"},
		{series("consecutive_failures", ""), "0"},
		{"gatehouse_key_set_refreshes_total" + labels + `,result="success"}`, "1"},
		{"gatehouse_key_set_refreshes_total" + labels + `,result="failure"}`, "0"},
		{fmt.Sprintf(`gatehouse_token_cache_lookups_total{resource=%q,result="hit"}`, resource), "2"},
		{fmt.Sprintf(`gatehouse_token_cache_lookups_total{resource=%q,result="miss"}`, resource), "2"},
		{fmt.Sprintf(`gatehouse_token_cache_entries{resource=%q}`, resource), "2"},
		{fmt.Sprintf(`gatehouse_step_ups_total{resource=%q,scope="files:read"}`, resource), "1"},
		{fmt.Sprintf(`gatehouse_policy_decisions_total{decision="allowed",operation="",resource=%q}`, resource), "3"},
		{fmt.Sprintf(`gatehouse_policy_decisions_total{decision="step_up",operation="",resource=%q}`, resource), "1"},
		{fmt.Sprintf(`gatehouse_requests_total{outcome="allowed",reason="",resource=%q,scheme="bearer"}`, resource), "3"},
		{durationName + "_count" + fmt.Sprintf(`{issuer=%q,kind="jwt_cold",resource=%q}`, d.issuer.URL(), resource), "2"},
		{durationName + "_count" + fmt.Sprintf(`{issuer=%q,kind="jwt_warm",resource=%q}`, d.issuer.URL(), resource), "2"},
	} {
		if got := d.value(t, test.series); got != test.want {
			t.Errorf("%s is %s, want %s", test.series, got, test.want)
		}
	}
	problems, err := testutil.GatherAndLint(d.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// TestAStreamThatItsTokenEndsIsCounted goes through a real Guard in virtual time.
func TestAStreamThatItsTokenEndsIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, metrics.New(metrics.Config{Resources: []string{resource}}), scopes.Policy{})
		stream := d.guard.Require()(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		r := httptest.NewRequest(http.MethodGet, resource, nil)
		r.Header.Set("Authorization", "Bearer "+d.issuer.Token(authtest.Claims{"exp": time.Now().Add(time.Minute)}))
		stream.ServeHTTP(discard{http.Header{}}, r)
		d.send(d.issuer.Token(nil))
		for series, want := range map[string]string{
			fmt.Sprintf(`gatehouse_streams_ended_total{reason="expired",resource=%q}`, resource):                       "1",
			fmt.Sprintf(`gatehouse_streams_ended_total{reason="inactive",resource=%q}`, resource):                      "0",
			fmt.Sprintf(`gatehouse_requests_total{outcome="allowed",reason="",resource=%q,scheme="bearer"}`, resource): "2",
			fmt.Sprintf(`gatehouse_policy_decisions_total{decision="allowed",operation="",resource=%q}`, resource):     "2",
		} {
			if got := d.value(t, series); got != want {
				t.Errorf("%s is %s, want %s", series, got, want)
			}
		}
	})
}

func TestWatchShowsIntrospection(t *testing.T) {
	m := metrics.New(metrics.Config{})
	status := middleware.Status{Resource: resource, Introspection: verifier.IntrospectionStatus{
		Issuer: issuer, InFlight: 2, Waiting: 3, Breaker: "open", Remembered: 4, RememberedRefusals: 5,
		Counts: verifier.IntrospectionCounts{Hits: 6, Credentials: 7},
	}}
	m.Watch(func() middleware.Status { return status })
	m.Watch(func() middleware.Status { return status }) // twice must not fail the scrape
	d := &door{registry: prometheus.NewPedanticRegistry()}
	d.registry.MustRegister(m)
	labels := fmt.Sprintf(`{issuer=%q,`, issuer)
	for series, want := range map[string]string{
		"gatehouse_introspection_in_flight" + labels + fmt.Sprintf(`resource=%q}`, resource):                          "2",
		"gatehouse_introspection_waiting" + labels + fmt.Sprintf(`resource=%q}`, resource):                            "3",
		"gatehouse_introspection_breaker" + labels + fmt.Sprintf(`resource=%q,state="open"}`, resource):               "1",
		"gatehouse_introspection_breaker" + labels + fmt.Sprintf(`resource=%q,state="closed"}`, resource):             "0",
		"gatehouse_introspection_cache_entries" + labels + fmt.Sprintf(`kind="refusal",resource=%q}`, resource):       "5",
		"gatehouse_introspection_uses_total" + labels + fmt.Sprintf(`resource=%q,source="hit"}`, resource):            "6",
		"gatehouse_introspection_answers_total" + labels + fmt.Sprintf(`resource=%q,result="credentials"}`, resource): "7",
	} {
		if got := d.value(t, series); got != want {
			t.Errorf("%s is %s, want %s", series, got, want)
		}
	}
	problems, err := testutil.GatherAndLint(d.registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// hostile makes a request of which everything that can vary does.
func hostile(d *door, rng *rand.Rand, i int) *http.Request {
	text := func() string { return fmt.Sprintf("x%d-%x", i, rng.Uint64()) }
	encode := base64.RawURLEncoding.EncodeToString
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q}}`, text())
	method := []string{http.MethodPost, http.MethodGet, http.MethodDelete, "M" + fmt.Sprintf("%x", rng.Uint64())}[rng.IntN(4)]
	r := httptest.NewRequest(method, resource+"/"+text()+"?q="+text(), strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Mcp-Name", text())
	header := map[string]any{"alg": "ES256", "kid": text(), "typ": "at+jwt"}
	claims := map[string]any{"iss": d.issuer.URL(), "sub": text(), "client_id": text(), "aud": text(), "scope": text()}
	switch rng.IntN(8) {
	case 0:
		r.Header.Set("Authorization", text()+" "+text())
		return r
	case 1:
		r.Header.Set("Authorization", "Bearer "+text())
		return r
	case 2:
		r.Header.Set("Origin", "https://"+text()+".example")
		return r
	case 3:
		return r
	case 4:
		claims["iss"] = "https://" + text() + ".example"
	case 5:
		header["alg"] = text()
	case 6:
		header["typ"] = text()
	}
	first, _ := json.Marshal(header)
	second, _ := json.Marshal(claims)
	r.Header.Set("Authorization", "Bearer "+encode(first)+"."+encode(second)+"."+encode(make([]byte, 64)))
	return r
}

// DS-11, DS-13: nothing in a request becomes a label.
func TestSeriesStayConstantUnderHostileRequests(t *testing.T) {
	many := 100_000
	if testing.Short() {
		many = 5_000
	}
	for name, policy := range map[string]scopes.Policy{
		"DS-11 per route": {Base: scopes.All("files:read")},
		"DS-13 per tool":  {Base: scopes.All("files:read"), Tools: map[string]scopes.Requirement{"read_file": {}}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t, metrics.New(metrics.Config{
				Resources: []string{resource},
				TraceID:   func(context.Context) string { return "hostile \xff" },
			}), policy)
			valid := d.issuer.Token(nil)
			rng := rand.New(rand.NewPCG(1, 2))
			send := func(i int) {
				r := hostile(d, rng, i)
				if i%10 == 0 { // a valid token, and a tool nobody knows
					r.Header.Set("Authorization", "Bearer "+valid)
				}
				d.handler.ServeHTTP(discard{http.Header{}}, r)
			}
			for i := range 100 {
				send(i)
			}
			before := d.count(t)
			for i := range many {
				send(i)
			}
			if after := d.count(t); after != before {
				t.Errorf("%d series after %d requests, %d after 100", after, many, before)
			}
			if text := d.scrape(t, ""); strings.Contains(text, "x1-") {
				t.Error("text of a request is in the exposition")
			}
			t.Logf("%d series", before)
		})
	}
}

// discard is a ResponseWriter for those who do not look.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) WriteHeader(int)             {}
func (discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }

// DS-14: exemplars carry the trace's id and nothing else.
func TestExemplars(t *testing.T) {
	const openMetrics = "application/openmetrics-text; version=1.0.0"
	id := "4bf92f3577b34da6a3ce929d0e0e4736"
	m := metrics.New(metrics.Config{TraceID: func(context.Context) string { return id }})
	d := newDoor(t, m, scopes.Policy{})
	token := d.issuer.Token(nil)
	d.send(token)
	text := d.scrape(t, openMetrics)
	if n := strings.Count(text, `# {trace_id="`+id+`"}`); n != 2 {
		t.Errorf("DS-14 %d exemplars, want one on the counter and one on the histogram", n)
	}
	if strings.Contains(text, "sub=") || strings.Contains(text, token[len(token)-16:]) {
		t.Error("DS-14 the exposition holds a subject or a token")
	}
	for _, odd := range []string{"", strings.Repeat("a", 65), "a b", "a\n", "\xff", token} {
		id = odd
		m = metrics.New(metrics.Config{TraceID: func(context.Context) string { return id }})
		d = newDoor(t, m, scopes.Policy{})
		d.send(d.issuer.Token(nil))
		if text := d.scrape(t, openMetrics); strings.Contains(text, "trace_id") || !bytes.Contains([]byte(text), []byte(requestsTotal)) {
			t.Errorf("DS-14 an exemplar for the id %q", odd)
		}
	}
}

// benchmarkWarm measures a warm accepted request through a real Guard.
func benchmarkWarm(b *testing.B, m *metrics.Metrics) {
	d := newDoor(b, m, scopes.Policy{Base: scopes.All("files:read")})
	r := httptest.NewRequest(http.MethodPost, resource, nil)
	r.Header.Set("Authorization", "Bearer "+d.issuer.Token(nil))
	w := discard{http.Header{}}
	d.handler.ServeHTTP(w, r)
	b.ReportAllocs()
	for b.Loop() {
		d.handler.ServeHTTP(w, r)
	}
}

func TestMetricsAllocateNothingForAWarmRequest(t *testing.T) {
	allocations := func(m *metrics.Metrics) float64 {
		d := newDoor(t, m, scopes.Policy{Base: scopes.All("files:read")})
		r := httptest.NewRequest(http.MethodPost, resource, nil)
		r.Header.Set("Authorization", "Bearer "+d.issuer.Token(nil))
		w := discard{http.Header{}}
		return testing.AllocsPerRun(200, func() { d.handler.ServeHTTP(w, r) })
	}
	if without, with := allocations(nil), allocations(metrics.New(metrics.Config{})); with != without {
		t.Errorf("%v allocations, %v without an observer", with, without)
	}
}

func BenchmarkWarmRequest(b *testing.B) {
	b.Run("unobserved", func(b *testing.B) { benchmarkWarm(b, nil) })
	b.Run("observed", func(b *testing.B) { benchmarkWarm(b, metrics.New(metrics.Config{Resources: []string{resource}})) })
}

// DS-26: clocks that differ show as a metric, and as nothing else.
func TestTokensFromTheFutureAreCounted(t *testing.T) {
	d := newDoor(t, metrics.New(metrics.Config{}), scopes.Policy{})
	for i := range 5 {
		if status := d.send(d.issuer.Token(authtest.Claims{"iat": time.Now().Add(time.Duration(i+1) * time.Hour)})); status != http.StatusUnauthorized {
			t.Errorf("status %d", status)
		}
	}
	series := fmt.Sprintf(`gatehouse_requests_total{outcome="invalid_token",reason="not_yet_valid",resource=%q,scheme="bearer"}`, resource)
	if got := d.value(t, series); got != "5" {
		t.Errorf("DS-26 %s is %s, want 5", series, got)
	}
}
