// Package gatehouse is documentation only: the module turns a net/http MCP server
// into an OAuth 2.0 resource server, and is never an authorization server.
//
// Start with package middleware: middleware.New takes a Config around the RFC
// 9728 metadata of your resource, Guard.Require and Guard.Protect wrap handlers,
// Guard.Metadata serves the document. A handler finds the caller with
// verifier.FromContext.
//
//	middleware   the front door: Guard, challenges, CORS, events
//	prm          RFC 9728 protected resource metadata
//	verifier     JWT verification: keys, claims, issuers, tenants
//	scopes       what an operation needs, and what implies what
//	idp          presets for identity providers
//	clientauth   how this server proves who it is to a provider
//	exchange     other APIs, called as the user
//	metrics      a prometheus.Collector fed by the front door and by exchange
//	eventlog     the same for log/slog
//	oteltrace    the same for OpenTelemetry spans
//	mcpsdk       hands the caller's identity to the official MCP Go SDK
//	mcpgo        the same for mark3labs/mcp-go
//	authtest     a fake issuer for your tests
//
// # Deployment contract
//
// The server MUST be reached over TLS, its own or a proxy's; Config.Metadata's
// Resource MUST be the URL that clients use, because nothing is taken from Host
// or X-Forwarded headers. The metadata document MUST be mounted outside the
// protected handler. Handlers MUST key user data by issuer and subject together,
// and MUST NOT send the caller's token to another service. Verifiers of your own
// MUST establish issuer, audience and expiry; the front door refuses what they
// forget. Replicas need nothing in common: no session is kept.
//
// # Compatibility
//
// Until v1, a minor version may change the API; CHANGELOG.md says how. Texts of
// errors are for people and may change at any time; Reasons, Outcomes and metric
// names are part of the API.
package gatehouse
