// Package scopes says which OAuth scopes an operation needs, and whether a token
// has them.
//
// Most programs need three functions: [All] for an operation that needs every
// scope named, [Any] for alternatives, [Public] for one that needs no token at
// all. A [Requirement] is pure data: it does no I/O and may be shared freely.
package scopes

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// What Parse reads at most. Both are far above what providers issue, and keep
// the work for a hostile scope value small.
const (
	maxBytes  = 8 << 10
	maxTokens = 1000
)

// A Set is an immutable set of scopes (RFC 6749 §3.3), kept sorted by code
// point. The zero value is the empty set. It is safe for concurrent use.
type Set struct {
	tokens []string // sorted, unique, legal; shared between Sets, never written
}

// Parse reads the value of a scope parameter or claim: scope tokens separated by
// spaces (RFC 6749 §3.3). The empty string is the empty set.
//
// Providers send surplus spaces, so those are skipped; any other white space is
// an error, because splitting on it would make two scopes out of one. More than
// 8 KiB, or 1000 tokens, is an error too. No error repeats any part of s, which
// may be a claim.
func Parse(s string) (Set, error) {
	if len(s) > maxBytes {
		return Set{}, fmt.Errorf("scopes: value of %d bytes, at most %d are read", len(s), maxBytes)
	}
	for i := range len(s) {
		if s[i] != ' ' && !tokenByte(s[i]) {
			return Set{}, fmt.Errorf("scopes: byte at offset %d is not allowed in a scope token (RFC 6749 §3.3)", i)
		}
	}
	var tokens []string
	for token := range strings.SplitSeq(s, " ") {
		if token == "" {
			continue
		}
		if len(tokens) == maxTokens {
			return Set{}, fmt.Errorf("scopes: more than %d tokens", maxTokens)
		}
		tokens = append(tokens, token)
	}
	return newSet(tokens), nil
}

// Of returns the set of tokens, each one scope (RFC 6749 §3.3). The error names
// every illegal one by its position and repeats none, because claims that are
// arrays come this way too. Of copies its arguments and has no upper limit: the
// caller holds them already.
func Of(tokens ...string) (Set, error) {
	var errs []error
	for i, token := range tokens {
		if !isToken(token) {
			errs = append(errs, fmt.Errorf("scopes: item %d is not a scope token (RFC 6749 §3.3)", i))
		}
	}
	if errs != nil {
		return Set{}, errors.Join(errs...)
	}
	return newSet(slices.Clone(tokens)), nil
}

// newSet takes ownership of tokens, which must be legal.
func newSet(tokens []string) Set {
	slices.Sort(tokens)
	return Set{tokens: slices.Clip(slices.Compact(tokens))}
}

// Has reports whether scope is in the set. Comparison is by code point: scopes
// are case-sensitive (RFC 6749 §3.3).
func (s Set) Has(scope string) bool {
	_, found := slices.BinarySearch(s.tokens, scope)
	return found
}

// Len returns the number of scopes.
func (s Set) Len() int { return len(s.tokens) }

// All iterates over the scopes in sorted order.
func (s Set) All() iter.Seq[string] { return slices.Values(s.tokens) }

// String returns the scopes in sorted order, separated by one space: the form of
// a scope parameter. It is empty for the empty set.
func (s Set) String() string { return strings.Join(s.tokens, " ") }

// Slice returns a copy of the scopes in sorted order; nil for the empty set.
func (s Set) Slice() []string { return append([]string(nil), s.tokens...) }

// Equal reports whether both sets hold the same scopes.
func (s Set) Equal(other Set) bool { return slices.Equal(s.tokens, other.tokens) }

// Contains reports whether every scope of other is in s. Every set contains the
// empty set.
func (s Set) Contains(other Set) bool {
	if len(other.tokens) > len(s.tokens) {
		return false
	}
	for _, token := range other.tokens {
		if !s.Has(token) {
			return false
		}
	}
	return true
}

// Union returns the scopes that are in either set.
func (s Set) Union(other Set) Set {
	switch {
	case s.Contains(other):
		return s
	case other.Contains(s):
		return other
	}
	return newSet(slices.Concat(s.tokens, other.tokens))
}

// Intersect returns the scopes that are in both sets.
func (s Set) Intersect(other Set) Set {
	return s.filter(other.Has)
}

// minus returns the scopes of s that other lacks.
func (s Set) minus(other Set) Set {
	return s.filter(func(token string) bool { return !other.Has(token) })
}

func (s Set) filter(keep func(string) bool) Set {
	var tokens []string
	for _, token := range s.tokens {
		if keep(token) {
			tokens = append(tokens, token)
		}
	}
	return Set{tokens: tokens}
}

// isToken implements scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), RFC 6749 §3.3.
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func tokenByte(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '\\' }
