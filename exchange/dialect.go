package exchange

import (
	"cmp"
	"net/url"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// A grant is what is asked with.
type grant string

const (
	grantExchange = grant("urn:ietf:params:oauth:grant-type:token-exchange") // RFC 8693 §2.1
	grantJWT      = grant("urn:ietf:params:oauth:grant-type:jwt-bearer")     // RFC 7523 §2.1
	grantClient   = grant("client_credentials")                              // RFC 6749 §4.4
)

// A dialect is what a provider asks for beyond the RFC. The zero value is the RFC.
type dialect struct {
	grant     grant
	tokenType string
	audience  string // of client assertions; empty: the issuer
	// check reports what the provider does not understand about a target.
	check func(*wanted, func(format string, args ...any))
}

func (d dialect) completed() dialect {
	d.grant = cmp.Or(d.grant, grantExchange)
	d.tokenType = cmp.Or(d.tokenType, TypeAccessToken)
	return d
}

// form writes the request, without our authentication.
func (w *wanted) form(subject *verifier.Token, actor *Token) url.Values {
	form := url.Values{"grant_type": {string(w.grant)}}
	switch w.grant {
	case grantJWT: // Microsoft's on-behalf-of
		form.Set("assertion", subject.DangerouslyRaw())
		form.Set("requested_token_use", "on_behalf_of")
	case grantExchange:
		form.Set("subject_token", subject.DangerouslyRaw())
		form.Set("subject_token_type", TypeAccessToken)
		form.Set("requested_token_type", w.TokenType)
		if actor != nil {
			form.Set("actor_token", actor.AccessToken())
			form.Set("actor_token_type", actor.Type)
		}
	}
	for _, audience := range w.Audience {
		form.Add("audience", audience)
	}
	for _, resource := range w.Resource {
		form.Add("resource", resource)
	}
	if w.scopes.Len() > 0 {
		form.Set("scope", w.scopes.String())
	}
	return form
}
