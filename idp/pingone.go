package idp

import (
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// PingOne trusts one environment of PingOne: issuer is the Issuer that the
// environment's application pages show; it holds the environment's id.
//
// aud is the Audience of the custom resource at PingOne; set it to the resource.
// Types is the general default: PingOne leaves typ out today and will always send
// at+jwt from March 2, 2027 on; []string{"at+jwt"} can require it from then.
//
// Subject is sub, ClientID client_id, Scopes are scope.
func PingOne(issuer string) verifier.Issuer {
	return verifier.Issuer{
		URL:        issuer,
		Algorithms: []string{"RS256"},
		ScopeClaim: "scope",
		Judge:      judgePingOne,
		Diagnose:   func(u verifier.Unverified) string { return diagnosePingOne(u, issuer) },
	}
}

func judgePingOne(token *verifier.Token) error {
	var claims struct {
		Client string `json:"client_id"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	if claims.Client == "" {
		return refuse(verifier.ReasonType, "no client_id: "+idToken)
	}
	return nil
}

func diagnosePingOne(u verifier.Unverified, issuer string) string {
	switch u.Reason {
	case verifier.ReasonIssuer:
		origin, _ := split(issuer)
		if theirs, _ := split(u.Issuer); theirs != "" && theirs == origin {
			return "token of another PingOne environment"
		}
	case verifier.ReasonAudience:
		return "aud is the Audience of the custom resource at PingOne, or its name where that is not set: set it to the resource"
	}
	return ""
}
