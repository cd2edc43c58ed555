package middleware

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/contextkey"
	"github.com/gatehouse-mcp/gatehouse/internal/jsonrpc"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// An AuthenticationRequired error asks for a stronger or a fresher login (RFC
// 9470). Return one from scopes.Policy.Decide: the answer is 401
// insufficient_user_authentication. See RequireAuthentication.
type AuthenticationRequired struct {
	// ACRValues are the authentication contexts that would do, the preferred one
	// first. Empty: any.
	ACRValues []string
	// MaxAge is how long ago the login may have been, in whole seconds. Zero: any.
	MaxAge time.Duration
	// Claims is a claims challenge of Microsoft Entra ID, a JSON object that the
	// client repeats to it: the answer is 401 insufficient_claims. Empty: none.
	Claims string
}

// Error says what is asked for, without Claims.
func (e *AuthenticationRequired) Error() string {
	plain := AuthenticationRequired{ACRValues: e.ACRValues, MaxAge: e.MaxAge}
	return "a stronger or fresher login is needed: " + parameters(plain.parameters()...)
}

// parameters are the auth-params of RFC 9470 §3.
func (e *AuthenticationRequired) parameters() []string {
	pairs := []string{"acr_values", strings.Join(e.ACRValues, " ")}
	if e.Claims != "" {
		pairs = append(pairs, "claims", base64.StdEncoding.EncodeToString([]byte(e.Claims)))
	}
	if e.MaxAge > 0 {
		pairs = append(pairs, "max_age", strconv.FormatInt(int64(e.MaxAge/time.Second), 10))
	}
	return pairs
}

// RequireAuthentication judges how and when the caller of ctx logged in, by the
// claims acr and auth_time (RFC 9470 §6.1): nil if the token has one of acrValues
// and the login is no older than maxAge; empty and zero ask for nothing. What a
// token does not say does not count. Use its error as that of Decide.
func RequireAuthentication(ctx context.Context, acrValues []string, maxAge time.Duration) error {
	var claims struct {
		ACR      string  `json:"acr"`
		AuthTime float64 `json:"auth_time"`
	}
	token, ok := verifier.FromContext(ctx)
	strong := ok && token.Claims(&claims) == nil &&
		(len(acrValues) == 0 || slices.Contains(acrValues, claims.ACR))
	age := time.Since(time.Unix(int64(min(max(claims.AuthTime, 0), 1<<40)), 0))
	if strong && (maxAge <= 0 || age <= maxAge) {
		return nil
	}
	return &AuthenticationRequired{ACRValues: slices.Clone(acrValues), MaxAge: maxAge}
}

// weakAuthentication is 401 with the challenge of RFC 9470 §3, or a denial where
// the values cannot stand in one. Claims that are too long for one are left out: a
// fresh login may do as well.
func (ru *rules) weakAuthentication(route *route, needed *AuthenticationRequired) *Refusal {
	if base64.StdEncoding.EncodedLen(len(needed.Claims)) > maxChallenge/2 {
		needed = &AuthenticationRequired{ACRValues: needed.ACRValues, MaxAge: needed.MaxAge}
	}
	code := codeWeakAuthentication
	if needed.Claims != "" {
		code = codeInsufficientClaims
	}
	pairs := append([]string{"error", code, "error_description", weakAuthentication}, needed.parameters()...)
	pairs = append(pairs, "scope", route.start.String(), "resource_metadata", ru.metadataURL)
	refusal := &Refusal{
		Status: http.StatusUnauthorized, Outcome: OutcomeWeakAuthentication,
		code: code, description: weakAuthentication,
		challenge: "Bearer " + parameters(pairs...), cause: needed, rules: ru,
	}
	if slices.ContainsFunc(pairs, func(value string) bool { return strings.ContainsFunc(value, needsEscape) }) ||
		len(refusal.challenge) > maxChallenge {
		return ru.deny(errors.New("the values of an AuthenticationRequired cannot stand in a challenge"))
	}
	return refusal
}

// inBody repeats the challenge in a tool result, for clients that look there only.
func (ru *rules) inBody(r *http.Request, d *decision) {
	refusal := d.refusal
	if refusal == nil || refusal.challenge == "" || r.Method != http.MethodPost || refusal.body != nil {
		return
	}
	message, problem := ru.readMessage(r, d, false)
	if problem != nil || message.Batch || message.Messages[0].Method != "tools/call" || message.Messages[0].Kind != jsonrpc.Request {
		return
	}
	type content struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0",
		"id":      json.RawMessage(message.Messages[0].ID),
		"result": map[string]any{
			"content": []content{{"text", refusal.description}},
			"isError": true,
			"_meta":   map[string][]string{"mcp/www_authenticate": {refusal.challenge}},
		},
	})
	if err == nil {
		refusal.body = body
	}
}

// ErrTooLate is returned by RequireMore and Refuse where the answer has begun, or
// where Config.LateStepUp is not set.
var ErrTooLate = errors.New("middleware: too late to refuse")

// RequireMore asks for scopes that a handler finds to be needed only while it
// runs. It returns nil if the caller of ctx, the context of the request, has them.
// Otherwise it answers the request with 403 insufficient_scope, and whatever the
// handler writes after that is dropped; the handler should return the error, a
// *Refusal. Where that is no longer possible the error is ErrTooLate. It needs
// Config.LateStepUp, and is safe for concurrent use.
func RequireMore(ctx context.Context, scopeTokens ...string) error {
	late, ok := ctx.Value(contextkey.Late{}).(*lateAnswer)
	if !ok {
		return ErrTooLate
	}
	needs := scopes.All(scopeTokens...)
	if err := needs.Validate(); err != nil {
		return err
	}
	caller, _ := verifier.FromContext(ctx)
	refusal := late.rules.compare(late.route, caller, needs)
	if refusal == nil {
		return nil
	}
	return late.answer(refusal)
}
