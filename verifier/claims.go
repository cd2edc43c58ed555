package verifier

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// claims is what is read from a verified payload. A Value keeps the claim's
// text, so that each can be judged by its own rule.
type claims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  strictjson.Value `json:"aud"`
	Expiry    strictjson.Value `json:"exp"`
	NotBefore strictjson.Value `json:"nbf"`
	IssuedAt  strictjson.Value `json:"iat"`
	ID        string           `json:"jti"`
	ClientID  string           `json:"client_id"`
	Azp       string           `json:"azp"`
	Scope     strictjson.Value `json:"scope"`
	Scp       strictjson.Value `json:"scp"`
	Confirm   strictjson.Value `json:"cnf"`
	Tid       strictjson.Value `json:"tid"`
	Act       strictjson.Value `json:"act"`

	// Marks of other kinds of tokens.
	Nonce         strictjson.Value `json:"nonce"`
	AtHash        strictjson.Value `json:"at_hash"`
	CHash         strictjson.Value `json:"c_hash"`
	Events        strictjson.Value `json:"events"`
	Introspection strictjson.Value `json:"token_introspection"`
}

// maxLifetime bounds exp: access tokens are short-lived (RFC 9068 §5), and a far
// future is a mistake in units or an overflow waiting to happen.
const maxLifetime = 366 * 24 * time.Hour

// date reads a NumericDate (RFC 7519 §2), which may have a fraction. The range
// is checked before the conversion, which would wrap.
func date(v strictjson.Value) (time.Time, bool) {
	if v.Kind() != '0' || len(v) > 32 {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseFloat(string(v), 64)
	if err != nil || !(seconds > 0 && seconds < 253402300800) {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// judgeTimes checks exp, nbf and iat (RFC 7519 §4.1.4 to §4.1.6).
func (c *claims) judgeTimes(now time.Time, leeway time.Duration) (expiry, issued time.Time, reason Reason, hint string) {
	var ok bool
	if c.Expiry == nil {
		return expiry, issued, ReasonClaims, "exp is missing"
	}
	if expiry, ok = date(c.Expiry); !ok {
		return expiry, issued, ReasonClaims, "exp is not a date"
	}
	if !now.Before(expiry.Add(leeway)) {
		return expiry, issued, ReasonExpired, "exp has passed"
	}
	if expiry.After(now.Add(maxLifetime)) {
		return expiry, issued, ReasonClaims, "exp lies more than a year ahead"
	}
	if c.NotBefore != nil && string(c.NotBefore) != "0" { // 0 is how some say "always"
		begin, ok := date(c.NotBefore)
		if !ok {
			return expiry, issued, ReasonClaims, "nbf is not a date"
		}
		if begin.After(now.Add(leeway)) {
			return expiry, issued, ReasonNotYetValid, "nbf lies in the future; compare the clocks"
		}
	}
	if c.IssuedAt != nil {
		if issued, ok = date(c.IssuedAt); !ok {
			return expiry, issued, ReasonClaims, "iat is not a date"
		}
		if issued.After(now.Add(leeway)) {
			return expiry, issued, ReasonNotYetValid, "iat lies in the future; compare the clocks"
		}
	}
	return expiry, issued, "", ""
}

// foreign names the other kind of token that the claims give away, or "".
func (c *claims) foreign(idTokens bool) string {
	switch {
	case c.Introspection != nil:
		return "an introspection response (RFC 9701 §5), not an access token"
	case c.Events != nil:
		return "a security event or logout token, not an access token"
	case !idTokens && (c.Nonce != nil || c.AtHash != nil || c.CHash != nil):
		return "an ID token, not an access token; the client must send the access token"
	}
	return ""
}

// list reads a claim that is a string or an array of strings. ok is false for
// any other form, and for null.
func list(v strictjson.Value) (values []string, ok bool) {
	switch v.Kind() {
	case '"':
		one, ok := text(v)
		return []string{one}, ok
	case '[':
		return items(v)
	}
	return nil, false
}

// items reads an array of strings.
func items(v strictjson.Value) (values []string, ok bool) {
	reader := strictjson.NewReader(v, strictjson.MaxDepth)
	elements, err := reader.Elements()
	for err == nil {
		var more bool
		if more, err = elements.Next(); err != nil || !more {
			break
		}
		item, err := reader.Value()
		one, ok := text(item)
		if err != nil || !ok || len(values) == maxClaims {
			return nil, false
		}
		values = append(values, one)
	}
	return values, err == nil
}

// text reads a string.
func text(v strictjson.Value) (string, bool) {
	if v.Kind() != '"' {
		return "", false
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1]), true
	}
	var s string
	err := strictjson.Unmarshal(v, &s)
	return s, err == nil
}

// tenant returns tid, empty where it is not a string.
func (c *claims) tenant() string {
	tenant, _ := text(c.Tid)
	return tenant
}

// grants reads the scopes. A claim of a wrong form grants nothing; one with
// characters that no scope has makes the token invalid (RFC 6749 §3.3).
func (c *claims) grants(payload []byte, name string) (scopes.Set, bool) {
	claim := c.Scope
	switch {
	case name == "" && claim == nil, name == "scp":
		claim = c.Scp
	case name != "" && name != "scope":
		var all map[string]strictjson.Value
		if strictjson.Unmarshal(payload, &all) != nil {
			return scopes.Set{}, false
		}
		claim = all[name]
	}
	values, ok := list(claim)
	if !ok {
		return scopes.Set{}, true
	}
	var set scopes.Set
	var err error
	if claim.Kind() == '[' {
		set, err = scopes.Of(values...) // an item is one scope, however it reads
	} else {
		set, err = scopes.Parse(values[0])
	}
	return set, err == nil
}

// identifier reports whether s is fit to name somebody: no control characters,
// which cut strings short and forge log lines.
func identifier(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return !strings.ContainsFunc(s, unicode.IsControl)
		}
	}
	return true
}

// names reports whether any of audience is one of wanted. A bare origin with and
// without its final slash is one resource, because older SDKs appended it; every
// other difference counts (RFC 8707 §2).
func names(audience, wanted []string) bool {
	return slices.ContainsFunc(audience, func(have string) bool {
		return slices.ContainsFunc(wanted, func(want string) bool { return SameResource(have, want) })
	})
}

// SameResource compares two resource identifiers code point by code point,
// except that "https://h" and "https://h/" are one.
func SameResource(a, b string) bool {
	return a == b || bareOrigin(a) != "" && bareOrigin(a) == bareOrigin(b)
}

// bareOrigin returns s without its final slash where s is scheme and authority
// alone, else "".
func bareOrigin(s string) string {
	_, rest, found := strings.Cut(s, "://")
	if !found {
		return ""
	}
	rest = strings.TrimSuffix(rest, "/")
	if rest == "" || strings.ContainsAny(rest, "/?#") {
		return ""
	}
	return strings.TrimSuffix(s, "/")
}
