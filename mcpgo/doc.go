// Package mcpgo ties servers that are built with github.com/mark3labs/mcp-go to
// the verified identity of their callers:
//
//	sessions, err := mcpgo.NewSessions(mcpgo.SessionsConfig{})
//	...
//	transport := server.NewStreamableHTTPServer(mcpServer,
//		server.WithSessionIdManagerResolver(sessions))
//	mux.Handle("/mcp", guard.Require("files:read")(sessions.Bind(transport)))
//
// # Identity
//
// A tool, prompt or resource handler asks its own context, which mcp-go derives
// from the HTTP request of that very call, in a long session too:
//
//	token, ok := verifier.FromContext(ctx)
//
// With middleware.Config.LateStepUp it may refuse its call by way of the front door
// (middleware.RequireMore, middleware.Refuse), as long as it has sent nothing.
//
// The Header of a CallToolRequest holds no credential, because the front door
// has removed it.
//
// # Sessions
//
// By itself mcp-go serves a session to anyone who knows its id, and does not
// look at the id of a GET stream at all. [Sessions] makes ids that only their
// user can present, on every method and on every replica, without a store.
//
// Do not combine it with server.WithStateLess or server.WithStateful. Sessions
// keep no state either, and WithStateLess makes concurrent callers share one
// nameless session, in which the notifications of one can reach another. The
// SSE transport, server.SSEServer, has no place for a check of its sessions.
//
// # Listings
//
// [WithToolFilter] and [WithPromptFilter] leave out of tools/list and
// prompts/list what the caller may not use.
package mcpgo
