package authtest

import (
	"crypto/rand"
	"slices"
	"sync"
	"time"
)

// Bounds on what the issuer remembers; the oldest entry goes first.
const (
	maxEntries = 4096
	maxBody    = 64 << 10
	maxURI     = 2 << 10
	maxURIs    = 20
)

// codeLifetime is the maximum that RFC 6749 §4.1.2 recommends, or less.
const codeLifetime = time.Minute

// A grant is what one approval, or one client on its own behalf, obtained.
type grant struct {
	clientID  string
	subject   string
	scopes    []string
	resources []string
	nonce     string
	revoked   bool
}

// A code is bound to everything that the authorization request said.
type code struct {
	grant       *grant
	redirectURI string // as sent; empty where the request left it out
	challenge   string
	expires     time.Time
	used        bool
}

type refreshToken struct {
	grant *grant
	used  bool
}

// client is a Client with what its registration said.
type client struct {
	Client
	name       string
	grantTypes []string
}

func (c *client) may(grantType string) bool {
	if grantType == "client_credentials" && c.Secret == "" {
		return false // RFC 6749 §4.4: confidential clients only
	}
	return len(c.grantTypes) == 0 || slices.Contains(c.grantTypes, grantType)
}

// grants is the issuer's memory.
type grants struct {
	mu         sync.Mutex
	fixed      map[string]*client // from Config, never evicted
	registered bounded[*client]
	codes      bounded[*code]
	refresh    bounded[*refreshToken]
	tokens     bounded[*accessToken]
}

func (g *grants) init(clients []Client) {
	g.fixed = make(map[string]*client, len(clients))
	for _, c := range clients {
		g.fixed[c.ID] = &client{Client: c}
	}
}

func (g *grants) client(id string) *client {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.fixed[id]; c != nil {
		return c
	}
	return g.registered.entries[id]
}

func (g *grants) register(c *client) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.registered.put(c.ID, c)
}

func (g *grants) newCode(c *code) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	text := rand.Text()
	c.expires = time.Now().Add(codeLifetime)
	g.codes.put(text, c)
	return text
}

// redeem spends a code of the client and hands it out once. A second attempt
// revokes what the first one obtained (RFC 6749 §4.1.2), so that a stolen code
// helps nobody.
func (g *grants) redeem(text, clientID string) *code {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.codes.entries[text]
	switch {
	case c == nil || c.grant.clientID != clientID:
		return nil
	case c.used:
		c.grant.revoked = true
		return nil
	}
	c.used = true
	if !time.Now().Before(c.expires) {
		return nil
	}
	return c
}

// newRefreshToken returns "" for a grant that was revoked meanwhile.
func (g *grants) newRefreshToken(of *grant) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.addRefreshToken(of)
}

func (g *grants) addRefreshToken(of *grant) string {
	if of.revoked {
		return ""
	}
	text := rand.Text()
	g.refresh.put(text, &refreshToken{grant: of})
	return text
}

// peek returns the grant of a refresh token of the client without spending it.
// A spent one revokes the grant: either its thief or its owner holds a copy (RFC
// 9700 §4.14.2).
func (g *grants) peek(text, clientID string) *grant {
	g.mu.Lock()
	defer g.mu.Unlock()
	token := g.refresh.entries[text]
	if token == nil || token.grant.clientID != clientID {
		return nil
	}
	if token.used {
		token.grant.revoked = true
	}
	if token.grant.revoked {
		return nil
	}
	return token.grant
}

// rotate spends a refresh token and returns its successor, or "" where another
// request was faster.
func (g *grants) rotate(text string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	token := g.refresh.entries[text]
	if token == nil {
		return ""
	}
	if token.used {
		token.grant.revoked = true
		return ""
	}
	token.used = true
	return g.addRefreshToken(token.grant)
}

// bounded is a map that forgets its oldest entry when it is full.
type bounded[V any] struct {
	entries map[string]V
	order   []string
}

func (b *bounded[V]) put(key string, value V) {
	if b.entries == nil {
		b.entries = make(map[string]V)
	}
	if len(b.order) >= maxEntries {
		delete(b.entries, b.order[0])
		b.order = b.order[1:]
	}
	b.entries[key] = value
	b.order = append(b.order, key)
}
