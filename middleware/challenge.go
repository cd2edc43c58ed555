package middleware

import (
	"fmt"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// maxChallenge bounds a WWW-Authenticate value: proxies and clients drop what
// exceeds their header buffer, often 8 KiB for all fields together.
const maxChallenge = 4 << 10

// challenge is the only writer of WWW-Authenticate. Its arguments come from the
// configuration and this package's constants, never from a request, and were
// proven to need no escape by checkedChallenge: clients that search with a
// regular expression do not undo escapes.
//
// Bearer comes first and has always a parameter, because clients look at the
// first scheme only and expect one. Without a code there are no error
// parameters (RFC 6750 §3.1); resource_metadata is RFC 9728 §5.1.
func challenge(code, description, scope, metadataURL string) string {
	if code == "" {
		return "Bearer " + parameters("resource_metadata", metadataURL, "scope", scope)
	}
	return "Bearer " + parameters("error", code, "error_description", description,
		"scope", scope, "resource_metadata", metadataURL)
}

// parameters joins name="value" pairs and leaves out those without a value.
func parameters(pairs ...string) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(pairs[i])
		b.WriteString(`="`)
		b.WriteString(pairs[i+1])
		b.WriteByte('"')
	}
	return b.String()
}

// checkedChallenge is challenge for values that nobody has looked at yet.
func checkedChallenge(code, description, scope, metadataURL string) (string, error) {
	for _, value := range []string{code, description, scope, metadataURL} {
		if i := strings.IndexFunc(value, needsEscape); i >= 0 {
			return "", fmt.Errorf("%q cannot stand in a challenge", value)
		}
	}
	return challenge(code, description, scope, metadataURL), nil
}

// needsEscape goes by error_description of RFC 6750 §3, the narrowest grammar.
func needsEscape(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }

// stepUp returns the challenge of a 403: all scopes that this operation needs,
// so that one step is enough (MCP authorization, §Runtime Insufficient Scope
// Errors), with those of this resource that the token already has, because
// older clients replace their scopes by what a challenge names.
func (ru *rules) stepUp(route *route, held, needed scopes.Set) string {
	needed = ru.fitting(needed)
	names := needed.Slice()
	room := maxChallenge - len(challenge("insufficient_scope", insufficientScope, needed.String(), ru.metadataURL))
	for name := range held.Intersect(route.known).All() {
		if size := len(name) + len(" "); !needed.Has(name) && size <= room {
			names = append(names, name)
			room -= size
		}
	}
	all, err := scopes.Of(names...)
	if err != nil {
		all = needed
	}
	return challenge("insufficient_scope", insufficientScope, all.String(), ru.metadataURL)
}

// fitting returns as many of needed as one challenge can hold. Only a batch, a
// subscription or Decide can ask for more; the rest is asked for the next time.
func (ru *rules) fitting(needed scopes.Set) scopes.Set {
	room := maxChallenge - len(challenge("insufficient_scope", strings.Repeat("-", maxDescription), "-", ru.metadataURL))
	if len(needed.String()) <= room {
		return needed
	}
	var names []string
	for name := range needed.All() {
		if size := len(name) + len(" "); size <= room {
			names = append(names, name)
			room -= size
		}
	}
	fit, err := scopes.Of(names...)
	if err != nil {
		return scopes.Set{}
	}
	return fit
}
