package authtest

import (
	"encoding/json"
	"maps"
	"time"
)

// An accessToken is one that the issuer made, as introspection and revocation
// know it.
type accessToken struct {
	members  []byte // of the introspection answer (RFC 7662 §2.2), a JSON object
	clientID string
	grant    *grant // nil for a minted one
	revoked  bool
}

// remember keeps an access token and what introspection answers about it: the
// claims, and what a JWT does not say of itself. It reports false where text is
// known already.
func (i *Issuer) remember(text string, claims Claims, of *grant) (bool, error) {
	members := Claims{"token_type": "Bearer", "nbf": time.Now()}
	// A client on its own behalf has no name of a person.
	if sub, ok := claims["sub"].(string); ok && sub != claims["client_id"] {
		members["username"] = sub
	}
	maps.Copy(members, claims)
	encoded, err := object(members)
	if err != nil {
		return false, err
	}
	clientID, _ := claims["client_id"].(string)
	return i.grants.addToken(text, &accessToken{members: encoded, clientID: clientID, grant: of}), nil
}

func (g *grants) addToken(text string, token *accessToken) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tokens.entries[text] != nil {
		return false
	}
	g.tokens.put(text, token)
	return true
}

// lookup returns what introspection answers about a token that is good, access
// or refresh token, or nil. Expiry is not judged.
func (g *grants) lookup(text, issuer string) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	if token := g.tokens.entries[text]; token != nil {
		if token.revoked || token.grant != nil && token.grant.revoked {
			return nil
		}
		return token.members
	}
	refresh := g.refresh.entries[text]
	if refresh == nil || refresh.used || refresh.grant.revoked {
		return nil
	}
	// No token_type and no aud: that is all which tells it from an access token.
	members, err := object(Claims{
		"iss": issuer, "sub": refresh.grant.subject, "client_id": refresh.grant.clientID,
	})
	if err != nil {
		return nil
	}
	return members
}

// introspect returns the answer of RFC 7662 §2.2. A claim "active" of the test's
// own is answered as it is.
func (i *Issuer) introspect(text string) map[string]any {
	inactive := map[string]any{"active": false}
	var stored map[string]json.RawMessage
	if json.Unmarshal(i.grants.lookup(text, i.config.URL), &stored) != nil || stored == nil {
		return inactive
	}
	answer := map[string]any{"active": true}
	for name, value := range stored {
		answer[name] = value
	}
	if _, stated := stored["active"]; !stated {
		now := float64(time.Now().UnixNano()) / float64(time.Second)
		if exp, ok := number(stored["exp"]); ok && now >= exp {
			return inactive
		}
		if nbf, ok := number(stored["nbf"]); ok && now < nbf {
			return inactive
		}
	}
	return answer
}

// number reads a NumericDate (RFC 7519 §2) and reports false for anything else,
// which is the client's to judge.
func number(text json.RawMessage) (float64, bool) {
	var value *float64
	if len(text) == 0 || json.Unmarshal(text, &value) != nil || value == nil {
		return 0, false
	}
	return *value, true
}

// owner returns the client that a token was issued to, and false where the
// token is unknown.
func (g *grants) owner(text string) (clientID string, known bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if token := g.tokens.entries[text]; token != nil {
		return token.clientID, true
	}
	if refresh := g.refresh.entries[text]; refresh != nil {
		return refresh.grant.clientID, true
	}
	return "", false
}

// revoke ends a token, and reports false where it is unknown. With a refresh
// token its whole grant ends, access tokens included (RFC 7009 §2.1).
func (g *grants) revoke(text string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if token := g.tokens.entries[text]; token != nil {
		token.revoked = true
		return true
	}
	if refresh := g.refresh.entries[text]; refresh != nil {
		refresh.grant.revoked = true
		return true
	}
	return false
}
