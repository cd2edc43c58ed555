package exchange

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/internal/discovery"
	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

// Limits of Config.
const (
	defaultCacheSize = 10_000
	maxCacheSize     = 1_000_000
	minTimeout       = 10 * time.Millisecond
	connections      = 64 // at a time, of our own transport
)

// Config configures New, which copies it. The presets return one with all but
// Auth's duties done.
type Config struct {
	_ [0]func()

	// Issuer is the authorization server's identifier (RFC 8414 §2): where
	// discovery starts, and aud of client assertions unless a preset knows better.
	// Required.
	Issuer string
	// Auth is how this server authenticates to the token endpoint. Required;
	// clientauth.None says that it does not.
	Auth clientauth.Method

	// TokenEndpoint is where to ask. Empty: token_endpoint of the issuer's metadata
	// (RFC 8414 §2). https, or http on loopback.
	TokenEndpoint string
	// SubjectIssuers are the issuers, as in iss, whose tokens may be sent to this
	// authorization server. None: Issuer alone. A token of any other is refused
	// here, because whoever receives it could use it against this server.
	SubjectIssuers []string
	// Transport makes the requests to the authorization server (a private CA, a
	// client certificate for clientauth.MutualTLS, a proxy, a test). Nil: a
	// transport of its own. It must respect the request's context.
	Transport http.RoundTripper

	// CacheSize is the number of tokens remembered. Each of them, its scopes and what
	// names the user's have at most 16 KiB. Zero: 10 000. Negative: none, which
	// exchanges at every call. At most a million.
	CacheSize int
	// Timeout bounds one exchange, discovery included. Zero: 5 s. From 10 ms to 5 s.
	Timeout time.Duration
	// AcceptWiderScopes takes tokens with more scopes than were asked for. Some
	// providers add what the client is always granted, and their presets say so
	// here; for others, it hides that the API is given more than it needs.
	AcceptWiderScopes bool
	// Observe is told of every need for a token, after it is known how it ended: in
	// the caller's goroutine and with its context, except for TriggerAhead. It must
	// be fast and safe for concurrent use. Nil: nobody is told, at no cost.
	Observe func(context.Context, Event)

	dialect dialect
	mistake error // of a preset
}

// New returns a client. It checks config and does nothing else: the server is
// asked when the first token is needed. The error joins every mistake.
func New(config Config) (*Client, error) {
	if err := errors.Join(config.mistakes()...); err != nil {
		return nil, err
	}
	c := &Client{
		issuer:   config.Issuer,
		auth:     config.Auth,
		subjects: slices.Clone(config.SubjectIssuers),
		timeout:  cmp.Or(config.Timeout, fetch.Timeout),
		wider:    config.AcceptWiderScopes,
		dialect:  config.dialect.completed(),
		outbound: fetch.NewPool(config.Transport, connections),
		where:    discovery.NewEndpoint(discovery.Locator{Issuer: config.Issuer, Member: discovery.Token, Fixed: config.TokenEndpoint}),
		observe:  config.Observe,
		memory:   newMemory(cmp.Or(config.CacheSize, defaultCacheSize)),
	}
	if len(c.subjects) == 0 {
		c.subjects = []string{config.Issuer}
	}
	_, _ = rand.Read(c.seed[:]) // never fails
	return c, nil
}

func (config Config) mistakes() (mistakes []error) {
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("exchange: "+format, args...))
	}
	if config.mistake != nil {
		mistake("%w", config.mistake)
	}
	checkIssuer := func(field, issuer string) {
		if issuer == "" {
			mistake("%s is required", field)
		} else if err := fetch.CheckURL(issuer); err != nil {
			mistake("%s %q: %w", field, issuer, err)
		}
	}
	checkIssuer("Issuer", config.Issuer)
	if err := config.Auth.Validate(); err != nil {
		mistake("Auth: %w", err)
	}
	if config.TokenEndpoint != "" {
		if err := fetch.CheckURL(config.TokenEndpoint); err != nil {
			mistake("TokenEndpoint %q: %w", config.TokenEndpoint, err)
		}
	}
	for _, issuer := range config.SubjectIssuers {
		checkIssuer("SubjectIssuers", issuer)
	}
	if config.CacheSize > maxCacheSize {
		mistake("CacheSize %d is over %d", config.CacheSize, maxCacheSize)
	}
	if config.Timeout != 0 && (config.Timeout < minTimeout || config.Timeout > fetch.Timeout) {
		mistake("Timeout %v is not between %v and %v", config.Timeout, minTimeout, fetch.Timeout)
	}
	return mistakes
}
