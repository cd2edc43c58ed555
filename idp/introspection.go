package idp

import (
	"strings"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// ask is what the presets for introspection have in common. id and secret are
// checked by clientauth, so that a caller may leave them empty and set Auth.
func ask(issuer, resource, id, secret string) verifier.IntrospectionConfig {
	return verifier.IntrospectionConfig{
		Resource: resource,
		Issuer:   issuer,
		Auth:     clientauth.SecretBasic(id, secret),
	}
}

// below returns the address of an endpoint under an issuer, which may end in a
// slash.
func below(issuer, path string) string { return strings.TrimSuffix(issuer, "/") + path }
