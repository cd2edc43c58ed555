package middleware_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkGuard measures what the front door adds to a handler; the Verifier
// costs nothing here. The parent context can be canceled, as a server's is.
func BenchmarkGuard(b *testing.B) {
	token := goodToken("files:read", "files:write")
	config := middleware.Config{
		Metadata:       prm.Metadata{Resource: resource, AuthorizationServers: []string{issuerURL}},
		AllowedOrigins: []string{appOrigin},
		Verifier: verifier.Func(func(_ context.Context, t string) (*verifier.Token, error) {
			if t == good {
				return token, nil
			}
			return nil, verifier.ErrInvalidToken
		}),
	}
	quiet, err := middleware.New(config)
	if err != nil {
		b.Fatal(err)
	}
	config.Observe = func(context.Context, middleware.Event) {}
	watched, err := middleware.New(config)
	if err != nil {
		b.Fatal(err)
	}
	bare := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	waiting := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { r.Context().Done() })
	bearer := "Authorization: Bearer " + good
	for _, bb := range []struct {
		name    string
		handler http.Handler
		field   string
	}{
		{"bare handler", bare, bearer},
		{"accepted", quiet.Require("files:read")(bare), bearer},
		{"accepted and observed", watched.Require("files:read")(bare), bearer},
		{"accepted and the handler waits", quiet.Require("files:read")(waiting), bearer},
		{"anonymous", quiet.Protect(scopes.Policy{Base: scopes.Public()})(bare), "Accept-Language: en"},
		{"no credentials", quiet.Require("files:read")(bare), "Accept-Language: en"},
		{"bad token", quiet.Require("files:read")(bare), "Authorization: Bearer " + bad},
		{"insufficient scope", quiet.Require("admin")(bare), bearer},
		{"16 KiB of commas", quiet.Require("files:read")(bare), "Authorization: Basic " + strings.Repeat(",", 16<<10)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			r := request(bb.field, "Accept: application/json", "Content-Type: application/json",
				"MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: read_file",
				"User-Agent: bench/1.0", "Accept-Encoding: gzip").WithContext(ctx)
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				bb.handler.ServeHTTP(w, r)
			}
		})
	}
}

// The door must stay cheap; the bound is what it takes today.
func TestAnAcceptedRequestAllocatesLittle(t *testing.T) {
	f := newFixture(t, func(f *fixture) {
		token := f.verifier.token
		f.config.Verifier = verifier.Func(func(context.Context, string) (*verifier.Token, error) { return token, nil })
		f.config.Observe = nil
	})
	h := f.guard.Require("files:read")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r, w := request("Authorization: Bearer "+good), discard{http.Header{}}
	if n := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }); n > 5 {
		t.Errorf("%v allocations", n)
	}
}
