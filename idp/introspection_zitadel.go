package idp

import (
	"strings"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// ZITADELIntrospection asks an instance of ZITADEL about its tokens, which are
// opaque by default. issuer is the domain that clients use, without a slash; id
// and secret are those of an API application. For an application with a key
// instead, set Auth to clientauth.PrivateKeyJWT; its Audience is right as it is.
//
// aud has no URL in it, but the project and its applications: projectID is the
// project that stands for this resource, and becomes Audiences. Every application of that
// project has it in its tokens, so put no other service there; one of another
// project gets it by the scope urn:zitadel:iam:org:project:id:{projectID}:aud.
//
// Subject is sub, ClientID client_id (empty for personal access tokens), Tenant
// the user's organization, where the token was issued with the scope for it.
func ZITADELIntrospection(issuer, resource, projectID, id, secret string) verifier.IntrospectionConfig {
	m := mistakes{preset: "ZITADELIntrospection"}
	if origin, path := split(issuer); origin == "" || path != "" {
		m.add("issuer %q is not an instance's domain, like https://acme.zitadel.cloud", issuer)
	}
	if projectID == "" || strings.ContainsAny(projectID, "@:/ ") {
		m.add("projectID %q is not the Resource Id of a project", projectID)
	}
	config := ask(issuer, resource, id, secret)
	config.Endpoint = below(issuer, "/oauth/v2/introspect")
	config.Audiences = []string{projectID}
	config.Judge = judgeZITADEL
	config.Mistake = m.err()
	return config
}

func judgeZITADEL(token *verifier.Token) error {
	var claims struct {
		Organization string `json:"urn:zitadel:iam:user:resourceowner:id"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	token.Tenant = claims.Organization
	return nil
}
