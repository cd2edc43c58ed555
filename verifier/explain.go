package verifier

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// Explain judges token like Verify, without what is remembered, and says check
// by check what was expected and found. It may fetch keys, as Verify may.
func (j *JWT) Explain(ctx context.Context, token string) Explanation {
	_, _, _, err := j.verify(ctx, token)
	var e explainer
	j.explain(ctx, &e, token, err)
	e.advise(err, j.diagnose(err, token))
	return e.conclude(err)
}

// advise replaces the general fix of the check that decided by what the issuer's
// own rule or diagnosis says.
func (e *explainer) advise(general, diagnosed error) {
	before, _ := errors.AsType[*InvalidTokenError](general)
	after, ok := errors.AsType[*InvalidTokenError](diagnosed)
	if !ok || after.Hint == "" || before != nil && before.Hint == after.Hint && after.Reason != ReasonProvider {
		return
	}
	for i := range e.checks {
		if e.checks[i].State == CheckFailed {
			e.checks[i].Fix = after.Hint
			return
		}
	}
}

// The checks of a JWT that come before its issuer is known, and those of its
// signature.
var (
	sizeCheck      = Check{Name: "size", Reason: ReasonTooLarge, Expected: "at most 16384 octets, 2048 of them header"}
	formCheck      = Check{Name: "form", Reason: ReasonMalformed, Expected: "three base64url segments, the first strict JSON (RFC 7515 §7.1)"}
	headerCheck    = Check{Name: "header", Reason: ReasonHeader, Expected: "no crit, b64, zip, and no name in two spellings"}
	typesCheck     = Check{Name: "claim types", Reason: ReasonClaims, Expected: "one strict JSON object; iss, sub, jti, client_id and azp are strings"}
	issuerCheck    = Check{Name: "issuer", Reason: ReasonIssuer}
	algorithmCheck = Check{Name: "algorithm", Reason: ReasonAlgorithm}
	typeCheck      = Check{Name: "type", Reason: ReasonType}
	keyCheck       = Check{Name: "key", Reason: ReasonUnknownKey}
	signatureCheck = Check{Name: "signature", Reason: ReasonSignature, Expected: "made by that key over these octets"}
)

// explain makes the checks of verify with the functions that verify uses. err is
// verify's.
func (j *JWT) explain(ctx context.Context, e *explainer, token string, err error) {
	jws, parsed := jose.Parse(token)
	if !e.parsed(token, parsed) {
		e.missed(typesCheck, issuerCheck, algorithmCheck, typeCheck, keyCheck, signatureCheck)
		return
	}
	var c claims
	if refused, failed := errors.AsType[*InvalidTokenError](c.read(jws.Payload)); failed {
		check := typesCheck
		check.Reason, check.Found = refused.Reason, refused.Hint
		e.check(false, check)
		e.missed(issuerCheck, algorithmCheck, typeCheck, keyCheck, signatureCheck)
		return
	}
	e.check(true, typesCheck)
	issuer := e.routed(ctx, j, jws, &c)
	if issuer == nil {
		e.missed(algorithmCheck, typeCheck, keyCheck, signatureCheck)
		return
	}
	verified := e.signed(ctx, issuer, jws, &c, err)
	e.claims(issuer, &c, jws, j.leeway, verified)
}

// parsed explains what jose.Parse says.
func (e *explainer) parsed(token string, err error) bool {
	size, form, header := sizeCheck, formCheck, headerCheck
	size.Found = strconv.Itoa(len(token)) + " octets"
	if err == nil {
		e.check(true, size)
		e.check(true, form)
		e.check(true, header)
		return true
	}
	refused, _ := errors.AsType[*InvalidTokenError](unparsed(err))
	switch {
	case refused.Reason == ReasonTooLarge:
		e.check(false, size)
		e.missed(form, header)
	case refused.Reason == ReasonHeader:
		e.check(true, size)
		e.check(true, form)
		e.check(false, header)
	default:
		form.Found = refused.Hint
		e.check(true, size)
		e.check(false, form)
		e.missed(header)
	}
	return false
}

