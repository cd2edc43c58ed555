package middleware

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/authparam"
)

// bearerToken returns the credential of the request, "" where there is none
// that we speak. problem is the text of a 400 invalid_request, "" if there is
// nothing to complain about.
//
// Proxies differ in what they make of odd fields; whatever two readers could
// read differently is refused, never guessed.
func (ru *rules) bearerToken(r *http.Request) (token, problem string) {
	if ru.tokenHeader != "" {
		return bareToken(r.Header[ru.tokenHeader])
	}
	fields := r.Header["Authorization"]
	switch len(fields) {
	case 0:
		return "", ""
	case 1:
	default:
		// RFC 6750 §2: one method only. RFC 9110 §5.3: one field line only.
		return "", severalFields
	}
	token, problem = parseCredentials(fields[0])
	if token != "" && queryHasToken(r.URL) {
		return "", severalMethods // RFC 6750 §2
	}
	return token, problem
}

// bareToken reads the field that a gateway fills.
func bareToken(fields []string) (token, problem string) {
	if len(fields) > 1 {
		return "", severalFields
	}
	if len(fields) == 1 {
		token = strings.Trim(fields[0], " \t")
	}
	if hasSeparator(token) {
		return "", malformedCredentials
	}
	return token, ""
}

// hasSeparator reports what cannot be in one token. It looks four times, because
// looking for one octet is many times faster than for a set.
func hasSeparator(token string) bool {
	return strings.IndexByte(token, ' ') >= 0 || strings.IndexByte(token, ',') >= 0 ||
		strings.IndexByte(token, '"') >= 0 || strings.IndexByte(token, '\t') >= 0
}

// parseCredentials reads credentials = auth-scheme 1*SP token68 (RFC 9110
// §11.6.2, RFC 6750 §2.1). It leaves the alphabet of the token to the Verifier.
func parseCredentials(field string) (token, problem string) {
	field = strings.Trim(field, " \t") // HTTP/2 does not trim OWS
	if field == "" {
		return "", ""
	}
	n := authparam.TokenLen(field)
	scheme, rest := field[:n], field[n:]
	switch {
	case scheme == "":
		return "", malformedCredentials
	case !strings.EqualFold(scheme, "Bearer"): // RFC 9110 §11.1
		if hidesCredentials(rest) {
			return "", severalCredentials
		}
		return "", ""
	}
	token = strings.TrimLeft(rest, " ")
	// No separator but SP: other white space is a separator to some readers and
	// part of the scheme to others.
	if token == rest || hasSeparator(token) {
		return "", malformedCredentials
	}
	return token, ""
}

// maxForeignCredentials is above the largest Negotiate token in practice.
const maxForeignCredentials = 64 << 10

// hidesCredentials reports whether after a comma there are credentials that a
// laxer reader would find: `Basic x, Bearer y`. What is too long to be searched
// at leisure counts as such.
func hidesCredentials(rest string) bool {
	if len(rest) > maxForeignCredentials {
		return true
	}
	for {
		_, after, found := strings.Cut(rest, ",")
		if !found {
			return false
		}
		rest = strings.TrimLeft(after, " \t")
		scheme := rest[:authparam.TokenLen(rest)]
		if strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP") {
			return true
		}
	}
}

// queryHasToken reports whether the query has a parameter access_token, in any
// spelling that decodes to it. Its value is not looked at.
func queryHasToken(u *url.URL) bool {
	const name = "access_token"
	if !strings.Contains(u.RawQuery, name) && !strings.Contains(u.RawQuery, "%") {
		return false
	}
	isSeparator := func(r rune) bool { return r == '&' || r == ';' }
	for pair := range strings.FieldsFuncSeq(u.RawQuery, isSeparator) {
		key, _, _ := strings.Cut(pair, "=")
		if len(key)-len("61")*strings.Count(key, "%") != len(name) {
			continue // each escape is two bytes longer than what it stands for
		}
		if decoded, err := url.QueryUnescape(key); err == nil && decoded == name {
			return true
		}
	}
	return false
}
