package verifier

// KeyStatus describes the keys of the JWT's issuers.
func (b *byShape) KeyStatus() []KeyStatus { return b.jwt.KeyStatus() }

// CacheStatus describes the remembered tokens of the JWT.
func (b *byShape) CacheStatus() CacheStatus { return b.jwt.CacheStatus() }

// Status describes the Introspection, where Opaque is one.
func (b *byShape) Status() IntrospectionStatus {
	if opaque, ok := b.opaque.(interface{ Status() IntrospectionStatus }); ok {
		return opaque.Status()
	}
	return IntrospectionStatus{}
}
