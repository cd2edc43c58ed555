package idp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// gitHubApp checks tokens of GitHub. They are opaque, have no audience, and GitHub
// has no introspection: GET /user would prove no more than that somebody has an
// account there. So it asks whether the token was issued to this very app.
//
// A user who authorized the app for another purpose has a token that passes here,
// so the app must exist for this resource alone.
//
// Nothing is remembered, and GitHub limits how often it can be asked. A cache keeps
// positive answers only, for 30 s or so (a revoked token works that long), under
// the SHA-256 of the whole token, bounded; never an outage.
type gitHubApp struct {
	clientID, secret string
	resource         string // Metadata.Resource of the guard
	http             *http.Client
}

// gitHubIssuer is what AuthorizationServers must list.
const gitHubIssuer = "https://github.com/login/oauth"

func newGitHubApp(clientID, secret, resource string, transport http.RoundTripper) *gitHubApp {
	return &gitHubApp{clientID: clientID, secret: secret, resource: resource, http: &http.Client{
		Transport: transport,
		Timeout:   5 * time.Second, // the body included
		// A redirect would carry the token to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// gitHubCheck is what GitHub says of a token.
type gitHubCheck struct {
	App struct {
		ClientID string `json:"client_id"`
	} `json:"app"`
	User struct {
		ID int64 `json:"id"`
	} `json:"user"`
	Scopes    []string   `json:"scopes"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// verify is a verifier.Func.
func (g *gitHubApp) verify(ctx context.Context, token string) (*verifier.Token, error) {
	// Personal access tokens (ghp_, github_pat_) and those of installations (ghs_)
	// were issued to no app of ours.
	if !strings.HasPrefix(token, "gho_") && !strings.HasPrefix(token, "ghu_") {
		return nil, g.refuse(verifier.ReasonType, "not a token that GitHub issues to an app for a user")
	}
	check, err := g.ask(ctx, token)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err() // the caller went away: nobody's fault
	case err != nil:
		return nil, err
	case check.App.ClientID != g.clientID:
		return nil, g.refuse(verifier.ReasonAudience, "issued to another app")
	case check.User.ID == 0:
		return nil, g.refuse(verifier.ReasonClaims, "GitHub names no user")
	}
	// Most tokens have no end; ours has one, so that a stream is judged again.
	expiry := time.Now().Add(5 * time.Minute)
	if check.ExpiresAt != nil && check.ExpiresAt.Before(expiry) {
		expiry = *check.ExpiresAt
	}
	granted, err := scopes.Of(check.Scopes...)
	if err != nil {
		return nil, g.refuse(verifier.ReasonClaims, "a scope has characters that none has")
	}
	return &verifier.Token{
		Issuer:   gitHubIssuer,
		Subject:  strconv.FormatInt(check.User.ID, 10), // a login can be given up, and taken by another
		ClientID: check.App.ClientID,
		Audience: []string{g.resource}, // because the app is ours
		Scopes:   granted,
		Expiry:   expiry,
	}, nil
}

// ask is POST /applications/{client_id}/token. Only what is about the token makes
// the client throw it away.
func (g *gitHubApp) ask(ctx context.Context, token string) (*gitHubCheck, error) {
	body, err := json.Marshal(map[string]string{"access_token": token})
	if err != nil {
		return nil, g.unavailable(err, 0)
	}
	address := "https://api.github.com/applications/" + url.PathEscape(g.clientID) + "/token"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return nil, g.unavailable(err, 0)
	}
	request.SetBasicAuth(g.clientID, g.secret)
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("Content-Type", "application/json")
	response, err := g.http.Do(request)
	if err != nil {
		return nil, g.unavailable(err, 0)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, g.refuse(verifier.ReasonInactive, "GitHub knows no such token of this app")
	case http.StatusUnauthorized:
		return nil, g.unavailable(verifier.ErrOurCredentials, 0)
	default: // 403 and 429 are limits; 422 says "invalid" and "too often" alike
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return nil, g.unavailable(fmt.Errorf("unexpected status %d", response.StatusCode), time.Duration(seconds)*time.Second)
	}
	var check gitHubCheck
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<10)).Decode(&check); err != nil {
		return nil, g.unavailable(errors.New("the answer is not JSON of the known form"), 0)
	}
	return &check, nil
}

func (g *gitHubApp) refuse(reason verifier.Reason, hint string) error {
	return &verifier.InvalidTokenError{Reason: reason, Hint: hint, Issuer: gitHubIssuer}
}

func (g *gitHubApp) unavailable(cause error, after time.Duration) error {
	return &verifier.UnavailableError{Issuer: gitHubIssuer, Err: cause, RetryAfter: after}
}

// Tokens of GitHub, bound to one's own OAuth app. There is no preset, because what
// binds them is not in the token but in who asks.
func Example_gitHub() {
	const resource = "https://mcp.acme.example/mcp"
	network := authtest.Network{"https://api.github.com": http.HandlerFunc(fakeGitHub)}
	var v verifier.Verifier = verifier.Func(newGitHubApp("Iv1.acme", "secret-of-the-app", resource, network).verify)
	// middleware.Config{
	//	Metadata: prm.Metadata{Resource: resource, AuthorizationServers: []string{gitHubIssuer}},
	//	Verifier: v,
	// }
	for _, token := range []string{"gho_ana", "gho_other-app", "gho_substituted", "ghp_personal", "gho_during-an-outage"} {
		show := func(outcome ...any) { fmt.Println(append([]any{token + ":"}, outcome...)...) }
		verified, err := v.Verify(context.Background(), token)
		invalid, refused := errors.AsType[*verifier.InvalidTokenError](err)
		outage, _ := errors.AsType[*verifier.UnavailableError](err)
		switch {
		case err == nil:
			show("user", verified.Subject, "for", verified.Audience, "may", verified.Scopes)
		case refused:
			show("401", invalid.Reason)
		default:
			show("503, again in", outage.RetryAfter)
		}
	}
	_, err := newGitHubApp("Iv1.acme", "an old secret", resource, network).verify(context.Background(), "gho_ana")
	fmt.Println("with an old secret:", errors.Is(err, verifier.ErrUnavailable), errors.Is(err, verifier.ErrOurCredentials))
	// Output:
	// gho_ana: user 1000001 for [https://mcp.acme.example/mcp] may read:user repo
	// gho_other-app: 401 inactive
	// gho_substituted: 401 audience
	// ghp_personal: 401 type
	// gho_during-an-outage: 503, again in 1m0s
	// with an old secret: true true
}

// fakeGitHub stands for GitHub's API.
func fakeGitHub(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	if r.Method != http.MethodPost || r.URL.Path != "/applications/Iv1.acme/token" || id != "Iv1.acme" || secret != "secret-of-the-app" {
		http.Error(w, `{"message":"Bad credentials"}`, http.StatusUnauthorized)
		return
	}
	var question struct {
		Token string `json:"access_token"`
	}
	_ = json.NewDecoder(r.Body).Decode(&question)
	answer := `{"id":1,"app":{"client_id":"Iv1.%s"},"scopes":["read:user","repo"],"user":{"login":"ana","id":1000001},"expires_at":null}`
	switch question.Token {
	case "gho_ana":
		fmt.Fprintf(w, answer, "acme")
	case "gho_substituted": // which GitHub does not do, and the recipe does not rely on
		fmt.Fprintf(w, answer, "other")
	case "gho_during-an-outage":
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusBadGateway)
	default:
		http.NotFound(w, r)
	}
}
