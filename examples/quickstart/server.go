package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The routes besides the resource's own.
const (
	publicPath  = "/public"
	adminPath   = "/admin"
	metricsPath = "/metrics"
)

const adminScope = "mcp:admin"

// setup is what the servers and the story agree on.
type setup struct {
	resource string // URL under which clients know the MCP server
	issuer   string // URL of the authorization server
	scope    string // what protected_data needs
	external bool   // the authorization server is not ours
}

// scopes are the ones that clients may ask for without a better hint. An
// identity provider that is not ours may know nothing of the admin scope.
func (s setup) scopes() []string {
	if s.external {
		return []string{s.scope}
	}
	return []string{s.scope, adminScope}
}

// newHandler wires the MCP server: this is the part to copy.
func newHandler(setup setup) (http.Handler, error) {
	observed := metrics.New(metrics.Config{Resources: []string{setup.resource}})
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             setup.resource,
			AuthorizationServers: []string{setup.issuer},
			ScopesSupported:      setup.scopes(),
			ResourceName:         "Gatehouse quickstart",
		},
		Observe: observed.Observe,
	})
	if err != nil {
		return nil, err
	}
	resourcePath, err := pathOf(setup.resource)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(observed); err != nil {
		return nil, err
	}

	mux := http.NewServeMux()
	mux.Handle(guard.Metadata().Path(), guard.Metadata())
	mux.Handle(resourcePath, guard.Require(setup.scope)(mcpsdk.Bind(serve(protectedData))))
	mux.Handle(adminPath, guard.Require(adminScope)(mcpsdk.Bind(serve(adminReport))))
	mux.Handle(publicPath, serve(publicInfo))
	// In production, metrics belong on an address that clients cannot reach.
	mux.Handle(metricsPath, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux, nil
}

// serve returns an MCP server with one tool, over streamable HTTP.
func serve(addTool func(*mcp.Server)) http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "gatehouse-quickstart", Version: "1"}, nil)
	addTool(server)
	// Stateless: every request is judged and answered on its own.
	return mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true},
	)
}

// pathOf returns the ServeMux pattern for the resource itself.
func pathOf(resource string) (string, error) {
	u, err := url.Parse(resource)
	if err != nil {
		return "", err
	}
	switch path := u.EscapedPath(); path {
	case "", "/":
		return "/{$}", nil
	case publicPath, adminPath, metricsPath:
		return "", fmt.Errorf("-resource %q: the path %s is taken", resource, path)
	default:
		return path, nil
	}
}
