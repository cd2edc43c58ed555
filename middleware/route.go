package middleware

import (
	"fmt"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// A route is a compiled policy. It is immutable.
type route struct {
	policy  *scopes.Rules
	public  bool // some operation needs no token
	names   bool // operations, and so labels events
	known   scopes.Set
	start   scopes.Set                 // what a 401 names: the scopes to start with
	invalid map[verifier.Reason]string // the challenge of a 401 with a bad token
}

// route compiles a policy. The rules may be nil: the zero Guard.
func (ru *rules) route(policy scopes.Policy) (*route, error) {
	compiled, err := policy.Compile()
	if err != nil {
		return nil, err
	}
	if ru == nil {
		return &route{policy: compiled}, nil
	}
	// The longest text and all scopes at once: no challenge of this route can
	// grow longer, except by what Decide adds and by held scopes, which are
	// dropped first.
	for needed := range compiled.Requirements() {
		longest, err := checkedChallenge("insufficient_scope", strings.Repeat("-", maxDescription),
			needed.Scopes().String(), ru.metadataURL)
		if err != nil {
			return nil, err
		}
		if len(longest) > maxChallenge {
			return nil, fmt.Errorf("its challenge has %d bytes, at most %d reach every client", len(longest), maxChallenge)
		}
	}
	r := &route{
		policy:  compiled,
		public:  compiled.AnyPublic(),
		names:   policy.Tools != nil || policy.Prompts != nil || policy.Resources != nil || policy.Methods != nil,
		known:   ru.known.Union(compiled.Scopes()),
		start:   compiled.Base().Needed(scopes.Set{}),
		invalid: make(map[verifier.Reason]string),
	}
	for _, reason := range verifier.Reasons() {
		r.invalid[reason] = challenge(codeInvalidToken, describe(reason), r.start.String(), ru.metadataURL)
	}
	return r, nil
}

// label returns how an event calls an operation: by a key of the policy only, so
// that no caller can invent one.
func (r *route) label(op scopes.Operation) string {
	if key := r.policy.Key(op); key != "" || !r.names {
		return key
	}
	return "other"
}
