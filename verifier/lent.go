package verifier

import (
	"slices"
	"sync/atomic"
	"weak"
)

// lent lends a remembered token with its credential, without keeping it. Requests that
// come often share one until the garbage collection after the last of them: a new one
// for each would be a fifth of what a request leaves to the collector. The zero value
// has lent nothing. It is safe for concurrent use.
type lent struct {
	copies atomic.Uint32
	last   atomic.Pointer[weak.Pointer[Token]]
}

// Of so many copies that are made one is shared. A weak pointer costs as much as two
// more copies, which a token that is used a few times between two collections does not
// save.
const copiesPerShared = 16

// lend returns original, which has no credential, with raw; both are always the same.
func (l *lent) lend(original *Token, raw string, shared *record) *Token {
	if last := l.last.Load(); last != nil {
		// Whoever wrote to it, against its documentation, decides about no later request.
		if token := last.Value(); token != nil && token.equal(original) {
			return token
		}
	}
	token := original.hold(raw, shared)
	if l.copies.Add(1)%copiesPerShared == 0 {
		last := weak.Make(token)
		l.last.Store(&last)
	}
	return token
}

// equal compares everything but what the veil hides.
func (t *Token) equal(other *Token) bool {
	return t.Issuer == other.Issuer && t.Subject == other.Subject && t.ClientID == other.ClientID &&
		t.ID == other.ID && t.Tenant == other.Tenant && t.Actor == other.Actor &&
		t.Expiry == other.Expiry && t.IssuedAt == other.IssuedAt &&
		slices.Equal(t.Audience, other.Audience) && t.Scopes.Equal(other.Scopes)
}
