//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
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

// serve starts the server for resource, whose tokens issuer issues.
func serve(t *testing.T, listener net.Listener, resource, issuer string) *server {
	t.Helper()
	s := &server{resource: resource}
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             resource,
			AuthorizationServers: []string{issuer},
			ScopesSupported:      []string{"mcp:tools", "mcp:admin"},
			ResourceName:         "Gatehouse end-to-end test",
		},
		Observe: func(_ context.Context, event middleware.Event) { s.events.add(event) },
	})
	if err != nil {
		t.Fatal(err)
	}

	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return newMCPServer() }, nil)
	mux := http.NewServeMux()
	mux.HandleFunc(guard.Metadata().Path(), func(w http.ResponseWriter, r *http.Request) {
		s.metadata.add(r.Method)
		guard.Metadata().ServeHTTP(w, r)
	})
	mux.Handle("/mcp", byTool(guard, mcpsdk.Bind(handler)))

	httpServer := &http.Server{Handler: mux, ReadHeaderTimeout: requestTimeout}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = httpServer.Serve(listener)
	}()
	t.Cleanup(func() {
		_ = httpServer.Close()
		<-served
	})
	return s
}

// newMCPServer has one tool for each scope. Both answer with the caller.
func newMCPServer() *mcp.Server {
	s := mcp.NewServer(&mcp.Implementation{Name: "gatehouse-e2e", Version: "1.0.0"}, nil)
	for _, name := range []string{"protected_data", "admin_report"} {
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

// byTool picks the scopes by the name of the tool. It is good enough for the
// clients of these tests, which send well-formed messages, and for nothing else.
func byTool(guard *middleware.Guard, next http.Handler) http.Handler {
	tools, admin := guard.Require("mcp:tools")(next), guard.Require("mcp:admin")(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, "unreadable", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var message struct {
			Method string
			Params struct{ Name string }
		}
		if json.Unmarshal(body, &message) == nil && message.Method == "tools/call" && message.Params.Name == "admin_report" {
			admin.ServeHTTP(w, r)
			return
		}
		tools.ServeHTTP(w, r)
	})
}

// A front is a way to the server: its public URL, and what a client needs to
// trust it.
type front struct {
	resource string
	caFile   string       // "": nothing to trust
	client   *http.Client // never nil
}

// eachFront runs test for every front, each with a provider and a server of
// its own.
func eachFront(t *testing.T, alg string, test func(*testing.T, front, *server, *provider)) {
	for name, open := range map[string]func(*testing.T, string) front{
		"direct":              direct,
		"behind nginx by TLS": startNginx,
	} {
		t.Run(name, func(t *testing.T) {
			listener := listen(t)
			p := newProvider(t, alg)
			f := open(t, listener.Addr().String())
			test(t, f, serve(t, listener, f.resource, p.issuer), p)
		})
	}
}

func direct(_ *testing.T, address string) front {
	return front{resource: "http://" + address + "/mcp", client: &http.Client{Transport: &http.Transport{}}}
}
