package verifier

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// A JWT verifies JSON Web Tokens by the rules of RFC 9068, RFC 8725 and its
// issuers. It is safe for concurrent use. The zero value refuses every token.
type JWT struct {
	issuers    map[string]*trusted // by URL, templates included
	order      []*trusted
	templates  []*trusted
	diagnosers []*trusted
	resolver   *resolver // nil: issuers are all
	leeway     time.Duration
	cache      *tokenCache
}

// Verify judges token, cheapest check first; nothing leaves this machine until
// the token names a configured issuer. Errors are as Verifier says.
func (j *JWT) Verify(ctx context.Context, token string) (*Token, error) {
	if known := j.recall(token); known != nil {
		return known, nil
	}
	return j.learn(ctx, token)
}

// recall returns a remembered token. One whose issuer was resolved and then dropped for
// others is not: the front door looks it up, and would not find it.
func (j *JWT) recall(token string) *Token {
	if !j.cache.takes(token) {
		return nil
	}
	known := j.cache.get(token, time.Now())
	if known == nil || j.resolver == nil {
		return known
	}
	if _, ok := j.Lookup(known.Issuer); !ok {
		return nil
	}
	return known
}

// learn judges a token that is not remembered, and remembers it.
func (j *JWT) learn(ctx context.Context, token string) (*Token, error) {
	verified, issuer, generation, err := j.verify(ctx, token)
	if err != nil {
		return nil, j.diagnose(err, token)
	}
	if j.cache.takes(token) {
		j.cache.put(token, verified, issuer, generation)
	}
	return verified, nil
}

// verify judges a token by its issuer, its key and its claims.
func (j *JWT) verify(ctx context.Context, token string) (*Token, *trusted, uint64, error) {
	jws, err := jose.Parse(token)
	if err != nil {
		return nil, nil, 0, unparsed(err)
	}
	var c claims
	if err := c.read(jws.Payload); err != nil {
		return nil, nil, 0, err
	}
	issuer, err := j.route(ctx, jws, &c)
	if err != nil {
		return nil, nil, 0, err
	}
	keys, key, err := issuer.keys.find(ctx, jws)
	switch {
	case errors.Is(err, errUnknownKey):
		return nil, nil, 0, issuer.refuse(ReasonUnknownKey, "no key of the issuer has this kid and alg")
	case err != nil:
		return nil, nil, 0, err
	}
	if !issuer.owns(key, c.Issuer) {
		return nil, nil, 0, issuer.refuse(ReasonUnknownKey, "the key belongs to another issuer or tenant")
	}
	if !key.Verify(jws) {
		return nil, nil, 0, issuer.refuse(ReasonSignature, "the signature does not verify")
	}
	verified, err := issuer.judge(&c, jws, token, time.Now(), j.leeway)
	return verified, issuer, keys.generation, err
}

// unparsed translates an error of jose.Parse.
func unparsed(err error) error {
	switch {
	case errors.Is(err, jose.ErrTooLarge):
		return &InvalidTokenError{Reason: ReasonTooLarge, Hint: err.Error()}
	case errors.Is(err, jose.ErrHeader):
		return &InvalidTokenError{Reason: ReasonHeader, Hint: err.Error()}
	default:
		return &InvalidTokenError{Reason: ReasonMalformed, Hint: err.Error()}
	}
}

func (t *trusted) refuse(reason Reason, hint string) error {
	return &InvalidTokenError{Reason: reason, Hint: hint, Issuer: t.URL}
}

