// Package idp describes identity providers that need more than their URL: each
// preset returns the verifier.Issuer for one of them, to be listed in
// middleware.Config.Issuers.
//
// A preset knows how its provider writes access tokens: which claim names the
// user, the client and the tenant, what sets an access token apart from an ID
// token, and what an operator must change when a token is refused. It does no
// I/O. Values that it cannot use are reported when the Issuer is put to use.
//
// The result may be adjusted before it is used: Audiences for an aud of the
// provider's own, Types or Algorithms to be stricter, URL and MetadataURL for a
// sovereign cloud. Judge holds the rules that keep ID tokens out: a Judge of
// one's own calls the one it replaces first.
//
// The functions named ...Introspection return a verifier.IntrospectionConfig for
// providers whose tokens only they can read.
//
// All functions are safe for concurrent use.
package idp
