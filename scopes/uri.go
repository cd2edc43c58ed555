package scopes

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// resourceProblem says why a key of Policy.Resources matches nothing.
func resourceProblem(key string) string {
	prefix, isPrefix := strings.CutSuffix(key, wildcard)
	switch {
	case strings.Contains(prefix, wildcard):
		return `"*" stands only at the end`
	case !isPrefix:
		return ambiguity(key)
	case strings.IndexByte("/:?&=", lastByte(prefix)) < 0:
		return `before "*" stands one of / : ? & =, or it would match more than it says`
	}
	return ambiguity(prefix + "x")
}

// ambiguity says why uri may be another spelling of a different resource; empty
// if it is not (RFC 3986 §6.2.2, §6.2.3). Braces are legal: references of
// completion/complete are templates.
func ambiguity(uri string) string {
	if uri == "" {
		return "is empty"
	}
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return "has a character that no URI has"
		}
	}
	scheme, rest, found := strings.Cut(uri, ":")
	switch {
	case !found || !lowerScheme(scheme):
		return "does not begin with a scheme in lower case"
	case strings.Contains(rest, "#"):
		return "has a fragment"
	case !plainEscapes(rest):
		return "has an escape that has another spelling"
	}
	if decoded, err := url.PathUnescape(rest); err != nil || !utf8.ValidString(decoded) {
		return "is not UTF-8 when decoded"
	}
	path, hasAuthority := strings.CutPrefix(rest, "//")
	if hasAuthority {
		end := strings.IndexAny(path, "/?")
		if end < 0 {
			end = len(path)
		}
		if problem := authorityProblem(scheme, path[:end]); problem != "" {
			return problem
		}
		path = path[end:]
	}
	if scheme == "file" && (!strings.HasPrefix(rest, "///") || strings.Contains(rest, "?")) {
		return "is not file:/// and a path" // RFC 8089 has several spellings
	}
	return pathProblem(path)
}

func pathProblem(path string) string {
	beforeQuery, query, hasQuery := strings.Cut(path, "?")
	switch {
	case hasQuery && query == "":
		return "has an empty query"
	case strings.Contains(beforeQuery, "//"):
		return "has an empty path segment"
	}
	// In the query too: who takes a URI for a path does not know queries.
	for segment := range strings.FieldsFuncSeq(path, func(c rune) bool { return c == '/' || c == '?' }) {
		// What follows ";" is dropped by some routers.
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			return "has a dot segment"
		}
	}
	return ""
}

func authorityProblem(scheme, authority string) string {
	host, port := authority, ""
	if colon := strings.LastIndexByte(authority, ':'); colon >= 0 && !strings.HasSuffix(authority, "]") {
		host, port = authority[:colon], authority[colon+1:]
		if port == "" || port[0] == '0' || strings.Trim(port, "0123456789") != "" ||
			scheme+port == "http80" || scheme+port == "https443" || scheme+port == "ws80" || scheme+port == "wss443" {
			return "has a port that has another spelling"
		}
	}
	switch {
	case strings.Contains(authority, "@"):
		return "has user information"
	case host != strings.ToLower(host) || strings.Contains(host, "%") || strings.HasSuffix(host, "."):
		return "has a host that has another spelling"
	}
	return ""
}

// bare returns uri without what lax handlers drop: query, parameters of the last
// segment, and a slash, dot or blank at the end.
func bare(uri string) string {
	uri, _, _ = strings.Cut(uri, "?")
	if semicolon := strings.IndexByte(uri, ';'); semicolon > strings.LastIndexByte(uri, '/') {
		uri = uri[:semicolon]
	}
	for {
		short := strings.TrimSuffix(strings.TrimRight(uri, "/."), "%20")
		if short == uri {
			return uri
		}
		uri = short
	}
}

// lowerScheme implements scheme of RFC 3986 §3.1, without capitals.
func lowerScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || strings.IndexByte("0123456789+-.", c) < 0) {
			return false
		}
	}
	return s != ""
}

// plainEscapes reports whether every escape is in capitals and of a byte that
// must be escaped (RFC 3986 §6.2.2.1, §6.2.2.2), and that nobody takes for a
// separator, for another escape, or for the end of a text.
func plainEscapes(s string) bool {
	for i := strings.IndexByte(s, '%'); i >= 0; {
		if len(s) < i+3 {
			return false
		}
		high, low := strings.IndexByte(upperHex, s[i+1]), strings.IndexByte(upperHex, s[i+2])
		if high < 0 || low < 0 {
			return false
		}
		c := byte(high<<4 | low)
		unreserved := c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("-._~", c) >= 0
		if unreserved || c < ' ' || c == 0x7f || strings.IndexByte(`/\%`, c) >= 0 {
			return false
		}
		s = s[i+3:]
		i = strings.IndexByte(s, '%')
	}
	return true
}

const upperHex = "0123456789ABCDEF"

func lastByte(s string) byte {
	if s == "" {
		return 0
	}
	return s[len(s)-1]
}
