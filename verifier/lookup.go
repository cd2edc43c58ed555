package verifier

// Lookup returns the server that was configured, if iss names it, with the aud
// values that mean this resource. It does no I/O.
func (i *Introspection) Lookup(iss string) (Issuer, bool) {
	if iss == "" || iss != i.issuer {
		return Issuer{}, false
	}
	return Issuer{URL: i.issuer, Audiences: i.judge.audiences}, true
}

// Lookup asks both, the JWT verifier first.
func (b *byShape) Lookup(iss string) (Issuer, bool) {
	if issuer, ok := b.jwt.Lookup(iss); ok {
		return issuer, true
	}
	if opaque, ok := b.opaque.(interface {
		Lookup(iss string) (Issuer, bool)
	}); ok {
		return opaque.Lookup(iss)
	}
	return Issuer{}, false
}