// judge checks the claims of a token whose signature verified.
func (t *trusted) judge(c *claims, jws *jose.JWS, raw string, now time.Time, leeway time.Duration) (*Token, error) {
	token, err := t.draft(c, jws, raw, now, leeway)
	if err != nil {
		return nil, err
	}
	if t.Judge != nil {
		if err := token.judgedBy(t.Judge); err != nil {
			return nil, t.judged(err)
		}
	}
	switch {
	case strings.TrimSpace(token.Subject) == "":
		return nil, t.refuse(ReasonClaims, "sub is missing (RFC 9068 §2.2)")
	case !token.identifies():
		return nil, t.refuse(ReasonClaims, "an identifier has control characters")
	case !names(token.Audience, t.audiences):
		return nil, t.refuse(ReasonAudience, "aud does not name this resource; register it at the provider, or list the provider's value in the issuer's Audiences")
	case c.Confirm != nil:
		return nil, t.refuse(ReasonConfirmation, "the token is bound to a key (cnf), and proofs are not supported here")
	}
	return token, nil
}

// identifies reports whether all that names somebody is fit for it.
func (t *Token) identifies() bool {
	return identifier(t.Subject) && identifier(t.ClientID) && identifier(t.ID)
}

// draft returns the token that the claims describe, before the issuer's own
// rules and what must hold after them.
func (t *trusted) draft(c *claims, jws *jose.JWS, raw string, now time.Time, leeway time.Duration) (*Token, error) {
	if kind := c.foreign(t.DangerouslyAcceptIDTokens || mediaType(jws.Type) == "at+jwt"); kind != "" {
		return nil, t.refuse(ReasonType, kind)
	}
	expiry, issued, reason, hint := c.judgeTimes(now, leeway)
	if reason != "" {
		return nil, t.refuse(reason, hint)
	}
	granted, ok := c.grants(jws.Payload, t.ScopeClaim)
	if !ok {
		return nil, t.refuse(ReasonClaims, "the scope claim has characters that no scope has (RFC 6749 §3.3)")
	}
	token := Token{
		Issuer: c.Issuer, Subject: c.Subject, ClientID: c.ClientID, ID: c.ID,
		Scopes: granted, Expiry: expiry, IssuedAt: issued,
	}.hold(raw, &record{jws.Payload, SourceSignature})
	if token.ClientID == "" {
		token.ClientID = c.Azp
	}
	if token.Actor, ok = actor(c.Act); !ok {
		return nil, t.refuse(ReasonClaims, "act is not an object that names an actor (RFC 8693 §4.1)")
	}
	if t.template() {
		// route has matched iss; Microsoft asks to compare tid as well.
		if token.Tenant, ok = t.tenant(c.Issuer); !ok || token.Tenant != c.tenant() {
			return nil, t.refuse(ReasonIssuer, "tid is not the tenant in iss")
		}
	}
	if c.Audience != nil {
		if token.Audience, ok = list(c.Audience); !ok {
			return nil, t.refuse(ReasonClaims, "aud is neither a string nor an array of strings")
		}
	}
	return token, nil
}

// judged gives an error of an issuer's own rule its class.
func (t *trusted) judged(err error) error {
	if invalid, ok := errors.AsType[*InvalidTokenError](err); ok {
		return t.refuse(invalid.Reason, invalid.Hint)
	}
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return t.refuse(ReasonProvider, "refused by the issuer's own rule")
}

// Ready reports whether every issuer has keys, fetching them where it has none.
// It is meant for readiness probes, not for liveness: an outage of a provider is
// no reason to restart. The error joins one *UnavailableError per issuer.
func (j *JWT) Ready(ctx context.Context) error {
	if len(j.order) == 0 && j.resolver == nil {
		return errors.New("verifier: the JWT verifier was not made by NewJWT")
	}
	failures := make([]error, len(j.order))
	done := make(chan struct{})
	for i, issuer := range j.order {
		go func() {
			failures[i] = issuer.keys.ready(ctx)
			done <- struct{}{}
		}()
	}
	for range j.order {
		<-done
	}
	return errors.Join(failures...)
}

// KeyStatus describes the keys of every issuer, in the order of the Config. It
// does no I/O.
func (j *JWT) KeyStatus() []KeyStatus {
	now := time.Now()
	status := make([]KeyStatus, 0, len(j.order))
	for _, issuer := range j.order {
		status = append(status, issuer.keys.status(now))
	}
	return status
}
