package scopes

import (
	"fmt"
	"maps"
	"slices"
)

// A Hierarchy says which scopes imply others: the key implies the values, and
// what they imply in turn. Servers must account for such relations (MCP
// 2026-07-28 authorization, Step-Up Authorization Flow). Cycles are legal and make
// their scopes equivalent. The zero value implies nothing.
//
//	scopes.Hierarchy{"admin": {"files:write"}, "files:write": {"files:read"}}
type Hierarchy map[string][]string

// Validate returns every scope that is not a legal token (RFC 6749 §3.3),
// joined, in the order of the keys; nil if there is none.
func (h Hierarchy) Validate() error {
	var errs []error
	for _, scope := range slices.Sorted(maps.Keys(h)) {
		if !isToken(scope) {
			errs = append(errs, fmt.Errorf("%q is not a scope token (RFC 6749 §3.3)", scope))
		}
		for _, implied := range h[scope] {
			if !isToken(implied) {
				errs = append(errs, fmt.Errorf("%q implies %q, which is not a scope token (RFC 6749 §3.3)", scope, implied))
			}
		}
	}
	return joinPrefixed("scopes: Hierarchy: ", errs)
}

// Compile works out once what every scope implies. It copies h, and fails as
// Validate does.
func (h Hierarchy) Compile() (Implied, error) {
	if err := h.Validate(); err != nil {
		return Implied{}, err
	}
	closure := make(map[string]Set, len(h))
	for scope := range h {
		closure[scope] = h.reach(scope)
	}
	return Implied{closure: closure}, nil
}

// reach returns what scope implies, directly or not.
func (h Hierarchy) reach(scope string) Set {
	seen := map[string]bool{}
	queue := slices.Clone(h[scope])
	for len(queue) > 0 {
		next := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if !seen[next] {
			seen[next] = true
			queue = append(queue, h[next]...)
		}
	}
	return newSet(slices.Collect(maps.Keys(seen)))
}

// Implied is a compiled [Hierarchy]. The zero value implies nothing. It is
// immutable and safe for concurrent use.
type Implied struct {
	closure map[string]Set
}

// Expand returns granted with all that it implies. It does not allocate if that
// adds nothing.
func (i Implied) Expand(granted Set) Set {
	expanded := granted
	if len(i.closure) == 0 {
		return expanded
	}
	for _, scope := range granted.tokens {
		if implied, ok := i.closure[scope]; ok {
			expanded = expanded.Union(implied)
		}
	}
	return expanded
}
