package idp_test

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/idp"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// wire puts a configuration to use and prints where and how tokens are asked about.
func wire(config verifier.IntrospectionConfig) {
	introspection, err := verifier.NewIntrospection(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = middleware.New(middleware.Config{
		Metadata: prm.Metadata{Resource: config.Resource, AuthorizationServers: []string{config.Issuer}},
		Verifier: introspection,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if config.Endpoint == "" {
		config.Endpoint = "(found by discovery)"
	}
	fmt.Println(config.Endpoint)
	fmt.Println(config.Auth)
}

func ExampleKeycloakIntrospection() {
	wire(idp.KeycloakIntrospection("https://sso.acme.example/realms/mcp", "https://mcp.acme.example/mcp", "mcp-server", "its secret"))
	// Output:
	// https://sso.acme.example/realms/mcp/protocol/openid-connect/token/introspect
	// clientauth.Method(client_secret_basic)
}

// An API application with a key instead of a secret.
func ExampleZITADELIntrospection() {
	key, err := rsa.GenerateKey(rand.Reader, 2048) // or rather the one in the file that ZITADEL made
	if err != nil {
		fmt.Println(err)
		return
	}
	config := idp.ZITADELIntrospection("https://acme.zitadel.cloud", "https://mcp.acme.example/mcp", "290000000000000099", "", "")
	config.Auth = clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: "290000000000000222@mcp",
		Key:      clientauth.Key{Signer: key, Algorithm: "RS256", ID: "290000000000000333"},
	})
	wire(config)
	// Output:
	// https://acme.zitadel.cloud/oauth/v2/introspect
	// clientauth.Method(private_key_jwt)
}

// Ory Network wants an API key.
func ExampleHydraIntrospection() {
	const project = "https://acme.projects.oryapis.com"
	config := idp.HydraIntrospection(project, project, "https://mcp.acme.example/mcp")
	config.Auth = clientauth.StaticBearer("ory_pat_synthetic")
	wire(config)
	// Output:
	// https://acme.projects.oryapis.com/admin/oauth2/introspect
	// clientauth.Method(bearer)
}

func ExampleAutheliaIntrospection() {
	wire(idp.AutheliaIntrospection("https://auth.acme.example", "https://mcp.acme.example/mcp", "mcp-server", "its secret"))
	// Output:
	// https://auth.acme.example/api/oidc/introspection
	// clientauth.Method(client_secret_basic)
}

func ExampleOktaOrgIntrospection() {
	wire(idp.OktaOrgIntrospection("https://acme.okta.com", "https://mcp.acme.example/mcp", "0oa7zz1server0009", "its secret",
		"0oa7zz1client0001", // the apps that may call, and do nothing else
	))
	// Output:
	// (found by discovery)
	// clientauth.Method(client_secret_basic)
}

// The custom resource's introspection method is CLIENT_SECRET_POST.
func ExamplePingOneIntrospection() {
	config := idp.PingOneIntrospection("https://auth.pingone.eu/11112222-0000-4000-8000-00000000e001/as", "https://mcp.acme.example/mcp", "", "")
	config.Auth = clientauth.SecretPost("55556666-0000-4000-8000-00000000e005", "the resource's secret")
	wire(config)
	// Output:
	// https://auth.pingone.eu/11112222-0000-4000-8000-00000000e001/as/introspect
	// clientauth.Method(client_secret_post)
}

func ExampleDuendeIntrospection() {
	const resource = "https://mcp.acme.example/mcp" // and the name of the ApiResource
	wire(idp.DuendeIntrospection("https://ids.acme.example", resource, resource, "its secret"))
	// Output:
	// https://ids.acme.example/connect/introspect
	// clientauth.Method(client_secret_basic)
}

func ExampleCurityIntrospection() {
	wire(idp.CurityIntrospection("https://login.acme.example/oauth/v2/oauth-anonymous", "https://mcp.acme.example/mcp", "mcp-server", "its secret"))
	// Output:
	// (found by discovery)
	// clientauth.Method(client_secret_basic)
}
