//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// exchangerID is the MCP server, as a client that may exchange tokens.
const exchangerID = "gatehouse"

// chainProviders start an authorization server that exchanges tokens for from into
// tokens for to with scope reports:read. They return its issuer, and how many
// exchanges there were.
func chainProviders() map[string]func(t *testing.T, from, to string, opaque bool) (string, func() int) {
	const scope = "reports:read"
	return map[string]func(*testing.T, string, string, bool) (string, func() int){
		"oidc-provider": func(t *testing.T, from, to string, opaque bool) (string, func() int) {
			p := newProvider(t, "ES256", opaque)
			p.do(t, map[string]any{"do": "exchange", "from": from, "to": to, "scope": scope}, &struct{}{})
			return p.issuer, func() (n int) {
				for _, event := range p.log(t) {
					if event.Event == "urn:ietf:params:oauth:grant-type:token-exchange" && event.Audience == to && event.Scope == scope {
						n++
					}
				}
				return n
			}
		},
		"authtest": func(t *testing.T, from, to string, opaque bool) (string, func() int) {
			issuer := authtest.NewServer(t, authtest.Config{
				Resources: []string{from}, Scopes: []string{"mcp:tools"}, AutoApprove: true, Subject: "alice", OpaqueTokens: opaque,
				Clients:   []authtest.Client{{ID: exchangerID, Secret: secret}, {ID: "gatehouse-post", Secret: secret}},
				Exchanges: []authtest.Exchange{{ClientID: exchangerID, Resource: from, Targets: []string{to}, Scopes: []string{scope}}},
			})
			logins := 1
			return issuer.URL(), func() int { return issuer.Hits(authtest.EndpointToken) - logins }
		},
	}
}

// A sighting is what a resource server knows about its caller.
type sighting struct {
	Subject, Client, Actor, Scopes string
	Audience                       []string
	HasCredential                  bool
}

func see(token *verifier.Token, header http.Header) sighting {
	s := sighting{
		Subject: token.Subject, Client: token.ClientID, Scopes: token.Scopes.String(), Audience: token.Audience,
		HasCredential: header.Get("Authorization") != "",
	}
	if token.Actor != nil {
		s.Actor = token.Actor.Subject
	}
	return s
}

// A chain is an MCP server and the API behind it, both behind Gatehouse.
type chain struct {
	front
	api       string         // the resource of the API
	arrived   synced[string] // the credentials that came to it
	exchanges func() int
	events    synced[exchange.Event]
}

// judgeOf returns a verifier for opaque tokens, or nil.
func judgeOf(t *testing.T, opaque bool, resource, issuer string, auth clientauth.Method) verifier.Verifier {
	if !opaque {
		return nil
	}
	return newIntrospection(t, verifier.IntrospectionConfig{Resource: resource, Issuer: issuer, Auth: auth})
}

func newChain(t *testing.T, start func(*testing.T, string, string, bool) (string, func() int), opaque bool, change func(*exchange.Config)) *chain {
	t.Helper()
	server, behind := listen(t), listen(t)
	c := &chain{front: direct(t, server.Addr().String()), api: "http://" + behind.Addr().String() + "/reports"}
	var issuer string
	issuer, c.exchanges = start(t, c.resource, c.api, opaque)
	c.serveAPI(t, behind, issuer, judgeOf(t, opaque, c.api, issuer, clientauth.SecretPost("gatehouse-post", secret)))

	own := clientauth.SecretBasic(exchangerID, secret)
	config := exchange.Config{
		Issuer: issuer, Auth: own,
		Observe: func(_ context.Context, event exchange.Event) { c.events.add(event) },
	}
	if change != nil {
		change(&config)
	}
	exchanger, err := exchange.New(config)
	if err != nil {
		t.Fatal(err)
	}
	reports := &http.Client{Timeout: requestTimeout, Transport: exchanger.Transport(nil, exchange.Target{
		Resource: []string{c.api}, Scopes: []string{"reports:read"},
	})}
	sdk := mcp.NewServer(&mcp.Implementation{Name: "gatehouse-e2e", Version: "1.0.0"}, nil)
	mcp.AddTool(sdk, &mcp.Tool{Name: "downstream_report"}, func(ctx context.Context, request *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		caller, ok := mcpsdk.FromRequest(request)
		if !ok {
			return nil, nil, errors.New("nobody")
		}
		ctx = mcpsdk.Context(ctx, request)
		there, err := fetchReport(ctx, reports, c.api)
		if err != nil {
			return nil, nil, middleware.Refuse(ctx, err)
		}
		text, err := json.Marshal([]sighting{see(caller, request.Extra.Header), there})
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: string(text)}}}, nil, err
	})
	serveWith(t, server, serverConfig{
		resource: c.resource, issuer: issuer, judge: judgeOf(t, opaque, c.resource, issuer, own),
		policy: scopes.Policy{Base: scopes.All("mcp:tools"), Tools: map[string]scopes.Requirement{"downstream_report": scopes.All("mcp:tools")}},
		late:   true,
		next:   mcpsdk.Bind(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return sdk }, nil)),
	})
	return c
}

