package idp

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// mistakes collects what is wrong with the values given to a preset.
type mistakes struct {
	preset string
	all    []error
}

func (m *mistakes) add(format string, args ...any) {
	m.all = append(m.all, fmt.Errorf("idp."+m.preset+": "+format, args...))
}

// err returns every mistake, nil if there is none.
func (m *mistakes) err() error { return errors.Join(m.all...) }

// Forms of the values given to presets.
const (
	guidForm  = `^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`
	hostForm  = `^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]*[a-z]$`
	labelForm = `^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`
	tagForm   = `^[0-9a-f]{64}$`
)

func has(form, value string) bool { return regexp.MustCompile(form).MatchString(value) }

// guid returns value in the lower case that tokens use.
func (m *mistakes) guid(name, value, advice string) string {
	value = strings.ToLower(value)
	if !has(guidForm, value) {
		m.add("%s %q is not a GUID: %s", name, value, advice)
	}
	return value
}

// host returns the host name in value, which may be written as an https URL.
func (m *mistakes) host(name, value, example string) string {
	host := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(value, "https://"), "/"))
	if !has(hostForm, host) {
		m.add("%s %q is not a host name like %s", name, value, example)
	}
	return host
}

// split returns origin and path of a URL; both are empty if it is none.
func split(address string) (origin, path string) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "", ""
	}
	return u.Scheme + "://" + u.Host, u.EscapedPath()
}

// refuse is the error of a Judge. hint must be a constant.
func refuse(reason verifier.Reason, hint string) error {
	return &verifier.InvalidTokenError{Reason: reason, Hint: hint}
}

// read decodes the claims of a verified token for a Judge.
func read(token *verifier.Token, claims any) error {
	if token.Claims(claims) != nil {
		return refuse(verifier.ReasonClaims, "a claim of the provider's own has the wrong type")
	}
	return nil
}

// look decodes one part of an unverified token for a Diagnose; what does not fit
// stays zero.
func look[T any](part []byte) (seen T) {
	var read T
	if part != nil && strictjson.Unmarshal(part, &read) == nil {
		seen = read
	}
	return seen
}

// opaque reports a credential that is no signed JWT at all.
func opaque(u verifier.Unverified) bool {
	return u.Encrypted || u.Reason == verifier.ReasonMalformed && u.Header == nil
}

// idToken is the hint for an ID token that carries no general mark of one.
const idToken = "an ID token, not an access token; the client must send the access token"
