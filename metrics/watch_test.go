package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// unknownKey returns a token of a key that the issuer does not publish.
func (d *door) unknownKey(t *testing.T) string {
	t.Helper()
	stranger, err := authtest.NewKey("ES256", "nobody-knows-this-kid")
	if err != nil {
		t.Fatal(err)
	}
	token, err := d.issuer.Mint(authtest.TokenConfig{Key: stranger})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestWatchShowsTroubleWithKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		d := newDoor(t, metrics.New(metrics.Config{}), scopes.Policy{})
		labels := strings.NewReplacer("LABELS", fmt.Sprintf("issuer=%q,resource=%q", d.issuer.URL(), resource))
		want := func(when string, values map[string]string) {
			t.Helper()
			for series, want := range values {
				if got := d.value(t, "gatehouse_key_set_"+labels.Replace(series)); got != want {
					t.Errorf("%s: %s is %s, want %s", when, series, got, want)
				}
			}
		}
		want("before the first request", map[string]string{
			"usable{LABELS}": "0", "age_seconds{LABELS}": "absent", "last_success_timestamp_seconds{LABELS}": "absent",
		})

		good := string(d.issuer.JWKS())
		d.issuer.SetJWKS([]byte(`{"keys":[{"kty":"oct","k":"AAAA","kid":"x"},` + good[len(`{"keys":[`):]))
		d.send(d.issuer.Token(nil))
		want("with a symmetric key", map[string]string{
			"keys{LABELS}": "1", `skipped_keys{cause="symmetric",LABELS}`: "1", "age_seconds{LABELS}": "0",
			"last_success_timestamp_seconds{LABELS}": fmt.Sprint(float64(start.Unix())),
		})

		time.Sleep(time.Minute)
		for range 3 {
			d.send(d.unknownKey(t))
		}
		want("after unknown kids", map[string]string{`refreshes_total{LABELS,result="success"}`: "2", "unknown_kid_suppressed_total{LABELS}": "2"})

		d.issuer.SetFault(authtest.EndpointAll, authtest.Down())
		time.Sleep(20 * time.Minute)
		token := d.issuer.Token(nil)
		if status := d.send(token); status != http.StatusOK {
			t.Errorf("status %d in the first minutes of an outage", status)
		}
		synctest.Wait()
		d.send(token)
		synctest.Wait()
		want("in an outage", map[string]string{
			"usable{LABELS}": "1", "age_seconds{LABELS}": "1200", "consecutive_failures{LABELS}": "1",
			`refreshes_total{LABELS,result="failure"}`: "1", "stale_served_total{LABELS}": "1",
		})
		time.Sleep(25 * time.Hour)
		want("after a day", map[string]string{"usable{LABELS}": "0"})
		if err := d.guard.Ready(t.Context()); err == nil || d.guard.Status().Issuers()[0].Ready {
			t.Error("ready with keys that are too old")
		}
	})
}

