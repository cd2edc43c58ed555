package exchange_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const (
	backEnd  = "https://api.example.com/reports"
	archive  = "https://archive.example.com/"
	backEnds = "report-server" // as a client
)

// sighting is what a resource server says about the token of a request.
type sighting struct {
	Subject, Client, Actor, Scopes string
	Earlier, Audience              []string
	Headers                        []string
}

func see(r *http.Request) sighting {
	token, _ := verifier.FromContext(r.Context())
	s := sighting{Subject: token.Subject, Client: token.ClientID, Scopes: token.Scopes.String(), Audience: token.Audience}
	if token.Actor != nil {
		s.Actor = token.Actor.Subject
		for _, earlier := range token.Actor.Earlier {
			s.Earlier = append(s.Earlier, earlier.Subject)
		}
	}
	for name := range r.Header {
		s.Headers = append(s.Headers, name)
	}
	return s
}

// chain is a client's view of an MCP server, its back end, and the back end's own.
type chain struct {
	t       *testing.T
	issuer  *authtest.Issuer
	network authtest.Network
	tokens  map[string]string // the credential that arrived at each
}

func newChain(t *testing.T) *chain {
	c := &chain{t: t, network: authtest.Network{}, tokens: make(map[string]string)}
	c.issuer = authtest.NewIssuer(t, authtest.Config{
		Resources: []string{mcpServer, backEnd, archive},
		Scopes:    []string{"mcp:use", "reports:read", "archive:read"},
		Clients:   []authtest.Client{{ID: serverID, Secret: secret}, {ID: backEnds, Secret: secret}},
		Exchanges: []authtest.Exchange{
			{ClientID: serverID, Resource: mcpServer, Targets: []string{backEnd}, Scopes: []string{"reports:read"}},
			{ClientID: backEnds, Resource: backEnd, Targets: []string{archive}, Scopes: []string{"archive:read"}},
		},
	})
	c.network[c.issuer.URL()] = c.issuer
	c.serve("https://archive.example.com", archive, "archive:read", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode([]sighting{see(r)})
	}))
	c.serve("https://api.example.com", backEnd, "reports:read", c.forward(backEnds, archive, "archive:read"))
	c.serve("https://mcp.example.com", mcpServer, "mcp:use", c.forward(serverID, backEnd, "reports:read"))
	return c
}

// serve puts a Guard in front of a handler.
func (c *chain) serve(origin, resource, scope string, next http.Handler) {
	guard, err := middleware.New(middleware.Config{
		Metadata:  prm.Metadata{Resource: resource, AuthorizationServers: []string{c.issuer.URL()}},
		Transport: c.network,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	guarded := guard.Require(scope)(next)
	c.network[origin] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.tokens[resource] = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		guarded.ServeHTTP(w, r)
	})
}

// forward calls the next API for the user and adds what it sees itself.
func (c *chain) forward(clientID, resource, scope string) http.Handler {
	client := newClient(c.t, exchange.Config{Issuer: c.issuer.URL(), Auth: clientauth.SecretBasic(clientID, secret), Transport: c.network})
	api := &http.Client{Transport: client.Transport(c.network, exchange.Target{Resource: []string{resource}, Scopes: []string{scope}})}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, resource, nil)
		if err != nil {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		response, err := api.Do(request)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		var below []sighting
		_ = json.NewDecoder(response.Body).Decode(&below)
		w.WriteHeader(response.StatusCode)
		_ = json.NewEncoder(w).Encode(append([]sighting{see(r)}, below...))
	})
}

func (c *chain) get(url, token string) (int, string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := c.network.RoundTrip(request)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func TestChainOfThreeServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t)
		original := c.issuer.Token(authtest.Claims{"sub": "alice", "client_id": "desktop", "aud": mcpServer, "scope": "mcp:use"})
		status, text := c.get(mcpServer, original)
		var seen []sighting
		if err := json.Unmarshal([]byte(text), &seen); err != nil || status != 200 || len(seen) != 3 {
			t.Fatalf("%d %s", status, text)
		}
		for i, want := range []sighting{
			{Subject: "alice", Client: "desktop", Scopes: "mcp:use", Audience: []string{mcpServer}},
			{Subject: "alice", Client: serverID, Actor: serverID, Scopes: "reports:read", Audience: []string{backEnd}},
			{Subject: "alice", Client: backEnds, Actor: backEnds, Earlier: []string{serverID}, Scopes: "archive:read", Audience: []string{archive}},
		} {
			got := seen[i]
			if got.Subject != want.Subject || got.Client != want.Client || got.Actor != want.Actor || got.Scopes != want.Scopes ||
				!slices.Equal(got.Earlier, want.Earlier) || !slices.Equal(got.Audience, want.Audience) {
				t.Errorf("server %d sees %+v, want %+v", i, got, want)
			}
			if slices.Contains(got.Headers, "Authorization") {
				t.Errorf("server %d hands the credential to its handler", i)
			}
		}
		if c.tokens[mcpServer] != original || c.tokens[backEnd] == original || c.tokens[archive] == original || c.tokens[archive] == c.tokens[backEnd] {
			t.Error("a token was passed through")
		}
		noSecrets(t, c.tokens[backEnd]+" "+c.tokens[archive], original[len(original)-40:])

		for _, refused := range []struct{ url, token string }{
			{backEnd, original}, {archive, original}, {archive, c.tokens[backEnd]}, {mcpServer, c.tokens[backEnd]},
		} {
			if status, text := c.get(refused.url, refused.token); status != 401 || !strings.Contains(text, "invalid_token") {
				t.Errorf("%s answered %d %s to a token that is not for it", refused.url, status, text)
			}
		}
		for range 10 {
			c.get(mcpServer, original)
		}
		if hits := c.issuer.Hits(authtest.EndpointToken); hits != 2 {
			t.Errorf("%d exchanges for eleven calls, want one per hop", hits)
		}
	})
}

func TestAChainWithoutPermissionIsNoPassthrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newChain(t)
		mayNot := c.issuer.Token(authtest.Claims{"sub": "alice", "aud": mcpServer, "scope": "mcp:use", "may_act": map[string]any{"sub": "somebody-else"}})
		if status, text := c.get(mcpServer, mayNot); status != http.StatusBadGateway || !strings.Contains(text, "invalid_request") {
			t.Errorf("%d %s", status, text)
		}
		if c.tokens[backEnd] != "" {
			t.Error("the back end was called")
		}
	})
}
