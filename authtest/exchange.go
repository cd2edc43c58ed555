package authtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// tokenExchange is the grant type of RFC 8693 §2.1.
const tokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// Token types (RFC 8693 §3).
const (
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
)

// An Exchange lets one client trade its users' tokens for tokens for other
// resources (RFC 8693). The new token has the sub of the old one, the client as
// act (or the actor of an actor_token, in front of those who acted before), and
// ends with the old one. A subject token with may_act must name the client or the
// actor.
type Exchange struct {
	_ [0]func()

	// ClientID is a Client with a Secret. Required.
	ClientID string
	// Resource is what subject tokens must be for: the client's own resource.
	// Required.
	Resource string
	// Targets are what tokens may be issued for, whether they are asked for as
	// resource or as audience. The first is the default. Required.
	Targets []string
	// Scopes are the scopes that may be asked for. Empty: Config.Scopes.
	Scopes []string
	// Impersonation leaves act out (RFC 8693 §1.1).
	Impersonation bool
}

// checkExchanges reports mistakes in Config.Exchanges.
func (config Config) checkExchanges() (mistakes []error) {
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("authtest: Exchanges: "+format, args...))
	}
	for i, exchange := range config.Exchanges {
		confidential := func(c Client) bool { return c.ID == exchange.ClientID && c.Secret != "" }
		same := func(e Exchange) bool { return e.ClientID == exchange.ClientID }
		if !slices.ContainsFunc(config.Clients, confidential) {
			mistake("ClientID %q is not one of Clients with a Secret", exchange.ClientID)
		}
		if slices.ContainsFunc(config.Exchanges[:i], same) {
			mistake("ClientID %q is there twice", exchange.ClientID)
		}
		if exchange.Resource == "" || len(exchange.Targets) == 0 || slices.Contains(exchange.Targets, "") {
			mistake("ClientID %q: Resource and Targets are required", exchange.ClientID)
		}
	}
	return mistakes
}

// exchangeOf returns what a client may, nil where it may nothing.
func (i *Issuer) exchangeOf(c *client) *Exchange {
	for index := range i.config.Exchanges {
		if i.config.Exchanges[index].ClientID == c.ID {
			return &i.config.Exchanges[index]
		}
	}
	return nil
}

// party is what the issuer knows about a subject or actor token.
type party struct {
	text    string
	Active  bool            `json:"active"`
	Type    string          `json:"token_type"`
	Subject string          `json:"sub"`
	Expiry  float64         `json:"exp"`
	Act     json.RawMessage `json:"act"`
	MayAct  *struct {
		Subject  string `json:"sub"`
		ClientID string `json:"client_id"`
	} `json:"may_act"`
	Audience json.RawMessage `json:"aud"`
}

// party looks a token up, and returns nil where it is not a good access token.
func (i *Issuer) party(text, kind string) *party {
	if text == "" || kind != typeAccessToken && kind != typeJWT {
		return nil
	}
	encoded, err := json.Marshal(i.introspect(text))
	p := &party{text: text}
	if err != nil || json.Unmarshal(encoded, p) != nil || !p.Active || p.Type != "Bearer" {
		return nil
	}
	return p
}

// isFor reports whether the token was issued for resource.
func (p *party) isFor(resource string) bool {
	var one string
	var many []string
	if json.Unmarshal(p.Audience, &one) == nil {
		return one == resource
	}
	return json.Unmarshal(p.Audience, &many) == nil && slices.Contains(many, resource)
}

// exchange serves RFC 8693 §2.
func (i *Issuer) exchange(client *client, values url.Values) (map[string]any, *oauthError) {
	rule := i.exchangeOf(client)
	if rule == nil {
		return nil, refuse("unauthorized_client", "the client may not exchange tokens")
	}
	// RFC 8693 §2.2.2: tokens that are not acceptable are an invalid_request.
	subject := i.party(values.Get("subject_token"), values.Get("subject_token_type"))
	if subject == nil || !subject.isFor(rule.Resource) {
		return nil, refuse("invalid_request", "subject_token is not a good access token for the client's resource")
	}
	actor, failure := i.actor(client, subject, values)
	if failure != nil {
		return nil, failure
	}
	issued := values.Get("requested_token_type")
	switch issued {
	case "":
		issued = typeAccessToken
	case typeAccessToken:
	case typeJWT:
		if i.config.OpaqueTokens {
			return nil, refuse("invalid_request", "tokens are opaque here")
		}
	default:
		return nil, refuse("invalid_request", "requested_token_type is not supported")
	}
	targets, failure := requestedResources(url.Values{"resource": slices.Concat(values["resource"], values["audience"])}, rule.Targets, rule.Targets[:1])
	if failure != nil {
		return nil, failure
	}
	known := rule.Scopes
	if len(known) == 0 {
		known = i.config.Scopes
	}
	asked, failure := requestedScopes(values, known)
	if failure != nil {
		return nil, failure
	}
	return i.traded(client, subject, actor, targets, asked, issued, rule.Impersonation)
}

// actor returns the name of who acts: the client, or whoever actor_token names.
func (i *Issuer) actor(client *client, subject *party, values url.Values) (string, *oauthError) {
	name := client.ID
	if values.Has("actor_token") || values.Has("actor_token_type") {
		actor := i.party(values.Get("actor_token"), values.Get("actor_token_type"))
		if actor == nil {
			return "", refuse("invalid_request", "actor_token is not a good access token")
		}
		name = actor.Subject
	}
	if may := subject.MayAct; may != nil && may.Subject != name && may.ClientID != client.ID { // RFC 8693 §4.4
		return "", refuse("invalid_request", "may_act names somebody else")
	}
	return name, nil
}

// traded mints the new token and the answer (RFC 8693 §2.2.1).
func (i *Issuer) traded(client *client, subject *party, actor string, targets, scopes []string, issued string, impersonation bool) (map[string]any, *oauthError) {
	now := time.Now()
	lifetime := i.config.TokenLifetime
	if left := time.Duration((subject.Expiry - float64(now.Unix())) * float64(time.Second)); subject.Expiry > 0 && left < lifetime {
		lifetime = left
	}
	lifetime = lifetime.Truncate(time.Second)
	claims := Claims{"client_id": client.ID, "sub": subject.Subject, "aud": targets, "scope": Omit, "exp": now.Add(lifetime)}
	if len(targets) == 1 {
		claims["aud"] = targets[0]
	}
	if len(scopes) > 0 {
		claims["scope"] = strings.Join(scopes, " ")
	}
	if !impersonation {
		act := map[string]any{"sub": actor}
		if subject.Act != nil && string(subject.Act) != "null" { // RFC 8693 §4.1: the least recent actor is nested deepest
			act["act"] = subject.Act
		}
		claims["act"] = act
	}
	token, err := i.issue(claims, i.grants.grantOf(subject.text))
	if err != nil {
		return nil, &oauthError{http.StatusInternalServerError, "server_error", "no token can be made"}
	}
	return map[string]any{
		"access_token":      token,
		"issued_token_type": issued,
		"token_type":        "Bearer",
		"expires_in":        int64(lifetime.Seconds()),
		"scope":             strings.Join(scopes, " "),
	}, nil
}

// grantOf returns the grant of an access token, so that what was traded for it
// ends with it; nil for a minted one.
func (g *grants) grantOf(text string) *grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	if token := g.tokens.entries[text]; token != nil {
		return token.grant
	}
	return nil
}
