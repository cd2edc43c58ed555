package scopes

import (
	"errors"
	"fmt"
	"slices"
)

// offlineAccess asks for a refresh token. That is between client and
// authorization server; MCP 2026-07-28 authorization, Refresh Tokens, keeps it
// out of challenges, and no resource can need it.
const offlineAccess = "offline_access"

// A Requirement says what a caller needs for an operation. Build it with [All],
// [Any] and [Public]. The zero value needs a valid token and no scope.
//
// One that was built from a mistake allows nothing and is not public; Validate
// names the mistake. A Requirement is immutable and safe for concurrent use.
type Requirement struct {
	// alternatives is in the order of writing, without repetitions. Each is a
	// non-empty set. Nil means that no scope is needed.
	alternatives []Set
	public       bool
	errs         []error // not nil: deny all
}

// All returns a Requirement for every one of scopes. Without arguments any valid
// token will do. An illegal scope token (RFC 6749 §3.3) or offline_access is a
// mistake that Validate reports.
func All(scopes ...string) Requirement {
	var errs []error
	for _, scope := range scopes {
		switch {
		case !isToken(scope):
			errs = append(errs, fmt.Errorf("%q is not a scope token (RFC 6749 §3.3)", scope))
		case scope == offlineAccess:
			errs = append(errs, fmt.Errorf("%q cannot be required: it asks for a refresh token, which no resource sees", scope))
		}
	}
	switch {
	case errs != nil:
		return Requirement{errs: errs}
	case len(scopes) == 0:
		return Requirement{}
	}
	return Requirement{alternatives: []Set{newSet(slices.Clone(scopes))}}
}

// Any returns a Requirement for at least one of alternatives, which may
// themselves be made by Any. Their order matters only to Needed.
//
// Mistakes that Validate reports, and that make it deny: no alternatives; one
// that needs no scope, or no token, since it would make the others pointless; a
// mistake inside one.
func Any(alternatives ...Requirement) Requirement {
	if len(alternatives) == 0 {
		return Requirement{errs: []error{errors.New("Any without alternatives denies everyone")}}
	}
	var all Requirement
	for i, one := range alternatives {
		switch {
		case one.errs != nil:
			for _, err := range one.errs {
				all.errs = append(all.errs, fmt.Errorf("Any, alternative %d: %w", i+1, err))
			}
		case one.public:
			all.errs = append(all.errs, fmt.Errorf("Any, alternative %d: Public makes the others pointless", i+1))
		case one.alternatives == nil:
			all.errs = append(all.errs, fmt.Errorf("Any, alternative %d: needs no scope, which makes the others pointless", i+1))
		}
		for _, set := range one.alternatives {
			if !slices.ContainsFunc(all.alternatives, set.Equal) {
				all.alternatives = append(all.alternatives, set)
			}
		}
	}
	if all.errs != nil {
		return Requirement{errs: all.errs}
	}
	return all
}

// Public returns a Requirement for nothing, not even a token.
func Public() Requirement { return Requirement{public: true} }

// IsPublic reports whether the operation needs no token.
func (r Requirement) IsPublic() bool { return r.public && r.errs == nil }

// Validate returns every mistake in r, joined; nil if there is none.
func (r Requirement) Validate() error { return joinPrefixed("scopes: ", r.errs) }

// Allows reports whether a token that grants these scopes satisfies r. granted
// must already hold the implied scopes (see [Implied.Expand]). More scopes never
// turn an allowed call into a denied one. It does not allocate.
func (r Requirement) Allows(granted Set) bool {
	if r.errs != nil {
		return false
	}
	for _, set := range r.alternatives {
		if granted.Contains(set) {
			return true
		}
	}
	return len(r.alternatives) == 0
}

// Needed returns the alternative that is closest to granted: the one with the
// fewest scopes missing, the first of those on a tie. It includes what is
// already granted, as one challenge names all scopes of the operation (MCP
// 2026-07-28 authorization). It is empty if no scope is needed, and if none
// would help because r is a mistake.
func (r Requirement) Needed(granted Set) Set {
	var closest Set
	fewest := -1
	for _, set := range r.alternatives {
		missing := 0
		for _, token := range set.tokens {
			if !granted.Has(token) {
				missing++
			}
		}
		if fewest < 0 || missing < fewest {
			closest, fewest = set, missing
		}
	}
	return closest
}

// Missing returns the scopes of Needed(granted) that granted lacks. It is empty
// if r is satisfied, and also if r is a mistake: ask Allows, not Missing,
// whether to let a call pass.
func (r Requirement) Missing(granted Set) Set { return r.Needed(granted).minus(granted) }

// Scopes returns every scope that is named anywhere in r; none if r is a
// mistake.
func (r Requirement) Scopes() Set {
	var tokens []string
	for _, set := range r.alternatives {
		tokens = append(tokens, set.tokens...)
	}
	return newSet(tokens)
}

// joinPrefixed puts prefix before every error, not only before the first line.
func joinPrefixed(prefix string, errs []error) error { return errors.Join(prefixed(prefix, errs)...) }

func prefixed(prefix string, errs []error) []error {
	all := make([]error, len(errs))
	for i, err := range errs {
		all[i] = fmt.Errorf("%s%w", prefix, err)
	}
	return all
}
