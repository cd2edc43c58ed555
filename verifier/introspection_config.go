package verifier

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/internal/discovery"
	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// Limits of IntrospectionConfig.
const (
	defaultTTL         = 30 * time.Second
	maxTTL             = 5 * time.Minute
	defaultNegativeTTL = 5 * time.Second
	maxNegativeTTL     = time.Minute
	maxServeStale      = time.Hour
	defaultConcurrent  = 64
	maxConcurrent      = 4096
)

// IntrospectionConfig configures NewIntrospection, which copies it.
type IntrospectionConfig struct {
	_ [0]func()

	// Resource is this resource's identifier, the aud that answers must have where
	// Audiences is empty. Required.
	Resource string
	// Issuer is the authorization server's identifier: Token.Issuer, iss where an
	// answer has one, and where discovery starts. Required.
	Issuer string
	// Auth is how this resource authenticates to the endpoint (RFC 7662 §2.1).
	// Required; clientauth.None says that it does not.
	Auth clientauth.Method

	// Endpoint is where to ask. Empty: introspection_endpoint of the issuer's
	// metadata (RFC 8414 §2). https, or http on loopback.
	Endpoint string
	// Audiences are the aud values by which answers mean this resource. Empty: the
	// resource identifier itself.
	Audiences []string
	// ClientIDs are the only clients whose tokens are accepted. They also bind
	// answers without aud to this resource, where these clients get tokens for
	// nothing else. Empty: every client, and no answer without aud.
	ClientIDs []string
	// AnswersAreOurs states that the server calls a token active only if it was
	// issued for this resource, because it knows by Auth who asks. An answer
	// without aud is then taken; one with another aud never is. Where it is not
	// true, a token for any other service opens this one.
	AnswersAreOurs bool
	// TTL is how long a positive answer is used, and so how long a revoked token
	// can still be accepted. Zero: 30 s. From 1 s to 5 min.
	TTL time.Duration
	// Leeway is the tolerated difference of clocks for exp, nbf and iat. Zero: 10
	// s. At most 2 min.
	Leeway time.Duration
	// Transport makes the requests (a private CA, a client certificate for
	// clientauth.MutualTLS, a proxy, a test). Nil: a transport of its own. It must
	// respect the request's context.
	Transport http.RoundTripper

	// Signed asks for signed answers and takes no other (RFC 9701).
	Signed bool
	// SignedAudience is aud of signed answers: our client id, or what else the
	// server calls this resource. Required with Signed, and meaningless without.
	SignedAudience string
	// Algorithms lists the accepted alg values of signed answers, as in Issuer.
	Algorithms []string
	// JWKSURI is where the keys for signed answers are. Empty: found by discovery.
	JWKSURI string
	// Judge applies further rules to an active answer whose times are verified,
	// before its audience is checked, as Issuer.Judge does. Nil: none.
	Judge func(*Token) error
	// Revoked reports that a token with an answer from before the request may have
	// been revoked since, as a back-channel notice said. The token is then asked
	// about again, and the server has the last word. It is called at every use of
	// such an answer, so it must be fast, and safe for concurrent use. Nil: no
	// notices.
	Revoked func(*Token) bool
	// NegativeTTL is how long a refusal is used. Zero: 5 s. At most a minute.
	NegativeTTL time.Duration
	// CacheSize is the number of tokens remembered, and as many refusals apart
	// from them. Zero: 10 000. Negative: none; every request asks the server.
	CacheSize int
	// MaxConcurrent is the number of questions asked at a time; four times as
	// many wait, and the rest is answered as unavailable. Zero: 64. At most 4096.
	MaxConcurrent int
	// Timeout bounds one verification. Zero: 5 s. From 10 ms to 5 s.
	Timeout time.Duration
	// Mistake is set by a preset that was given unusable values; NewIntrospection
	// reports it.
	Mistake error

	// DangerouslyServeStale is how long after TTL the last positive answer still
	// serves while the server cannot be asked, though never beyond exp. A token
	// that was revoked works for as long, and whoever can keep the server, or the
	// way to it, busy decides when. Zero: not at all. At most an hour.
	DangerouslyServeStale time.Duration
}

