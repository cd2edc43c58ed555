package middleware

import (
	"context"
	"errors"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Explain says why token is accepted or refused here, check by check, with what
// was expected and found and what to change. token is the credential alone,
// without "Bearer". It says nothing of scopes: they are a policy's business.
//
// It is for operators: an answer with it tells a forger what to mend, so serve it
// only where the caller is known, and never to the caller of a refused request.
// It reports nothing to Config.Observe, and may ask the provider, as a request
// with the token would.
func (g *Guard) Explain(ctx context.Context, token string) verifier.Explanation {
	ru := g.compiled()
	if ru == nil {
		return verifier.Explain(ctx, verifier.Func(unmade), token)
	}
	explanation := verifier.Explain(ctx, ru.verifier, token)
	if !explanation.Accepted {
		return explanation
	}
	check := verifier.Check{
		Name: "front door", State: verifier.CheckPassed,
		Expected: "expiry, issuer and audience that hold when looked at again",
	}
	verified, _, err := ru.verify(ctx, token)
	if err == nil {
		_, err = ru.recheck(verified)
	}
	if err != nil {
		explanation.Accepted = false
		refused, ok := errors.AsType[*verifier.InvalidTokenError](err)
		if ok {
			explanation.Reason = refused.Reason
			check.Reason, check.State, check.Fix = refused.Reason, verifier.CheckFailed, refused.Reason.Remedy()
		} else {
			explanation.Unavailable = (&Refusal{cause: err, Outcome: OutcomeUnavailable}).Error()
			check.State = verifier.CheckUnknown
		}
	}
	explanation.Checks = append(explanation.Checks, check)
	return explanation
}

// unmade is the Verifier of the zero Guard.
func unmade(context.Context, string) (*verifier.Token, error) {
	return nil, &verifier.InvalidTokenError{Reason: verifier.ReasonUnspecified, Hint: "the Guard was not made by New"}
}
