package prm

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// wellKnown is inserted between host and path (RFC 9728 §3).
const wellKnown = "/.well-known/oauth-protected-resource"

// insert returns the path and the URL of the document about resource (RFC 9728
// §3.1), cut from the text itself so that not a byte of the rest changes.
func insert(resource string) (path, query, location string) {
	start := strings.Index(resource, "://") + len("://")
	end := len(resource)
	if i := strings.IndexAny(resource[start:], "/?"); i >= 0 {
		end = start + i
	}
	path, query, _ = strings.Cut(resource[end:], "?")
	if path == "/" {
		path = "" // RFC 9728 §3.1: the slash that ends the host goes, no other
	}
	path = wellKnown + path
	location = resource[:end] + path
	if query != "" {
		location += "?" + query
	}
	return path, query, location
}

// A urlRule says what a URL may have beyond scheme, host, port and path.
type urlRule struct {
	query, fragment bool
}

// url checks one URL and returns it parsed, or nil if it cannot be judged
// further.
func (m *mistakes) url(field, raw string, rule urlRule) *url.URL {
	shown := redactUserinfo(raw)
	if i := strings.IndexFunc(raw, func(c rune) bool { return !urlRune(c) }); i >= 0 {
		m.add("%s: %q has a character at offset %d that a URL cannot hold (RFC 3986 §2)", field, shown, i)
		return nil
	}
	u, err := url.Parse(raw)
	if err != nil {
		m.add("%s: %q is not a URL", field, shown)
		return nil
	}
	if u.Scheme == "" || u.Hostname() == "" {
		m.add("%s: %q is not an absolute URL with a host", field, shown)
		return nil
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		m.add("%s: %q must use https; http is for loopback only", field, shown)
	}
	if u.User != nil {
		m.add("%s: %q carries a user name or password", field, shown)
	}
	if !validHost(strings.TrimSuffix(u.Host, ":"+u.Port())) {
		m.add("%s: %q has a malformed host", field, shown)
	}
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
			m.add("%s: %q has a malformed port", field, shown)
		}
	}
	if !rule.fragment && strings.Contains(raw, "#") {
		m.add("%s: %q has a fragment", field, shown)
	}
	if !rule.query && (u.RawQuery != "" || u.ForceQuery) {
		m.add("%s: %q has a query", field, shown)
	}
	return u
}

// urlRune reports whether RFC 3986 §2 knows c. Quotes, backslashes, spaces and
// controls are out, so that the URL can stand in a quoted-string as it is.
func urlRune(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		strings.ContainsRune("-._~:/?#[]@!$&'()*+,;=%", c)
}

// validHost accepts what DNS names, IPv4 and IPv6 addresses are made of. No
// escapes: two spellings of one host would be two identifiers.
func validHost(host string) bool {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && addr.Is6() && addr.Zone() == ""
	}
	return host != "" && !strings.ContainsFunc(host, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_')
	})
}

// loopback reports whether host is the machine itself: 127.0.0.0/8, ::1 or
// localhost.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && (addr.Is4() && addr.IsLoopback() || addr == netip.IPv6Loopback())
}

// redactUserinfo keeps a password out of error texts.
func redactUserinfo(raw string) string {
	start := strings.Index(raw, "//")
	if start < 0 {
		return raw
	}
	start += len("//")
	end := len(raw)
	if i := strings.IndexAny(raw[start:], "/?#"); i >= 0 {
		end = start + i
	}
	if at := strings.LastIndexByte(raw[start:end], '@'); at >= 0 {
		return raw[:start] + "..." + raw[start+at:]
	}
	return raw
}
