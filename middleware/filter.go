package middleware

import (
	"context"

	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Filter returns a function that reports whether the caller, nil for nobody, may
// do an operation under policy: for listings that show only what can be used.
// Decide is asked too, without arguments. It panics like Protect, and the
// function is safe for concurrent use.
func (g *Guard) Filter(policy scopes.Policy) func(caller *verifier.Token, op scopes.Operation) bool {
	rules := g.compiled()
	route := rules.mustRoute(policy)
	return func(caller *verifier.Token, op scopes.Operation) bool {
		if rules == nil {
			return false
		}
		needs, refusal := rules.needs(context.Background(), route, caller, op)
		return refusal == nil && rules.compare(route, caller, needs) == nil
	}
}
