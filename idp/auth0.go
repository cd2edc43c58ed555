package idp

import (
	"strings"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Auth0 trusts an Auth0 tenant by its domain, such as "acme.eu.auth0.com" or a
// custom domain; the final slash that Auth0's issuers have is added. Tokens carry
// the domain that the client used: a tenant with two of them is two issuers.
//
// The API's Identifier must be the resource, and the tenant needs the Resource
// Parameter Compatibility Profile (or a default audience), else clients get
// opaque tokens. RS256 only; an API that signs with PS256 needs it in Algorithms.
//
// Subject is sub ("…@clients" for an app without a user), ClientID client_id or
// azp, Tenant org_id. Scopes are scope alone: permissions says what the user may
// do, not what the client was granted.
func Auth0(domain string) verifier.Issuer {
	m := mistakes{preset: "Auth0"}
	issuer := "https://" + m.host("domain", domain, "acme.eu.auth0.com") + "/"
	return verifier.Issuer{
		URL:        issuer,
		Algorithms: []string{"RS256"},
		Types:      []string{"at+jwt", "JWT"},
		ScopeClaim: "scope",
		Judge:      judgeAuth0,
		Diagnose:   diagnoseAuth0,
		Mistake:    m.err(),
	}
}

func judgeAuth0(token *verifier.Token) error {
	var claims struct {
		Organization string `json:"org_id"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	if token.ClientID == "" {
		return refuse(verifier.ReasonType, "neither client_id nor azp: "+idToken)
	}
	token.Tenant = claims.Organization
	return nil
}

func diagnoseAuth0(u verifier.Unverified) string {
	switch {
	case opaque(u):
		return "not a signed JWT; if it is Auth0's, the client named no API: turn on the Resource Parameter " +
			"Compatibility Profile or set a default audience, and leave the API's token encryption off"
	case u.Reason == verifier.ReasonAlgorithm:
		header := look[struct {
			Algorithm string `json:"alg"`
		}](u.Header)
		if strings.HasPrefix(header.Algorithm, "HS") {
			return "the API signs with a shared secret: set its Signing Algorithm to RS256 at Auth0"
		}
		return "the API signs with another algorithm than RS256: change it at Auth0, or list it in the issuer's Algorithms"
	case u.Reason == verifier.ReasonIssuer && strings.HasSuffix(u.Issuer, ".auth0.com/"):
		return "token of another Auth0 domain; a tenant with a custom domain is two issuers"
	case u.Reason == verifier.ReasonAudience:
		return "aud is not the resource: its API at Auth0 must have the resource as Identifier, and the client must ask for it"
	}
	return ""
}
