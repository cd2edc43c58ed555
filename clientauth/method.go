// Package clientauth says how this resource server proves who it is to an
// authorization server, at its introspection or token endpoint.
//
// A [Method] is made by one of the constructors and handed to a Config. Which one
// is right is written in the provider's metadata
// (introspection_endpoint_auth_methods_supported, RFC 8414 §2). No Method ever
// prints, logs or marshals a secret.
package clientauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
)

// A Method authenticates requests of one client. The zero value refuses to. It is
// immutable and safe for concurrent use.
type Method struct {
	name  string // for people; the registered name where there is one (RFC 8414 §2)
	wrong error  // found by the constructor
	apply applier
}

// applier adds the proof to a request.
type applier func(ctx context.Context, header http.Header, form url.Values, audience string) error

// errUnset is what the zero Method answers.
var errUnset = errors.New("clientauth: no method is set; use None where the endpoint asks for no authentication")

// Validate returns what is wrong with the values that the constructor was given,
// joined, or nil. The constructors of Gatehouse's clients call it.
func (m Method) Validate() error {
	if m.apply == nil && m.wrong == nil {
		return errUnset
	}
	return m.wrong
}

// Apply adds the proof to a request whose field header and form will be sent: an
// Authorization field, or parameters. It replaces what they held under the same
// name. audience is who is asked, the authorization server's issuer identifier
// (or token endpoint), for methods that name it. An error holds no secret; ctx
// bounds what the Method has to fetch or to sign elsewhere.
func (m Method) Apply(ctx context.Context, header http.Header, form url.Values, audience string) error {
	if err := m.Validate(); err != nil {
		return err
	}
	return m.apply(ctx, header, form, audience)
}

// String returns the method's name, such as "client_secret_basic", and no value.
func (m Method) String() string {
	if m.name == "" {
		return "clientauth.Method(unset)"
	}
	return "clientauth.Method(" + m.name + ")"
}

// Format writes what String returns, whatever the verb.
func (m Method) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, m.String()) }

// LogValue returns what String returns, for log/slog.
func (m Method) LogValue() slog.Value { return slog.StringValue(m.String()) }

// MarshalJSON returns what String returns.
func (m Method) MarshalJSON() ([]byte, error) { return json.Marshal(m.String()) }
