package authtest

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// DefaultURL is the issuer identifier where Config.URL is empty.
const DefaultURL = "https://issuer.example"

// Config describes an Issuer. It is copied; changing it later has no effect.
type Config struct {
	_ [0]func()

	// Resources are the resource identifiers (RFC 8707 §2) that tokens may be
	// issued for: absolute URIs without fragment, compared octet by octet. The
	// first is the default for clients that name none. Required.
	Resources []string

	// URL is the issuer identifier, exactly as in iss: https, or http on
	// loopback; it may have a path. Empty: DefaultURL.
	URL string
	// Scopes are the scopes that clients may ask for; any other is refused with
	// invalid_scope. A list with "openid" makes the flows issue ID tokens.
	Scopes []string
	// AutoApprove makes the authorization endpoint answer at once. Otherwise it
	// shows a page with one form, to approve or to deny.
	AutoApprove bool
	// Clients are known from the start. Others may register, but may not
	// introspect: a resource server that does is a Client with a Secret.
	Clients []Client
	// Exchanges lets clients exchange tokens (RFC 8693). The audience parameter may
	// be there once, resource repeatedly. None: nobody may.
	Exchanges []Exchange
	// Subject is sub. Empty: "user-1".
	Subject string
	// TokenLifetime is how long tokens are valid. Zero: 5 minutes.
	TokenLifetime time.Duration
	// OpaqueTokens makes the flows and Issuer.Token issue access tokens that are
	// random text, for introspection (RFC 7662), in place of JWTs.
	OpaqueTokens bool
	// Algorithms are the algs of the initial keys; the first one signs. Keys are
	// generated when first needed. Empty: ES256.
	Algorithms []string

	// Discovery lists the forms of the metadata URL that are served; the others
	// answer 404. Empty: all.
	Discovery []Discovery
	// NoRegistration turns dynamic client registration (RFC 7591) off.
	NoRegistration bool
	// Metadata replaces members of the discovery document; Omit removes one.
	Metadata map[string]any
}

// A Client is one that the issuer knows without registration.
type Client struct {
	// ID is client_id. Required.
	ID string
	// Secret makes the client confidential. Empty: a public client.
	Secret string
	// RedirectURIs are https, or http on loopback, where the port is free
	// (RFC 8252 §7.3).
	RedirectURIs []string
}

// Discovery is one form of the metadata URL.
type Discovery string

// The forms, for the issuer https://h/tenant.
const (
	// RFC8414Inserted is https://h/.well-known/oauth-authorization-server/tenant
	// (RFC 8414 §3.1).
	RFC8414Inserted Discovery = "rfc8414-inserted"
	// RFC8414Appended is https://h/tenant/.well-known/oauth-authorization-server,
	// which no RFC describes and some providers serve.
	RFC8414Appended Discovery = "rfc8414-appended"
	// OpenIDAppended is https://h/tenant/.well-known/openid-configuration (OpenID
	// Connect Discovery 1.0 §4).
	OpenIDAppended Discovery = "openid-appended"
)

// complete checks config and returns a copy of it with the defaults filled in.
func (config Config) complete() (Config, error) {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("authtest: "+format, args...))
	}
	if config.URL == "" {
		config.URL = DefaultURL
	}
	if err := checkIssuer(config.URL); err != nil {
		mistake("URL %q %w", config.URL, err)
	}
	if len(config.Resources) == 0 {
		mistake("Resources: at least one is required")
	}
	for _, resource := range config.Resources {
		// RFC 8707 §2: an absolute URI without fragment.
		if u, err := url.Parse(resource); err != nil || !u.IsAbs() || strings.Contains(resource, "#") {
			mistake("Resources: %q is not an absolute URI without fragment", resource)
		}
	}
	if _, err := scopes.Of(config.Scopes...); err != nil {
		mistake("Scopes %q: %w", config.Scopes, err)
	}
	if config.TokenLifetime < 0 {
		mistake("TokenLifetime %q is negative", config.TokenLifetime)
	}
	for _, alg := range config.Algorithms {
		if !slices.Contains(jose.Algorithms(), alg) {
			mistake("Algorithms: cannot sign with %q", alg)
		}
	}
	for _, form := range config.Discovery {
		if !slices.Contains(allDiscovery(), form) {
			mistake("Discovery: %q is unknown", form)
		}
	}
	mistakes = append(mistakes, checkClients(config.Clients)...)
	mistakes = append(mistakes, config.checkExchanges()...)
	if len(mistakes) > 0 {
		return Config{}, errors.Join(mistakes...)
	}
	return config.filled(), nil
}

