//go:build e2e

package e2e

import (
	"context"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const requestTimeout = 20 * time.Second

// A server is the MCP server under test: the official Go SDK behind a Guard.
type server struct {
	resource string
	events   synced[middleware.Event]
	metadata synced[string] // methods with which the document was asked for
}

// listen opens the server's socket. Whoever stands in front must know it before
// the resource, which is its own URL, has a name.
func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

// perTool is what the tools need. Nobody may do what it does not name.
var perTool = scopes.Policy{
	Base: scopes.All("mcp:tools"),
	Tools: map[string]scopes.Requirement{
		"public_info":    scopes.Public(),
		"protected_data": scopes.All("mcp:tools"),
		"admin_report":   scopes.All("mcp:admin"),
	},
}

// openLists is the same with listings that anybody may see.
var openLists = scopes.Policy{Discovery: scopes.Public(), Tools: perTool.Tools}

// serve starts the server for resource, whose tokens issuer issues and judge
// judges; nil: the built-in verifier.
func serve(t *testing.T, listener net.Listener, resource, issuer string, judge verifier.Verifier) *server {
	t.Helper()
	return serveWith(t, listener, serverConfig{resource: resource, issuer: issuer, judge: judge, policy: perTool})
}

// serverConfig says how to start a server.
type serverConfig struct {
	resource, issuer string
	judge            verifier.Verifier // nil: the built-in one
	policy           scopes.Policy
	origins          []string
	late             bool         // handlers may refuse while they run
	next             http.Handler // nil: the official Go SDK with a tool for each scope
}

func serveWith(t *testing.T, listener net.Listener, config serverConfig) *server {
	t.Helper()
	s := &server{resource: config.resource}
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             config.resource,
			AuthorizationServers: []string{config.issuer},
			ScopesSupported:      []string{"mcp:tools", "mcp:admin"},
			ResourceName:         "Gatehouse end-to-end test",
		},
		Verifier:       config.judge,
		AllowedOrigins: config.origins,
		LateStepUp:     config.late,
		Observe:        func(_ context.Context, event middleware.Event) { s.events.add(event) },
	})
	if err != nil {
		t.Fatal(err)
	}
	next := config.next
	if next == nil {
		sdk := newMCPServer(guard.Filter(config.policy))
		next = mcpsdk.Bind(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return sdk }, nil))
	}
	mux := http.NewServeMux()
	mux.HandleFunc(guard.Metadata().Path(), func(w http.ResponseWriter, r *http.Request) {
		s.metadata.add(r.Method)
		guard.Metadata().ServeHTTP(w, r)
	})
	mux.Handle("/mcp", guard.Protect(config.policy)(next))
	serveHTTP(t, listener, mux)
	return s
}

// serveHTTP serves handler until the test is over.
func serveHTTP(t *testing.T, listener net.Listener, handler http.Handler) {
	t.Helper()
	httpServer := &http.Server{Handler: handler, ReadHeaderTimeout: requestTimeout}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = httpServer.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = httpServer.Close()
		<-served
	})
}

// newMCPServer has one tool for each requirement. All answer with the caller, and
// lists show those that the caller may call.
func newMCPServer(allow func(*verifier.Token, scopes.Operation) bool) *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "gatehouse-e2e", Version: "1.0.0"}, nil)
	s.AddReceivingMiddleware(mcpsdk.Filter(allow))
	for name := range perTool.Tools {
		mcp.AddTool(s, &mcp.Tool{Name: name}, func(_ context.Context, request *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			text := name + " for nobody"
			if token, ok := mcpsdk.FromRequest(request); ok {
				text = name + " for " + token.Subject
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
		})
	}
	return s
}

// A front is a way to the server: its public URL, and what a client needs to
// trust it.
type front struct {
	resource string
	caFile   string       // "": nothing to trust
	client   *http.Client // never nil
}

// A setup says which tokens the provider issues and who judges them.
type setup struct {
	alg    string // of JWTs and of signed answers
	opaque bool
	open   bool                                                               // anybody may see listings
	judge  func(t *testing.T, resource string, p *provider) verifier.Verifier // nil: the built-in one
}

// eachFront runs test for every front, each with a provider and a server of
// its own.
func eachFront(t *testing.T, with setup, test func(*testing.T, front, *server, *provider)) {
	for name, open := range map[string]func(*testing.T, string) front{
		"direct":              direct,
		"behind nginx by TLS": startNginx,
	} {
		t.Run(name, func(t *testing.T) {
			listener := listen(t)
			p := newProvider(t, with.alg, with.opaque)
			f := open(t, listener.Addr().String())
			var judge verifier.Verifier
			if with.judge != nil {
				judge = with.judge(t, f.resource, p)
			}
			policy := perTool
			if with.open {
				policy = openLists
			}
			test(t, f, serveWith(t, listener, serverConfig{resource: f.resource, issuer: p.issuer, judge: judge, policy: policy}), p)
		})
	}
}

func direct(_ *testing.T, address string) front {
	return front{resource: "http://" + address + "/mcp", client: &http.Client{Transport: &http.Transport{}}}
}
