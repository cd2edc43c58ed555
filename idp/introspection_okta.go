package idp

import (
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// OktaOrgIntrospection asks an Okta org's own authorization server about its
// tokens, which look like JWTs and can be verified by nobody else. org is its URL,
// such as "https://acme.okta.com"; id and secret are those of an app. A custom
// authorization server, for which Okta is the preset, is the better choice: the org
// server has no scopes of one's own, and its tokens open Okta's APIs as well.
//
// aud is the org in all its tokens and says nothing about this resource. So
// clientIDs, the only apps whose tokens are accepted, is required: list apps that
// exist for this resource alone. Audiences is the org.
//
// The endpoint is found by discovery. Access tokens are told by jti, which begins
// with "AT.". Subject is uid, which never changes, and not sub, the login name; for
// an app without a user, it is client_id.
func OktaOrgIntrospection(org, resource, id, secret string, clientIDs ...string) verifier.IntrospectionConfig {
	m := mistakes{preset: "OktaOrgIntrospection"}
	if origin, path := split(org); origin == "" || path != "" {
		m.add("org %q is not an org's URL, like https://acme.okta.com", org)
	}
	if len(clientIDs) == 0 {
		m.add("clientIDs are required: aud is the same for every app of the org")
	}
	config := ask(org, resource, id, secret)
	config.Audiences = []string{org}
	config.ClientIDs = slices.Clone(clientIDs)
	config.Judge = judgeOktaOrg
	config.Mistake = m.err()
	return config
}

func judgeOktaOrg(token *verifier.Token) error {
	var claims struct {
		User string `json:"uid"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	switch {
	case !strings.HasPrefix(token.ID, "AT."):
		return refuse(verifier.ReasonType, "jti does not begin with AT.: not an access token of Okta")
	case claims.User != "":
		token.Subject = claims.User
	case token.ClientID == "" || token.Subject != token.ClientID:
		// Here sub could be a login name, and the same user have two Subjects.
		return refuse(verifier.ReasonClaims, "neither uid, nor is sub the client: nobody whom Okta names for good")
	}
	return nil
}
