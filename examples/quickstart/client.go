package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// A client is an MCP client, taken apart to show each request.
type client struct {
	http  *http.Client
	id    string // client_id, once registered
	token secret // empty: not logged in
}

// The redirect is read from the answer, so nothing needs to listen there.
const redirectURI = "http://127.0.0.1/callback"

// answerLimit bounds what is read of an answer, in bytes.
const answerLimit = 1 << 20

func newClient() *client {
	return &client{http: &http.Client{
		Timeout: 10 * time.Second,
		// The redirect of the login is part of the story; no other is expected.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// do sends a request and returns the answer with its body.
func (c *client) do(request *http.Request) (*http.Response, []byte, error) {
	response, err := c.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerLimit))
	return response, body, err
}

// post calls a tool without the SDK, which would hide a refusal.
func (c *client) post(ctx context.Context, endpoint, tool string) (*http.Response, error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, tool)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+string(c.token))
	}
	response, _, err := c.do(request)
	return response, err
}

// connect opens a session with the SDK.
func (c *client) connect(ctx context.Context, endpoint string) (*mcp.ClientSession, error) {
	sdk := mcp.NewClient(&mcp.Implementation{Name: "gatehouse-quickstart", Version: "1"}, nil)
	return sdk.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint:   endpoint,
		HTTPClient: &http.Client{Timeout: c.http.Timeout, Transport: bearer(c.token)},
	}, nil)
}

// list returns the names of the tools that the server shows, in order.
func (c *client) list(ctx context.Context, endpoint string) ([]string, error) {
	session, err := c.connect(ctx, endpoint)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	var names []string
	for tool, err := range session.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return names, nil
}

// call calls a tool with the SDK, from the handshake on, and returns its text.
func (c *client) call(ctx context.Context, endpoint, tool string) (string, error) {
	session, err := c.connect(ctx, endpoint)
	if err != nil {
		return "", err
	}
	defer session.Close()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool})
	if err != nil {
		return "", err
	}
	var lines []string
	for _, content := range result.Content {
		if text, ok := content.(*mcp.TextContent); ok {
			lines = append(lines, text.Text)
		}
	}
	text := strings.Join(lines, " ")
	if result.IsError {
		return "", errors.New("the tool failed: " + text)
	}
	return text, nil
}

// bearer sends a token, if there is one, with every request.
type bearer secret

func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	if b != "" {
		request = request.Clone(request.Context())
		request.Header.Set("Authorization", "Bearer "+string(b))
	}
	return http.DefaultTransport.RoundTrip(request)
}

// register registers a public client (RFC 7591 §3).
func (c *client) register(ctx context.Context, server *oauthex.AuthServerMeta) error {
	registered, err := oauthex.RegisterClient(ctx, server.RegistrationEndpoint, &oauthex.ClientRegistrationMetadata{
		ClientName:              "Gatehouse quickstart",
		RedirectURIs:            []string{redirectURI},
		TokenEndpointAuthMethod: "none",
	}, c.http)
	if err != nil {
		return err
	}
	c.id = registered.ClientID
	return nil
}

// A login is one run of the authorization code grant with PKCE.
type login struct {
	request  *url.URL // what the browser opens
	redirect *url.URL // where it is sent back to
	status   string   // of the answer that redirects
	state    string
	verifier secret
}

// authorize does what the browser does (RFC 6749 §4.1.1, RFC 7636 §4.3).
func (c *client) authorize(ctx context.Context, server *oauthex.AuthServerMeta, resource, scope string) (*login, error) {
	l := &login{state: rand.Text(), verifier: secret(rand.Text() + rand.Text())}
	challenge := sha256.Sum256([]byte(l.verifier))
	var err error
	if l.request, err = url.Parse(server.AuthorizationEndpoint); err != nil {
		return nil, err
	}
	l.request.RawQuery = url.Values{
		"response_type":         {"code"},
		"client_id":             {c.id},
		"redirect_uri":          {redirectURI},
		"resource":              {resource},
		"scope":                 {scope},
		"state":                 {l.state},
		"code_challenge":        {base64.RawURLEncoding.EncodeToString(challenge[:])},
		"code_challenge_method": {"S256"},
	}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, l.request.String(), nil)
	if err != nil {
		return nil, err
	}
	response, _, err := c.do(request)
	if err != nil {
		return nil, err
	}
	l.status = response.Status
	if l.redirect, err = response.Location(); err != nil {
		return nil, fmt.Errorf("the authorization endpoint answered %s without a redirect", response.Status)
	}
	return l, l.check(server.Issuer)
}

// check refuses an answer that belongs to another login or another server
// (RFC 9207 §2.4, RFC 9700 §4.7).
func (l *login) check(issuer string) error {
	query := l.redirect.Query()
	switch {
	case query.Get("error") != "":
		return errors.New("the login failed: " + query.Get("error"))
	case query.Get("state") != l.state:
		return errors.New("the redirect carries another state")
	case query.Get("iss") != issuer:
		return fmt.Errorf("the redirect names the issuer %q", query.Get("iss"))
	case query.Get("code") == "":
		return errors.New("the redirect carries no code")
	}
	return nil
}

// A grant is what the token endpoint answered.
type grant struct {
	Token     secret `json:"access_token"`
	TokenType string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
	Scope     string `json:"scope"`
	Error     string `json:"error"`
}

// exchange trades the code for a token, and keeps it (RFC 6749 §4.1.3).
func (c *client) exchange(ctx context.Context, server *oauthex.AuthServerMeta, resource string, l *login) (*grant, error) {
	form := url.Values{
		"grant_type":    {"authorization_code"},
		"code":          {l.redirect.Query().Get("code")},
		"redirect_uri":  {redirectURI},
		"client_id":     {c.id},
		"code_verifier": {string(l.verifier)},
		"resource":      {resource},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.TokenEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, body, err := c.do(request)
	if err != nil {
		return nil, err
	}
	var g grant
	if err := json.Unmarshal(body, &g); err != nil {
		return nil, fmt.Errorf("the token endpoint answered %s without JSON", response.Status)
	}
	if response.StatusCode != http.StatusOK || g.Token == "" {
		return nil, fmt.Errorf("the token endpoint answered %s %s", response.Status, g.Error)
	}
	c.token = g.Token
	return &g, nil
}

// claims decodes the payload of a JWT, unverified: a client may look at its
// token, but it is the MCP server that judges it.
func (g *grant) claims() (map[string]any, error) {
	parts := strings.Split(string(g.Token), ".")
	if len(parts) != 3 {
		return nil, errors.New("the token is not a JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, errors.New("the token's payload is not base64url")
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, errors.New("the token's payload is not JSON")
	}
	return claims, nil
}
