package middleware

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Check decides about one request and writes nothing. It returns the token, or
// a *Refusal, or (nil, nil) for a caller without credentials where the policy
// is public. It reports to Config.Observe, does not read the body, and neither
// removes credentials nor adds CORS headers to the answer of an accepted
// request; Protect does.
//
// A CORS preflight has no operation to decide about: its *Refusal has Status
// 204 and answers it. A policy that is not valid refuses. Protect checks a
// policy once, Check does so every time.
func (g *Guard) Check(r *http.Request, policy scopes.Policy) (*verifier.Token, error) {
	rules := g.compiled()
	var d decision
	if route, err := rules.route(policy); err == nil {
		d = rules.decide(r, route)
	} else {
		d.refusal = rules.deny(err)
	}
	rules.report(r.Context(), d)
	if d.refusal != nil {
		return nil, d.refusal
	}
	return d.token, nil
}

// A decision is a token, a refusal, or neither: anonymous.
type decision struct {
	token    *verifier.Token
	refusal  *Refusal
	issuer   string // the configured issuer's URL, once it is known
	duration time.Duration
}

// decide applies the rules in the order in which a later answer would tell more
// than an earlier one allows.
func (ru *rules) decide(r *http.Request, route route) decision {
	if ru == nil {
		return decision{refusal: unconfigured()}
	}
	if problem := ru.checkCaller(r); problem != "" {
		return decision{refusal: ru.forbid(problem)}
	}
	if isPreflight(r) {
		return decision{refusal: ru.preflight()}
	}
	credential, problem := ru.bearerToken(r)
	switch {
	case problem != "":
		return decision{refusal: ru.invalidRequest(problem)}
	case credential != "":
		return ru.judge(r.Context(), credential, route)
	case route.base.IsPublic():
		return decision{}
	}
	return decision{refusal: ru.unauthenticated(route)}
}

// judge decides about a request with a credential, also where none is needed:
// dropping a bad one silently would turn a known caller into nobody.
func (ru *rules) judge(ctx context.Context, credential string, route route) decision {
	token, duration, err := ru.verify(ctx, credential)
	if err != nil {
		refusal := ru.refuseToken(ctx, err, route)
		return decision{refusal: refusal, duration: duration, issuer: ru.configuredIssuer(err)}
	}
	issuer, err := ru.recheck(token)
	d := decision{issuer: issuer, duration: duration}
	if err != nil {
		d.refusal = ru.invalidToken(err, route)
		return d
	}
	if granted := ru.implied.Expand(token.Scopes); !route.base.Allows(granted) {
		d.refusal = ru.insufficientScope(route, token.Scopes, granted)
		return d
	}
	d.token = token
	return d
}

// verify asks the Verifier and never returns a token together with an error.
func (ru *rules) verify(ctx context.Context, credential string) (*verifier.Token, time.Duration, error) {
	var start time.Time
	if ru.observe != nil {
		start = time.Now()
	}
	token, err := ru.verifier.Verify(ctx, credential)
	var duration time.Duration
	if ru.observe != nil {
		duration = time.Since(start)
	}
	switch {
	case err != nil:
		return nil, duration, err
	case token == nil:
		return nil, duration, defect("the Verifier returned neither a token nor an error")
	}
	return token, duration, nil
}

// recheck judges what every Verifier should have judged, so that a forgetful
// one fails closed. It returns the configured issuer's URL.
func (ru *rules) recheck(token *verifier.Token) (issuer string, err error) {
	trusted, ok := ru.issuers.find(token.Issuer)
	if !ok {
		return "", recheckFailed(verifier.ReasonIssuer, "")
	}
	issuer = trusted.URL
	switch {
	case token.Expiry.IsZero():
		return issuer, recheckFailed(verifier.ReasonClaims, issuer)
	case !time.Now().Before(token.Expiry.Add(ru.leeway)): // RFC 7519 §4.1.4
		return issuer, recheckFailed(verifier.ReasonExpired, issuer)
	case !slices.ContainsFunc(token.Audience, trusted.means): // RFC 8707 §2
		return issuer, recheckFailed(verifier.ReasonAudience, issuer)
	}
	return issuer, nil
}

func recheckFailed(reason verifier.Reason, issuer string) error {
	return &verifier.InvalidTokenError{Reason: reason, Issuer: issuer, Hint: "the Verifier let it pass"}
}

// configuredIssuer returns the issuer that a Verifier's error names, if it is
// one of ours: an event must not carry text that came with a token.
func (ru *rules) configuredIssuer(err error) string {
	var name string
	var invalid *verifier.InvalidTokenError
	var unavailable *verifier.UnavailableError
	switch {
	case errors.As(err, &invalid):
		name = invalid.Issuer
	case errors.As(err, &unavailable):
		name = unavailable.Issuer
	}
	if _, ok := ru.issuers.byURL[name]; ok {
		return name
	}
	return ""
}

// report tells the observer, if there is one.
func (ru *rules) report(ctx context.Context, d decision) {
	if ru == nil || ru.observe == nil {
		return
	}
	event := Event{
		Resource: ru.resource,
		Outcome:  OutcomeAllowed,
		Issuer:   d.issuer,
		Duration: d.duration,
		Token:    d.token,
	}
	switch {
	case d.refusal != nil:
		event.Outcome, event.Reason, event.Status = d.refusal.Outcome, d.refusal.Reason, d.refusal.Status
		if event.Outcome != OutcomePreflight {
			event.Err = d.refusal
		}
	case d.token == nil:
		event.Outcome = OutcomeAnonymous
	}
	ru.observe(ctx, event)
}