// serveAPI serves an API that answers with what it knows about its caller.
func (c *chain) serveAPI(t *testing.T, listener net.Listener, issuer string, judge verifier.Verifier) {
	t.Helper()
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{Resource: c.api, AuthorizationServers: []string{issuer}, ScopesSupported: []string{"reports:read"}},
		Verifier: judge,
	})
	if err != nil {
		t.Fatal(err)
	}
	report := guard.Require("reports:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := verifier.FromContext(r.Context())
		_ = json.NewEncoder(w).Encode(see(caller, r.Header))
	}))
	serveHTTP(t, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.arrived.add(r.Header.Get("Authorization"))
		report.ServeHTTP(w, r)
	}))
}

func fetchReport(ctx context.Context, reports *http.Client, address string) (s sighting, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return s, err
	}
	response, err := reports.Do(request)
	if err != nil {
		return s, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil || response.StatusCode != http.StatusOK {
		return s, fmt.Errorf("%s %v", response.Status, err)
	}
	return s, json.Unmarshal(body, &s)
}

// TestTwoHops plays client -> MCP server -> API with a real login, JWTs and opaque
// tokens, and a real provider and the fake one.
func TestTwoHops(t *testing.T) {
	for name, start := range chainProviders() {
		for kind, opaque := range map[string]bool{"JWT": false, "opaque": true} {
			t.Run(name+"/"+kind, func(t *testing.T) { twoHops(t, newChain(t, start, opaque, nil)) })
		}
	}
}

func twoHops(t *testing.T, c *chain) {
	ctx, cancel := context.WithTimeout(t.Context(), clientTimeout)
	defer cancel()
	session, handler := connectGoClient(t, ctx, c.front)
	original := accessToken(t, ctx, handler)
	for range 3 {
		result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "downstream_report"})
		if err != nil {
			t.Fatal(err)
		}
		text, ok := result.Content[0].(*mcp.TextContent)
		var seen []sighting
		if !ok || result.IsError || json.Unmarshal([]byte(text.Text), &seen) != nil || len(seen) != 2 {
			t.Fatalf("answer %+v", result.Content[0])
		}
		expectSighting(t, "the MCP server", seen[0], sighting{Subject: "alice", Client: seen[0].Client, Scopes: "mcp:tools", Audience: []string{c.resource}})
		expectSighting(t, "the API", seen[1], sighting{Subject: "alice", Client: exchangerID, Actor: exchangerID, Scopes: "reports:read", Audience: []string{c.api}})
		if seen[0].Client == exchangerID {
			t.Error("the user's client is the MCP server")
		}
	}
	if n := c.exchanges(); n != 1 {
		t.Errorf("%d exchanges for three calls, want 1", n)
	}
	var results []exchange.Result
	for _, event := range c.events.all() {
		results = append(results, event.Result)
	}
	if want := []exchange.Result{exchange.ResultObtained, exchange.ResultRemembered, exchange.ResultRemembered}; !slices.Equal(results, want) {
		t.Errorf("events %q, want %q", results, want)
	}

	exchanged := c.arrived.all()[0]
	if exchanged == "Bearer "+original {
		t.Error("the client's token was passed through")
	}
	for address, credential := range map[string]string{c.api: "Bearer " + original, c.resource: exchanged} {
		if status, code := refusedBy(t, c.client, address, credential); status != http.StatusUnauthorized || code != "invalid_token" {
			t.Errorf("%s answers %d %q to a token for the other", address, status, code)
		}
	}
}

