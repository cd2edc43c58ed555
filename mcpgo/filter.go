package mcpgo

import (
	"context"

	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// WithToolFilter returns an option that leaves those tools out of tools/list for
// which allow says no, and lets nobody but the caller's own client cache the
// list. mcp-go asks again before a tools/call and answers as if there were no
// such tool; that is the second line of defence, for it cannot ask the client
// to step up. The first is the front door, with the same policy.
//
// allow gets the caller's token, nil for an anonymous caller, and the name of a
// tool. It must be safe for concurrent use. WithToolFilter panics if allow is
// nil.
func WithToolFilter(allow func(token *verifier.Token, tool string) bool) server.ServerOption {
	if allow == nil {
		panic("mcpgo: WithToolFilter needs a function")
	}
	filter := func(ctx context.Context, tools []mcp.Tool) []mcp.Tool {
		token, _ := verifier.FromContext(ctx)
		allowed := make([]mcp.Tool, 0, len(tools))
		for _, tool := range tools {
			if allow(token, tool.Name) {
				allowed = append(allowed, tool)
			}
		}
		return allowed
	}
	return func(s *server.MCPServer) {
		server.WithToolFilter(filter)(s)
		// A server-wide hint "public" would hand one caller's list to others.
		server.WithMethodCacheHints(mcp.MethodToolsList, 0, mcp.CacheScopePrivate)(s)
	}
}
