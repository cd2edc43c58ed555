package middleware

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// issuers returns the trusted issuers in the order of the authorization servers:
// those of Config.Issuers, and a plain one for a server that has none there.
func (c Config) issuers() ([]verifier.Issuer, error) {
	var errs []error
	for i, issuer := range c.Issuers {
		sameURL := func(other verifier.Issuer) bool { return other.URL == issuer.URL }
		if slices.ContainsFunc(c.Issuers[:i], sameURL) {
			errs = append(errs, fmt.Errorf("Config.Issuers: %q is there twice", issuer.URL))
		}
		if slices.Contains(issuer.Audiences, "") {
			errs = append(errs, fmt.Errorf("Config.Issuers: %q has an empty audience", issuer.URL))
		}
	}
	servers := c.Metadata.AuthorizationServers
	if len(servers) == 0 {
		return c.Issuers, errors.Join(errs...)
	}
	var all []verifier.Issuer
	for _, server := range servers {
		before := len(all)
		for _, issuer := range c.Issuers {
			if server == authorizationServer(issuer) {
				all = append(all, issuer)
			}
		}
		if len(all) == before {
			all = append(all, verifier.Issuer{URL: server})
		}
	}
	for _, issuer := range c.Issuers {
		if !slices.Contains(servers, authorizationServer(issuer)) {
			errs = append(errs, fmt.Errorf("Config.Issuers: %q is not one of Metadata.AuthorizationServers", authorizationServer(issuer)))
		}
	}
	return all, errors.Join(errs...)
}

// authorizationServer returns what clients are told about issuer.
func authorizationServer(issuer verifier.Issuer) string {
	return cmp.Or(issuer.AuthorizationServer, issuer.URL)
}

// advertised lists the authorization servers of issuers, each once.
func advertised(issuers []verifier.Issuer) (servers []string) {
	for _, issuer := range issuers {
		if server := authorizationServer(issuer); !slices.Contains(servers, server) {
			servers = append(servers, server)
		}
	}
	return servers
}

// issuers finds the configured issuer of a verified token.
type issuers struct {
	byURL     map[string]*trustedIssuer
	templates []*trustedIssuer
	lookup    func(iss string) (verifier.Issuer, bool) // nil: byURL and templates are all
	further   []string                                 // aud values of every issuer
	usual     []string                                 // the resource and further
}

// trustedIssuer is an issuer with every aud value that means this resource.
type trustedIssuer struct {
	audiences []string
	template  bool // which does not trust its own URL
	verifier.Issuer
}

// means reports whether audience is this resource.
func (t *trustedIssuer) means(audience string) bool {
	return slices.ContainsFunc(t.audiences, func(ours string) bool { return verifier.SameResource(ours, audience) })
}

// trust compiles the issuers. Those that judge knows besides, because it resolves
// tenants at run time, are trusted too.
func trust(configured []verifier.Issuer, judge verifier.Verifier, resource string, further []string) issuers {
	compiled := issuers{
		byURL: make(map[string]*trustedIssuer), further: slices.Clone(further), usual: append([]string{resource}, further...),
	}
	if knowing, ok := judge.(interface {
		Lookup(iss string) (verifier.Issuer, bool)
	}); ok {
		compiled.lookup = knowing.Lookup
	}
	for _, issuer := range configured {
		// What the Verifier takes for this resource need not be said twice.
		if len(issuer.Audiences) == 0 && compiled.lookup != nil {
			if known, ok := compiled.lookup(issuer.URL); ok {
				issuer.Audiences = known.Audiences
			}
		}
		t := compiled.compile(issuer)
		compiled.byURL[issuer.URL] = t
		if t.template {
			compiled.templates = append(compiled.templates, t)
		}
	}
	return compiled
}

// find returns the issuer that iss belongs to.
func (i *issuers) find(iss string) (*trustedIssuer, bool) {
	if t, ok := i.byURL[iss]; ok && !t.template {
		return t, true
	}
	for _, t := range i.templates {
		if t.Trusts(iss) {
			return t, true
		}
	}
	if i.lookup != nil {
		if issuer, ok := i.lookup(iss); ok {
			return i.compile(issuer), true
		}
	}
	return nil, false
}

// compile lists the aud values by which issuer means the resource.
func (i *issuers) compile(issuer verifier.Issuer) *trustedIssuer {
	audiences := i.usual
	if len(issuer.Audiences) > 0 {
		audiences = slices.Concat(issuer.Audiences, i.further)
	}
	return &trustedIssuer{Issuer: issuer, audiences: audiences, template: !issuer.Trusts(issuer.URL)}
}