// NewIntrospection returns a verifier of tokens that only the authorization
// server can read (RFC 7662). It checks config and does nothing else: the server
// is asked when the first token comes. The error joins every mistake.
func NewIntrospection(config IntrospectionConfig) (*Introspection, error) {
	if err := errors.Join(config.mistakes()...); err != nil {
		return nil, err
	}
	leeway := cmp.Or(config.Leeway, defaultLeeway)
	timeout := cmp.Or(config.Timeout, fetch.Timeout)
	ttl := cmp.Or(config.TTL, defaultTTL)
	concurrent := cmp.Or(config.MaxConcurrent, defaultConcurrent)
	client := fetch.NewPool(config.Transport, concurrent)
	i := &Introspection{
		issuer:  config.Issuer,
		revoked: config.Revoked,
		timeout: timeout,
		ttl:     ttl,
		judge: answerJudge{
			issuer: config.Issuer, audiences: slices.Clone(config.audiences()), clients: slices.Clone(config.ClientIDs),
			ours: config.AnswersAreOurs, leeway: leeway, lifetime: ttl, custom: config.Judge,
		},
		memory: newAnswerMemory(cmp.Or(config.CacheSize, defaultCacheSize), ttl, cmp.Or(config.NegativeTTL, defaultNegativeTTL), config.DangerouslyServeStale),
		line:   newLine(config.Issuer, config.Endpoint, config.Auth, client, concurrent, config.Signed),
	}
	_, _ = rand.Read(i.seed[:]) // never fails
	if config.Signed {
		algorithms := slices.Clone(config.Algorithms)
		if len(algorithms) == 0 {
			algorithms = jose.Algorithms()
		}
		i.signed = newSignedAnswers(config.Issuer, config.SignedAudience, algorithms, leeway, &keySource{
			locate:   &discovery.Locator{Issuer: config.Issuer, Member: discovery.KeySet, Fixed: config.JWKSURI},
			client:   client,
			maxStale: defaultMaxStale,
			cooldown: defaultCooldown,
		})
	}
	return i, nil
}

func (config IntrospectionConfig) audiences() []string {
	return Issuer{Audiences: config.Audiences}.audiences(config.Resource)
}

func (config IntrospectionConfig) mistakes() (mistakes []error) {
	mistake := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("verifier: "+format, args...))
	}
	between := func(field string, value, least, most time.Duration) {
		if value != 0 && (value < least || value > most) {
			mistake("%s %v is not between %v and %v", field, value, least, most)
		}
	}
	if config.Mistake != nil {
		mistakes = append(mistakes, config.Mistake)
	}
	if config.Resource == "" {
		mistake("Resource is required")
	}
	mistakes = append(mistakes, Issuer{
		URL: config.Issuer, Audiences: config.Audiences, Algorithms: config.Algorithms, JWKSURI: config.JWKSURI,
	}.check())
	if err := config.Auth.Validate(); err != nil {
		mistake("Auth: %w", err)
	}
	if config.Endpoint != "" {
		if err := fetch.CheckURL(config.Endpoint); err != nil {
			mistake("Endpoint %q: %w", config.Endpoint, err)
		}
	}
	if slices.Contains(config.ClientIDs, "") {
		mistake("ClientIDs: empty value")
	}
	between("TTL", config.TTL, time.Second, maxTTL)
	between("NegativeTTL", config.NegativeTTL, time.Millisecond, maxNegativeTTL)
	between("Leeway", config.Leeway, 0, maxLeeway)
	between("Timeout", config.Timeout, 10*time.Millisecond, fetch.Timeout)
	between("DangerouslyServeStale", config.DangerouslyServeStale, time.Second, maxServeStale)
	if config.MaxConcurrent < 0 || config.MaxConcurrent > maxConcurrent {
		mistake("MaxConcurrent %d is not between 0 and %d", config.MaxConcurrent, maxConcurrent)
	}
	switch {
	case config.Signed && config.SignedAudience == "":
		mistake("SignedAudience is required with Signed")
	case !config.Signed && (config.SignedAudience != "" || len(config.Algorithms) > 0 || config.JWKSURI != ""):
		mistake("SignedAudience, Algorithms and JWKSURI are about signed answers, which Signed does not ask for")
	}
	return mistakes
}
