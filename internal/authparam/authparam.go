// Package authparam reads and writes the challenges of WWW-Authenticate by the
// sender's grammar of RFC 9110 §11.6.1: no empty list elements, no white space
// around "=", no parameter twice. What it refuses, some client misreads.
package authparam

import (
	"fmt"
	"strings"
)

// A Challenge is one challenge of a WWW-Authenticate field. It has either a
// Token68 or Params, or neither.
type Challenge struct {
	// Scheme is the authentication scheme as written; it is case-insensitive.
	Scheme string
	// Token68 is the bare credential form that Negotiate and NTLM use.
	Token68 string
	// Params are in the order of the field.
	Params []Param
}

// A Param is one auth-param (RFC 9110 §11.2). Value is without quotes and
// escapes.
type Param struct {
	Name, Value string
}

// Is reports whether the challenge is of the scheme, in any case.
func (c Challenge) Is(scheme string) bool { return strings.EqualFold(c.Scheme, scheme) }

// Get returns the value of the parameter name, in any case, and whether the
// challenge has it.
func (c Challenge) Get(name string) (string, bool) {
	for _, p := range c.Params {
		if strings.EqualFold(p.Name, name) {
			return p.Value, true
		}
	}
	return "", false
}

// Format writes challenges as one field value, every parameter quoted. It fails
// where a part does not fit the grammar, and for an empty list.
func Format(challenges ...Challenge) (string, error) {
	if len(challenges) == 0 {
		return "", fmt.Errorf("authparam: no challenge")
	}
	var b strings.Builder
	for i, c := range challenges {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := appendChallenge(&b, c); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

func appendChallenge(b *strings.Builder, c Challenge) error {
	if !IsToken(c.Scheme) {
		return fmt.Errorf("authparam: scheme %q is not a token", c.Scheme)
	}
	b.WriteString(c.Scheme)
	if c.Token68 != "" {
		if len(c.Params) > 0 || token68Len(c.Token68) != len(c.Token68) {
			return fmt.Errorf("authparam: challenge of scheme %q has a bad token68", c.Scheme)
		}
		b.WriteString(" " + c.Token68)
		return nil
	}
	separator := " "
	for i, p := range c.Params {
		if !IsToken(p.Name) {
			return fmt.Errorf("authparam: parameter name %q is not a token", p.Name)
		}
		if hasParam(c.Params[:i], p.Name) {
			return fmt.Errorf("authparam: parameter %q twice", p.Name)
		}
		quoted, err := Quote(p.Value)
		if err != nil {
			return err
		}
		b.WriteString(separator + p.Name + "=" + quoted)
		separator = ", "
	}
	return nil
}

// Quote returns s as a quoted-string (RFC 9110 §5.6.4). It fails for control
// characters, which no escape can carry.
func Quote(s string) (string, error) {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case isText(c):
			b.WriteByte(c)
		default:
			return "", fmt.Errorf("authparam: value %q has a control character", s)
		}
	}
	b.WriteByte('"')
	return b.String(), nil
}

// IsToken reports whether s is a token (RFC 9110 §5.6.2): one tchar or more.
func IsToken(s string) bool { return s != "" && TokenLen(s) == len(s) }

// TokenLen returns the length of the longest run of tchar that s starts with.
func TokenLen(s string) int {
	for i := range len(s) {
		if !isTchar(s[i]) {
			return i
		}
	}
	return len(s)
}

func isTchar(c byte) bool {
	return isAlnum(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// isText reports whether a quoted-string may hold c, escaped or not.
func isText(c byte) bool { return c == '\t' || c >= ' ' && c != 0x7f }

func hasParam(params []Param, name string) bool {
	_, has := Challenge{Params: params}.Get(name)
	return has
}
