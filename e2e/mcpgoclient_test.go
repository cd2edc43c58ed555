//go:build e2e

package e2e

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

// This client takes its scopes from its configuration only and has no step-up: a
// 403 is an error, and the application logs in again for more.
func TestMCPGoClientLogsInAgainForAnotherTool(t *testing.T) {
	eachFront(t, setup{alg: "ES256"}, func(t *testing.T, f front, s *server, p *provider) {
		ctx, cancel := context.WithTimeout(t.Context(), clientTimeout)
		defer cancel()

		narrow := connectMCPGo(t, ctx, f, "mcp:tools")
		expectMCPGoTools(t, ctx, narrow, "protected_data", "public_info")
		if text, err := callMCPGo(ctx, narrow, "protected_data"); err != nil || text != "protected_data for alice" {
			t.Errorf("protected_data answered %q, %v", text, err)
		}
		// It shows the code in the body; the challenge it does not read.
		if _, err := callMCPGo(ctx, narrow, "admin_report"); err == nil || !strings.Contains(err.Error(), "insufficient_scope") {
			t.Errorf("admin_report: error %v, want insufficient_scope", err)
		}
		if text, err := callMCPGo(ctx, narrow, "protected_data"); err != nil || text != "protected_data for alice" {
			t.Errorf("after the 403, protected_data answered %q, %v", text, err)
		}

		wide := connectMCPGo(t, ctx, f, "mcp:tools", "mcp:admin")
		expectMCPGoTools(t, ctx, wide, "admin_report", "protected_data", "public_info")
		if text, err := callMCPGo(ctx, wide, "admin_report"); err != nil || text != "admin_report for alice" {
			t.Errorf("admin_report answered %q, %v", text, err)
		}

		expectLogins(t, s, p, "mcp:tools", "mcp:admin mcp:tools")
		if n := outcomes(s.events.all())[middleware.OutcomeInsufficientScope]; n != 1 {
			t.Errorf("outcomes %v; want insufficient_scope once", outcomes(s.events.all()))
		}
	})
}

// connectMCPGo registers a client, logs it in for scopes, and connects.
func connectMCPGo(t *testing.T, ctx context.Context, f front, scopes ...string) *client.Client {
	t.Helper()
	connected, err := client.NewOAuthStreamableHttpClient(f.resource, client.OAuthConfig{
		RedirectURI: redirectURI,
		Scopes:      scopes,
		TokenStore:  client.NewMemoryTokenStore(),
		PKCEEnabled: true,
		HTTPClient:  f.client,
	}, transport.WithHTTPBasicClient(f.client), transport.WithHTTPLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connected.Close() })
	if err := connected.Start(ctx); err != nil {
		t.Fatal(err)
	}
	initialize := mcp.InitializeRequest{Params: mcp.InitializeParams{
		ProtocolVersion: "2025-11-25", // the server keeps sessions, which later revisions do not know
		ClientInfo:      mcp.Implementation{Name: "gatehouse-e2e", Version: "1.0.0"},
	}}
	_, err = connected.Initialize(ctx, initialize)
	handler := client.GetOAuthHandler(err)
	if handler == nil {
		t.Fatalf("without a token: %v; want that a login is needed", err)
	}
	logIn(t, ctx, handler)
	if _, err := connected.Initialize(ctx, initialize); err != nil {
		t.Fatalf("connect: %v", err)
	}
	return connected
}

// logIn does what an application of mcp-go has to.
func logIn(t *testing.T, ctx context.Context, handler *transport.OAuthHandler) {
	t.Helper()
	must := func(text string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if err := handler.RegisterClient(ctx, "gatehouse e2e"); err != nil {
		t.Fatal(err)
	}
	verifier := must(client.GenerateCodeVerifier())
	state := must(client.GenerateState())
	location := must(handler.GetAuthorizationURL(ctx, state, client.GenerateCodeChallenge(verifier)))
	answer, err := login(ctx, &auth.AuthorizationArgs{URL: location})
	if err != nil {
		t.Fatal(err)
	}
	if err := handler.ProcessAuthorizationResponse(ctx, answer.Code, answer.State, verifier); err != nil {
		t.Fatal(err)
	}
}

func expectMCPGoTools(t *testing.T, ctx context.Context, c *client.Client, want ...string) {
	t.Helper()
	listed, err := c.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var tools []string
	for _, tool := range listed.Tools {
		tools = append(tools, tool.Name)
	}
	slices.Sort(tools)
	if !slices.Equal(tools, want) {
		t.Errorf("tools %q, want %q", tools, want)
	}
}

func callMCPGo(ctx context.Context, c *client.Client, tool string) (string, error) {
	result, err := c.CallTool(ctx, mcp.CallToolRequest{Params: mcp.CallToolParams{Name: tool}})
	if err != nil || len(result.Content) == 0 {
		return "", err
	}
	return mcp.GetTextFromContent(result.Content[0]), nil
}
