package gatehouse_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/idp"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// mcpHandler stands for any MCP server that is an http.Handler.
var mcpHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if token, ok := verifier.FromContext(r.Context()); ok {
		fmt.Fprintf(w, "hello %s of %s", token.Subject, token.Issuer)
		return
	}
	fmt.Fprint(w, "hello, whoever you are")
})

// The ten lines: everything else has a safe default.
func Example() {
	mux := http.NewServeMux()
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             "https://mcp.example.com/mcp",
			AuthorizationServers: []string{"https://login.example.com"},
			ScopesSupported:      []string{"files:read", "files:write"},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux.Handle(guard.Metadata().Path(), guard.Metadata())
	mux.Handle("/mcp", guard.Require("files:read")(mcpHandler))

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest("POST", "/mcp", nil))
	fmt.Println(answer.Code, answer.Header().Get("WWW-Authenticate"))
	// Output:
	// 401 Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", scope="files:read"
}

// Each tool needs scopes of its own. These calls come without a token.
func Example_tools() {
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             "https://mcp.example.com/mcp",
			AuthorizationServers: []string{"https://login.example.com"},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(guard.Metadata().Path(), guard.Metadata())
	mux.Handle("/mcp", guard.Protect(scopes.Policy{
		Discovery: scopes.Public(), // initialize, tools/list, ...
		Tools: map[string]scopes.Requirement{
			"public_info": scopes.Public(),
			"read_file":   scopes.All("files:read"),
			"write_file":  scopes.Any(scopes.All("files:write"), scopes.All("admin")),
		},
	})(mcpHandler))

	for _, tool := range []string{"public_info", "read_file"} {
		body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `"}}`
		request := httptest.NewRequest("POST", "/mcp", strings.NewReader(body))
		request.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, request)
		fmt.Println(tool, answer.Code)
	}
	// Output:
	// public_info 200
	// read_file 401
}

// Providers that need more than their URL have presets. The metadata names them.
func Example_providers() {
	const (
		resource = "https://mcp.example.com/mcp"
		tenantID = "3b1c0000-1111-4222-8333-444455556666"
		appID    = "6f1e2d3c-0000-4000-8000-00000000a001"
	)
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{Resource: resource},
		Issuers:  []verifier.Issuer{idp.Entra(tenantID, appID, resource), idp.Okta("https://acme.okta.com/oauth2/default")},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, server := range guard.Metadata().Metadata().AuthorizationServers {
		fmt.Println(server)
	}
	// Output:
	// https://login.microsoftonline.com/3b1c0000-1111-4222-8333-444455556666/v2.0
	// https://acme.okta.com/oauth2/default
}

// Opaque tokens are introspected: the authorization server is asked about each,
// with credentials of this server's own.
func Example_introspection() {
	const (
		resource = "https://mcp.example.com/mcp"
		issuer   = "https://login.example.com"
		id       = "mcp-server"
		secret   = "s3cret"
	)
	opaque, err := verifier.NewIntrospection(verifier.IntrospectionConfig{
		Resource: resource, Issuer: issuer, Auth: clientauth.SecretBasic(id, secret),
	})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{Resource: resource, AuthorizationServers: []string{issuer}},
		Verifier: opaque,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guard.Status().Introspection.Issuer)
	// Output: https://login.example.com
}

// Test a handler of yours against a fake issuer, without a socket.
func Example_test() {
	issuer, err := authtest.New(authtest.Config{Resources: []string{"https://mcp.example.com/mcp"}, Scopes: []string{"files:read"}})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := middleware.New(middleware.Config{
		Metadata:  prm.Metadata{Resource: "https://mcp.example.com/mcp", AuthorizationServers: []string{issuer.URL()}},
		Transport: issuer.Transport(),
	})
	if err != nil {
		log.Fatal(err)
	}
	call := func(token string) {
		request := httptest.NewRequest("POST", "/mcp", nil)
		request.Header.Set("Authorization", "Bearer "+token)
		answer := httptest.NewRecorder()
		guard.Require("files:read")(mcpHandler).ServeHTTP(answer, request)
		fmt.Println(answer.Code, answer.Body)
	}
	call(issuer.Token(authtest.Claims{"sub": "ana"}))
	call(issuer.Token(authtest.Claims{"sub": "ana", "aud": "https://other.example.com"}))
	call(issuer.Token(authtest.Claims{"sub": "ana", "scope": "files:list"}))
	// Output:
	// 200 hello ana of https://issuer.example
	// 401 {"error":"invalid_token","error_description":"The access token is for another resource."}
	// 403 {"error":"insufficient_scope","error_description":"The access token lacks a scope that this operation needs."}
}

// A route with alternatives, a broader scope that implies narrower ones, and a
// route for everybody.
func Example_requirements() {
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             "https://mcp.example.com/mcp",
			AuthorizationServers: []string{"https://login.example.com"},
		},
		Hierarchy: scopes.Hierarchy{"files": {"files:read", "files:write"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/mcp", guard.Protect(scopes.Policy{
		Base: scopes.Any(scopes.All("files:read", "files:write"), scopes.All("admin")),
	})(mcpHandler))
	mux.Handle("/about", guard.Protect(scopes.Policy{Base: scopes.Public()})(mcpHandler))

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest("GET", "/about", nil))
	fmt.Println(answer.Code, answer.Body)
	// Output:
	// 200 hello, whoever you are
}

// Observe is told of every decision; the cause is for operators only.
func Example_observe() {
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             "https://mcp.example.com/mcp",
			AuthorizationServers: []string{"https://login.example.com"},
		},
		Observe: func(_ context.Context, event middleware.Event) {
			fmt.Println(event.Outcome, event.Reason, event.Status, event.Err)
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	request := httptest.NewRequest("POST", "/mcp", nil)
	request.Header.Set("Authorization", "Bearer opaque-or-garbage")
	guard.Require()(mcpHandler).ServeHTTP(httptest.NewRecorder(), request)
	// Output:
	// invalid_token malformed 401 middleware: 401 invalid_token: malformed: not a compact JWS
}

// Call another API as the user whose token is in the request's context.
func Example_exchange() {
	exchanger, err := exchange.New(exchange.Config{
		Issuer: "https://login.example.com",
		Auth:   clientauth.SecretBasic("mcp-server", "s3cret"),
	})
	if err != nil {
		log.Fatal(err)
	}
	reports := &http.Client{Transport: exchanger.Transport(nil, exchange.Target{Resource: []string{"https://reports.example.com/"}})}

	_, err = reports.Get("https://reports.example.com/today")
	fmt.Println(err)
	// Output:
	// Get "https://reports.example.com/today": exchange: https://login.example.com: there is no verified token of a user: use the context of a request that came through the front door
}
