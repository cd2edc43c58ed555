// Operations shows what an operator needs: metrics, a log, an audit trail, traces,
// probes, and an answer to "why was this token refused?".
//
//	go run ./examples/operations -issuer https://login.example.com
//
// The operator's routes listen on an address of their own, which clients cannot
// reach; /explain is for administrators even there.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/gatehouse-mcp/gatehouse/eventlog"
	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/oteltrace"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` for clients")
	operate := flag.String("operate", "127.0.0.1:9090", "`address` for operators")
	resource := flag.String("resource", "http://127.0.0.1:8080/mcp", "`URL` under which clients know the MCP server")
	issuer := flag.String("issuer", "", "`URL` of the identity provider (required)")
	flag.Parse()

	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	servers, err := newServers(*resource, *issuer, logger)
	if err != nil {
		fmt.Fprintln(os.Stderr, "operations:", err)
		os.Exit(2)
	}
	failed := make(chan error, 2)
	for address, handler := range map[string]http.Handler{*listen: servers.clients, *operate: servers.operators} {
		server := &http.Server{Addr: address, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
		go func() { failed <- server.ListenAndServe() }()
	}
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, "operations:", err)
		os.Exit(1)
	}
}

// servers are the two sides of the process.
type servers struct{ clients, operators http.Handler }

func newServers(resource, issuer string, logger *slog.Logger) (servers, error) {
	events := eventlog.New(logger, eventlog.Config{Audit: logger, TraceID: oteltrace.TraceID})
	counts := metrics.New(metrics.Config{Resources: []string{resource}, TraceID: oteltrace.TraceID})
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             resource,
			AuthorizationServers: []string{issuer},
			ScopesSupported:      []string{"files:read"},
		},
		Observe: func(ctx context.Context, event middleware.Event) {
			counts.Observe(ctx, event)
			events.Observe(ctx, event)
			oteltrace.Observe(ctx, event) // where otelhttp, or its like, around the routes starts spans
		},
	})
	if err != nil {
		return servers{}, err
	}
	counts.Watch(guard.Status)
	registry := prometheus.NewRegistry()
	if err := registry.Register(counts); err != nil {
		return servers{}, err
	}

	clients := http.NewServeMux()
	clients.Handle(guard.Metadata().Path(), guard.Metadata())
	clients.Handle("/mcp", guard.Require("files:read")(http.HandlerFunc(serve)))

	operators := http.NewServeMux()
	operators.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	operators.HandleFunc("GET /livez", alive)
	operators.Handle("GET /readyz", ready(guard))
	operators.Handle("POST /explain", guard.Require("gatehouse:admin")(explain(guard)))
	return servers{clients, operators}, nil
}

// serve stands for the MCP server.
func serve(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}\n") }

// alive asks nobody: an outage of the provider is no reason to restart.
func alive(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

// ready answers 200 while tokens can be verified, else 503, with the detail.
func ready(guard *middleware.Guard) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		w.Header().Set("Content-Type", "application/json")
		if guard.Ready(ctx) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_ = json.NewEncoder(w).Encode(guard.Status().Issuers()) // the probe may be gone
	})
}

// explain says why the token in the body is refused. It comes in the body and
// not in the URL, which proxies log.
func explain(guard *middleware.Guard) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 32<<10))
		if err != nil {
			http.Error(w, "one token, please", http.StatusBadRequest)
			return
		}
		explanation := guard.Explain(r.Context(), string(token))
		w.Header().Set("Cache-Control", "no-store")
		if r.Header.Get("Accept") == "text/plain" {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, explanation.String())
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(explanation)
	})
}
