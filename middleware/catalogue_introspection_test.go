package middleware_test

import (
	"net/http"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// introspection has the rows about a resource that asks A about opaque tokens: its
// secret must be good for nothing else.
func (c *catalogue) introspection(t *testing.T) {
	client := authtest.Client{ID: "resource-server-1", Secret: "introspection-secret-32-octets-x"}
	w := c.world(t, func(s *catalogueSetup) {
		s.clients = []authtest.Client{client}
		s.verifier = func(issuers []verifier.Issuer, transport http.RoundTripper) verifier.Verifier {
			jwt, err := verifier.NewJWT(verifier.JWTConfig{Resource: resource, Issuers: issuers, Transport: transport})
			if err != nil {
				t.Fatal(err)
			}
			opaque, err := verifier.NewIntrospection(verifier.IntrospectionConfig{
				Resource: resource, Issuer: catalogueA, Auth: clientauth.SecretBasic(client.ID, client.Secret), Transport: transport,
			})
			if err != nil {
				t.Fatal(err)
			}
			both, err := verifier.ByShape(verifier.ByShapeConfig{JWT: jwt, Opaque: opaque})
			if err != nil {
				t.Fatal(err)
			}
			return both
		}
	})
	secret := []byte(client.Secret)
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		w.rows(t, catalogueRow{name: "HA-09 " + alg + " with the introspection secret", token: catalogueHMAC(alg, catalogueNamed(alg, "r1"), w.payload(), secret), reason: verifier.ReasonAlgorithm})
	}
	w.rows(t,
		catalogueRow{name: "HA-09 the introspection secret without kid", token: catalogueHMAC("HS256", `{"alg":"HS256"}`, w.payload(), secret), reason: verifier.ReasonAlgorithm},
		catalogueRow{name: "HA-09 the introspection secret under RS256", token: catalogueHMAC("HS256", catalogueHeader(), w.payload(), secret), reason: verifier.ReasonSignature},
	)

	opaque, err := w.a.MintOpaque(authtest.OpaqueTokenConfig{Claims: authtest.Claims{"client_id": catalogueClient, "scope": "files:read"}})
	if err != nil {
		t.Fatal(err)
	}
	if answer := w.send(t, catalogueRow{token: opaque}); answer.status != http.StatusOK { // finds the endpoint, too
		t.Fatalf("an opaque token was answered %d: %v", answer.status, answer.event.Err)
	}
	w.rows(t,
		catalogueRow{name: "TS-59 control: the opaque token", token: opaque, want: ok},
		catalogueRow{name: "TS-59 the opaque token less one character", token: opaque[:len(opaque)-1], introspect: true, reason: verifier.ReasonInactive},
		catalogueRow{name: "TS-59 the opaque token less four characters", token: opaque[:len(opaque)-4], introspect: true, reason: verifier.ReasonInactive},
		catalogueRow{name: "TS-20 the opaque token and a tilde", token: opaque + "~", introspect: true, reason: verifier.ReasonInactive},
	)
}
