package idp_test

import (
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/idp"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// show prints what clients are told for an issuer.
func show(issuer verifier.Issuer) {
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{Resource: "https://mcp.acme.example/mcp"},
		Issuers:  []verifier.Issuer{issuer},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(guard.Metadata().Metadata().AuthorizationServers)
}

func Example() {
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{Resource: "https://mcp.acme.example/mcp"},
		Issuers: []verifier.Issuer{
			idp.Okta("https://acme.okta.com/oauth2/default"),
			idp.Auth0("acme.eu.auth0.com"),
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, server := range guard.Metadata().Metadata().AuthorizationServers {
		fmt.Println(server)
	}
	// Output:
	// https://acme.okta.com/oauth2/default
	// https://acme.eu.auth0.com/
}

func ExampleOkta() {
	show(idp.Okta("https://acme.okta.com/oauth2/aus1ab2CD3EF4gh5"))
	// Output: [https://acme.okta.com/oauth2/aus1ab2CD3EF4gh5]
}

func ExampleEntra() {
	show(idp.Entra(
		"3b1c0000-1111-4222-8333-444455556666",
		"6f1e2d3c-0000-4000-8000-00000000a001",
		"https://mcp.acme.example/mcp", // the Application ID URI, and the resource
	))
	// Output: [https://login.microsoftonline.com/3b1c0000-1111-4222-8333-444455556666/v2.0]
}

func ExampleEntraV1() {
	show(idp.EntraV1(
		"3b1c0000-1111-4222-8333-444455556666",
		"6f1e2d3c-0000-4000-8000-00000000a001",
		"api://6f1e2d3c-0000-4000-8000-00000000a001",
	))
	// Output: [https://login.microsoftonline.com/3b1c0000-1111-4222-8333-444455556666/v2.0]
}

func ExampleEntraTenants() {
	show(idp.EntraTenants(
		"6f1e2d3c-0000-4000-8000-00000000a001",
		[]string{"3b1c0000-1111-4222-8333-444455556666", "7d2e0000-1111-4222-8333-444455557777"},
		"https://mcp.acme.example/mcp",
	))
	// Output: [https://login.microsoftonline.com/organizations/v2.0]
}

func ExampleEntraAnyTenant() {
	show(idp.EntraAnyTenant("6f1e2d3c-0000-4000-8000-00000000a001", "https://mcp.acme.example/mcp"))
	// Output: [https://login.microsoftonline.com/organizations/v2.0]
}

func ExampleAuth0() {
	show(idp.Auth0("acme.eu.auth0.com"))
	// Output: [https://acme.eu.auth0.com/]
}

func ExampleKeycloak() {
	issuer := idp.Keycloak("https://sso.acme.example/realms/mcp")
	issuer.Types = []string{"at+jwt"} // every client has the RFC 9068 header type turned on
	show(issuer)
	// Output: [https://sso.acme.example/realms/mcp]
}

func ExampleCognito() {
	show(idp.Cognito(
		"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123",
		"https://mcp.acme.example/mcp",
		"4k5l6m7n8o9p0q", // the app clients that may call
	))
	// Output: [https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEf123]
}

func ExamplePingOne() {
	show(idp.PingOne("https://auth.pingone.eu/11112222-0000-4000-8000-00000000e001/as"))
	// Output: [https://auth.pingone.eu/11112222-0000-4000-8000-00000000e001/as]
}

func ExampleWorkOS() {
	show(idp.WorkOS("acme-12.authkit.app"))
	// Output: [https://acme-12.authkit.app]
}

func ExampleCloudflareAccess() {
	show(idp.CloudflareAccess("acme", "32eafc7626e974616deaf0dc3ce63d7bcbed58a2731e84d06bc3cdf1b53c0000"))
	// Output: [https://acme.cloudflareaccess.com]
}
