// Package middleware is the front door of an MCP server: an http.Handler
// wrapper that lets a request pass only with a valid access token of a trusted
// issuer, for this resource, with the scopes that the route, or the MCP operation
// in its body, needs.
//
//	guard, err := middleware.New(middleware.Config{
//		Metadata: prm.Metadata{
//			Resource:             "https://mcp.example.com/mcp",
//			AuthorizationServers: []string{"https://login.example.com"},
//		},
//	})
//	if err != nil {
//		log.Fatal(err)
//	}
//	mux.Handle(guard.Metadata().Path(), guard.Metadata())
//	mux.Handle("/mcp", guard.Require("files:read")(mcpHandler))
//
// The handler finds the verified token with [verifier.FromContext]. It never
// sees the credential itself, and its context ends when the token does.
//
// Everyone else gets the answer that RFC 6750 §3, RFC 9728 §5.1 and the MCP
// authorization text prescribe, from which a client can find out how to
// continue. [Guard.Check] decides, and [Refusal] is what it decided; both are
// there for servers that need more than a wrapper.
//
// A handler that finds out more while it runs may still refuse, where
// Config.LateStepUp is set: [RequireMore] asks for scopes, and [Refuse] passes on
// why another API could not be called for the user (package exchange).
//
// Config.Observe is told of every decision, and of answers that are cut because
// their token ended; packages metrics, eventlog and oteltrace make something of it.
// [Guard.Explain], [Guard.Ready] and [Guard.Status] are for operators.
//
// One Guard serves one resource. Do not nest Guards: the outer one removes the
// credentials that the inner one needs.
package middleware