func expectSighting(t *testing.T, who string, got, want sighting) {
	t.Helper()
	if got.Subject != want.Subject || got.Client != want.Client || got.Actor != want.Actor || got.Scopes != want.Scopes ||
		got.HasCredential || !slices.Equal(got.Audience, want.Audience) {
		t.Errorf("%s sees %+v, want %+v", who, got, want)
	}
}

// refusedBy posts with a credential and returns status and error code.
func refusedBy(t *testing.T, client *http.Client, address, credential string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", credential)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Error string }
	_ = json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&answer)
	return response.StatusCode, answer.Error
}

// TestARefusedExchangeMakesTheClientLogInAgain: the provider no longer takes the
// user's token, as after a logout, and the tool passes that on.
func TestARefusedExchangeMakesTheClientLogInAgain(t *testing.T) {
	var refused atomic.Bool
	c := newChain(t, chainProviders()["oidc-provider"], false, func(config *exchange.Config) {
		config.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost && refused.CompareAndSwap(false, true) {
				answer := httptest.NewRecorder()
				answer.Header().Set("Content-Type", "application/json")
				answer.WriteHeader(http.StatusBadRequest)
				_, _ = io.WriteString(answer, `{"error":"invalid_grant"}`)
				return answer.Result(), nil
			}
			return http.DefaultTransport.RoundTrip(r)
		})
	})
	ctx, cancel := context.WithTimeout(t.Context(), clientTimeout)
	defer cancel()
	session, handler := connectGoClient(t, ctx, c.front)
	before := accessToken(t, ctx, handler)
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "downstream_report"})
	if err != nil || result.IsError {
		t.Fatalf("%+v, %v", result, err)
	}
	if !refused.Load() || accessToken(t, ctx, handler) == before {
		t.Error("the client did not log in again")
	}
	var results []exchange.Result
	for _, event := range c.events.all() {
		results = append(results, event.Result)
	}
	if want := []exchange.Result{exchange.ResultInvalidGrant, exchange.ResultObtained}; !slices.Equal(results, want) {
		t.Errorf("events %q, want %q", results, want)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func accessToken(t *testing.T, ctx context.Context, handler *auth.AuthorizationCodeHandler) string {
	t.Helper()
	source, err := handler.TokenSource(ctx)
	if err != nil {
		t.Fatal(err)
	}
	token, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	return token.AccessToken
}

func TestAnExchangeThatIsNotAllowedReachesNobody(t *testing.T) {
	c := newChain(t, func(t *testing.T, _, _ string, opaque bool) (string, func() int) {
		p := newProvider(t, "ES256", opaque)
		return p.issuer, nil // nothing is to be exchanged
	}, false, nil)
	ctx, cancel := context.WithTimeout(t.Context(), clientTimeout)
	defer cancel()
	session, _ := connectGoClient(t, ctx, c.front)
	if result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "downstream_report"}); err == nil {
		t.Errorf("%+v", result)
	}
	for _, event := range c.events.all() {
		if event.Result != exchange.ResultInvalidGrant || !errors.Is(event.Err, verifier.ErrInvalidToken) {
			t.Errorf("event %+v", event)
		}
	}
	if got := c.arrived.all(); len(got) > 0 || len(c.events.all()) == 0 {
		t.Errorf("the API was called %d times", len(got))
	}
}
