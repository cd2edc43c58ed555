package idp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// googleClients checks access tokens of Google. They are opaque, and Google knows
// no audience of one's own: aud is the client. Every app in the world gets such
// tokens, so only those of one's own clients may pass, and these clients must exist
// for this resource alone.
//
// Nothing is remembered. A cache keeps positive answers only, for 30 s or so (a
// revoked token works that long), never past exp, under the SHA-256 of the whole
// token, bounded; never an outage.
type googleClients struct {
	clientIDs []string
	resource  string // Metadata.Resource of the guard
	http      *http.Client
}

// googleIssuer is what AuthorizationServers must list.
const googleIssuer = "https://accounts.google.com"

func newGoogleClients(resource string, transport http.RoundTripper, clientIDs ...string) *googleClients {
	return &googleClients{clientIDs: clientIDs, resource: resource, http: &http.Client{
		Transport:     transport,
		Timeout:       5 * time.Second, // the body included
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// googleTokenInfo is what Google says of a token. Numbers may come as text.
type googleTokenInfo struct {
	Error    string      `json:"error"`
	Audience string      `json:"aud"`
	Subject  string      `json:"sub"`
	Scope    string      `json:"scope"`
	Expiry   json.Number `json:"exp"`
}

// verify is a verifier.Func.
func (g *googleClients) verify(ctx context.Context, token string) (*verifier.Token, error) {
	info, err := g.ask(ctx, token)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err() // the caller went away: nobody's fault
	case err != nil:
		return nil, err
	case info.Audience == "" || !slices.Contains(g.clientIDs, info.Audience):
		return nil, g.refuse(verifier.ReasonAudience, "issued to another client")
	case info.Subject == "":
		return nil, g.refuse(verifier.ReasonClaims, "sub is missing: the client must ask for the scope openid")
	}
	seconds, err := info.Expiry.Int64()
	if err != nil || seconds <= 0 {
		return nil, g.refuse(verifier.ReasonClaims, "exp is not a date")
	}
	expiry := time.Unix(seconds, 0)
	if !time.Now().Before(expiry) {
		return nil, g.refuse(verifier.ReasonExpired, "exp has passed")
	}
	granted, err := scopes.Parse(info.Scope)
	if err != nil {
		return nil, g.refuse(verifier.ReasonClaims, "scope has characters that no scope has")
	}
	return &verifier.Token{
		Issuer:   googleIssuer,
		Subject:  info.Subject, // not email, which can change hands
		ClientID: info.Audience,
		Audience: []string{g.resource}, // because the client is ours
		Scopes:   granted,
		Expiry:   expiry,
	}, nil
}

// ask is POST tokeninfo with the token in a field, where no log of URLs has it.
// Only what is about the token makes the client throw it away.
func (g *googleClients) ask(ctx context.Context, token string) (*googleTokenInfo, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://oauth2.googleapis.com/tokeninfo", http.NoBody)
	if err != nil {
		return nil, g.unavailable(err, 0)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := g.http.Do(request)
	if err != nil {
		return nil, g.unavailable(err, 0)
	}
	defer response.Body.Close()
	var info googleTokenInfo
	malformed := json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&info)
	switch status := response.StatusCode; {
	case (status == http.StatusBadRequest || status == http.StatusUnauthorized) && malformed == nil && info.Error == "invalid_token":
		return nil, g.refuse(verifier.ReasonInactive, "Google knows no such token")
	case status != http.StatusOK:
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return nil, g.unavailable(fmt.Errorf("unexpected status %d", status), time.Duration(seconds)*time.Second)
	case malformed != nil:
		return nil, g.unavailable(errors.New("the answer is not JSON of the known form"), 0)
	}
	return &info, nil
}

func (g *googleClients) refuse(reason verifier.Reason, hint string) error {
	return &verifier.InvalidTokenError{Reason: reason, Hint: hint, Issuer: googleIssuer}
}

func (g *googleClients) unavailable(cause error, after time.Duration) error {
	return &verifier.UnavailableError{Issuer: googleIssuer, Err: cause, RetryAfter: after}
}

// Access tokens of Google, bound to one's own OAuth clients. There is no preset,
// because Google issues no token for a resource of one's own.
func Example_google() {
	const resource = "https://mcp.acme.example/mcp"
	network := authtest.Network{"https://oauth2.googleapis.com": http.HandlerFunc(fakeGoogle)}
	var v verifier.Verifier = verifier.Func(newGoogleClients(resource, network, "1234567890-acme.apps.googleusercontent.com").verify)
	// middleware.Config{
	//	Metadata: prm.Metadata{Resource: resource, AuthorizationServers: []string{googleIssuer}},
	//	Verifier: v,
	// }
	for _, token := range []string{"ya29.ana", "ya29.other-app", "ya29.without-openid", "ya29.revoked", "ya29.during-an-outage"} {
		show := func(outcome ...any) { fmt.Println(append([]any{token + ":"}, outcome...)...) }
		verified, err := v.Verify(context.Background(), token)
		invalid, refused := errors.AsType[*verifier.InvalidTokenError](err)
		switch {
		case err == nil:
			show("user", verified.Subject, "for", verified.Audience)
		case refused:
			show("401", invalid.Reason)
		default:
			show("503,", errors.Is(err, verifier.ErrUnavailable))
		}
	}
	// Output:
	// ya29.ana: user 108000000000000000001 for [https://mcp.acme.example/mcp]
	// ya29.other-app: 401 audience
	// ya29.without-openid: 401 claims
	// ya29.revoked: 401 inactive
	// ya29.during-an-outage: 503, true
}

// fakeGoogle stands for Google's tokeninfo.
func fakeGoogle(w http.ResponseWriter, r *http.Request) {
	answer := func(client, subject string) {
		_ = json.NewEncoder(w).Encode(map[string]string{
			"azp": client + ".apps.googleusercontent.com", "aud": client + ".apps.googleusercontent.com", "sub": subject,
			"scope": "openid https://www.googleapis.com/auth/userinfo.email", "expires_in": "3599",
			"exp": strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10),
		})
	}
	switch r.Method + " " + r.URL.RequestURI() + " " + r.Header.Get("Authorization") {
	case "POST /tokeninfo Bearer ya29.ana":
		answer("1234567890-acme", "108000000000000000001")
	case "POST /tokeninfo Bearer ya29.other-app":
		answer("9999999999-other", "108000000000000000001")
	case "POST /tokeninfo Bearer ya29.without-openid":
		answer("1234567890-acme", "")
	case "POST /tokeninfo Bearer ya29.during-an-outage":
		http.Error(w, "<html>", http.StatusServiceUnavailable)
	default:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_token","error_description":"Invalid Value"}`)
	}
}
