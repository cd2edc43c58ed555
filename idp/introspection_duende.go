package idp

import "github.com/gatehouse-mcp/gatehouse/verifier"

// DuendeIntrospection asks Duende IdentityServer about its tokens: reference
// tokens, or JWTs whose revocation must be seen. issuer is as its metadata says,
// with the host in lower case. api and secret are the name and a secret of the
// ApiResource that stands for this resource; no client is needed.
//
// Name the ApiResource like the resource: aud is its name. Another name becomes
// Audiences. Never
// list {issuer}/resources there, which every token can have.
//
// Answers are signed (RFC 9701), as IdentityServer 7.3 and later do; the keys are
// found by discovery. For an older one set Signed to false and SignedAudience to "".
//
// Subject is sub or, for a client's own token, client_id. Scopes are those of the
// ApiResource alone.
func DuendeIntrospection(issuer, resource, api, secret string) verifier.IntrospectionConfig {
	config := ask(issuer, resource, api, secret)
	config.Endpoint = below(issuer, "/connect/introspect")
	if api != resource {
		config.Audiences = []string{api}
	}
	config.Signed = true
	config.SignedAudience = api
	return config
}
