package verifier

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/contextkey"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// A Token is a verified access token. Requests that carry the same credential may share
// it: never write to what a Verifier returned or a context holds. A copy of
// the struct is yours, what its slices and Actor point to is not. It prints, logs and
// marshals redacted; no claim value leaves it by accident.
type Token struct {
	// Issuer is the authorization server's identifier, exactly as in iss.
	Issuer string
	// Subject is the user, or the client itself where there is no user. It is
	// unique per Issuer only: key user data by both, never by Subject alone.
	Subject string
	// ClientID is the OAuth client (RFC 9068 §2.2); empty where the provider
	// sends none.
	ClientID string
	// Audience holds the resources that the token was issued for (RFC 7519
	// §4.1.3), as established by the Verifier.
	Audience []string
	// Scopes is what the token grants, before implied scopes are added.
	Scopes scopes.Set
	// Expiry is the time from which the token is refused; never zero.
	Expiry time.Time
	// IssuedAt is the time of issue; zero where the provider sends none.
	IssuedAt time.Time
	// ID is the token's identifier, jti (RFC 7519 §4.1.7); may be empty.
	ID string
	// Tenant is the provider's tenant, where the provider has tenants.
	Tenant string
	// Actor is who acts for Subject (RFC 8693 §4.1), from act. Nil: Subject itself,
	// by way of ClientID.
	Actor *Actor

	veil *veil
}

// A veil keeps what it points to from being printed. fmt prints the unexported
// fields of a struct around a Token by reflection, and for a wrong verb even what
// a pointer points to, but never what that points to.
type veil struct{ secret *secret }

type secret struct {
	raw    string
	shared *record
}

// A record is what all copies of one verification have in common. It is immutable.
type record struct {
	claims []byte
	source Source
}

// hidden returns what is behind the veil, nil if there is nothing.
func (t *Token) hidden() *secret {
	if t == nil || t.veil == nil {
		return nil
	}
	return t.veil.secret
}

// hold returns token with its secret, in one allocation.
func (t Token) hold(raw string, shared *record) *Token {
	held := &struct {
		token  Token
		veil   veil
		secret secret
	}{token: t, secret: secret{raw, shared}}
	held.token.veil, held.veil.secret = &held.veil, &held.secret
	return &held.token
}

// judgedBy asks a configured rule. It may fill in fields, or assign a whole Token;
// credential, claims and Source stay those of t.
func (t *Token) judgedBy(rule func(*Token) error) error {
	before := t.veil
	err := rule(t)
	t.veil = before
	return err
}

// Claims decodes the token's claims into v, a pointer as for json.Unmarshal.
// Names match in exact case only. It fails for a token of a custom Verifier
// that attached no claims.
func (t *Token) Claims(v any) error {
	hidden := t.hidden()
	if hidden == nil || hidden.shared.claims == nil {
		return errors.New("verifier: the token carries no claims")
	}
	if err := strictjson.Unmarshal(hidden.shared.claims, v); err != nil {
		return fmt.Errorf("verifier: claims do not fit %T", v)
	}
	return nil
}

// WithClaims returns a copy of the token that carries claims, a JSON object, for
// Claims. It is meant for custom Verifiers.
func (t Token) WithClaims(claims []byte) *Token {
	return t.hold(t.DangerouslyRaw(), &record{claims: bytes.Clone(claims)})
}

// DangerouslyRaw returns the credential itself. Passing it to another service
// is what the MCP rules forbid (token passthrough): a service that receives it
// can act as the user here. Package exchange needs it to trade it for another.
func (t *Token) DangerouslyRaw() string {
	if hidden := t.hidden(); hidden != nil {
		return hidden.raw
	}
	return ""
}

// redacted stands wherever a Token is printed.
const redacted = "verifier.Token(redacted)"

// String returns a constant.
func (t Token) String() string { return redacted }

// Format writes a constant, whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns a constant, for log/slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns a constant.
func (t Token) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// NewContext returns a context that carries token. The front door has one of its
// own for handlers; this one is for users of Guard.Check, and for tests.
func NewContext(ctx context.Context, token *Token) context.Context {
	return context.WithValue(ctx, contextkey.Token{}, token)
}

// FromContext returns the verified token of the request, and false where the
// request was anonymous or did not come through the front door.
func FromContext(ctx context.Context) (*Token, bool) {
	token, ok := ctx.Value(contextkey.Token{}).(*Token)
	return token, ok && token != nil
}
