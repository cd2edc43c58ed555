package idp

import (
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// HydraIntrospection asks Ory Hydra about its tokens, which are opaque by
// default. issuer is Hydra's own URL exactly as its metadata says, slash or none.
//
// Hydra introspects at its admin API only: admin is where that is, such as
// "https://hydra-admin.internal:4445", https anywhere but on loopback. It asks
// nobody who he is, so keep it out of reach of others. On Ory Network admin is the
// project's URL, and Auth must be set to clientauth.StaticBearer with an API key.
//
// aud holds what the client asked for by the parameter audience; list the resource
// in the client's audience. Refresh tokens, which are active as well, are refused
// by token_use. Subject is sub, ClientID client_id; what a consent app adds is
// under ext.
func HydraIntrospection(issuer, admin, resource string) verifier.IntrospectionConfig {
	m := mistakes{preset: "HydraIntrospection"}
	if origin, _ := split(admin); origin == "" {
		m.add("admin %q is not the URL of the admin API, like https://hydra-admin.internal:4445", admin)
	}
	return verifier.IntrospectionConfig{
		Resource: resource,
		Issuer:   issuer,
		Auth:     clientauth.None(""),
		Endpoint: below(admin, "/admin/oauth2/introspect"),
		Judge:    judgeHydra,
		Mistake:  m.err(),
	}
}

func judgeHydra(token *verifier.Token) error {
	var claims struct {
		Use string `json:"token_use"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	if claims.Use != "access_token" {
		return refuse(verifier.ReasonType, "token_use does not say access_token: not an access token of Hydra")
	}
	return nil
}
