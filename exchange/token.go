package exchange

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// Token types (RFC 8693 §3).
const (
	// TypeAccessToken is an access token of any form.
	TypeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	// TypeJWT is a JSON Web Token.
	TypeJWT = "urn:ietf:params:oauth:token-type:jwt"
)

// A Token is what the authorization server issued to this server. Treat it as
// immutable: many calls share it. It prints, logs and marshals redacted.
type Token struct {
	// Type is issued_token_type (RFC 8693 §2.2.1), TypeAccessToken where the
	// protocol has none.
	Type string
	// Scheme is token_type: "Bearer", "DPoP", or "N_A" for what is no access token.
	Scheme string
	// Scopes is what was granted, as far as the server said: what was asked for
	// where it said nothing (RFC 6749 §5.1).
	Scopes scopes.Set
	// Expiry is when the token ends; never zero.
	Expiry time.Time

	held *held // a pointer, because fmt follows none
}

// held is what must not be printed.
type held struct {
	value string
	field string // "Bearer " and value, written once for many calls
}

func hold(value string) *held {
	field := "Bearer " + value
	return &held{value: field[len("Bearer "):], field: field}
}

// ActorToken returns a Token for Target.Actor from a credential that was obtained
// elsewhere. tokenType is its type, such as TypeJWT.
func ActorToken(value, tokenType string, expiry time.Time) *Token {
	return &Token{Type: tokenType, Expiry: expiry, held: hold(value)}
}

// AccessToken returns the credential itself, for the API that it is for and for
// nobody else.
func (t *Token) AccessToken() string {
	if t == nil || t.held == nil {
		return ""
	}
	return t.held.value
}

const redacted = "exchange.Token(redacted)"

// String returns a constant.
func (t Token) String() string { return redacted }

// Format writes a constant, whatever the verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns a constant, for log/slog.
func (t Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON returns a constant.
func (t Token) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }
