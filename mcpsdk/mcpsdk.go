// Package mcpsdk hands the verified identity to servers that are built with the
// official Go SDK, github.com/modelcontextprotocol/go-sdk:
//
//	handler := mcp.NewStreamableHTTPHandler(getServer, nil)
//	mux.Handle("/mcp", guard.Require("files:read")(mcpsdk.Bind(handler)))
//
// and in a tool:
//
//	token, ok := mcpsdk.FromRequest(req)
//
// A tool must ask the request, never its context. In a stateful session the SDK
// runs every tool call with the context of the request that opened the session,
// so [verifier.FromContext] would answer with the first token of the session for
// as long as the session lives: expired, with scopes since taken away, or
// another person's. Where a context is wanted, as for calls of other APIs (package
// exchange) and late refusals (RequireMore and Refuse of package middleware),
// [Context] makes one of both:
//
//	ctx = mcpsdk.Context(ctx, req)
//
// # The end of a token
//
// The front door ends an answer when its token expires, but the SDK does not tell
// a tool that its request has ended, unless asked to, and even then only with MCP
// 2026-07-28, which has no sessions:
//
//	&mcp.StreamableHTTPOptions{PropagateRequestCancellation: true}
//
// Set it. For older revisions, a tool that takes long bounds itself:
//
//	ctx, cancel := context.WithDeadline(ctx, token.Expiry)
//	defer cancel()
//
// # Listings
//
// [Filter] leaves out of listings what the caller may not use.
package mcpsdk

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Bind returns a handler that passes requests on to next, a handler of the SDK
// such as [mcp.StreamableHTTPHandler], with the verified token as the SDK's own
// [auth.TokenInfo]. The SDK then ties each session to the user who opened it and
// answers 403 to anyone else who presents its id. A user is an issuer and a
// subject: the same subject from two issuers is two users.
//
// Bind belongs inside the front door, directly around next. A request that still
// carries credentials but no verified token shows that it is not there, and is
// answered 500.
//
// An anonymous request of a public operation passes without a TokenInfo. A session
// that it opens belongs to the first user who comes with its id, the client that
// has logged in: to all others, and to the anonymous, it is then not found (404),
// and anonymous streams of it end. Bind a handler once: the handler that another
// call returns knows nothing of these sessions.
//
// A token without a Subject cannot come back to a session it opened, because
// nothing tells its owner from others; serve such tokens statelessly.
//
// Bind panics, at wiring, if next is nil or an [mcp.SSEHandler]: that transport
// takes any caller's message for any session and tells tools of no caller.
func Bind(next http.Handler) http.Handler {
	switch next.(type) {
	case nil:
		panic("mcpsdk: Bind needs a handler")
	case *mcp.SSEHandler:
		panic("mcpsdk: the SSE transport does not separate users; use mcp.NewStreamableHTTPHandler")
	}
	// Only RequireBearerToken can set the SDK's private context key.
	carry := auth.RequireBearerToken(tokenInfo, &auth.RequireBearerTokenOptions{ClockSkew: maxLeeway})
	sessions := newUnowned()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, verified := verifier.FromContext(r.Context())
		opens := !verified && r.Header.Get(sessionID) == ""
		r, done := sessions.admit(r, token)
		defer done()
		if r == nil {
			http.Error(w, "session not found", http.StatusNotFound) // as the SDK says it
			return
		}
		if !verified {
			if len(r.Header.Values("Authorization")) > 0 || len(r.Header.Values("DPoP")) > 0 {
				http.Error(w, "mcpsdk.Bind is outside the front door", http.StatusInternalServerError)
				return
			}
			if opens {
				first := &opening{ResponseWriter: w, sessions: sessions}
				defer first.begin()
				w = first
			}
			next.ServeHTTP(w, r)
			return
		}
		// carry insists on credentials, so it sees a stand-in; next gets r as the
		// front door left it, with nothing to leak into RequestExtra.Header.
		carry(http.HandlerFunc(func(w http.ResponseWriter, carried *http.Request) {
			next.ServeHTTP(w, r.WithContext(carried.Context()))
		})).ServeHTTP(w, standIn(r))
	})
}

// maxLeeway is the longest that the front door may be configured to accept a
// token after its expiry. It has judged the expiry; the SDK must not judge it
// again by another clock rule.
const maxLeeway = 2 * time.Minute

// standIn returns a request with r's context and credentials that mean nothing.
func standIn(r *http.Request) *http.Request {
	clone := r.WithContext(r.Context())
	clone.Header = http.Header{"Authorization": {"Bearer redacted"}}
	return clone
}

// extraKey is where the token lies in auth.TokenInfo.Extra.
const extraKey = "github.com/gatehouse-mcp/gatehouse/verifier.Token"

// tokenInfo is an auth.TokenVerifier that believes the context alone.
func tokenInfo(ctx context.Context, _ string, _ *http.Request) (*auth.TokenInfo, error) {
	token, ok := verifier.FromContext(ctx)
	if !ok {
		return nil, auth.ErrInvalidToken
	}
	return &auth.TokenInfo{
		Scopes:     token.Scopes.Slice(),
		Expiration: token.Expiry,
		UserID:     userID(token),
		Extra:      map[string]any{extraKey: token, requestKey: ctx},
	}, nil
}

// userID names the owner of a session. Subjects are unique per issuer only, and
// an issuer cannot contain NUL, so no two users share a name.
func userID(token *verifier.Token) string {
	if token.Subject == "" {
		// The SDK takes an empty UserID for "do not check".
		return token.Issuer + "\x00\x00" + rand.Text()
	}
	return token.Issuer + "\x00" + token.Subject
}

// FromRequest returns the verified token of the HTTP request that carried req,
// which is the argument of a tool, prompt or resource handler or of SDK
// middleware. It returns false for an anonymous request, for one that did not
// come through Bind, and for nil.
func FromRequest(req mcp.Request) (*verifier.Token, bool) {
	if req == nil {
		return nil, false
	}
	extra := req.GetExtra()
	if extra == nil || extra.TokenInfo == nil {
		return nil, false
	}
	token, ok := extra.TokenInfo.Extra[extraKey].(*verifier.Token)
	return token, ok && token != nil
}
