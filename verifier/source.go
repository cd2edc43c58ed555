package verifier

// A Source says how a token was found valid. The list is closed, so that it can
// label metrics.
type Source string

// The closed list of Sources.
const (
	// SourceSignature: its signature was verified now.
	SourceSignature Source = "jwt_cold"
	// SourceRemembered: its signature was verified before.
	SourceRemembered Source = "jwt_warm"
	// SourceIntrospection: the authorization server was asked now.
	SourceIntrospection Source = "introspection"
	// SourceAnswer: an answer of the authorization server was remembered.
	SourceAnswer Source = "introspection_warm"
)

// Sources returns the closed list.
func Sources() []Source {
	return []Source{SourceRemembered, SourceSignature, SourceAnswer, SourceIntrospection}
}

// Source returns how the token was found valid; empty for one of a custom
// Verifier.
func (t *Token) Source() Source {
	if t.hidden() == nil {
		return ""
	}
	return t.hidden().shared.source
}
