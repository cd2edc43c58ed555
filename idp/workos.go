package idp

import (
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// WorkOS trusts a WorkOS environment by its AuthKit domain, such as
// "acme-12.authkit.app" or a custom domain.
//
// The resource must be registered as a resource indicator in the dashboard, else
// aud is the environment's client ID, which any application of the environment
// gets. Apps without a user always have that one: to admit them, put the resource
// and the client ID into Audiences, and ask for scopes. AuthKit session tokens
// come from another issuer and are refused.
//
// Subject is sub, ClientID client_id, Tenant org_id, Scopes are scope. Algorithms
// and Types are the general defaults.
func WorkOS(domain string) verifier.Issuer {
	m := mistakes{preset: "WorkOS"}
	host := m.host("domain", domain, "acme-12.authkit.app")
	if host == workosAPI {
		m.add("domain %q issues session tokens, not access tokens: give the AuthKit domain", domain)
	}
	return verifier.Issuer{
		URL:        "https://" + host,
		ScopeClaim: "scope",
		Judge:      judgeWorkOS,
		Diagnose:   diagnoseWorkOS,
		Mistake:    m.err(),
	}
}

const workosAPI = "api.workos.com"

func judgeWorkOS(token *verifier.Token) error {
	var claims struct {
		Client       string `json:"client_id"`
		Organization string `json:"org_id"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	if claims.Client == "" {
		return refuse(verifier.ReasonType, "no client_id: "+idToken)
	}
	token.Tenant = claims.Organization
	return nil
}

func diagnoseWorkOS(u verifier.Unverified) string {
	origin, _ := split(u.Issuer)
	environment := func(aud string) bool { return strings.HasPrefix(aud, "client_") }
	switch {
	case u.Reason == verifier.ReasonIssuer && origin == "https://"+workosAPI:
		return "an AuthKit session token, not an access token: the client must get its token by OAuth from the AuthKit domain"
	case u.Reason == verifier.ReasonIssuer && strings.HasSuffix(origin, ".authkit.app"):
		return "token of another AuthKit domain"
	case u.Reason == verifier.ReasonAudience && slices.ContainsFunc(u.Audience, environment):
		return "aud is a client ID: register the resource as a resource indicator in the WorkOS dashboard"
	}
	return ""
}
