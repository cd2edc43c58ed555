package idp

import (
	"strings"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// PingOneIntrospection asks one environment of PingOne about its tokens. issuer is
// as for PingOne and ends in "/as". resourceID and secret are not an application's:
// they are the ID and the secret of the custom resource at PingOne. Where its
// introspection method is not CLIENT_SECRET_BASIC, set Auth to what it says.
//
// aud is the Audience of the custom resource; set it to resource. Subject is sub,
// ClientID client_id.
func PingOneIntrospection(issuer, resource, resourceID, secret string) verifier.IntrospectionConfig {
	m := mistakes{preset: "PingOneIntrospection"}
	if origin, path := split(issuer); origin == "" || !strings.HasSuffix(path, "/as") {
		m.add("issuer %q is not an environment's Issuer, which ends in /as", issuer)
	}
	config := ask(issuer, resource, resourceID, secret)
	config.Endpoint = below(issuer, "/introspect")
	config.Judge = judgePingOne
	config.Mistake = m.err()
	return config
}
