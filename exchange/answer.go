package exchange

import (
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/scopes"
)

const (
	// maxToken bounds an issued token, as a request's header must carry it.
	maxToken = 16 << 10
	// maxScope bounds what is remembered beside it.
	maxScope = 16 << 10
	// maxLifetime bounds expires_in: more is a mistake in units.
	maxLifetime = 366 * 24 * time.Hour
)

// answer is RFC 8693 §2.2.1 and RFC 6749 §5.1. A refresh token is not read: this
// server asks again instead of keeping what outlives the user's own token.
type answer struct {
	AccessToken string           `json:"access_token"`
	IssuedType  strictjson.Value `json:"issued_token_type"`
	TokenType   string           `json:"token_type"`
	ExpiresIn   strictjson.Value `json:"expires_in"`
	Scope       strictjson.Value `json:"scope"`
}

// read judges an answer to w. subject is the token that was sent, if any. asked
// is the time of the request, from which lifetimes count.
func (c *Client) read(received *fetch.Answer, w *wanted, subject string, asked time.Time) (*Token, error) {
	if !fetch.IsJSON(received.MediaType) {
		return nil, badAnswer("its media type is not application/json")
	}
	var a answer
	if err := strictjson.Object(received.Body, &a); strictjson.Valid(err) {
		return nil, badAnswer("a member has the wrong type")
	} else if err != nil {
		return nil, badAnswer("not one strict JSON object")
	}
	switch {
	case a.AccessToken == "":
		return nil, badAnswer("access_token is missing")
	case len(a.AccessToken) > maxToken:
		return nil, badAnswer("access_token is over %d octets", maxToken)
	case !printable(a.AccessToken):
		return nil, badAnswer("access_token has characters that no token has (RFC 6749 §A.12)")
	case a.AccessToken == subject:
		// To use it would be the token passthrough that the exchange is to avoid.
		return nil, badAnswer("access_token is the very token that was sent")
	}
	token := &Token{Type: TypeAccessToken, Scopes: w.scopes, held: hold(a.AccessToken)}
	var err error
	if w.grant == grantExchange {
		if token.Type, err = a.issued(w.TokenType); err != nil {
			return nil, err
		}
	}
	if token.Scheme, err = a.scheme(token.Type); err != nil {
		return nil, err
	}
	lifetime, err := a.lifetime()
	if err != nil {
		return nil, err
	}
	token.Expiry = asked.Add(lifetime)
	if err := a.grants(token, w, c.wider); err != nil {
		return nil, err
	}
	return token, nil
}

// printable applies RFC 6749 §A.12, without the blank that a header could not
// carry inside of a token.
func printable(token string) bool {
	return !strings.ContainsFunc(token, func(r rune) bool { return r < 0x21 || r > 0x7e })
}

// issued reads issued_token_type, which is required (RFC 8693 §2.2.1).
func (a *answer) issued(wanted string) (string, error) {
	var issued string
	if a.IssuedType == nil || strictjson.Unmarshal(a.IssuedType, &issued) != nil {
		return "", badAnswer("issued_token_type is missing (RFC 8693 §2.2.1)")
	}
	if issued != wanted {
		return "", badAnswer("issued_token_type is not %q, which was asked for", wanted)
	}
	return issued, nil
}

// scheme reads token_type, without regard to case (RFC 6749 §5.1).
func (a *answer) scheme(tokenType string) (string, error) {
	usable := tokenType == TypeAccessToken || tokenType == TypeJWT
	switch {
	case strings.EqualFold(a.TokenType, "Bearer"):
		return "Bearer", nil
	case strings.EqualFold(a.TokenType, "DPoP"):
		return "DPoP", nil
	case strings.EqualFold(a.TokenType, "N_A") && !usable: // RFC 8693 §2.2.1
		return "N_A", nil
	}
	return "", badAnswer("token_type is neither Bearer nor DPoP")
}

// lifetime reads expires_in. It is only recommended (RFC 6749 §5.1), but nothing
// else says how long a token may be used that this server does not look into.
func (a *answer) lifetime() (time.Duration, error) {
	switch {
	case a.ExpiresIn == nil:
		return 0, badAnswer("expires_in is missing")
	case a.ExpiresIn.Kind() != '0':
		return 0, badAnswer("expires_in is not a number")
	}
	seconds, err := strconv.ParseFloat(string(a.ExpiresIn), 64)
	switch {
	case seconds < 1:
		return 0, badAnswer("expires_in is less than a second")
	case err != nil || seconds > maxLifetime.Seconds(): // err: out of range
		return 0, badAnswer("expires_in is more than a year")
	}
	return time.Duration(seconds) * time.Second, nil
}

// grants reads scope. Left out, it is what was asked for (RFC 6749 §5.1); with
// more than that, somebody mistakes what this token is for.
func (a *answer) grants(token *Token, w *wanted, wider bool) error {
	if a.Scope == nil || a.Scope.Kind() == 'n' {
		return nil
	}
	var text string
	if strictjson.Unmarshal(a.Scope, &text) != nil {
		return badAnswer("scope is not a string")
	}
	if len(text) > maxScope {
		return badAnswer("scope is over %d octets", maxScope)
	}
	granted, err := scopes.Parse(text)
	if err != nil {
		return badAnswer("scope has characters that no scope has (RFC 6749 §3.3)")
	}
	if w.scopes.Len() > 0 && !wider && !w.scopes.Contains(granted) {
		return badAnswer("scope is wider than what was asked for")
	}
	token.Scopes = granted
	return nil
}
