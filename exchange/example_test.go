package exchange_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/oauth2"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// An MCP server calls an API for its user. The API sees the user, and who acts.
func ExampleClient_Transport() {
	const resource, reports = "https://mcp.example.com/mcp", "https://reports.example.com/"
	issuer, err := authtest.New(authtest.Config{
		Resources: []string{resource, reports},
		Scopes:    []string{"mcp:use", "reports:read"},
		Subject:   "alice",
		Clients:   []authtest.Client{{ID: "mcp-server", Secret: "s3cret"}},
		Exchanges: []authtest.Exchange{{ClientID: "mcp-server", Resource: resource, Targets: []string{reports}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	network := authtest.Network{issuer.URL(): issuer}
	guard := func(resource string) *middleware.Guard {
		g, err := middleware.New(middleware.Config{
			Metadata:   prm.Metadata{Resource: resource, AuthorizationServers: []string{issuer.URL()}},
			Transport:  network,
			LateStepUp: true, // for middleware.Refuse
		})
		if err != nil {
			panic(err)
		}
		return g
	}
	network["https://reports.example.com"] = guard(reports).Require("reports:read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := verifier.FromContext(r.Context())
		fmt.Fprintf(w, "the report of %s, by way of %s", token.Subject, token.Actor.Subject)
	}))

	// From here on it is what a program writes.
	client, err := exchange.New(exchange.Config{
		Issuer:    issuer.URL(),
		Auth:      clientauth.SecretBasic("mcp-server", "s3cret"),
		Transport: network,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	api := &http.Client{Transport: client.Transport(network, exchange.Target{
		Resource: []string{reports},
		Scopes:   []string{"reports:read"},
	})}
	network["https://mcp.example.com"] = guard(resource).Require("mcp:use")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, err := http.NewRequestWithContext(r.Context(), http.MethodGet, reports, nil)
		if err != nil {
			http.Error(w, "", http.StatusInternalServerError)
			return
		}
		response, err := api.Do(request)
		if err != nil {
			_ = middleware.Refuse(r.Context(), err) // 401, a step-up or 503, where that helps the client
			http.Error(w, "no report", http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		_, _ = io.Copy(w, response.Body)
	}))

	request, err := http.NewRequest(http.MethodPost, resource, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	request.Header.Set("Authorization", "Bearer "+issuer.Token(authtest.Claims{"scope": "mcp:use"}))
	response, err := network.RoundTrip(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(response.StatusCode, string(text))
	// Output: 200 the report of alice, by way of mcp-server
}

// source is an oauth2.TokenSource for the user of one request: other libraries'
// clients take one. The Client remembers, so oauth2.ReuseTokenSource is not needed.
type source struct {
	ctx    context.Context // of the request
	client *exchange.Client
	target exchange.Target
}

func (s source) Token() (*oauth2.Token, error) {
	token, err := s.client.Exchange(s.ctx, exchange.Request{Target: s.target})
	if err != nil {
		return nil, err
	}
	return &oauth2.Token{AccessToken: token.AccessToken(), TokenType: token.Scheme, Expiry: token.Expiry}, nil
}

func ExampleClient_Exchange_tokenSource() {
	issuer, err := authtest.New(authtest.Config{
		Resources: []string{"https://mcp.example.com/mcp"},
		Clients:   []authtest.Client{{ID: "mcp-server", Secret: "s3cret"}},
		Exchanges: []authtest.Exchange{{ClientID: "mcp-server", Resource: "https://mcp.example.com/mcp", Targets: []string{"reports"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	jwt, err := verifier.NewJWT(verifier.JWTConfig{
		Resource: "https://mcp.example.com/mcp", Issuers: []verifier.Issuer{{URL: issuer.URL()}}, Transport: issuer.Transport(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	user, err := jwt.Verify(context.Background(), issuer.Token(nil))
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := exchange.New(exchange.Config{Issuer: issuer.URL(), Auth: clientauth.SecretPost("mcp-server", "s3cret"), Transport: issuer.Transport()})
	if err != nil {
		fmt.Println(err)
		return
	}

	var tokens oauth2.TokenSource = source{verifier.NewContext(context.Background(), user), client, exchange.Target{Audience: []string{"reports"}}}
	token, err := tokens.Token()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.Type(), token.Valid())
	// Output: Bearer true
}
