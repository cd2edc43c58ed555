package middleware

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"
	"weak"

	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Check decides about one request and writes nothing. It returns the token, or
// a *Refusal, or (nil, nil) for a caller without credentials where the policy
// is public. It reports to Config.Observe, and neither removes credentials nor
// adds CORS headers to the answer of an accepted request; Protect does. Where the
// policy names operations it reads the body, and replaces r.Body by one with the
// same octets, and r.Header by one that asks for no other protocol (Upgrade).
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
	caller   *verifier.Token // the verified token, sufficient or not

	operation  string // as an event may call it
	credential string // of caller, to verify it again

	// body is what r.Body was replaced by, if its memory is to be used again. A handler
	// may run for hours after the message: nothing here keeps the octets that it left.
	body weak.Pointer[replay]
}

// endBody ends the body with the handler.
func (d *decision) endBody() {
	if body := d.body.Value(); body != nil {
		body.end()
	}
}

// decide applies the rules in the order in which a later answer would tell more
// than an earlier one allows.
func (ru *rules) decide(r *http.Request, route *route) (d decision) {
	if ru == nil {
		d.refusal = unconfigured()
		return d
	}
	if problem := ru.checkCaller(r); problem != "" {
		d.refusal = ru.forbid(problem)
		return d
	}
	if isPreflight(r) {
		d.refusal = ru.preflight()
		return d
	}
	credential, problem := ru.bearerToken(r)
	switch {
	case problem != "":
		d.refusal = ru.invalidRequest(problem)
		return d
	case credential != "":
		// Also where no token is needed: dropping a bad one silently would turn a
		// known caller into nobody.
		ru.authenticate(r.Context(), credential, route, &d)
	case !route.public:
		d.refusal = ru.unauthenticated(route.start)
	}
	if d.refusal == nil {
		ru.authorize(r, route, &d)
	}
	switch {
	case d.refusal == nil:
		d.token = d.caller
	case ru.bodies:
		ru.inBody(r, &d)
	}
	return d
}

// authenticate finds out who calls.
func (ru *rules) authenticate(ctx context.Context, credential string, route *route, d *decision) {
	token, duration, err := ru.verify(ctx, credential)
	d.duration = duration
	if err != nil {
		d.refusal, d.issuer = ru.refuseToken(ctx, err, route), ru.configuredIssuer(err)
		return
	}
	if d.issuer, err = ru.recheck(token); err != nil {
		d.refusal = ru.invalidToken(err, route)
		return
	}
	d.caller, d.credential = token, credential
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
	if invalid, ok := errors.AsType[*verifier.InvalidTokenError](err); ok {
		name = invalid.Issuer
	} else if unavailable, ok := errors.AsType[*verifier.UnavailableError](err); ok {
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
		Caller:   d.caller,

		Operation: d.operation,
	}
	switch {
	case d.refusal != nil:
		event.Outcome, event.Reason, event.Status = d.refusal.Outcome, d.refusal.Reason, d.refusal.Status
		event.Needed = d.refusal.needed
		if event.Outcome != OutcomePreflight {
			event.Err = d.refusal
		}
	case d.token == nil:
		event.Outcome = OutcomeAnonymous
	}
	event.Scheme = ru.scheme(d, event.Outcome)
	ru.observe(ctx, event)
}
