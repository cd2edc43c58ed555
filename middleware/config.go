package middleware

import (
	"context"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Config describes one protected resource. Only Metadata.Resource and at least
// one issuer are required. New copies it; later changes have no effect. The
// zero value is refused.
type Config struct {
	_ [0]func() // unkeyed literals do not compile

	// Metadata is the RFC 9728 document, and the source of truth: Resource is
	// the expected audience, AuthorizationServers are the trusted issuers. The
	// latter is filled from Issuers when it is empty.
	Metadata prm.Metadata

	// Issuers are the issuers that need more than their URL. Each must be one
	// of Metadata.AuthorizationServers, unless that is empty.
	Issuers []verifier.Issuer

	// Verifier replaces the built-in JWT verifier. Nil: the built-in one. The
	// Guard checks the Expiry, Issuer and Audience of its tokens all the same.
	Verifier verifier.Verifier

	// Hierarchy says which scopes imply which others. Nil: none.
	Hierarchy scopes.Hierarchy

	// AllowedOrigins are the serialized origins ("https://app.example.com") from
	// which a browser may call, besides the resource's own. They match exactly;
	// "*" and "null" are refused. Nil: the resource's own only.
	AllowedOrigins []string

	// AcceptAudiences are further exact aud values that mean this resource. Only
	// a custom Verifier needs them; for the built-in one, see Issuer.Audiences.
	AcceptAudiences []string

	// TokenHeader names the field that carries the token, alone and without a
	// scheme, where a gateway in front puts it there, such as Cloudflare Access.
	// Then Authorization is not looked at. Empty: Authorization.
	TokenHeader string

	// Transport carries the requests for discovery and keys: a private CA, a
	// proxy, a test. Nil: a hardened default.
	Transport http.RoundTripper

	// Leeway is how far the issuer's clock may differ from ours. Zero: 10 s. At
	// most 2 min.
	Leeway time.Duration

	// MaxBody is the largest body, in octets, that is read for a policy that names
	// operations. Zero: 4 MiB. At most 64 MiB. Other policies read none.
	MaxBody int64

	// LateStepUp lets handlers ask for scopes while they run (RequireMore), or for
	// another token or login (Refuse). The ResponseWriter is wrapped for it; the
	// wrapper can flush and be unwrapped.
	LateStepUp bool

	// ChallengeInBody repeats the challenge of a refused tools/call in its body, as
	// a tool result with _meta["mcp/www_authenticate"], for clients that look only
	// there. The body of every refused POST is then read.
	ChallengeInBody bool

	// Recheck is how often the token of an answer that is still being written is
	// verified again, so that a stream ends when its token is revoked: for
	// Verifiers that ask the provider. Zero: never. At least a second.
	Recheck time.Duration

	// Observe is told of every request once, after the decision and before the
	// next handler runs, in the request's goroutine. Of an allowed one it is told
	// once more if a handler refuses it while it runs (LateStepUp), and when the
	// handler is done, if its token ended before (OutcomeEnded). It must be fast
	// and safe for concurrent use. Nil: nobody is told, at no cost.
	Observe func(context.Context, Event)

	// DangerouslyForwardToken leaves the Authorization and DPoP headers on the
	// request that goes to the next handler. A handler that passes them on to
	// another service lets that service act as the user here (token
	// passthrough, which MCP forbids).
	DangerouslyForwardToken bool
}
