package mcpgo_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/mcpgo"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// policy lets everyone use "caller", and only writers "write".
var policy = scopes.Policy{
	Discovery: scopes.Public(),
	Tools:     map[string]scopes.Requirement{"caller": scopes.Public(), "write": scopes.All("write")},
	Prompts:   map[string]scopes.Requirement{"caller": scopes.Public(), "write": scopes.All("write")},
}

func newFilteredServer(t *testing.T, options ...server.ServerOption) (writes *int, at endpoint) {
	t.Helper()
	b, at := newServer(t, append(options, mcpgo.WithToolFilter(newGuard(t).Filter(policy)))...)
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
	_, at := newServer(t, mcpgo.WithToolFilter(func(*verifier.Token, scopes.Operation) bool { return false }))
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

func TestPromptsAreFilteredLikeTools(t *testing.T) {
	for _, version := range []string{legacy, modern} {
		for credential, want := range map[string][]string{
			"alice": {"caller"},
			"bob":   {"caller", "write"},
			"":      {"caller"},
		} {
			t.Run(version+"/"+credential, func(t *testing.T) {
				b, at := newServer(t, server.WithPromptCapabilities(false), mcpgo.WithPromptFilter(newGuard(t).Filter(policy)))
				for _, name := range []string{"caller", "write", "unnamed"} {
					b.mcp.AddPrompt(mcp.NewPrompt(name), func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
						return mcp.NewGetPromptResult(name, []mcp.PromptMessage{}), nil
					})
				}
				c, _ := at.connect(t, version, credential)
				listed, err := c.ListPrompts(t.Context(), mcp.ListPromptsRequest{})
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, prompt := range listed.Prompts {
					got = append(got, prompt.Name)
				}
				if !slices.Equal(got, want) {
					t.Errorf("listed %v, want %v", got, want)
				}
				for _, name := range []string{"caller", "write", "unnamed"} {
					_, err := c.GetPrompt(t.Context(), mcp.GetPromptRequest{Params: mcp.GetPromptParams{Name: name}})
					if may := slices.Contains(want, name); may != (err == nil) {
						t.Errorf("getting %s: %v", name, err)
					}
				}
			})
		}
	}
}

func TestAFilterNeedsAFunction(t *testing.T) {
	for name, option := range map[string]func(func(*verifier.Token, scopes.Operation) bool) server.ServerOption{
		"WithToolFilter": mcpgo.WithToolFilter, "WithPromptFilter": mcpgo.WithPromptFilter,
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s(nil) does not panic", name)
				}
			}()
			option(nil)
		}()
	}
}
