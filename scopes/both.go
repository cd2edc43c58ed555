package scopes

import (
	"fmt"
	"slices"
)

// maxAlternatives bounds what a conjunction may grow to: every alternative is
// compared on every request.
const maxAlternatives = 64

// isZero reports whether r is the zero value, which All() is too.
func (r Requirement) isZero() bool { return r.alternatives == nil && !r.public && r.errs == nil }

// both returns a Requirement for a and b. A mistake in either, or more than
// maxAlternatives, is a mistake. Alternatives that need more than another one are
// left out.
func both(a, b Requirement) Requirement {
	switch {
	case a.errs != nil || b.errs != nil:
		return Requirement{errs: slices.Concat(a.errs, b.errs)}
	case a.public:
		return b
	case b.public:
		return a
	case a.alternatives == nil:
		return b
	case b.alternatives == nil:
		return a
	}
	var all []Set
	for _, left := range a.alternatives {
		for _, right := range b.alternatives {
			set := left.Union(right)
			if slices.ContainsFunc(all, set.Contains) {
				continue
			}
			all = slices.DeleteFunc(all, func(other Set) bool { return other.Contains(set) })
			if all = append(all, set); len(all) > maxAlternatives {
				return Requirement{errs: []error{fmt.Errorf("more than %d combinations of alternatives", maxAlternatives)}}
			}
		}
	}
	return Requirement{alternatives: all}
}
