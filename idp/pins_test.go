package idp_test

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// with returns object with one member changed, or removed where value is nil.
func with(t *testing.T, object json.RawMessage, name string, value any) json.RawMessage {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(object, &members); err != nil {
		t.Fatal(err)
	}
	if members[name] = value; value == nil {
		delete(members, name)
	}
	changed, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// What a preset pins, by what becomes of a good token that differs in one place.
func TestPins(t *testing.T) {
	anyType := map[string]bool{"at+jwt": true, "JWT": true, "": true}
	namedType := map[string]bool{"at+jwt": true, "JWT": true}
	pins := map[string]struct {
		anyAlgorithm bool
		types        map[string]bool
		scopeClaim   string // the only one; "": scope, then scp
	}{
		"okta":            {types: anyType},
		"entra-v2":        {types: map[string]bool{"JWT": true}, scopeClaim: "scp"},
		"entra-v1":        {types: map[string]bool{"JWT": true}, scopeClaim: "scp"},
		"entra-tenants":   {types: map[string]bool{"JWT": true}, scopeClaim: "scp"},
		"auth0":           {types: namedType, scopeClaim: "scope"},
		"keycloak":        {types: namedType, scopeClaim: "scope", anyAlgorithm: true},
		"cognito":         {types: map[string]bool{"JWT": true, "": true}, scopeClaim: "scope"},
		"cognito-clients": {types: map[string]bool{"JWT": true, "": true}, scopeClaim: "scope"},
		"pingone":         {types: anyType, scopeClaim: "scope"},
		"workos":          {types: anyType, scopeClaim: "scope", anyAlgorithm: true},
		"cloudflare":      {types: map[string]bool{"JWT": true}},
	}
	for _, provider := range providers {
		pin, pinned := pins[provider.dir]
		if !pinned {
			continue
		}
		t.Run(provider.dir, func(t *testing.T) {
			dir := filepath.Join("..", "testdata", "idp", provider.dir)
			files, err := filepath.Glob(filepath.Join(dir, "good-*.json"))
			if err != nil || len(files) == 0 {
				t.Fatalf("%d fixtures, %v", len(files), err)
			}
			good := load(t, files[len(files)-1])
			network := network(t, dir, provider.serves)
			verify := func(f fixture) (token *verifier.Token, err error) {
				bubble(t, func(t *testing.T) {
					jwt, mistakes := verifier.NewJWT(verifier.JWTConfig{
						Resource: resource, Issuers: []verifier.Issuer{provider.issuer}, Transport: network,
					})
					if mistakes != nil {
						t.Fatal(mistakes)
					}
					token, err = jwt.Verify(context.Background(), f.compact(t))
				})
				return token, err
			}

			// The keys are for RS256, so nothing else passes; the Reason tells
			// whether the preset has refused it before the keys were asked.
			for _, algorithm := range []string{"RS384", "PS256", "ES256", "HS256", "none"} {
				f := good
				f.Header = with(t, f.Header, "alg", algorithm)
				_, err := verify(f)
				invalid, _ := errors.AsType[*verifier.InvalidTokenError](err)
				open := pin.anyAlgorithm && algorithm != "HS256" && algorithm != "none"
				if invalid == nil || open == (invalid.Reason == verifier.ReasonAlgorithm) {
					t.Errorf("alg %s: %v", algorithm, err)
				}
			}
			for _, typ := range []any{"at+jwt", "JWT", nil, "logout+jwt", "application/okta-internal-at+jwt", "dpop+jwt"} {
				f := good
				f.Header = with(t, f.Header, "typ", typ)
				name, _ := typ.(string)
				if _, err := verify(f); (err == nil) != pin.types[name] {
					t.Errorf("typ %q: %v", name, err)
				}
			}
			for _, claim := range []string{"scope", "scp", "permissions", "roles"} {
				f := good
				if claim == pin.scopeClaim || pin.scopeClaim == "" && claim[0] == 's' {
					continue
				}
				f.Payload = with(t, f.Payload, claim, []string{"root"})
				token, err := verify(f)
				if err != nil || token.Scopes.Has("root") {
					t.Errorf("claim %s grants: %v", claim, err)
				}
				if pin.scopeClaim != "" {
					f.Payload = with(t, f.Payload, pin.scopeClaim, nil)
				}
				if token, err := verify(f); err == nil && token.Scopes.Has("root") {
					t.Errorf("claim %s grants where %s is absent", claim, pin.scopeClaim)
				}
			}
		})
	}
}
