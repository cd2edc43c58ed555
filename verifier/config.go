package verifier

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/discovery"
	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// Limits of JWTConfig.
const (
	defaultLeeway   = 10 * time.Second
	maxLeeway       = 2 * time.Minute
	defaultMaxStale = 24 * time.Hour
	defaultCooldown = 10 * time.Second
)

// JWTConfig configures NewJWT, which copies it.
type JWTConfig struct {
	_ [0]func()

	// Resource is this resource's identifier, the aud that an Issuer without
	// Audiences must use. Required.
	Resource string
	// Issuers are the trusted identity providers. At least one, unless Resolve is
	// set; each keeps its own keys, so that none can sign for another.
	Issuers []Issuer
	// Resolve returns the issuer whose URL is iss, nil where it is not ours, for
	// tenants that are known only at run time. It is asked about unverified text:
	// look iss up, and never build a URL from it. Answers are kept for 5 minutes,
	// refusals for one, a thousand of either; an error counts as unavailable and is
	// not kept. It must respect ctx and be safe for concurrent use. Nil: Issuers are
	// all.
	Resolve func(ctx context.Context, iss string) (*Issuer, error)
	// Leeway is the tolerated difference of clocks for exp, nbf and iat. Zero: 10
	// s. At most 2 min.
	Leeway time.Duration
	// Transport makes the requests for discovery and keys (a private CA, a proxy,
	// a test). Nil: a transport of its own.
	Transport http.RoundTripper
	// MaxStale is how long the last good keys serve while the provider cannot be
	// reached. Zero: 24 h. At least a minute.
	MaxStale time.Duration
	// Cooldown is the least time from one refresh of an issuer's keys to the next
	// that an unknown kid may cause, and the longest pause between attempts while
	// they fail. Zero: 10 s. At least a second, and less than MaxStale.
	Cooldown time.Duration
	// CacheSize is the number of verified tokens remembered, so that a token's
	// signature is checked once and not at every request. Zero: 10 000. Negative:
	// none. A remembered token still ends with its expiry and with its key. At
	// most a million.
	CacheSize int
}

// trusted is one compiled issuer.
type trusted struct {
	Issuer

	audiences  []string
	algorithms []string
	types      []string
	keys       *keySource
	until      time.Time // of a resolved issuer: ask again then; else zero
}

// NewJWT returns a verifier. It checks config and does nothing else: keys are
// fetched when the first token needs them, so a provider that is down cannot
// keep a server from starting. The error joins every mistake.
func NewJWT(config JWTConfig) (*JWT, error) {
	mistakes := config.mistakes()
	config.CacheSize = min(config.CacheSize, maxCacheSize)
	j := &JWT{issuers: make(map[string]*trusted), leeway: cmp.Or(config.Leeway, defaultLeeway)}
	j.cache = newTokenCache(cmp.Or(config.CacheSize, defaultCacheSize), j.leeway)
	compile := config.compiler()
	for _, issuer := range config.Issuers {
		if j.issuers[issuer.URL] != nil {
			mistakes = append(mistakes, fmt.Errorf("verifier: Issuers: %q is listed twice", issuer.URL))
			continue
		}
		t, err := compile(issuer)
		mistakes = append(mistakes, err)
		j.issuers[issuer.URL] = t
		j.order = append(j.order, t)
		if t.template() {
			j.templates = append(j.templates, t)
		}
		if t.Diagnose != nil && len(j.diagnosers) < maxDiagnoses {
			j.diagnosers = append(j.diagnosers, t)
		}
	}
	if config.Resolve != nil {
		j.resolver = newResolver(config.Resolve, compile)
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	return j, nil
}

func (config JWTConfig) mistakes() (mistakes []error) {
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("verifier: "+format, args...))
	}
	if config.Resource == "" {
		mistake("Resource is required")
	}
	if len(config.Issuers) == 0 && config.Resolve == nil {
		mistake("Issuers: at least one is required")
	}
	if config.Leeway < 0 || config.Leeway > maxLeeway {
		mistake("Leeway %v is not between 0 and %v", config.Leeway, maxLeeway)
	}
	if config.MaxStale != 0 && config.MaxStale < time.Minute {
		mistake("MaxStale %v is under a minute", config.MaxStale)
	}
	if config.Cooldown != 0 && config.Cooldown < time.Second {
		mistake("Cooldown %v is under a second", config.Cooldown)
	}
	if cmp.Or(config.Cooldown, defaultCooldown) >= cmp.Or(config.MaxStale, defaultMaxStale) {
		mistake("Cooldown %v is not under MaxStale: keys would expire before they may be fetched again", config.Cooldown)
	}
	if config.CacheSize > maxCacheSize {
		mistake("CacheSize %d is over %d", config.CacheSize, maxCacheSize)
	}
	return mistakes
}

