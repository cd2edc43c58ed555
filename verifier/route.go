package verifier

import (
	"context"
	"errors"
	"slices"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// route picks the issuer by the unverified iss, which only chooses among ours,
// and applies the issuer's demands on the header.
func (j *JWT) route(ctx context.Context, jws *jose.JWS, c *claims) (*trusted, error) {
	issuer, err := j.pick(ctx, c.Issuer)
	if err != nil {
		return nil, err
	}
	if issuer == nil {
		return nil, &InvalidTokenError{Reason: ReasonIssuer, Hint: "iss names no configured issuer"}
	}
	if !issuer.signsWith(jws) {
		return nil, issuer.refuse(ReasonAlgorithm, "alg is not among the issuer's Algorithms")
	}
	if !issuer.marks(jws) {
		return nil, issuer.refuse(ReasonType, "typ is not among the issuer's Types")
	}
	return issuer, nil
}

// signsWith reports whether alg is one of the issuer's.
func (t *trusted) signsWith(jws *jose.JWS) bool { return slices.Contains(t.algorithms, jws.Algorithm) }

// marks reports whether typ is one by which the issuer marks access tokens.
func (t *trusted) marks(jws *jose.JWS) bool { return slices.Contains(t.types, mediaType(jws.Type)) }

// pick returns the issuer for iss, nil if there is none.
func (j *JWT) pick(ctx context.Context, iss string) (*trusted, error) {
	if issuer := j.configured(iss); issuer != nil || j.resolver == nil {
		return issuer, nil
	}
	return j.resolver.find(ctx, iss)
}

// configured returns the issuer for iss among those of the Config.
func (j *JWT) configured(iss string) *trusted {
	if issuer := j.issuers[iss]; issuer != nil && !issuer.template() {
		return issuer
	}
	for _, issuer := range j.templates {
		if issuer.Trusts(iss) {
			return issuer
		}
	}
	return nil
}

// Lookup returns the issuer that iss belongs to, as configured or as resolved for
// a token before. It does no I/O.
func (j *JWT) Lookup(iss string) (Issuer, bool) {
	issuer := j.configured(iss)
	if issuer == nil && j.resolver != nil {
		issuer = j.resolver.judged(iss)
	}
	if issuer == nil {
		return Issuer{}, false
	}
	return issuer.Issuer, true
}

// owns reports whether the issuer may use key for iss. A set that serves many
// tenants marks keys that are for one of them only; elsewhere the member has no
// meaning that one could rely on.
func (t *trusted) owns(key *jose.Key, iss string) bool {
	return !t.template() || key.Issuer == "" || key.Issuer == t.URL || key.Issuer == iss
}

// maxDiagnoses bounds the work that a token of nobody's can cause.
const maxDiagnoses = 8

// diagnose lets the issuers explain a refusal better than the general Hint.
func (j *JWT) diagnose(err error, token string) error {
	refused, ok := errors.AsType[*InvalidTokenError](err)
	if !ok || refused.Reason == ReasonProvider {
		return err
	}
	diagnosers := j.diagnosers
	if issuer := j.issuers[refused.Issuer]; issuer != nil {
		diagnosers = []*trusted{issuer}
	}
	if !slices.ContainsFunc(diagnosers, func(t *trusted) bool { return t.Diagnose != nil }) {
		return err
	}
	seen := Unverified{Reason: refused.Reason}
	jws, parseErr := jose.Parse(token)
	seen.Encrypted = errors.Is(parseErr, jose.ErrEncrypted)
	if parseErr == nil {
		var c claims
		if c.read(jws.Payload) == nil {
			seen.Issuer, seen.Claims = c.Issuer, jws.Payload
			seen.Audience, _ = list(c.Audience)
		}
		seen.Header = jws.Header
	}
	for _, issuer := range diagnosers {
		if hint := issuer.Diagnose(seen); hint != "" {
			return &InvalidTokenError{Reason: refused.Reason, Hint: hint, Issuer: refused.Issuer}
		}
	}
	return err
}