// TestEveryKindOfVerification has a real verifier find each of the kinds.
func TestEveryKindOfVerification(t *testing.T) {
	issuer := authtest.NewIssuer(t, authtest.Config{
		Resources: []string{resource}, OpaqueTokens: true, Clients: []authtest.Client{{ID: serverID, Secret: exchangeSecret}},
	})
	opaque, err := verifier.NewIntrospection(verifier.IntrospectionConfig{
		Resource: resource, Issuer: issuer.URL(), Auth: clientauth.SecretBasic(serverID, exchangeSecret), Transport: issuer.Transport(),
	})
	if err != nil {
		t.Fatal(err)
	}
	m := metrics.New(metrics.Config{})
	d := newDoor(t, m, scopes.Policy{}) // for JWTs, of another issuer
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{Resource: resource, AuthorizationServers: []string{issuer.URL()}}, Verifier: opaque, Observe: m.Observe,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Watch(guard.Status)
	ask := func(token string) {
		r := httptest.NewRequest(http.MethodPost, resource, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		guard.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(discard{http.Header{}}, r)
	}
	token, jwt := issuer.Token(nil), d.issuer.Token(nil)
	for range 3 {
		ask(token)
		d.send(jwt)
	}
	ask("nobody-knows-this-token")
	ask("nobody-knows-this-token")
	issuer.SetFault(authtest.EndpointAll, authtest.Down())
	ask("another-token-0123456789")
	for labels, want := range map[string]string{
		fmt.Sprintf("issuer=%q,kind=%q", d.issuer.URL(), "jwt_cold"):         "1",
		fmt.Sprintf("issuer=%q,kind=%q", d.issuer.URL(), "jwt_warm"):         "2",
		fmt.Sprintf("issuer=%q,kind=%q", issuer.URL(), "introspection"):      "1",
		fmt.Sprintf("issuer=%q,kind=%q", issuer.URL(), "introspection_warm"): "2",
		fmt.Sprintf("issuer=%q,kind=%q", issuer.URL(), "refused"):            "2",
		fmt.Sprintf("issuer=%q,kind=%q", issuer.URL(), "unavailable"):        "1",
	} {
		if got := d.value(t, fmt.Sprintf("%s_count{%s,resource=%q}", durationName, labels, resource)); got != want {
			t.Errorf("%s: %s, want %s", labels, got, want)
		}
	}
	for series, want := range map[string]string{
		`answers_total{issuer=%q,resource=%q,result="active"}`:    "1",
		`answers_total{issuer=%q,resource=%q,result="inactive"}`:  "1",
		`answers_total{issuer=%q,resource=%q,result="failed"}`:    "1",
		`uses_total{issuer=%q,resource=%q,source="hit"}`:          "2",
		`uses_total{issuer=%q,resource=%q,source="negative_hit"}`: "1",
		`uses_total{issuer=%q,resource=%q,source="miss"}`:         "3",
		`breaker{issuer=%q,resource=%q,state="closed"}`:           "1",
		`cache_entries{issuer=%q,kind="token",resource=%q}`:       "1",
		`cache_entries{issuer=%q,kind="refusal",resource=%q}`:     "1",
	} {
		if got := d.value(t, fmt.Sprintf("gatehouse_introspection_"+series, issuer.URL(), resource)); got != want {
			t.Errorf("%s: %s, want %s", series, got, want)
		}
	}
}

func TestWatchShowsEvictions(t *testing.T) {
	status := middleware.Status{Resource: resource, Cache: verifier.CacheStatus{
		Entries: 1, Capacity: 2, Hits: 3, Outdated: 4, Misses: 5, Evictions: 6,
	}}
	m := metrics.New(metrics.Config{})
	m.Watch(func() middleware.Status { return status })
	want := fmt.Sprintf(`
# HELP gatehouse_token_cache_evictions_total Remembered JWTs that made room for others.
# TYPE gatehouse_token_cache_evictions_total counter
gatehouse_token_cache_evictions_total{resource=%[1]q} 6
# HELP gatehouse_token_cache_lookups_total Lookups of JWTs by result: hit, miss or outdated (expired, or its key is gone).
# TYPE gatehouse_token_cache_lookups_total counter
gatehouse_token_cache_lookups_total{resource=%[1]q,result="hit"} 3
gatehouse_token_cache_lookups_total{resource=%[1]q,result="miss"} 5
gatehouse_token_cache_lookups_total{resource=%[1]q,result="outdated"} 4
`, resource)
	if err := testutil.CollectAndCompare(m, strings.NewReader(want), "gatehouse_token_cache_evictions_total", "gatehouse_token_cache_lookups_total"); err != nil {
		t.Error(err)
	}
}

// TestPoliciesAreCountedByTheirOwnNames calls tools that the policy names, and one
// that it does not.
func TestPoliciesAreCountedByTheirOwnNames(t *testing.T) {
	d := newDoor(t, metrics.New(metrics.Config{}), scopes.Policy{Tools: map[string]scopes.Requirement{
		"read_file": scopes.All("files:read"), "write_file": scopes.All("admin"),
	}})
	token := d.issuer.Token(authtest.Claims{"scope": "files:read"})
	for _, tool := range []string{"read_file", "read_file", "write_file", "drop_tables", "x-1", "x-2"} {
		r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(fmt.Sprintf(
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, tool)))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		d.handler.ServeHTTP(discard{http.Header{}}, r)
	}
	for labels, want := range map[string]string{
		`decision="allowed",operation="read_file"`:  "2",
		`decision="step_up",operation="write_file"`: "1",
		`decision="denied",operation="other"`:       "3",
		`decision="denied",operation="drop_tables"`: "absent",
	} {
		if got := d.value(t, fmt.Sprintf("gatehouse_policy_decisions_total{%s,resource=%q}", labels, resource)); got != want {
			t.Errorf("%s: %s, want %s", labels, got, want)
		}
	}
}