// compiler returns the function that compiles issuers on one client.
func (config JWTConfig) compiler() func(Issuer) (*trusted, error) {
	client := fetch.NewClient(config.Transport)
	return func(issuer Issuer) (*trusted, error) {
		t := &trusted{Issuer: issuer, audiences: issuer.audiences(config.Resource)}
		t.Tenants = slices.Clone(issuer.Tenants)
		if t.algorithms = slices.Clone(issuer.Algorithms); len(t.algorithms) == 0 {
			t.algorithms = jose.Algorithms()
		}
		types := issuer.Types
		if len(types) == 0 {
			types = []string{"at+jwt", "JWT", ""}
		}
		for _, name := range types {
			t.types = append(t.types, mediaType(name))
		}
		t.keys = &keySource{
			locate:   &discovery.Locator{Issuer: issuer.URL, Member: discovery.KeySet, Document: issuer.MetadataURL, Fixed: issuer.JWKSURI},
			client:   client,
			maxStale: cmp.Or(config.MaxStale, defaultMaxStale),
			cooldown: cmp.Or(config.Cooldown, defaultCooldown),
		}
		return t, issuer.check()
	}
}

// check returns every mistake in the issuer, joined.
func (i Issuer) check() error {
	var mistakes []error
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("verifier: issuer %q: "+format, append([]any{i.URL}, args...)...))
	}
	checkURL := func(field, address string) {
		if err := fetch.CheckURL(address); err != nil {
			mistake("%s: %w", field, err)
		}
	}
	if i.Mistake != nil {
		mistake("%w", i.Mistake)
	}
	checkURL("URL", strings.Replace(i.URL, tenantMark, "tenant", 1))
	if strings.Contains(i.URL, "?") {
		mistake("URL: a query is not allowed (RFC 8414 §2)")
	}
	if strings.Contains(i.URL, "/.well-known/") {
		mistake("URL: this is a metadata URL; give the issuer identifier itself")
	}
	for _, optional := range [][2]string{
		{"AuthorizationServer", i.AuthorizationServer}, {"MetadataURL", i.MetadataURL}, {"JWKSURI", i.JWKSURI},
	} {
		if optional[1] != "" {
			checkURL(optional[0], optional[1])
		}
	}
	for _, algorithm := range i.Algorithms {
		if !slices.Contains(jose.Algorithms(), algorithm) {
			mistake("Algorithms: %q is not supported; only asymmetric algorithms are", algorithm)
		}
	}
	if slices.Contains(i.Audiences, "") {
		mistake("Audiences: empty value")
	}
	i.checkTenants(mistake)
	return errors.Join(mistakes...)
}

func (i Issuer) checkTenants(mistake func(string, ...any)) {
	for _, tenant := range i.Tenants {
		if !guid(tenant) {
			mistake("Tenants: %q is not a GUID in lower case", tenant)
		}
	}
	switch chosen := i.AnyTenant || len(i.Tenants) > 0; {
	case !i.template() && chosen:
		mistake("URL: tenants need %q in it", tenantMark)
	case !i.template():
	case strings.Count(i.URL, tenantMark) > 1:
		mistake("URL: %q is there more than once", tenantMark)
	case !chosen:
		mistake("URL: %q needs Tenants, or AnyTenant", tenantMark)
	case i.AnyTenant && len(i.Tenants) > 0:
		mistake("AnyTenant: makes Tenants pointless")
	case i.MetadataURL == "" && i.JWKSURI == "":
		mistake("URL: %q needs MetadataURL or JWKSURI", tenantMark)
	}
}

// mediaType returns typ in the form that compares: lower case, without the
// "application/" that may be left out (RFC 7515 §4.1.9).
func mediaType(typ string) string {
	typ = strings.ToLower(typ)
	if rest, found := strings.CutPrefix(typ, "application/"); found && rest != "" && !strings.Contains(rest, "/") {
		return rest
	}
	return typ
}
