package mcpgo_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/mcpgo"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// allow lets everyone use "caller", and only writers "write".
func allow(token *verifier.Token, tool string) bool {
	switch tool {
	case "caller":
		return true
	case "write":
		return token != nil && token.Scopes.Has("write")
	}
	return false
}

func newFilteredServer(t *testing.T, options ...server.ServerOption) (writes *int, at endpoint) {
	t.Helper()
	b, at := newServer(t, append(options, mcpgo.WithToolFilter(allow))...)
	writes = new(int)
	b.mcp.AddTool(mcp.NewTool("write"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		*writes++
		return mcp.NewToolResultText("written"), nil
	})
	return writes, at
}

func list(t *testing.T, c *client.Client) []string {
	t.Helper()
	listed, err := c.ListTools(t.Context(), mcp.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
	}
	return names
}

func TestAListingShowsWhatTheCallerMayUse(t *testing.T) {
	for _, version := range []string{legacy, modern} {
		for credential, want := range map[string][]string{
			"alice": {"caller"},
			"bob":   {"caller", "write"},
			"":      {"caller"},
		} {
			t.Run(version+"/"+credential, func(t *testing.T) {
				writes, at := newFilteredServer(t)
				c, _ := at.connect(t, version, credential)
				if got := list(t, c); !slices.Equal(got, want) {
					t.Errorf("listed %v, want %v", got, want)
				}
				_, err := callTool(t, c, "write")
				if may := slices.Contains(want, "write"); may != (err == nil) || may != (*writes == 1) {
					t.Errorf("calling write: %v, %d runs", err, *writes)
				}
			})
		}
	}
}

func TestAListingFollowsTheTokenOfTheRequest(t *testing.T) {
	_, at := newFilteredServer(t)
	c, credential := at.connect(t, legacy, "alice")
	if got := list(t, c); len(got) != 1 {
		t.Errorf("before the step-up: %v", got)
	}
	credential.current.Store("alice-stepped-up")
	if got := list(t, c); len(got) != 2 {
		t.Errorf("after the step-up: %v", got)
	}
}

func TestAnEmptyListingIsAList(t *testing.T) {
	_, at := newServer(t, mcpgo.WithToolFilter(func(*verifier.Token, string) bool { return false }))
	id := at.initialize(t, "alice")
	_, body := at.send(t, http.MethodPost, `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, "alice", inSession(id))
	if !strings.Contains(body, `"tools":[]`) {
		t.Errorf("the answer is %s", body)
	}
}

func TestAFilteredListingIsNotCachedForOthers(t *testing.T) {
	const body = `{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	header := map[string]string{mcp.HeaderProtocolVersion: modern, "Mcp-Method": "tools/list"}
	public := server.WithCacheHints(60_000, mcp.CacheScopePublic)

	_, unfiltered := newServer(t, public)
	if _, text := unfiltered.send(t, http.MethodPost, body, "alice", header); !strings.Contains(text, `"cacheScope":"public"`) {
		t.Fatalf("without a filter: %s", text)
	}
	_, filtered := newFilteredServer(t, public)
	if _, text := filtered.send(t, http.MethodPost, body, "alice", header); !strings.Contains(text, `"cacheScope":"private"`) {
		t.Errorf("with a filter: %s", text)
	}
}
