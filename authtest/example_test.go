package authtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

// A program has no test to fail, so it uses New. A test writes
// authtest.NewIssuer(t, authtest.Config{...}) instead.
func ExampleNew() {
	issuer, err := authtest.New(authtest.Config{
		Resources: []string{"https://mcp.example.com/mcp"},
		Scopes:    []string{"files:read", "files:write"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: issuer.Transport()}
	response, err := client.Get("https://issuer.example/.well-known/oauth-authorization-server")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer response.Body.Close()
	var metadata struct {
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.NewDecoder(response.Body).Decode(&metadata); err != nil {
		fmt.Println(err)
		return
	}
	token := issuer.Token(authtest.Claims{"scope": "files:read"})

	fmt.Println(response.Status)
	fmt.Println(metadata.JWKSURI)
	fmt.Println(strings.Count(token, "."), "dots")
	// Output:
	// 200 OK
	// https://issuer.example/jwks
	// 2 dots
}

func ExampleIssuer_SetFault() {
	issuer, err := authtest.New(authtest.Config{Resources: []string{"https://mcp.example.com/mcp"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: issuer.Transport()}
	issuer.SetFault(authtest.EndpointKeys, authtest.Flap(authtest.JSON("{}"), authtest.Down(), nil))
	for range 3 {
		response, err := client.Get("https://issuer.example/jwks")
		if err != nil {
			fmt.Println("down")
			continue
		}
		fmt.Println(response.Status, response.ContentLength)
		_ = response.Body.Close()
	}
	fmt.Println(issuer.Hits(authtest.EndpointKeys), "requests")
	// Output:
	// 200 OK -1
	// down
	// 200 OK -1
	// 3 requests
}

// A resource server that introspects is a client with a secret.
func ExampleIssuer_MintOpaque() {
	issuer, err := authtest.New(authtest.Config{
		Resources: []string{"https://mcp.example.com/mcp"},
		Clients:   []authtest.Client{{ID: "mcp-server", Secret: "known-to-everyone"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: issuer.Transport()}
	introspect := func(token string) {
		response, err := client.PostForm("https://issuer.example/introspect", url.Values{
			"client_id": {"mcp-server"}, "client_secret": {"known-to-everyone"}, "token": {token},
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		defer response.Body.Close()
		var answer struct {
			Active bool
			Sub    string
		}
		if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%+v\n", answer)
	}

	token, err := issuer.MintOpaque(authtest.OpaqueTokenConfig{Claims: authtest.Claims{"sub": "alice"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	introspect(token)
	issuer.Revoke(token)
	introspect(token)
	// Output:
	// {Active:true Sub:alice}
	// {Active:false Sub:}
}
