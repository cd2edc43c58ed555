package idp

import (
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Okta trusts a custom authorization server of Okta: issuer is its Issuer URI,
// such as "https://acme.okta.com/oauth2/default". The org authorization server,
// "https://acme.okta.com", is a mistake: its access tokens need introspection.
//
// aud is the Audience setting of the authorization server; set it to the
// resource. The shared "api://default" works only where it is put into Audiences,
// and then any app of that server has tokens for this resource.
//
// Subject is uid, which never changes, and not sub, which is the login name. For
// an app without a user it is the client; for an agent that acts for a user, sub,
// which is the user's id there. ClientID is cid; agents' tokens may have none.
// Scopes are scp or, in agents' tokens, scope.
func Okta(issuer string) verifier.Issuer {
	m := mistakes{preset: "Okta"}
	org, path := split(issuer)
	id, custom := strings.CutPrefix(path, "/oauth2/")
	switch {
	case org == "":
		m.add("issuer %q is not a URL like https://acme.okta.com/oauth2/default", issuer)
	case !custom || id == "" || id == "v1":
		m.add("issuer %q is the org authorization server, whose access tokens can only be checked by introspection: "+
			"give a custom authorization server, like https://acme.okta.com/oauth2/default", issuer)
	case strings.Contains(id, "/"):
		m.add("issuer %q has more than the server's id after /oauth2/; no final slash either", issuer)
	}
	return verifier.Issuer{
		URL:        issuer,
		Algorithms: []string{"RS256"},
		Judge:      judgeOkta,
		Diagnose:   func(u verifier.Unverified) string { return diagnoseOkta(u, org) },
		Mistake:    m.err(),
	}
}

func judgeOkta(token *verifier.Token) error {
	var claims struct {
		User   string           `json:"uid"`
		Client string           `json:"cid"`
		Actor  strictjson.Value `json:"act"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	if claims.Client != "" {
		token.ClientID = claims.Client
	}
	switch {
	case claims.User != "":
		token.Subject = claims.User
	case claims.Client != "" && claims.Client == token.Subject:
	case claims.Actor.Kind() == '{':
	default:
		// Here sub could be a login name, and the same user have two Subjects.
		return refuse(verifier.ReasonType, "neither uid nor act, and sub is not cid: an ID token, "+
			"or the authorization server's claim sub for apps was changed")
	}
	return nil
}

func diagnoseOkta(u verifier.Unverified, org string) string {
	switch {
	case u.Reason == verifier.ReasonIssuer && u.Issuer == org:
		return "token of Okta's org authorization server, which cannot be verified by anyone but Okta: " +
			"the client must use the custom authorization server"
	case u.Reason == verifier.ReasonIssuer && strings.HasPrefix(u.Issuer, org+"/oauth2/"):
		return "token of another authorization server of the same Okta org"
	case u.Reason == verifier.ReasonAudience && slices.Contains(u.Audience, "api://default"):
		return "aud is the default authorization server's shared value: set the server's Audience to the resource"
	case u.Reason == verifier.ReasonAudience:
		return "aud is the Audience setting of Okta's authorization server: set it to the resource"
	}
	return ""
}
