package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/authparam"

	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// rules is a compiled Config. It is immutable and shares no memory with it.
type rules struct {
	document    *prm.Document
	resource    string
	metadataURL string
	origins     []string // serialized; the resource's own comes first
	loopback    bool     // the resource is on loopback
	verifier    verifier.Verifier
	issuers     issuers
	implied     scopes.Implied
	known       scopes.Set // scopes of this resource, whatever the route
	leeway      time.Duration
	observe     func(context.Context, Event)
	forward     bool
	tokenHeader string // canonical; empty: Authorization
}

// compile checks everything before it gives up, so that the user can mend all
// mistakes at once.
func (c Config) compile() (*rules, error) {
	issuers, err := c.issuers()
	errs := []error{err}
	metadata := c.Metadata
	if len(metadata.AuthorizationServers) == 0 {
		metadata.AuthorizationServers = advertised(issuers)
	}

	document, err := prm.New(metadata)
	errs = append(errs, err)
	implied, err := c.Hierarchy.Compile()
	errs = append(errs, err)
	known, err := c.knownScopes()
	errs = append(errs, err)
	leeway, err := c.leeway()
	errs = append(errs, err)
	origins, err := c.origins()
	errs = append(errs, err, c.checkAudiences(), c.checkPromises(), c.checkTokenHeader())
	judge, err := c.verifier(issuers, leeway)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("middleware: invalid Config:\n%w", err)
	}

	compiled := &rules{
		document:    document,
		resource:    c.Metadata.Resource,
		metadataURL: document.URL(),
		origins:     origins,
		loopback:    onLoopback(c.Metadata.Resource),
		verifier:    judge,
		issuers:     trust(issuers, judge, c.Metadata.Resource, c.AcceptAudiences),
		implied:     implied,
		known:       known,
		leeway:      leeway,
		observe:     c.Observe,
		forward:     c.DangerouslyForwardToken,
		tokenHeader: textproto.CanonicalMIMEHeaderKey(c.TokenHeader),
	}
	if _, err := compiled.route(scopes.Policy{}); err != nil {
		return nil, fmt.Errorf("middleware: invalid Config:\n%w", err)
	}
	return compiled, nil
}

// knownScopes returns the scopes that a 403 may repeat from a token. Scopes of
// other resources are nobody's business.
func (c Config) knownScopes() (scopes.Set, error) {
	names := slices.Clone(c.Metadata.ScopesSupported)
	for scope, implied := range c.Hierarchy {
		names = append(append(names, scope), implied...)
	}
	// MCP authorization, §Refresh Tokens: not in a challenge.
	names = slices.DeleteFunc(names, func(name string) bool { return name == "offline_access" })
	known, err := scopes.Of(names...)
	if err != nil {
		return scopes.Set{}, nil // prm and Hierarchy name the mistake better
	}
	return known, nil
}

func (c Config) leeway() (time.Duration, error) {
	switch {
	case c.Leeway < 0 || c.Leeway > maxLeeway:
		return 0, fmt.Errorf("Config.Leeway: %q is not between 0 and %q", c.Leeway, maxLeeway)
	case c.Leeway == 0:
		return defaultLeeway, nil
	}
	return c.Leeway, nil
}

func (c Config) checkAudiences() error {
	if len(c.AcceptAudiences) > 0 && c.Verifier == nil {
		return errors.New("Config.AcceptAudiences: has no effect without Verifier; use Audiences of the Issuer")
	}
	if slices.Contains(c.AcceptAudiences, "") {
		return errors.New(`Config.AcceptAudiences: "" is not an audience`)
	}
	return nil
}

// checkTokenHeader refuses names under which no token can come.
func (c Config) checkTokenHeader() error {
	switch name := textproto.CanonicalMIMEHeaderKey(c.TokenHeader); {
	case name == "":
		return nil
	case !authparam.IsToken(name):
		return fmt.Errorf("Config.TokenHeader: %q is not a field name", c.TokenHeader)
	case name == "Authorization" || name == "Dpop" || name == "Cookie":
		return fmt.Errorf("Config.TokenHeader: %q has a meaning of its own; leave it empty for Authorization", c.TokenHeader)
	}
	return nil
}

// checkPromises refuses to advertise what nobody enforces.
func (c Config) checkPromises() error {
	m := c.Metadata
	if m.DPoPBoundAccessTokensRequired || len(m.DPoPSigningAlgValuesSupported) > 0 || m.TLSClientCertificateBoundAccessTokens {
		return errors.New("Config.Metadata: proofs of possession (DPoP, mutual TLS) are not checked here, so they cannot be advertised")
	}
	return nil
}

func (c Config) verifier(issuers []verifier.Issuer, leeway time.Duration) (verifier.Verifier, error) {
	if f, isFunc := c.Verifier.(verifier.Func); isFunc && f == nil {
		return nil, errors.New("Config.Verifier: nil function")
	}
	if c.Verifier != nil {
		return c.Verifier, nil
	}
	return verifier.NewJWT(verifier.JWTConfig{
		Resource:  c.Metadata.Resource,
		Issuers:   issuers,
		Leeway:    leeway,
		Transport: c.Transport,
	})
}

// A route is a compiled policy.
type route struct {
	base            scopes.Requirement
	known           scopes.Set
	scope           string                     // what a 401 names: the scopes to start with
	unauthenticated string                     // the whole challenge of a 401 without credentials
	invalid         map[verifier.Reason]string // and with a bad token
}

// route compiles a policy. The rules may be nil: the zero Guard.
func (ru *rules) route(policy scopes.Policy) (route, error) {
	if err := policy.Validate(); err != nil {
		return route{}, err
	}
	if ru == nil {
		return route{base: policy.Base}, nil
	}
	// The longest text and all scopes at once: no challenge of this route can
	// grow longer, except by held scopes, which are dropped first.
	longest, err := checkedChallenge("insufficient_scope", strings.Repeat("-", maxDescription),
		policy.Base.Scopes().String(), ru.metadataURL)
	if err != nil {
		return route{}, err
	}
	if len(longest) > maxChallenge {
		return route{}, fmt.Errorf("its challenge has %d bytes, at most %d reach every client", len(longest), maxChallenge)
	}
	scope := policy.Base.Needed(scopes.Set{}).String()
	invalid := make(map[verifier.Reason]string)
	for _, reason := range verifier.Reasons() {
		invalid[reason] = challenge(codeInvalidToken, describe(reason), scope, ru.metadataURL)
	}
	return route{
		invalid:         invalid,
		base:            policy.Base,
		known:           ru.known.Union(policy.Base.Scopes()),
		scope:           scope,
		unauthenticated: challenge("", "", scope, ru.metadataURL),
	}, nil
}