// filled copies what the caller could still change, and sets the defaults.
func (config Config) filled() Config {
	config.Resources = slices.Clone(config.Resources)
	config.Scopes = slices.Clone(config.Scopes)
	config.Clients = slices.Clone(config.Clients)
	for i, client := range config.Clients {
		config.Clients[i].RedirectURIs = slices.Clone(client.RedirectURIs)
	}
	config.Exchanges = slices.Clone(config.Exchanges)
	for i, exchange := range config.Exchanges {
		config.Exchanges[i].Targets = slices.Clone(exchange.Targets)
		config.Exchanges[i].Scopes = slices.Clone(exchange.Scopes)
	}
	config.Metadata = maps.Clone(config.Metadata)
	if _, stated := config.Metadata["grant_types_supported"]; !stated && len(config.Exchanges) > 0 {
		if config.Metadata == nil {
			config.Metadata = make(map[string]any)
		}
		config.Metadata["grant_types_supported"] = append(grantTypes(), tokenExchange)
	}
	config.Algorithms = slices.Clone(config.Algorithms)
	if len(config.Algorithms) == 0 {
		config.Algorithms = []string{"ES256"}
	}
	config.Discovery = slices.Clone(config.Discovery)
	if len(config.Discovery) == 0 {
		config.Discovery = allDiscovery()
	}
	if config.Subject == "" {
		config.Subject = "user-1"
	}
	if config.TokenLifetime == 0 {
		config.TokenLifetime = 5 * time.Minute
	}
	return config
}

func allDiscovery() []Discovery {
	return []Discovery{RFC8414Inserted, RFC8414Appended, OpenIDAppended}
}

func checkClients(clients []Client) (mistakes []error) {
	seen := make(map[string]bool)
	for _, client := range clients {
		if client.ID == "" || seen[client.ID] {
			mistakes = append(mistakes, fmt.Errorf("authtest: Clients: ID %q is empty or taken", client.ID))
		}
		seen[client.ID] = true
		for _, uri := range client.RedirectURIs {
			if !validRedirect(uri) {
				mistakes = append(mistakes, fmt.Errorf("authtest: Clients: redirect URI %q is neither https nor loopback http", uri))
			}
		}
	}
	return mistakes
}

// checkIssuer applies RFC 8414 §2: a URL without query and fragment.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil:
		return errors.New("is not a URL")
	case u.Host == "" || u.User != nil || strings.ContainsAny(issuer, "?#"):
		return errors.New("needs a host, and no user, query or fragment")
	case u.Scheme != "https" && !(u.Scheme == "http" && fetch.Loopback(u.Hostname())):
		return errors.New("is neither https nor loopback http")
	}
	return nil
}

// validRedirect takes https, and http on loopback (RFC 8252 §7.3).
func validRedirect(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Host != "" && u.User == nil && !strings.Contains(uri, "#") && len(uri) <= maxURI &&
		(u.Scheme == "https" || u.Scheme == "http" && fetch.Loopback(u.Hostname()))
}

// origin returns the serialized origin of a URL (RFC 6454 §6.2).
func origin(u *url.URL) string {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	switch {
	case port != "" && (u.Scheme != "https" || port != "443") && (u.Scheme != "http" || port != "80"):
		host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return u.Scheme + "://" + host
}
