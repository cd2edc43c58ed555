// Package verifier decides whether an access token is valid for this resource.
//
// Most programs never name it: [middleware.New] builds the JWT verifier from
// its Config, and handlers need only [FromContext]. Use [NewJWT] directly where
// there is no HTTP, and implement [Verifier] for tokens of your own.
//
// [middleware.New]: https://pkg.go.dev/github.com/gatehouse-mcp/gatehouse/middleware#New
package verifier

import "context"

// A Verifier judges access tokens. It must be safe for concurrent use.
//
// Duties: establish that the token is authentic, and return who it is for
// (Issuer, Audience), whose it is (Subject, ClientID), what it grants (Scopes)
// and until when (Expiry).
//
// Not its duties: scopes, tool policy, HTTP. The front door checks Expiry,
// Issuer and Audience of the returned Token again, so that a forgetful Verifier
// fails closed.
//
// Errors: one that matches ErrInvalidToken, best an *InvalidTokenError, for a
// bad token; one that matches ErrUnavailable, best an *UnavailableError, when
// the token could not be judged; ctx's own error when the caller went away. Any
// other error counts as unavailable. Token is nil exactly when error is not.
type Verifier interface {
	// Verify judges token, the credential exactly as it was received. ctx bounds
	// how long the caller waits, not work that other callers share.
	Verify(ctx context.Context, token string) (*Token, error)
}

// Func adapts a function to a Verifier.
type Func func(ctx context.Context, token string) (*Token, error)

// Verify calls f.
func (f Func) Verify(ctx context.Context, token string) (*Token, error) { return f(ctx, token) }