// routed explains pick, and what the issuer demands of the header.
func (e *explainer) routed(ctx context.Context, j *JWT, jws *jose.JWS, c *claims) *trusted {
	issuer, err := j.pick(ctx, c.Issuer)
	var urls []string
	for _, configured := range j.order {
		urls = append(urls, configured.URL)
	}
	check := issuerCheck
	check.Expected, check.Found = showAll(urls), show(c.Issuer)
	check.Fix = fmt.Sprintf("iss is %s, and no configured issuer has exactly that URL: %s", show(c.Issuer), ReasonIssuer.Remedy())
	if err != nil {
		check.State, check.Fix = CheckUnknown, ""
		e.checks = append(e.checks, check)
		return nil
	}
	e.check(issuer != nil, check)
	if issuer == nil {
		return nil
	}
	check = algorithmCheck
	check.Expected, check.Found = showAll(issuer.algorithms), show(jws.Algorithm)
	e.check(issuer.signsWith(jws), check)
	check = typeCheck
	check.Expected, check.Found = showAll(issuer.types), show(jws.Type)
	e.check(issuer.marks(jws), check)
	return issuer
}

// signed explains key and signature. After an outage only err knows.
func (e *explainer) signed(ctx context.Context, issuer *trusted, jws *jose.JWS, c *claims, err error) bool {
	status := issuer.keys.status(time.Now())
	check := keyCheck
	check.Expected = fmt.Sprintf("one of the issuer's %d keys, for this kid and alg", status.Keys)
	if !status.Fetched.IsZero() {
		check.Expected += ", fetched " + showTime(status.Fetched, time.Now())
	}
	check.Found = "no kid, and none or several keys for this alg"
	if jws.HasKeyID {
		check.Found = "kid " + show(jws.KeyID)
	}
	if _, refused := errors.AsType[*InvalidTokenError](err); err != nil && !refused {
		check.State, check.Expected = CheckUnknown, "keys of the issuer, which cannot be had now"
		e.checks = append(e.checks, check)
		e.missed(signatureCheck)
		return false
	}
	if e.failed() && !e.wouldVerify(err) {
		// A real request stops before it asks for keys; so does this.
		check.Expected = "a key of the issuer"
		e.missed(check, signatureCheck)
		return false
	}
	_, key, err := issuer.keys.find(ctx, jws)
	if err != nil || !issuer.owns(key, c.Issuer) {
		e.check(false, check)
		e.missed(signatureCheck)
		return false
	}
	if !jws.HasKeyID {
		check.Found = "no kid, and one key for this alg"
	}
	e.check(true, check)
	ok := key.Verify(jws)
	e.check(ok, signatureCheck)
	return ok
}

func (e *explainer) failed() bool {
	return slices.ContainsFunc(e.checks, func(c Check) bool { return c.State == CheckFailed })
}

// wouldVerify reports that verify came as far as the key.
func (e *explainer) wouldVerify(err error) bool {
	refused, _ := errors.AsType[*InvalidTokenError](err)
	return refused == nil || !slices.Contains([]Reason{ReasonAlgorithm, ReasonType}, refused.Reason)
}

// claims explains judge. Claims that nobody vouches for are shown, not judged.
func (e *explainer) claims(t *trusted, c *claims, jws *jose.JWS, leeway time.Duration, verified bool) {
	now := time.Now()
	first := len(e.checks)
	e.kind(c, t.DangerouslyAcceptIDTokens || mediaType(jws.Type) == "at+jwt")
	e.times(c, now, leeway)
	granted, ok := c.grants(jws.Payload, t.ScopeClaim)
	e.check(ok, Check{
		Name: "scope", Reason: ReasonClaims, Expected: "scope tokens (RFC 6749 §3.3)", Found: showAll(granted.Slice()),
	})
	_, ok = actor(c.Act)
	e.check(ok, Check{Name: "actor", Reason: ReasonClaims, Expected: "no act, or an object that names an actor (RFC 8693 §4.1)"})
	e.tenant(t, c)
	audience, ok := list(c.Audience)
	e.check(ok || c.Audience == nil, Check{
		Name: "audience form", Reason: ReasonClaims, Expected: "a string or an array of strings",
	})
	token, err := t.draft(c, jws, "", now, leeway)
	if err == nil && verified {
		audience = e.judged(t, token)
	} else {
		e.missed(Check{Name: "provider", Reason: ReasonProvider, Expected: "the issuer's own rules"})
		if subject := strings.TrimSpace(c.Subject); token == nil {
			token = &Token{Subject: subject, ClientID: c.ClientID, ID: c.ID}
		}
	}
	if verified && err != nil && t.Judge != nil {
		first = len(e.checks) // Judge might have filled in what is missing
		verified = false
	}
	e.bound(t, token, audience, c.Confirm != nil)
	for i := first; !verified && i < len(e.checks); i++ {
		e.checks[i].State, e.checks[i].Fix = CheckNotReached, ""
	}
}

