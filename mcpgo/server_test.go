package mcpgo_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/mcpgo"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

const (
	resource = "http://127.0.0.1/mcp"
	issuerA  = "https://a.example.com"
	issuerB  = "https://b.example.com"

	// legacy is the last revision with sessions, modern the first without.
	legacy = "2025-11-25"
	modern = "2026-07-28"

	initializeBody = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	callBody       = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"caller","arguments":{}}}`

	lifetime = time.Minute      // of every token
	leeway   = 10 * time.Second // of the Guard, its default
)

// frontDoor is a real Guard. The operation is public, so that anonymous requests
// reach Bind too.
func frontDoor(t testing.TB) func(http.Handler) http.Handler {
	t.Helper()
	return newGuard(t).Protect(scopes.Policy{Base: scopes.Public()})
}

// newGuard returns a Guard whose tokens are their own names.
func newGuard(t testing.TB, change ...func(*middleware.Config)) *middleware.Guard {
	t.Helper()
	grant := func(text string) scopes.Set {
		set, err := scopes.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	tokens := map[string]verifier.Token{
		"alice":            {Issuer: issuerA, Subject: "u1", Scopes: grant("read")},
		"alice-stepped-up": {Issuer: issuerA, Subject: "u1", Scopes: grant("read write")},
		"bob":              {Issuer: issuerA, Subject: "u2", Scopes: grant("read write")},
		"alice-of-b":       {Issuer: issuerB, Subject: "u1", Scopes: grant("read")},
		"shifted":          {Issuer: issuerA + "u", Subject: "1", Scopes: grant("read")},
		"imitator":         {Issuer: issuerB, Subject: issuerA + "u1", Scopes: grant("read")},
		"subjectless":      {Issuer: issuerA, Scopes: grant("read")},
	}
	config := middleware.Config{
		Metadata: prm.Metadata{Resource: resource, AuthorizationServers: []string{issuerA, issuerA + "u", issuerB}},
		Verifier: verifier.Func(func(_ context.Context, credential string) (*verifier.Token, error) {
			token, ok := tokens[credential]
			if !ok {
				return nil, &verifier.InvalidTokenError{Reason: verifier.ReasonSignature}
			}
			token.Audience = []string{resource}
			token.Expiry = time.Now().Add(lifetime)
			return &token, nil
		}),
	}
	for _, c := range change {
		c(&config)
	}
	guard, err := middleware.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

func newSessions(t testing.TB, config mcpgo.SessionsConfig) *mcpgo.Sessions {
	t.Helper()
	sessions, err := mcpgo.NewSessions(config)
	if err != nil {
		t.Fatal(err)
	}
	return sessions
}

// backend is a real mcp-go server and what its tools noticed.
type backend struct {
	mcp       *server.MCPServer
	transport *server.StreamableHTTPServer
	toolRuns  atomic.Int64
	headers   atomic.Value // of the last call, []string
	session   atomic.Value // of the last call, string
	waiting   chan struct{}
	released  chan error
}

// newBackend makes a server with sessions, unless options say otherwise.
func newBackend(sessions *mcpgo.Sessions, serverOptions []server.ServerOption, options ...server.StreamableHTTPOption) *backend {
	b := &backend{waiting: make(chan struct{}, 8), released: make(chan error, 8)}
	serverOptions = append(serverOptions, server.WithToolCapabilities(true), server.WithResourceCapabilities(false, true))
	b.mcp = server.NewMCPServer("test", "1", serverOptions...)
	b.mcp.AddTool(mcp.NewTool("caller"), func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		b.toolRuns.Add(1)
		b.headers.Store(slices.Sorted(maps.Keys(request.Header)))
		b.session.Store(server.ClientSessionFromContext(ctx).SessionID())
		return mcp.NewToolResultText(describe(verifier.FromContext(ctx))), nil
	})
	b.mcp.AddTool(mcp.NewTool("wait"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if err := b.mcp.SendNotificationToClient(ctx, "notifications/begun", nil); err != nil {
			return nil, err
		}
		b.waiting <- struct{}{}
		<-ctx.Done()
		b.released <- ctx.Err()
		return nil, ctx.Err()
	})
	b.mcp.AddResource(mcp.NewResource("test://caller", "caller"), func(ctx context.Context, request mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
		return []mcp.ResourceContents{mcp.TextResourceContents{URI: request.Params.URI, Text: describe(verifier.FromContext(ctx))}}, nil
	})
	b.transport = server.NewStreamableHTTPServer(b.mcp, append([]server.StreamableHTTPOption{
		server.WithSessionIdManagerResolver(sessions),
		server.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)),
	}, options...)...)
	return b
}

func describe(token *verifier.Token, ok bool) string {
	if !ok {
		return "nobody"
	}
	return token.Issuer + " " + token.Subject + " " + token.Scopes.String()
}

// endpoint is where a handler behind the front door can be reached.
type endpoint struct {
	url string
	via http.RoundTripper
}

// serve puts handler behind the front door and onto loopback.
func serve(t *testing.T, handler http.Handler) endpoint {
	t.Helper()
	listening := httptest.NewServer(frontDoor(t)(handler))
	t.Cleanup(listening.Close)
	return endpoint{listening.URL, listening.Client().Transport}
}

// newServer is the usual wiring on loopback.
func newServer(t *testing.T, options ...server.ServerOption) (*backend, endpoint) {
	t.Helper()
	sessions := newSessions(t, mcpgo.SessionsConfig{})
	b := newBackend(sessions, options)
	return b, serve(t, sessions.Bind(b.transport))
}

// credentials is a RoundTripper that adds a credential, which may change.
type credentials struct {
	current atomic.Value
	next    http.RoundTripper
}

func (c *credentials) RoundTrip(r *http.Request) (*http.Response, error) {
	if credential, _ := c.current.Load().(string); credential != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	return c.next.RoundTrip(r)
}

// connect returns a real client, and its credentials to change them.
func (e endpoint) connect(t *testing.T, version, credential string, options ...transport.StreamableHTTPCOption) (*client.Client, *credentials) {
	t.Helper()
	c := &credentials{next: e.via}
	c.current.Store(credential)
	options = append(options,
		transport.WithHTTPBasicClient(&http.Client{Transport: c}),
		transport.WithHTTPLogger(slog.New(slog.DiscardHandler)))
	connected, err := client.NewStreamableHttpClient(e.url, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connected.Close() })
	if err := connected.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	initialize := mcp.InitializeRequest{Params: mcp.InitializeParams{
		ProtocolVersion: version, ClientInfo: mcp.Implementation{Name: "test", Version: "1"},
	}}
	result, err := connected.Initialize(t.Context(), initialize)
	if err != nil {
		t.Fatal(err)
	}
	if result.ProtocolVersion != version {
		t.Fatalf("negotiated %s, want %s", result.ProtocolVersion, version)
	}
	return connected, c
}

func callTool(t *testing.T, c *client.Client, tool string) (string, error) {
	t.Helper()
	result, err := c.CallTool(t.Context(), mcp.CallToolRequest{Params: mcp.CallToolParams{Name: tool}})
	if err != nil {
		return "", err
	}
	if len(result.Content) != 1 {
		return "", fmt.Errorf("%d contents", len(result.Content))
	}
	return mcp.GetTextFromContent(result.Content[0]), nil
}

// call returns whom the tool saw.
func call(t *testing.T, c *client.Client) string {
	t.Helper()
	text, err := callTool(t, c, "caller")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// open makes one request by hand, as somebody who has learnt a session's id.
func (e endpoint) open(t *testing.T, method, body, credential string, header map[string]string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, e.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	answer, err := e.via.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// send is open for an answer that ends.
func (e endpoint) send(t *testing.T, method, body, credential string, header map[string]string) (*http.Response, string) {
	t.Helper()
	answer := e.open(t, method, body, credential, header)
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

// inSession are the header fields of a request in a session.
func inSession(id string) map[string]string {
	return map[string]string{server.HeaderKeySessionID: id, mcp.HeaderProtocolVersion: legacy}
}

// initialize opens a session by hand and returns its id.
func (e endpoint) initialize(t *testing.T, credential string) string {
	t.Helper()
	answer, body := e.send(t, http.MethodPost, initializeBody, credential, nil)
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("initialize: status %d, %s", answer.StatusCode, body)
	}
	return answer.Header.Get(server.HeaderKeySessionID)
}
