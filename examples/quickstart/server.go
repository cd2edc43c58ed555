package main

import (
	"fmt"
	"net/http"
	"net/url"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsPath is the route besides the resource's own.
const metricsPath = "/metrics"

const adminScope = "mcp:admin"

// The client_ids of the two servers at the embedded issuer.
const (
	serverID  = "gatehouse-quickstart"
	backEndID = "gatehouse-quickstart-back-end"
)

// setup is what the servers and the story agree on.
type setup struct {
	resource   string // URL under which clients know the MCP server
	issuer     string // URL of the authorization server
	scope      string // what protected_data needs
	external   bool   // the authorization server is not ours
	introspect bool   // tokens are opaque
	secret     secret // of the servers, at the embedded issuer
	backEnd    string // URL of the API that downstream_report calls; empty: none
}

// scopes are the ones that clients may ask for without a better hint. An
// identity provider that is not ours may know nothing of the admin scope.
func (s setup) scopes() []string {
	if s.external {
		return []string{s.scope}
	}
	return []string{s.scope, adminScope}
}

// policy says what each tool needs. Whoever adds a tool and forgets it here has
// a tool that nobody can call.
func (s setup) policy() scopes.Policy {
	return scopes.Policy{
		Discovery: scopes.Public(),
		Tools: map[string]scopes.Requirement{
			publicInfo:       scopes.Public(),
			protectedData:    scopes.All(s.scope),
			downstreamReport: scopes.All(s.scope),
			adminReport:      scopes.All(adminScope),
		},
	}
}

// newHandler wires the MCP server: this is the part to copy.
func newHandler(setup setup) (http.Handler, error) {
	observed := metrics.New(metrics.Config{Resources: []string{setup.resource}, Exchanges: []string{setup.issuer}})
	judge, err := newVerifier(setup, setup.resource, serverID)
	if err != nil {
		return nil, err
	}
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             setup.resource,
			AuthorizationServers: []string{setup.issuer},
			ScopesSupported:      setup.scopes(),
			ResourceName:         "Gatehouse quickstart",
		},
		Verifier:   judge,
		Observe:    observed.Observe,
		LateStepUp: true, // for downstream_report
	})
	if err != nil {
		return nil, err
	}
	observed.Watch(guard.Status)
	resourcePath, err := pathOf(setup.resource)
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	if err := registry.Register(observed); err != nil {
		return nil, err
	}

	// One policy for the calls and for the listings. It panics where it is wired if
	// it holds a mistake, and this one holds what was typed at a prompt.
	policy := setup.policy()
	if err := policy.Validate(); err != nil {
		return nil, err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "gatehouse-quickstart", Version: "1"}, nil)
	server.AddReceivingMiddleware(mcpsdk.Filter(guard.Filter(policy)))
	addTools(server)
	if setup.backEnd != "" {
		reports, err := newReports(setup, observed.ObserveExchange)
		if err != nil {
			return nil, err
		}
		tool := &mcp.Tool{Name: downstreamReport, Description: "A report of another API, called as the user."}
		mcp.AddTool(server, tool, downstream(reports, setup.backEnd))
	}

	mux := http.NewServeMux()
	mux.Handle(guard.Metadata().Path(), guard.Metadata())
	mux.Handle(resourcePath, guard.Protect(policy)(mcpsdk.Bind(overHTTP(server))))
	// In production, metrics belong on an address that clients cannot reach.
	mux.Handle(metricsPath, promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	return mux, nil
}

// newVerifier returns nil, the built-in verifier of JWTs, unless tokens are
// opaque. clientID is who asks about them.
func newVerifier(setup setup, resource, clientID string) (verifier.Verifier, error) {
	if !setup.introspect {
		return nil, nil
	}
	return verifier.NewIntrospection(verifier.IntrospectionConfig{
		Resource: resource,
		Issuer:   setup.issuer,
		Auth:     clientauth.SecretBasic(clientID, string(setup.secret)),
	})
}

// overHTTP serves an MCP server over streamable HTTP.
func overHTTP(server *mcp.Server) http.Handler {
	return mcp.NewStreamableHTTPHandler(
		func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{
			Stateless:                    true, // every request is judged and answered on its own
			PropagateRequestCancellation: true, // a tool ends with its request, and so with its token
		},
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
	case metricsPath:
		return "", fmt.Errorf("-resource %q: the path %s is taken", resource, path)
	default:
		return path, nil
	}
}