func (e *explainer) kind(c *claims, idTokens bool) {
	kind := c.foreign(idTokens)
	found := kind
	if kind == "" {
		found = "no mark of another kind"
	}
	e.check(kind == "", Check{Name: "kind", Reason: ReasonType, Expected: "an access token", Found: found})
}

// times explains judgeTimes, which stops at the first mistake.
func (e *explainer) times(c *claims, now time.Time, leeway time.Duration) {
	_, _, reason, hint := c.judgeTimes(now, leeway)
	var found []string
	for _, claim := range []struct {
		name string
		text []byte
	}{{"exp", c.Expiry}, {"nbf", c.NotBefore}, {"iat", c.IssuedAt}} {
		switch at, ok := date(claim.text); {
		case claim.text == nil:
			found = append(found, "no "+claim.name)
		case !ok:
			found = append(found, claim.name+" is not a date")
		default:
			found = append(found, claim.name+" "+showTime(at, now))
		}
	}
	check := Check{
		Name: "times", Reason: reason,
		Expected: fmt.Sprintf("exp after and nbf and iat before %s, give or take %s", now.UTC().Format(time.RFC3339), leeway),
		Found:    strings.Join(found, ", "),
	}
	if reason != "" {
		check.Fix = hint + ". " + reason.Remedy()
	}
	e.check(reason == "", check)
}

func (e *explainer) tenant(t *trusted, c *claims) {
	if !t.template() {
		return
	}
	tenant, ok := t.tenant(c.Issuer)
	e.check(ok && tenant == c.tenant(), Check{
		Name: "tenant", Reason: ReasonIssuer, Expected: show(tenant), Found: show(c.tenant()),
	})
}

// judged explains the issuer's own rules, and returns the audience that they
// make of the token's.
func (e *explainer) judged(t *trusted, token *Token) []string {
	check := Check{Name: "provider", Reason: ReasonProvider, Expected: "the issuer's own rules", Found: "no rules"}
	if t.Judge == nil {
		e.check(true, check)
		return token.Audience
	}
	check.Found = "fulfilled"
	err := token.judgedBy(t.Judge)
	if err != nil {
		check.Found = "not fulfilled"
		if refused, ok := errors.AsType[*InvalidTokenError](t.judged(err)); ok {
			check.Reason, check.Fix = refused.Reason, refused.Hint
		}
	}
	e.check(err == nil, check)
	return token.Audience
}

// bound explains whose the token is and for whom.
func (e *explainer) bound(t *trusted, token *Token, audience []string, confirmed bool) {
	e.check(strings.TrimSpace(token.Subject) != "" && token.identifies(), Check{
		Name: "subject", Reason: ReasonClaims, Expected: "sub, and no control characters in identifiers",
	})
	e.check(names(audience, t.audiences), Check{
		Name: "audience", Reason: ReasonAudience, Expected: showAll(t.audiences), Found: showAll(audience),
		Fix: fmt.Sprintf("aud is %s, this resource is %s here. %s", showAll(audience), showAll(t.audiences), ReasonAudience.Remedy()),
	})
	found := "no cnf"
	if confirmed {
		found = "cnf"
	}
	e.check(!confirmed, Check{Name: "confirmation", Reason: ReasonConfirmation, Expected: "a bearer token", Found: found})
}
