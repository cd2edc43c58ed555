package authtest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestRegister_public_client_logs_in_and_steps_up(t *testing.T) {
	a := newCaller(t, config())
	got := a.register(`{"redirect_uris":["http://localhost:3000/cb"],"token_endpoint_auth_method":"none","client_name":"Test",
		"scope":"files:read","application_type":"native","grant_types":["authorization_code","refresh_token"],"response_types":["code"]}`)
	if got.status != http.StatusCreated || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	id, _ := got.JSON["client_id"].(string)
	if _, secret := got.JSON["client_secret"]; id == "" || secret || got.JSON["application_type"] != "native" || got.JSON["scope"] != "files:read" {
		t.Errorf("answer %s", got.body)
	}
	request := []string{"client_id", id, "redirect_uri", "http://localhost:4711/cb"}
	code := a.code(append(request, "scope", "files:read files:write")...)
	token := a.post("/token", form(tokenRequest(code), request...))
	wantClaims(t, a.claims(token.JSON["access_token"]), map[string]any{"client_id": id, "scope": "files:read files:write"})
}

func TestRegister_confidential_client_gets_a_secret(t *testing.T) {
	a := newCaller(t, config())
	got := a.register(`{"redirect_uris":["https://app.example/cb"],"client_secret":"mine","client_id":"mine"}`)
	id, secret := fmt.Sprint(got.JSON["client_id"]), fmt.Sprint(got.JSON["client_secret"])
	if got.status != http.StatusCreated || id == "mine" || secret == "mine" || len(secret) < 20 ||
		got.JSON["client_secret_expires_at"] != 0.0 || got.JSON["token_endpoint_auth_method"] != "client_secret_basic" {
		t.Fatalf("%d %s", got.status, got.body)
	}
	token := a.post("/token", form(nil, "grant_type", "client_credentials", "client_id", id, "client_secret", secret))
	if token.status != http.StatusOK {
		t.Errorf("%d %s", token.status, token.body)
	}
	wantError(t, a.post("/token", form(nil, "grant_type", "client_credentials", "client_id", id)), http.StatusUnauthorized, "invalid_client")
}

func TestRegister_grant_types_bind(t *testing.T) {
	a := newCaller(t, config())
	got := a.register(`{"redirect_uris":["https://app.example/callback"],"grant_types":["authorization_code"],"token_endpoint_auth_method":"client_secret_post"}`)
	login := []string{"client_id", fmt.Sprint(got.JSON["client_id"])}
	secret := append(login, "client_secret", fmt.Sprint(got.JSON["client_secret"]))
	token := a.post("/token", form(tokenRequest(a.code(login...)), secret...))
	if token.status != http.StatusOK || token.JSON["refresh_token"] != nil {
		t.Errorf("%d %s", token.status, token.body)
	}
	wantError(t, a.post("/token", form(form(nil, secret...), "grant_type", "client_credentials")), http.StatusBadRequest, "unauthorized_client")

	machine := a.register(`{"grant_types":["client_credentials"]}`)
	if machine.status != http.StatusCreated {
		t.Fatalf("%d %s", machine.status, machine.body)
	}
}

func TestRegister_refuses(t *testing.T) {
	a := newCaller(t, config())
	for name, test := range map[string]struct{ body, want string }{
		"no redirect URI":        {`{}`, "invalid_redirect_uri"},
		"http":                   {`{"redirect_uris":["http://app.example/cb"]}`, "invalid_redirect_uri"},
		"http that looks local":  {`{"redirect_uris":["http://127.0.0.1.evil.example/cb"]}`, "invalid_redirect_uri"},
		"custom scheme":          {`{"redirect_uris":["app:/cb"]}`, "invalid_redirect_uri"},
		"javascript":             {`{"redirect_uris":["javascript:alert(1)"]}`, "invalid_redirect_uri"},
		"fragment":               {`{"redirect_uris":["https://app.example/cb#f"]}`, "invalid_redirect_uri"},
		"user":                   {`{"redirect_uris":["https://u@app.example/cb"]}`, "invalid_redirect_uri"},
		"one bad among good":     {`{"redirect_uris":["https://app.example/cb","app:/cb"]}`, "invalid_redirect_uri"},
		"too many":               {`{"redirect_uris":["https://app.example/cb"` + strings.Repeat(`,"https://app.example/cb"`, 20) + `]}`, "invalid_redirect_uri"},
		"unknown authentication": {`{"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"tls_client_auth"}`, "invalid_client_metadata"},
		"unknown grant":          {`{"redirect_uris":["https://app.example/cb"],"grant_types":["password"]}`, "invalid_client_metadata"},
		"implicit":               {`{"redirect_uris":["https://app.example/cb"],"response_types":["token"]}`, "invalid_client_metadata"},
		"null":                   {`null`, "invalid_client_metadata"},
		"no JSON":                {`x`, "invalid_client_metadata"},
		"wrong type":             {`{"redirect_uris":"https://app.example/cb"}`, "invalid_client_metadata"},
		"duplicate member":       {`{"redirect_uris":[],"redirect_uris":["https://app.example/cb"]}`, "invalid_client_metadata"},
		"too large":              {`{"x":"` + strings.Repeat("x", 1<<20) + `"}`, "invalid_client_metadata"},
	} {
		t.Run(name, func(t *testing.T) { wantError(t, a.register(test.body), http.StatusBadRequest, test.want) })
	}
	form := a.request(http.MethodPost, a.issuer.URL()+"/register", "text/plain", `{}`)
	wantError(t, a.do(form), http.StatusBadRequest, "invalid_client_metadata")
}

func TestRegister_forgets_the_oldest_client_but_none_of_Config(t *testing.T) {
	a := newCaller(t, config())
	const body = `{"redirect_uris":["https://app.example/callback"],"token_endpoint_auth_method":"none"}`
	oldest := fmt.Sprint(a.register(body).JSON["client_id"])
	a.code("client_id", oldest)
	for range 4096 {
		a.register(body)
	}
	values := form(authorizationRequest(), "client_id", oldest)
	if got := a.get(a.issuer.URL() + "/authorize?" + values.Encode()); got.status != http.StatusBadRequest {
		t.Errorf("the oldest of 4097 clients: %d", got.status)
	}
	a.code()
}
