package mcpsdk_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	resource = "http://127.0.0.1/mcp"
	issuerA  = "https://a.example.com"
	issuerB  = "https://b.example.com"

	initializeBody = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	callBody       = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"caller","arguments":{}}}`
)

// frontDoor is a real Guard. The operation is public, so that anonymous requests
// reach Bind too.
func frontDoor(t *testing.T) func(http.Handler) http.Handler {
	t.Helper()
	return newGuard(t).Protect(scopes.Policy{Base: scopes.Public()})
}

// newGuard returns a Guard whose tokens are their own names.
func newGuard(t *testing.T, change ...func(*middleware.Config)) *middleware.Guard {
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
		"forger":           {Issuer: issuerB, Subject: "\x00" + issuerA + "\x00u1", Scopes: grant("read")},
		"subjectless":      {Issuer: issuerA, Scopes: grant("read")},
	}
	config := middleware.Config{
		Metadata: prm.Metadata{Resource: resource, AuthorizationServers: []string{issuerA, issuerB}},
		Verifier: verifier.Func(func(_ context.Context, credential string) (*verifier.Token, error) {
			token, ok := tokens[credential]
			if !ok {
				return nil, &verifier.InvalidTokenError{Reason: verifier.ReasonSignature}
			}
			token.Audience = []string{resource}
			token.Expiry = time.Now().Add(time.Minute)
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

// server is a real SDK server behind Bind and the front door.
type server struct {
	url              string
	toolRuns         atomic.Int64
	seenByMiddleware atomic.Value
}

func newServer(t *testing.T, options *mcp.StreamableHTTPOptions) *server {
	t.Helper()
	s := &server{}
	sdk := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	mcp.AddTool(sdk, &mcp.Tool{Name: "caller"}, func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, sighting, error) {
		s.toolRuns.Add(1)
		pinned, _ := verifier.FromContext(ctx)
		return nil, sighting{
			Caller:  describe(mcpsdk.FromRequest(req)),
			Context: describe(pinned, pinned != nil),
			Headers: slices.Sorted(maps.Keys(req.Extra.Header)),
		}, nil
	})
	sdk.AddResource(&mcp.Resource{Name: "caller", URI: "test://caller"}, func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, Text: describe(mcpsdk.FromRequest(req))}}}, nil
	})
	sdk.AddPrompt(&mcp.Prompt{Name: "caller"}, func(_ context.Context, req *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{Description: describe(mcpsdk.FromRequest(req))}, nil
	})
	sdk.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			s.seenByMiddleware.Store(describe(mcpsdk.FromRequest(req)))
			return next(ctx, method, req)
		}
	})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return sdk }, options)
	listening := httptest.NewServer(frontDoor(t)(mcpsdk.Bind(handler)))
	t.Cleanup(listening.Close)
	s.url = listening.URL
	return s
}

// sighting is what the tool knows of its caller.
type sighting struct {
	Caller  string   `json:"caller"`
	Context string   `json:"context"`
	Headers []string `json:"headers"`
}

func describe(token *verifier.Token, ok bool) string {
	if !ok {
		return "nobody"
	}
	return token.Issuer + " " + token.Subject + " " + token.Scopes.String()
}

// credentials is a RoundTripper that adds a credential, which may change.
type credentials struct{ current atomic.Value }

func (c *credentials) use(credential string) { c.current.Store(credential) }

func (c *credentials) RoundTrip(r *http.Request) (*http.Response, error) {
	if credential, _ := c.current.Load().(string); credential != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (s *server) connect(t *testing.T, credential string) *mcp.ClientSession {
	t.Helper()
	c := &credentials{}
	c.use(credential)
	return s.connectWith(t, c)
}

func (s *server) connectWith(t *testing.T, c *credentials) *mcp.ClientSession {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: s.url, HTTPClient: &http.Client{Transport: c},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

func call(t *testing.T, session *mcp.ClientSession) sighting {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "caller"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(result.StructuredContent)
	if err != nil {
		t.Fatal(err)
	}
	var seen sighting
	if err := json.Unmarshal(data, &seen); err != nil || seen.Caller == "" {
		t.Fatalf("tool result %s: %v", data, err)
	}
	return seen
}

// send makes one request by hand, as somebody who has learnt a session's id.
func (s *server) send(t *testing.T, method, body, credential, session string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	if credential != "" {
		r.Header.Set("Authorization", "Bearer "+credential)
	}
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
		r.Header.Set("MCP-Protocol-Version", "2025-11-25")
	}
	for pair := range slices.Chunk(header, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}
