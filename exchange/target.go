package exchange

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// A Target is the API that a token is for. It is copied where it is given.
// Providers differ in what they want; see their presets.
type Target struct {
	_ [0]func()

	// Resource are the URIs of the API (RFC 8707 §2, RFC 8693 §2.1).
	Resource []string
	// Audience are its names at the authorization server (RFC 8693 §2.1).
	Audience []string
	// Scopes are asked for. None: what the server thinks fit.
	Scopes []string
	// Hosts are the only hosts that Transport sends the token to, exactly as in a
	// URL: "api.example.com", with the port where it is not the scheme's own. None:
	// the hosts of Resource. Exchange and ClientCredentials do not use them.
	Hosts []string

	// TokenType is requested_token_type (RFC 8693 §2.1). Empty: TypeAccessToken,
	// unless the preset says otherwise.
	TokenType string
	// Actor returns the token of who acts for the user (RFC 8693 §2.1,
	// actor_token), often ClientCredentials of the same Client. It is called for
	// every request, so it should remember. It must be safe for concurrent use and
	// respect ctx. Nil: this server, as its authentication says.
	Actor func(ctx context.Context) (*Token, error)
}

// A Request asks for one token.
type Request struct {
	_ [0]func()

	// Target is the API that the token is for.
	Target Target
	// Subject is the verified token of the user. Nil: that of the context
	// (verifier.FromContext).
	Subject *verifier.Token
}

// wanted is a Target that was checked.
type wanted struct {
	Target

	scopes scopes.Set
	hosts  []string
	grant  grant
	digest [sha256.Size]byte // of all that the answer depends on
}

// compile checks a target for one grant.
func (c *Client) compile(target Target, grant grant) (*wanted, error) {
	w := &wanted{Target: target, grant: grant}
	w.Resource, w.Audience, w.Scopes = slices.Clone(target.Resource), slices.Clone(target.Audience), slices.Clone(target.Scopes)
	if grant != grantClient && w.TokenType == "" {
		w.TokenType = c.dialect.tokenType
	}
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("exchange: Target: "+format, args...))
	}
	for _, resource := range w.Resource {
		// RFC 8707 §2: an absolute URI without fragment.
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
			mistake("Resource %q is not an absolute URI without fragment", resource)
		}
	}
	if slices.Contains(w.Audience, "") {
		mistake("Audience: empty value")
	}
	var err error
	if w.scopes, err = scopes.Of(w.Scopes...); err != nil {
		mistake("Scopes: %w", err)
	}
	if w.scopes.Has("offline_access") {
		mistake("Scopes: offline_access asks for a refresh token, and none is kept here")
	}
	for _, host := range w.Hosts {
		if clean := plainHost(host); clean == "" {
			mistake("Hosts: %q is not a host, with or without a port", host)
		} else {
			w.hosts = append(w.hosts, clean)
		}
	}
	if len(w.Hosts) == 0 {
		w.hosts = resourceHosts(w.Resource)
	}
	if grant == grantClient && (w.TokenType != "" || w.Actor != nil) {
		mistake("TokenType and Actor mean nothing without a user")
	}
	if c.dialect.check != nil && grant != grantClient {
		c.dialect.check(w, mistake)
	}
	text, err := json.Marshal([]any{grant, w.Resource, w.Audience, w.scopes.Slice(), w.TokenType})
	if err != nil {
		mistake("%w", err)
	}
	w.digest = sha256.Sum256(text)
	return w, errors.Join(mistakes...)
}

// plainHost returns host in the form that compares, or "".
func plainHost(host string) string {
	u, err := url.Parse("https://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || strings.ContainsAny(host, "*@/?#%") {
		return ""
	}
	return hostOf(u, host)
}

// resourceHosts returns the hosts of the resources that a request can go to.
func resourceHosts(resources []string) (hosts []string) {
	for _, resource := range resources {
		if u, err := url.Parse(resource); err == nil && u.User == nil && fetch.CheckURL(resource) == nil {
			hosts = append(hosts, hostOf(u, u.Host))
		}
	}
	return hosts
}

// hostOf returns host, of a URL like u, in the form that compares: without the
// scheme's own port, which may be left out, and "" where it is not ASCII. Unicode
// has letters whose lower case is ASCII, while their host is another one.
func hostOf(u *url.URL, host string) string {
	for i := range len(host) {
		if host[i] <= ' ' || host[i] >= 0x7f {
			return ""
		}
	}
	port := ":443"
	if u.Scheme == "http" {
		port = ":80"
	}
	return strings.TrimSuffix(strings.ToLower(host), port)
}
