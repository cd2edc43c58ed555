package mcpgo

import (
	"context"

	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// WithToolFilter returns an option that leaves out of tools/list what the caller
// may not call, and lets nobody but the caller's own client cache the list:
//
//	server.NewMCPServer(name, version, mcpgo.WithToolFilter(guard.Filter(policy)))
//
// mcp-go asks again before a tools/call and answers as if there were no such
// tool. That is the second line of defence, for it cannot ask the client to step
// up. The first is the front door, with the same policy.
//
// allow is asked about tools/call with the name of a tool; the token is nil for
// an anonymous caller. It must be safe for concurrent use. WithToolFilter panics
// if allow is nil.
func WithToolFilter(allow func(caller *verifier.Token, op scopes.Operation) bool) server.ServerOption {
	if allow == nil {
		panic("mcpgo: WithToolFilter needs a function")
	}
	filter := func(ctx context.Context, tools []mcp.Tool) []mcp.Tool {
		return only(ctx, tools, func(caller *verifier.Token, tool mcp.Tool) bool {
			return allow(caller, scopes.Operation{Method: string(mcp.MethodToolsCall), Name: tool.Name})
		})
	}
	return func(s *server.MCPServer) {
		server.WithToolFilter(filter)(s)
		// A server-wide hint "public" would hand one caller's list to others.
		server.WithMethodCacheHints(mcp.MethodToolsList, 0, mcp.CacheScopePrivate)(s)
	}
}

// WithPromptFilter does for prompts/list and prompts/get what WithToolFilter does
// for tools. mcp-go has no such filter for resources.
func WithPromptFilter(allow func(caller *verifier.Token, op scopes.Operation) bool) server.ServerOption {
	if allow == nil {
		panic("mcpgo: WithPromptFilter needs a function")
	}
	filter := func(ctx context.Context, prompts []mcp.Prompt) []mcp.Prompt {
		return only(ctx, prompts, func(caller *verifier.Token, prompt mcp.Prompt) bool {
			return allow(caller, scopes.Operation{Method: string(mcp.MethodPromptsGet), Name: prompt.Name})
		})
	}
	return func(s *server.MCPServer) {
		server.WithPromptFilter(filter)(s)
		server.WithMethodCacheHints(mcp.MethodPromptsList, 0, mcp.CacheScopePrivate)(s)
	}
}

// only returns what the caller of ctx may use; never nil, which would be null in
// JSON, where the schema wants a list.
func only[T any](ctx context.Context, all []T, allowed func(*verifier.Token, T) bool) []T {
	caller, _ := verifier.FromContext(ctx)
	kept := make([]T, 0, len(all))
	for _, one := range all {
		if allowed(caller, one) {
			kept = append(kept, one)
		}
	}
	return kept
}
