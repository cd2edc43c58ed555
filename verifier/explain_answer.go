package verifier

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// Explain asks the server about token, whatever is remembered, and says check by
// check what was expected and found.
func (i *Introspection) Explain(ctx context.Context, token string) Explanation {
	var e explainer
	if i.line == nil || len(token) > jose.MaxToken || !askable(token) {
		_, err := i.Verify(ctx, token)
		e.check(i.line != nil, Check{Name: "issuer", Reason: ReasonIssuer, Expected: "an authorization server"})
		e.check(len(token) <= jose.MaxToken, Check{
			Name: "size", Reason: ReasonTooLarge, Expected: "at most 16384 octets", Found: strconv.Itoa(len(token)) + " octets",
		})
		e.check(askable(token), Check{Name: "form", Reason: ReasonMalformed, Expected: "printable ASCII (RFC 6749 §A.12)"})
		return e.conclude(err)
	}
	e.check(true, Check{Name: "size", Reason: ReasonTooLarge, Expected: "at most 16384 octets", Found: strconv.Itoa(len(token)) + " octets"})
	e.check(true, Check{Name: "form", Reason: ReasonMalformed, Expected: "printable ASCII (RFC 6749 §A.12)"})
	ctx, cancel := context.WithTimeout(ctx, i.timeout)
	defer cancel()
	server := Check{Name: "server", Expected: "an answer of " + show(i.issuer)}
	id := i.identify(token)
	received, asked, err := i.line.ask(ctx, token)
	var body []byte
	if err == nil {
		body, _, err = i.body(ctx, received, id, asked)
	}
	if err != nil {
		server.State = CheckUnknown
		e.checks = append(e.checks, server)
		return e.conclude(i.outage(err))
	}
	e.check(true, server)
	return e.conclude(e.answered(i, body))
}

// outage gives the error of an answer that says nothing its class.
func (i *Introspection) outage(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return &UnavailableError{Issuer: i.issuer, Err: err}
}

// answered explains the judgement of an answer, and returns it.
func (e *explainer) answered(i *Introspection, body []byte) error {
	yes, err := active(body)
	if err != nil {
		return i.outage(err)
	}
	e.check(yes, Check{Name: "active", Reason: ReasonInactive, Expected: "active is true", Found: "active is " + strconv.FormatBool(yes)})
	if !yes {
		return i.judge.refuse(ReasonInactive, "the authorization server says so")
	}
	now := time.Now()
	token, _, err := i.judge.judge(body, now)
	if err != nil && !errors.Is(err, ErrInvalidToken) {
		return i.outage(err)
	}
	var a answer
	wellTyped := strictjson.Object(body, &a) == nil
	e.check(wellTyped, Check{Name: "claim types", Reason: ReasonClaims, Expected: "each member has its type"})
	if !wellTyped {
		return err
	}
	e.check(a.Issuer == "" || a.Issuer == i.issuer, Check{
		Name: "issuer", Reason: ReasonIssuer, Expected: show(i.issuer) + " or none", Found: show(a.Issuer),
	})
	reason, hint := a.kind()
	e.check(reason == "", Check{Name: "kind", Reason: reason, Expected: "a bearer access token", Found: hint})
	if a.Expiry != nil {
		e.times(&a.claims, now, i.judge.leeway)
	}
	e.bindings(&i.judge, &a, body, token, err)
	return err
}

// bindings explains what comes after the custom rule, which alone knows what it
// would have filled in: where it has not run, the verdict must do.
func (e *explainer) bindings(j *answerJudge, a *answer, body []byte, token *Token, verdict error) {
	granted, ok := a.grants(body, "")
	e.check(ok, Check{Name: "scope", Reason: ReasonClaims, Expected: "scope tokens (RFC 6749 §3.3)", Found: showAll(granted.Slice())})
	audience, ok := a.audience()
	e.check(ok, Check{Name: "audience form", Reason: ReasonClaims, Expected: "a string or an array of strings"})
	refused, failed := errors.AsType[*InvalidTokenError](verdict)
	for _, check := range []Check{
		{Name: "provider", Reason: ReasonProvider, Expected: "the configured rule"},
		{Name: "subject", Reason: ReasonClaims, Expected: "sub, and no control characters in identifiers"},
		{
			Name: "audience", Reason: ReasonAudience, Expected: showAll(j.audiences), Found: showAll(audience),
			Fix: fmt.Sprintf("aud is %s, this resource is %s here. ", showAll(audience), showAll(j.audiences)),
		},
		{Name: "confirmation", Reason: ReasonConfirmation, Expected: "a bearer token"},
	} {
		switch {
		case token != nil:
			e.check(true, check)
		case failed && !e.failed() && refused.Reason == check.Reason:
			check.Fix = strings.TrimSpace(check.Fix + refused.Hint)
			e.check(false, check)
		case e.failed():
			e.missed(check)
		default:
			e.check(true, check)
		}
	}
}

// Explain explains by whoever verifies the token.
func (b *byShape) Explain(ctx context.Context, token string) Explanation {
	opaque := !looksLikeJWT(token)
	if !opaque {
		var err error
		if opaque, err = b.isOpaque(ctx, token); err != nil {
			return verdict(err)
		}
	}
	if opaque {
		return Explain(ctx, b.opaque, token)
	}
	return b.jwt.Explain(ctx, token)
}

// Explain returns v's own Explanation where it gives one, and otherwise one
// of its verdict.
func Explain(ctx context.Context, v Verifier, token string) Explanation {
	if own, ok := v.(interface {
		Explain(ctx context.Context, token string) Explanation
	}); ok {
		return own.Explain(ctx, token)
	}
	_, err := v.Verify(ctx, token)
	return verdict(err)
}
