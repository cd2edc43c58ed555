package middleware

import (
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/authparam"
)

// What a browser client of MCP needs. Credentials mode is never allowed: the
// token is in a header, and cookies have no part in it.
const (
	corsMethods = "GET, POST, DELETE, OPTIONS"
	corsHeaders = "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, " +
		"Mcp-Session-Id, Last-Event-ID, DPoP"
	// Without these a page cannot see why it was refused (RFC 9449 §7.1).
	corsExposed = "WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id, Retry-After"
	corsMaxAge  = "7200" // what browsers cap it to
)

// Bounds for the Mcp-Param-* names that a preflight may ask for.
const (
	maxParamNames   = 64
	maxParamName    = 128
	maxRequestNames = 8 << 10
)

// isPreflight reports whether r is a CORS preflight: a question of the browser
// that can carry neither credentials nor a body. Anything else with the method
// OPTIONS is a request like any other.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.ContentLength == 0 &&
		len(r.Header["Origin"]) > 0 && len(r.Header["Access-Control-Request-Method"]) > 0
}

// allowOrigin lets the page at an allowed origin read the answer to r.
func (ru *rules) allowOrigin(h http.Header, r *http.Request) {
	if ru == nil || len(r.Header["Origin"]) == 0 {
		return
	}
	if origin, allowed := ru.allowedOrigin(r); allowed {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Expose-Headers", corsExposed)
		h.Add("Vary", "Origin")
	}
}

// answerPreflight writes what a browser needs to know before it sends r.
func answerPreflight(h http.Header, r *http.Request) {
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Set("Access-Control-Allow-Headers", corsHeaders+paramNames(r.Header["Access-Control-Request-Headers"]))
	h.Set("Access-Control-Max-Age", corsMaxAge)
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
}

// paramNames returns the requested Mcp-Param-* names, each after ", ". Their
// names depend on the tools, and a wildcard would not cover Authorization.
func paramNames(requested []string) string {
	const prefix = "mcp-param-"
	var names []string
	for name := range strings.SplitSeq(bounded(requested), ",") {
		name = strings.ToLower(strings.Trim(name, " \t"))
		if strings.HasPrefix(name, prefix) && len(name) > len(prefix) && len(name) <= maxParamName &&
			authparam.IsToken(name) && len(names) < maxParamNames && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", " + strings.Join(names, ", ")
}

// bounded joins a list field and drops what is beyond any honest length.
func bounded(fields []string) string {
	if len(fields) > maxParamNames {
		fields = fields[:maxParamNames]
	}
	list := strings.Join(fields, ",")
	if len(list) <= maxRequestNames {
		return list
	}
	list = list[:maxRequestNames]
	return list[:strings.LastIndexByte(list, ',')+1] // not half a name
}
