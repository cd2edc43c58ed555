package idp

import "github.com/gatehouse-mcp/gatehouse/verifier"

// CurityIntrospection asks the Curity Identity Server about its tokens, which are
// opaque by default. issuer is the token service's Issuer; id and secret are those
// of a client with the Introspection capability. The endpoint is found by
// discovery; where that is not reachable, set Endpoint.
//
// aud holds what Curity was configured to put there, and by default the client's
// own id: set the audience of the scope or of the client to the resource.
//
// Curity's phantom tokens are not asked for: an answer of the type application/jwt
// is the access token itself, and none of RFC 9701. Where yours gives answers of
// application/token-introspection+jwt, set Signed, and SignedAudience to id.
//
// Access tokens are told by the claim purpose. Subject is sub, ClientID client_id.
func CurityIntrospection(issuer, resource, id, secret string) verifier.IntrospectionConfig {
	config := ask(issuer, resource, id, secret)
	config.Judge = judgeCurity
	return config
}

func judgeCurity(token *verifier.Token) error {
	var claims struct {
		Purpose string `json:"purpose"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	if claims.Purpose != "access_token" {
		return refuse(verifier.ReasonType, "the claim purpose does not say access_token: not an access token of Curity")
	}
	return nil
}
