package idp

import (
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// CloudflareAccessHeader is the request header with the assertion that Cloudflare
// Access adds, for middleware.Config.TokenHeader. Access takes Authorization for
// itself: what clients send there is opaque to the origin.
const CloudflareAccessHeader = "Cf-Access-Jwt-Assertion"

// CloudflareAccess trusts the assertions of Cloudflare Access for one application:
// team is the team name, "acme" of acme.cloudflareaccess.com, and aud the
// application's AUD tag, 64 hexadecimal digits. serviceTokens are the client IDs
// of the service tokens that may call; without any, only people may.
//
// Use it with CloudflareAccessHeader. With Managed OAuth, Access itself answers
// the unauthenticated, so the challenge and the metadata of this resource are not
// seen by clients.
//
// Subject is sub or, for a service token, its client ID, which is ClientID then
// too. An assertion grants no scopes: policies that need any refuse it.
func CloudflareAccess(team, aud string, serviceTokens ...string) verifier.Issuer {
	m := mistakes{preset: "CloudflareAccess"}
	if !has(labelForm, team) {
		m.add("team %q is not a team name, like acme of acme.cloudflareaccess.com", team)
	}
	if !has(tagForm, aud) {
		m.add("aud %q is not an AUD tag of 64 hexadecimal digits in lower case", aud)
	}
	if slices.Contains(serviceTokens, "") {
		m.add("serviceTokens: empty value")
	}
	issuer := "https://" + team + cloudflareDomain
	admitted := slices.Clone(serviceTokens)
	return verifier.Issuer{
		URL:        issuer,
		Audiences:  []string{aud},
		Algorithms: []string{"RS256"},
		Types:      []string{"JWT"},
		JWKSURI:    issuer + "/cdn-cgi/access/certs",
		Judge:      func(token *verifier.Token) error { return judgeCloudflare(token, admitted) },
		Diagnose:   diagnoseCloudflare,
		Mistake:    m.err(),
	}
}

const cloudflareDomain = ".cloudflareaccess.com"

func judgeCloudflare(token *verifier.Token, serviceTokens []string) error {
	var claims struct {
		Type       string `json:"type"`
		CommonName string `json:"common_name"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	switch {
	case claims.Type == "org":
		return refuse(verifier.ReasonType, "the global session token of Cloudflare Access, not the application's")
	case claims.Type != "app":
		return refuse(verifier.ReasonType, "type does not say app: not an application token of Cloudflare Access")
	case token.Subject != "":
		return nil
	case !slices.Contains(serviceTokens, claims.CommonName):
		return refuse(verifier.ReasonProvider, "a service token that is not among the preset's serviceTokens")
	}
	token.Subject, token.ClientID = claims.CommonName, claims.CommonName
	return nil
}

func diagnoseCloudflare(u verifier.Unverified) string {
	switch {
	case opaque(u):
		return "not a signed JWT; behind Cloudflare Access, set TokenHeader to idp.CloudflareAccessHeader"
	case u.Reason == verifier.ReasonIssuer && strings.HasSuffix(u.Issuer, cloudflareDomain):
		return "assertion of another Cloudflare team"
	case u.Reason == verifier.ReasonAudience:
		return "aud is the AUD tag of another Access application: copy this application's from its Access settings"
	}
	return ""
}
