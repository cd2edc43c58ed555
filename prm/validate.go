package prm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mistakes collects errors, so that all are reported at once.
type mistakes struct{ errs []error }

func (m *mistakes) add(format string, args ...any) {
	m.errs = append(m.errs, fmt.Errorf("prm: "+format, args...))
}

// Validate returns every mistake, joined, each with the name of the field and
// the value; nil if there is none. It does not call Sign.
func (m Metadata) Validate() error {
	var all mistakes
	all.resource(m.Resource)
	all.issuers(m.AuthorizationServers)
	all.scopes(m.ScopesSupported)
	for _, text := range m.texts() {
		all.text(text)
	}
	if m.BearerMethodsSupported != nil && !slices.Equal(m.BearerMethodsSupported, []string{"header"}) {
		all.add(`BearerMethodsSupported: %q must be nil or exactly "header", the only method that is accepted`, m.BearerMethodsSupported)
	}
	if m.JWKSURI != "" {
		all.url("JWKSURI", m.JWKSURI, urlRule{query: true})
	}
	all.algorithms("ResourceSigningAlgValuesSupported", m.ResourceSigningAlgValuesSupported)
	all.names("AuthorizationDetailsTypesSupported", m.AuthorizationDetailsTypesSupported)
	all.algorithms("DPoPSigningAlgValuesSupported", m.DPoPSigningAlgValuesSupported)
	for _, alg := range m.DPoPSigningAlgValuesSupported {
		// RFC 9449 §4.2: the proof's algorithm must not be symmetric.
		if len(alg) >= 2 && strings.EqualFold(alg[:2], "HS") {
			all.add("DPoPSigningAlgValuesSupported: %q is symmetric (RFC 9449 §4.2)", alg)
		}
	}
	all.extra(m)
	return errors.Join(all.errs...)
}

func (m *mistakes) resource(raw string) {
	if raw == "" {
		m.add("Resource: %q, a URL is required (RFC 9728 §2)", raw)
		return
	}
	u := m.url("Resource", raw, urlRule{query: true})
	if u == nil {
		return
	}
	shown := redactUserinfo(raw)
	if u.ForceQuery {
		m.add("Resource: %q ends in an empty query", shown)
	}
	path := strings.TrimPrefix(u.EscapedPath(), "/")
	segments := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for _, segment := range segments {
		// Clients and routers clean such a path, so nobody could reach the
		// document; http.ServeMux does not even register it.
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case ".", "..":
			m.add("Resource: %q has the dot segment %q in its path", shown, segment)
		case "":
			if path != "" {
				m.add("Resource: %q has an empty segment in its path", shown)
			}
		}
	}
	if strings.Contains(u.EscapedPath()+"/", wellKnown+"/") {
		m.add("Resource: %q is the URL of a metadata document, not of the resource", shown)
	}
}

func (m *mistakes) issuers(list []string) {
	if len(list) == 0 {
		m.add("AuthorizationServers: %q, at least one issuer is required", list)
	}
	m.duplicates("AuthorizationServers", list)
	for i, issuer := range list {
		field := fmt.Sprintf("AuthorizationServers[%d]", i)
		if issuer == "" {
			m.add("%s: %q is empty", field, issuer)
			continue
		}
		u := m.url(field, issuer, urlRule{}) // RFC 8414 §2: no query, no fragment
		if u != nil && strings.Contains(u.EscapedPath()+"/", "/.well-known/") {
			m.add("%s: %q is the URL of a metadata document; write the issuer that it names", field, redactUserinfo(issuer))
		}
	}
}

func (m *mistakes) scopes(list []string) {
	m.duplicates("ScopesSupported", list)
	for i, scope := range list {
		switch {
		case scope == "" || strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' }):
			m.add("ScopesSupported[%d]: %q is not a scope token (RFC 6749 §3.3)", i, scope)
		case scope == "offline_access":
			m.add("ScopesSupported[%d]: %q is between client and authorization server and does not belong here", i, scope)
		}
	}
}

// text checks a member that people read, and its language variants.
func (m *mistakes) text(text text) {
	check := func(field, value string) {
		switch {
		case text.field != "ResourceName":
			m.url(field, value, urlRule{query: true, fragment: true})
		case !printable(value):
			m.add("%s: %q has control characters or is not UTF-8", field, value)
		}
	}
	if text.value != "" {
		check(text.field, text.value)
	}
	seen := map[string]string{}
	for _, tag := range slices.Sorted(maps.Keys(text.lang)) {
		field := fmt.Sprintf("%sLang[%q]", text.field, tag)
		if !languageTag(tag) {
			m.add("%s: %q is not a language tag (RFC 5646 §2.1)", field, tag)
		}
		// RFC 5646 §2.1.1: case makes no difference.
		if other, ok := seen[strings.ToLower(tag)]; ok {
			m.add("%s: %q is the same language as %q", field, tag, other)
		}
		seen[strings.ToLower(tag)] = tag
		if value := text.lang[tag]; value == "" {
			m.add("%s: %q is empty", field, value)
		} else {
			check(field, value)
		}
	}
}

func (m *mistakes) algorithms(field string, list []string) {
	m.names(field, list)
	for _, alg := range list {
		if strings.EqualFold(alg, "none") {
			m.add("%s: %q is not a signature (RFC 9728 §2)", field, alg)
		}
	}
}

func (m *mistakes) names(field string, list []string) {
	m.duplicates(field, list)
	for i, name := range list {
		if name == "" || !printable(name) {
			m.add("%s[%d]: %q is empty, has control characters or is not UTF-8", field, i, name)
		}
	}
}

func (m *mistakes) duplicates(field string, list []string) {
	for i, value := range list {
		if slices.Contains(list[:i], value) {
			m.add("%s[%d]: %q is there twice", field, i, redactUserinfo(value))
		}
	}
}

func (m *mistakes) extra(meta Metadata) {
	for _, name := range slices.Sorted(maps.Keys(meta.Extra)) {
		switch {
		case name == "" || !printable(name):
			m.add("Extra[%q]: %q is empty, has control characters or is not UTF-8", name, name)
		case meta.defines(name):
			m.add("Extra[%q]: %q is defined by RFC 9728 and has a field of its own", name, name)
		}
		value, err := encodeValue(meta.Extra[name])
		if err != nil {
			m.add("Extra[%q]: value of type %T cannot be encoded: %w", name, meta.Extra[name], err)
		} else if !utf8.Valid(value) {
			m.add("Extra[%q]: value of type %T is not UTF-8", name, meta.Extra[name])
		}
	}
}

func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// languageTag checks the form of a tag, not whether its subtags are registered.
func languageTag(tag string) bool {
	for i, subtag := range strings.Split(tag, "-") {
		if subtag == "" || len(subtag) > 8 {
			return false
		}
		for _, c := range subtag {
			letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
			if !letter && (i == 0 || c < '0' || c > '9') {
				return false
			}
		}
	}
	return true
}
