package middleware

import (
	"context"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Why a token ended a context, besides the errors of a Verifier. The first is
// also the context's cause.
var (
	errTokenExpired = fmt.Errorf("middleware: the access token has expired: %w", context.DeadlineExceeded)
	errNobodyKnows  = defect("the Verifier panicked")
	errGrantsLess   = defect("the token is of another caller, or grants less than before")
)

// end ends the context of an answered request, and reports an answer that was
// cut: somebody waited for the token's end, and it came before the handler's.
func (ru *rules) end(parent context.Context, ctx *tokenContext, route *route, d decision) {
	cause := ctx.release()
	if cause == nil || ru.observe == nil {
		return
	}
	ru.observe(parent, Event{
		Resource:  ru.resource,
		Outcome:   OutcomeEnded,
		Reason:    route.endReason(cause),
		Issuer:    d.issuer,
		Operation: d.operation,
		Scheme:    ru.scheme(d, OutcomeEnded),
		Caller:    d.caller,
	})
}

func (r *route) endReason(cause error) verifier.Reason {
	switch cause {
	case errTokenExpired:
		return verifier.ReasonExpired
	case errGrantsLess:
		return ""
	}
	return r.reason(cause)
}
