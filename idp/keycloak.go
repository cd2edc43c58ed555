package idp

import (
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Keycloak trusts one realm: issuer is its URL as tokens have it, such as
// "https://sso.example.com/realms/acme".
//
// Keycloak puts no aud for this resource into a token by itself: add a client
// scope with an Audience mapper whose Included Custom Audience is the resource.
// "account" in aud says nothing, because every user's token has it; never list it
// in Audiences.
//
// Algorithms are every asymmetric one, because the realm and each client choose.
// Subject is sub, ClientID azp. Scopes are scope alone: roles are not scopes.
//
// Tokens of Keycloak before 25 carry nonce, as ID tokens do everywhere, so the
// preset sets DangerouslyAcceptIDTokens and its Judge tells them apart by the
// claim typ instead: without that Judge, ID tokens would pass.
func Keycloak(issuer string) verifier.Issuer {
	m := mistakes{preset: "Keycloak"}
	origin, path := split(issuer)
	_, realm, found := strings.Cut(path, "/realms/")
	if origin == "" || !found || realm == "" || strings.Contains(realm, "/") {
		m.add("issuer %q is not the URL of a realm, like https://sso.example.com/realms/acme", issuer)
	}
	return verifier.Issuer{
		URL:                       issuer,
		Types:                     []string{"at+jwt", "JWT"},
		ScopeClaim:                "scope",
		Judge:                     judgeKeycloak,
		Diagnose:                  func(u verifier.Unverified) string { return diagnoseKeycloak(u, issuer) },
		Mistake:                   m.err(),
		DangerouslyAcceptIDTokens: true,
	}
}

func judgeKeycloak(token *verifier.Token) error {
	var claims struct {
		Type     string           `json:"typ"`
		AtHash   strictjson.Value `json:"at_hash"`
		CodeHash strictjson.Value `json:"c_hash"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	switch {
	case claims.Type == "ID" || claims.AtHash != nil || claims.CodeHash != nil:
		return refuse(verifier.ReasonType, idToken)
	case claims.Type == "Refresh" || claims.Type == "Offline":
		return refuse(verifier.ReasonType, "a refresh token, which the client must send to nobody but Keycloak")
	case claims.Type == "DPoP":
		return refuse(verifier.ReasonConfirmation, "a DPoP token, and proofs are not supported here: turn DPoP off for the client")
	case claims.Type != "Bearer":
		return refuse(verifier.ReasonType, "the claim typ does not say Bearer: not an access token of Keycloak")
	}
	return nil
}

func diagnoseKeycloak(u verifier.Unverified, issuer string) string {
	switch u.Reason {
	case verifier.ReasonIssuer:
		origin, path := split(issuer)
		theirOrigin, theirPath := split(u.Issuer)
		switch {
		case theirPath == path:
			return "token of a realm of this name under another host: configure the issuer by the URL that clients use, " +
				"or set Keycloak's hostname"
		case theirOrigin == origin && strings.Contains(theirPath, "/realms/"):
			return "token of another realm"
		}
	case verifier.ReasonAudience:
		onlyAccount := !slices.ContainsFunc(u.Audience, func(aud string) bool { return aud != "account" })
		switch {
		case len(u.Audience) == 0:
			return "no aud: add a client scope with an Audience mapper whose Included Custom Audience is the resource"
		case onlyAccount:
			return "aud is Keycloak's own account client, as in every token: " +
				"add a client scope with an Audience mapper whose Included Custom Audience is the resource"
		}
		return "aud is not the resource: check the Audience mapper's Included Custom Audience"
	case verifier.ReasonClaims:
		if claims := look[map[string]strictjson.Value](u.Claims); claims != nil && claims["sub"] == nil {
			return "sub is missing: give the client the client scope basic, and no lightweight access tokens without sub"
		}
	}
	return ""
}
