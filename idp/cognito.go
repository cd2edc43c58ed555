package idp

import (
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Cognito trusts an Amazon Cognito user pool: issuer is the pool's issuer URL,
// such as "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123" or,
// where the pool has the updated issuer, "https://issuer-cognito-idp.…".
//
// aud proves little here: it is absent by default, and where a client asks for one
// it is whatever URL the client chose. So a token must be bound to the resource in
// another way as well. With clientIDs, only tokens of these app clients pass.
// Without, a token must hold a scope of the pool's resource server whose
// identifier is resource, such as "https://mcp.example.com/mcp/tools.read"; policies
// name scopes in that form. An aud that is there must be the resource in any case;
// for one that is absent, Token.Audience is resource. Where resource is not the
// guard's, every token is refused.
//
// Subject is sub, the user's id in the pool, ClientID client_id.
func Cognito(issuer, resource string, clientIDs ...string) verifier.Issuer {
	m := mistakes{preset: "Cognito"}
	if origin, pool := split(issuer); origin == "" || strings.Count(pool, "/") != 1 || !strings.Contains(pool, "_") {
		m.add("issuer %q is not a user pool's URL, like https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123", issuer)
	}
	if origin, _ := split(resource); origin == "" {
		m.add("resource %q is not a URL", resource)
	}
	if slices.Contains(clientIDs, "") {
		m.add("clientIDs: empty value")
	}
	pool := cognitoPool{issuer: issuer, resource: resource, clients: slices.Clone(clientIDs)}
	return verifier.Issuer{
		URL:        issuer,
		Algorithms: []string{"RS256"},
		Types:      []string{"", "JWT"},
		ScopeClaim: "scope",
		Judge:      pool.judge,
		Diagnose:   pool.diagnose,
		Mistake:    m.err(),
	}
}

type cognitoPool struct {
	issuer   string
	resource string
	clients  []string
}

func (p cognitoPool) judge(token *verifier.Token) error {
	var claims struct {
		Use    string `json:"token_use"`
		Client string `json:"client_id"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	switch {
	case claims.Use == "id":
		return refuse(verifier.ReasonType, idToken)
	case claims.Use != "access":
		return refuse(verifier.ReasonType, "token_use does not say access: not an access token of Cognito")
	case len(p.clients) > 0 && !slices.Contains(p.clients, claims.Client):
		return refuse(verifier.ReasonProvider, "client_id is not among the preset's clientIDs")
	case len(p.clients) == 0 && !p.ownScope(token.Scopes):
		return refuse(verifier.ReasonProvider, "no scope of this resource: create a resource server with the resource as "+
			"identifier and let the client ask for its scopes, or list the client in the preset's clientIDs")
	}
	if token.Audience == nil {
		token.Audience = []string{p.resource}
	}
	return nil
}

// ownScope reports whether one of granted is "{resource}/{name}". The last slash
// separates: the identifier of another resource server may begin like ours.
func (p cognitoPool) ownScope(granted scopes.Set) bool {
	for scope := range granted.All() {
		if i := strings.LastIndexByte(scope, '/'); i >= 0 && verifier.SameResource(scope[:i], p.resource) {
			return true
		}
	}
	return false
}

func (p cognitoPool) diagnose(u verifier.Unverified) string {
	switch u.Reason {
	case verifier.ReasonIssuer:
		_, ours := split(p.issuer)
		_, theirs := split(u.Issuer)
		switch {
		case theirs == ours:
			return "token of this user pool with its other issuer URL: configure the one that the pool's issuer setting names"
		case strings.Contains(u.Issuer, "cognito-idp."):
			return "token of another user pool"
		}
	case verifier.ReasonAudience:
		return "the client asked Cognito for a token for another resource; let it send this one as its resource parameter"
	}
	return ""
}
