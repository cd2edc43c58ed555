package middleware

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/textproto"
	"slices"
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
	maxBody     int64
	late        bool
	bodies      bool // repeat challenges in bodies
	recheckTime time.Duration
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
	errs = append(errs, err, c.checkAudiences(), c.checkPromises(), c.checkTokenHeader(), c.checkLimits())
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
		late:        c.LateStepUp,
		bodies:      c.ChallengeInBody,
		recheckTime: c.Recheck,
		maxBody:     cmp.Or(c.MaxBody, defaultMaxBody),
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

func (c Config) checkLimits() error {
	if c.MaxBody < 0 || c.MaxBody > maxMaxBody {
		return fmt.Errorf("Config.MaxBody: %d is not between 0 and %d", c.MaxBody, maxMaxBody)
	}
	if c.Recheck != 0 && c.Recheck < time.Second {
		return fmt.Errorf("Config.Recheck: %q is under a second", c.Recheck)
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
