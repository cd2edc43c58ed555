package idp

import "github.com/gatehouse-mcp/gatehouse/verifier"

// AutheliaIntrospection asks Authelia about its tokens, which are opaque by
// default. issuer is the portal's root URL; id and secret are those of a client
// that stands for this resource. For other ways to authenticate than
// client_secret_basic, set Auth to what the client's configuration says.
//
// aud holds the resource where the client that asks for the token lists it in its
// audience.
//
// Authelia tells a refresh token from an access token by token_type, which it
// leaves out unless told otherwise. A client can have refresh tokens only with the
// scope offline_access, so an answer with that scope and no token_type is refused.
//
// Signed needs introspection_signed_response_alg for that client; SignedAudience is
// then id. Subject is sub, ClientID client_id.
func AutheliaIntrospection(issuer, resource, id, secret string) verifier.IntrospectionConfig {
	config := ask(issuer, resource, id, secret)
	config.Endpoint = below(issuer, "/api/oidc/introspection")
	config.Judge = judgeAuthelia
	return config
}

func judgeAuthelia(token *verifier.Token) error {
	var claims struct {
		Type string `json:"token_type"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	if claims.Type == "" && (token.Scopes.Has("offline_access") || token.Scopes.Has("offline")) {
		return refuse(verifier.ReasonType, "no token_type, so it may be a refresh token: have Authelia send token_type, "+
			"or grant offline_access to no client of this resource")
	}
	return nil
}
