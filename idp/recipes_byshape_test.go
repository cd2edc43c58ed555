package idp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/idp"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Ory Hydra gives JWTs to some clients and opaque tokens to others. What looks like
// a JWT of a configured issuer is verified here, and everything else asked about; a
// JWT that fails is not tried again by asking.
func Example_byShape() {
	const resource, hydra, admin = "https://mcp.acme.example/mcp", "https://auth.acme.example", "https://hydra-admin.acme.example:4445"
	questions := 0
	issuer, err := authtest.New(authtest.Config{URL: hydra, Resources: []string{resource}}) // stands for Hydra
	if err != nil {
		fmt.Println(err)
		return
	}
	network := authtest.Network{hydra: issuer, admin: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		questions++
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"active":true,"iss":%q,"aud":[%q],"sub":"user-of-opaque","client_id":"desktop","exp":%d,"token_type":"Bearer","token_use":"access_token"}`,
			hydra, resource, time.Now().Add(time.Hour).Unix())
	})}

	jwt, err := verifier.NewJWT(verifier.JWTConfig{Resource: resource, Issuers: []verifier.Issuer{{URL: hydra}}, Transport: network})
	if err != nil {
		fmt.Println(err)
		return
	}
	config := idp.HydraIntrospection(hydra, admin, resource)
	config.Transport = network
	opaque, err := verifier.NewIntrospection(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	both, err := verifier.ByShape(verifier.ByShapeConfig{JWT: jwt, Opaque: opaque})
	if err != nil {
		fmt.Println(err)
		return
	}

	signed := issuer.Token(authtest.Claims{"sub": "user-of-jwt"})
	forged := signed[:strings.LastIndex(signed, ".")+1] + strings.Repeat("A", 86)
	for _, token := range []string{signed, "ory_at_opaque", forged} {
		verified, err := both.Verify(context.Background(), token)
		if invalid, refused := errors.AsType[*verifier.InvalidTokenError](err); refused {
			fmt.Println("refused:", invalid.Reason)
			continue
		}
		fmt.Println(verified.Subject)
	}
	fmt.Println(questions, "question")
	// Output:
	// user-of-jwt
	// user-of-opaque
	// refused: signature
	// 1 question
}
