package scopes

// A Policy says what the operations of one route need. It is safe for concurrent
// use as long as nobody writes its fields.
type Policy struct {
	_ [0]func()

	// Base is what every request on the route needs. Zero value: a valid token,
	// no scope.
	Base Requirement
}

// Validate returns every mistake in the policy, joined, each with the name of
// its field; nil if there is none.
func (p Policy) Validate() error { return joinPrefixed("scopes: Policy.Base: ", p.Base.errs) }
