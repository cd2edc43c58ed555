package idp

import "github.com/gatehouse-mcp/gatehouse/verifier"

// KeycloakIntrospection asks one realm of Keycloak about its tokens, for
// revocation to be seen, or for lightweight tokens that say little themselves.
// issuer is the realm's URL, as for Keycloak; id and secret are those of a
// confidential client that stands for this resource.
//
// aud must have the resource in it, by an Audience mapper's Included Custom
// Audience, as for Keycloak. From 26.6.2 on the realm also calls every token
// inactive that does not have id in aud: add a second mapper with this client as
// Included Client Audience.
//
// The claim typ must be Bearer. Subject is sub, ClientID client_id.
func KeycloakIntrospection(issuer, resource, id, secret string) verifier.IntrospectionConfig {
	config := ask(issuer, resource, id, secret)
	config.Endpoint = below(issuer, "/protocol/openid-connect/token/introspect")
	config.Judge = judgeKeycloak
	config.Mistake = Keycloak(issuer).Mistake
	return config
}
