//go:build e2e

package e2e

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	registries "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const (
	downstreamAPI    = "https://reports.example.com/"
	downstreamClient = "mcp-server"
	downstreamSecret = "secret-of-the-mcp-server"
)

// A downstream server does what the quickstart does too little of: it calls another
// API as many users, also in an outage, and keeps streams open until their token ends.
type downstream struct {
	issuer *authtest.Issuer
	server *httptest.Server
}

func newDownstream(t *testing.T) *downstream {
	t.Helper()
	mux := http.NewServeMux()
	d := &downstream{server: httptest.NewServer(mux)}
	t.Cleanup(d.server.Close)
	resource := d.server.URL + "/mcp"
	d.issuer = authtest.NewServer(t, authtest.Config{
		Resources: []string{resource},
		Clients:   []authtest.Client{{ID: downstreamClient, Secret: downstreamSecret}},
		Exchanges: []authtest.Exchange{{ClientID: downstreamClient, Resource: resource, Targets: []string{downstreamAPI}}},
	})
	counts := metrics.New(metrics.Config{Resources: []string{resource}})
	exchanger, err := exchange.New(exchange.Config{
		Issuer: d.issuer.URL(), Auth: clientauth.SecretBasic(downstreamClient, downstreamSecret), Observe: counts.ObserveExchange,
	})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{Resource: resource, AuthorizationServers: []string{d.issuer.URL()}},
		Observe:  counts.Observe,
	})
	if err != nil {
		t.Fatal(err)
	}
	counts.Watch(guard.Status)
	registry := registries.NewRegistry()
	registry.MustRegister(counts)
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("POST /mcp", guard.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := verifier.FromContext(r.Context())
		to := exchange.Target{Resource: []string{downstreamAPI}}
		if _, err := exchanger.Exchange(r.Context(), exchange.Request{Subject: user, Target: to}); err != nil {
			w.WriteHeader(http.StatusBadGateway)
		}
	})))
	mux.Handle("GET /mcp", guard.Require()(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})))
	return d
}

func (d *downstream) address() string { return d.server.Listener.Addr().String() }

// traffic calls the API for some users, and opens streams, until ctx ends. Now and
// then the token endpoint is down.
func (d *downstream) traffic(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		d.issuer.ClearFaults()
		if i%8 == 7 {
			d.issuer.SetFault(authtest.EndpointToken, authtest.Down())
		}
		for user := range 5 {
			d.send(ctx, http.MethodPost, authtest.Claims{"sub": "user-" + strconv.Itoa(i+user), "exp": time.Now().Add(time.Minute)})
		}
		// Within the leeway of 10 s: the stream ends in two.
		d.send(ctx, http.MethodGet, authtest.Claims{"exp": time.Now().Add(-8 * time.Second)})
	}
}

func (d *downstream) send(ctx context.Context, method string, claims authtest.Claims) {
	request, err := http.NewRequestWithContext(ctx, method, d.server.URL+"/mcp", nil)
	if err != nil {
		return
	}
	request.Header.Set("Authorization", "Bearer "+d.issuer.Token(claims))
	if response, err := http.DefaultClient.Do(request); err == nil {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}
