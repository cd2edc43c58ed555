package middleware_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// The public suite, modelcontextprotocol/conformance, does not test how a server
// authorizes. What was proposed to it is here, under the ids of the proposals:
// its pull requests 386 (audience validation), 64 (ten scenarios server/auth-*),
// 106 and 155 (step-up, invalid tokens), and the baseline of its issue 116.

const (
	conformanceResource = "http://127.0.0.1:3000/mcp"
	conformanceIssuer   = "http://127.0.0.1:9797"

	initializeMessage = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"conformance","version":"1.0.0"}}}`
	listMessage       = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`
	adminMessage      = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"admin-action","arguments":{}}}`
)

// conforming is a protected server in a network that exists in memory only.
type conforming struct {
	network  authtest.Network
	resource string
	ran      int // calls of the handler behind the front door
}

// newConforming starts the server before its authorization server, which the
// proposals run for as long as a test only.
func newConforming(t *testing.T, resource, issuer string, supported []string, policy scopes.Policy) *conforming {
	t.Helper()
	c := &conforming{network: authtest.Network{}, resource: resource}
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource: resource, AuthorizationServers: []string{issuer}, ScopesSupported: supported,
		},
		Transport: c.network,
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(resource)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(guard.Metadata().Path(), guard.Metadata())
	mux.Handle(u.Path, guard.Protect(policy)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c.ran++
		w.WriteHeader(http.StatusAccepted)
	})))
	c.network[u.Scheme+"://"+u.Host] = mux
	return c
}

// startIssuer adds an authorization server to the network.
func (c *conforming) startIssuer(t *testing.T, config authtest.Config) *authtest.Issuer {
	t.Helper()
	issuer := authtest.NewIssuer(t, config)
	c.network[config.URL] = issuer
	return issuer
}

// received is an answer and its body.
type received struct {
	*http.Response
	body []byte
}

func (c *conforming) send(t *testing.T, r *http.Request) received {
	t.Helper()
	answer, err := c.network.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return received{answer, body}
}

// post sends a message, with an Authorization field unless that is empty.
func (c *conforming) post(t *testing.T, message, authorization string) received {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.resource, strings.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return c.send(t, r)
}

// get returns the JSON object at target, nil if there is none.
func (c *conforming) get(t *testing.T, target string) map[string]any {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer := c.send(t, r)
	var object map[string]any
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "application/json" || json.Unmarshal(answer.body, &object) != nil {
		return nil
	}
	return object
}

// checkID reports a check of the proposals by its id.
func checkID(t *testing.T, id string, held bool) {
	t.Helper()
	if !held {
		t.Errorf("%s does not hold", id)
	}
}

func absolute(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.IsAbs() && u.Host != ""
}

func texts(value any) (list []string, ok bool) {
	items, ok := value.([]any)
	for _, item := range items {
		text, is := item.(string)
		ok = ok && is
		list = append(list, text)
	}
	return list, ok
}

// Pull request 386. No scope is asked for, and the tokens hold none.
func TestConformance_auth_token_audience_validation(t *testing.T) {
	c := newConforming(t, conformanceResource, conformanceIssuer, nil, scopes.Policy{})
	issuer := c.startIssuer(t, authtest.Config{
		URL: conformanceIssuer, Resources: []string{conformanceResource},
		Algorithms: []string{"RS256"}, Discovery: []authtest.Discovery{authtest.RFC8414Inserted},
	})
	foreign, err := authtest.NewKey("RS256", issuer.Key().KeyID())
	if err != nil {
		t.Fatal(err)
	}
	mint := func(config authtest.TokenConfig) string {
		token, err := issuer.Mint(config)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + token
	}
	for _, test := range []struct {
		id            string
		authorization string
		status        int
	}{
		{"auth-unauthenticated-request-rejected", "", http.StatusUnauthorized},
		{"auth-valid-audience-token-accepted", mint(authtest.TokenConfig{}), http.StatusAccepted},
		{"auth-wrong-audience-token-rejected", mint(authtest.TokenConfig{Claims: authtest.Claims{"aud": "https://other.example.com/mcp"}}), http.StatusUnauthorized},
		{"auth-missing-audience-token-rejected", mint(authtest.TokenConfig{Claims: authtest.Claims{"aud": authtest.Omit}}), http.StatusUnauthorized},
		{"auth-expired-token-rejected", mint(authtest.TokenConfig{Claims: authtest.Claims{
			"iat": time.Now().Add(-20 * time.Minute), "exp": time.Now().Add(-10 * time.Minute),
		}}), http.StatusUnauthorized},
		{"auth-untrusted-token-rejected", mint(authtest.TokenConfig{Key: foreign}), http.StatusUnauthorized},
	} {
		t.Run(test.id, func(t *testing.T) {
			for _, message := range []string{initializeMessage, listMessage} {
				before := c.ran
				answer := c.post(t, message, test.authorization)
				if answer.StatusCode != test.status {
					t.Errorf("status %d, want %d", answer.StatusCode, test.status)
				}
				if passed := c.ran != before; passed != (test.status == http.StatusAccepted) {
					t.Errorf("the handler ran: %v", passed)
				}
			}
		})
	}
	if hits := issuer.Hits(authtest.EndpointKeys); hits != 1 {
		t.Errorf("the keys were fetched %d times, want once, at the first token", hits)
	}
}

// Pull request 64. What is a warning there is a failure here.
func TestConformance_server_auth(t *testing.T) {
	c := newConforming(t, resource, issuerURL, []string{"files:read", "files:write"}, scopes.Policy{Base: scopes.All("files:read")})
	c.startIssuer(t, authtest.Config{URL: issuerURL, Resources: []string{resource}, Scopes: []string{"files:read", "files:write"}})
	metadata := c.get(t, "https://mcp.example.com/.well-known/oauth-protected-resource/mcp")
	servers, serversAreTexts := texts(metadata["authorization_servers"])
	named, _ := metadata["resource"].(string)

	t.Run("server/auth-prm-discovery", func(t *testing.T) {
		checkID(t, "auth-prm-endpoint-exists", metadata != nil)
		checkID(t, "auth-prm-valid-json", metadata != nil)
		checkID(t, "auth-prm-has-resource", named != "")
		checkID(t, "auth-prm-has-authorization-servers", serversAreTexts && len(servers) > 0 && !slices.ContainsFunc(servers, func(s string) bool { return !absolute(s) }))
		supported, areTexts := texts(metadata["scopes_supported"])
		checkID(t, "auth-prm-scopes-supported-valid", areTexts && slices.Equal(supported, []string{"files:read", "files:write"}))
	})
	t.Run("server/auth-prm-resource-validation", func(t *testing.T) {
		checkID(t, "auth-prm-resource-exists", named != "")
		checkID(t, "auth-prm-resource-valid-uri", absolute(named))
		checkID(t, "auth-prm-resource-https", strings.HasPrefix(named, "https://"))
		checkID(t, "auth-prm-resource-no-fragment", !strings.Contains(named, "#"))
		checkID(t, "auth-prm-resource-matches-server", named == c.resource)
	})
	t.Run("server/auth-401-unauthorized", func(t *testing.T) {
		answer := c.post(t, initializeMessage, "")
		checkID(t, "auth-401-status-code", answer.StatusCode == http.StatusUnauthorized)
		checkID(t, "auth-401-www-authenticate-present", answer.Header.Get("WWW-Authenticate") != "")
		checkID(t, "auth-401-response-json", json.Valid(answer.body) && bytes.HasPrefix(answer.body, []byte("{")))
	})
	t.Run("server/auth-www-authenticate-header", func(t *testing.T) {
		for authorization, code := range map[string]string{"": "", "Bearer nonsense": "invalid_token"} {
			answer := c.post(t, listMessage, authorization)
			checkID(t, "auth-www-auth-401-received", answer.StatusCode == http.StatusUnauthorized)
			checkID(t, "auth-www-auth-header-exists", len(answer.Header.Values("WWW-Authenticate")) == 1)
			checkID(t, "auth-www-auth-bearer-scheme", strings.HasPrefix(answer.Header.Get("WWW-Authenticate"), "Bearer "))
			checkID(t, "auth-www-auth-resource-metadata", absolute(param(t, answer.Header, "resource_metadata")))
			checkID(t, "auth-www-auth-resource-metadata, and it leads there", c.get(t, param(t, answer.Header, "resource_metadata")) != nil)
			asked, err := scopes.Parse(param(t, answer.Header, "scope"))
			checkID(t, "auth-www-auth-scope-format", err == nil && asked.String() == "files:read")
			checkID(t, "auth-www-auth-error-code", param(t, answer.Header, "error") == code)
		}
	})

	// The rest is about the authorization server, which is not ours: that the
	// metadata leads to one. client_id metadata documents are its own affair.
	if len(servers) != 1 {
		t.Fatalf("authorization servers %q", servers)
	}
	oauth := c.get(t, servers[0]+"/.well-known/oauth-authorization-server")
	openID := c.get(t, servers[0]+"/.well-known/openid-configuration")
	t.Run("server/auth-discovery-mechanism", func(t *testing.T) {
		checkID(t, "auth-discovery-rfc8414", oauth != nil)
		checkID(t, "auth-discovery-oidc", openID != nil)
		for _, member := range []string{"issuer", "authorization_endpoint", "token_endpoint"} {
			checkID(t, "auth-discovery-consistency", oauth[member] != nil && oauth[member] == openID[member])
		}
	})
	t.Run("server/auth-as-metadata-discovery", func(t *testing.T) {
		if oauth["issuer"] != servers[0] {
			t.Errorf("issuer %v, want %q as in the resource's metadata (RFC 8414 §3.3)", oauth["issuer"], servers[0])
		}
		for _, member := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri"} {
			if endpoint, _ := oauth[member].(string); !absolute(endpoint) {
				t.Errorf("%s is %v", member, oauth[member])
			}
		}
	})
	for scenario, want := range map[string]struct{ member, value string }{
		"server/auth-as-pkce-support": {"code_challenge_methods_supported", "S256"},
		"server/auth-as-grant-types":  {"grant_types_supported", "authorization_code"},
	} {
		t.Run(scenario, func(t *testing.T) {
			if list, ok := texts(oauth[want.member]); !ok || !slices.Contains(list, want.value) {
				t.Errorf("%s is %v, want %q in it", want.member, oauth[want.member], want.value)
			}
		})
	}
	t.Run("server/auth-as-cimd-supported", func(t *testing.T) {
		if _, ok := oauth["client_id_metadata_document_supported"].(bool); !ok && oauth["client_id_metadata_document_supported"] != nil {
			t.Errorf("it is %v, neither true nor false", oauth["client_id_metadata_document_supported"])
		}
	})
	t.Run("server/auth-dcr-endpoint-validation", func(t *testing.T) {
		endpoint, _ := oauth["registration_endpoint"].(string)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(`{"redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		var client struct {
			ID string `json:"client_id"`
		}
		if answer := c.send(t, r); answer.StatusCode != http.StatusCreated || json.Unmarshal(answer.body, &client) != nil || client.ID == "" {
			t.Errorf("status %d, body %s", answer.StatusCode, answer.body)
		}
	})
	if c.ran > 0 {
		t.Errorf("the handler ran %d times, and nobody had a token", c.ran)
	}
}

// Issue 116, and auth-invalid-token-rejected of pull request 155.
func TestConformance_issue_116_baseline(t *testing.T) {
	c := newConforming(t, resource, issuerURL, nil, scopes.Policy{})
	issuer := c.startIssuer(t, authtest.Config{URL: issuerURL, Resources: []string{resource}})
	good := issuer.Token(nil)
	parts := strings.Split(good, ".")
	header := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	own, err := authtest.NewKey("ES256", "self")
	if err != nil {
		t.Fatal(err)
	}
	selfSigned, err := issuer.Mint(authtest.TokenConfig{Key: own})
	if err != nil {
		t.Fatal(err)
	}
	sameKeyID, err := authtest.NewKey("ES256", issuer.Key().KeyID())
	if err != nil {
		t.Fatal(err)
	}
	impostor, err := issuer.Mint(authtest.TokenConfig{Key: sameKeyID})
	if err != nil {
		t.Fatal(err)
	}
	for name, authorization := range map[string]string{
		"malformed Authorization":             "foo",
		"auth-invalid-token-rejected":         "Bearer invalid",
		"garbage access token":                "Bearer foo",
		"unsigned JWT, no signature part":     "Bearer " + parts[0] + "." + parts[1],
		"unsigned JWT, empty signature part":  "Bearer " + parts[0] + "." + parts[1] + ".",
		"alg none":                            "Bearer " + header(`{"alg":"none","typ":"at+jwt"}`) + "." + parts[1] + ".",
		"alg none, with the signature":        "Bearer " + header(`{"alg":"none","typ":"at+jwt"}`) + "." + parts[1] + "." + parts[2],
		"alg None":                            "Bearer " + header(`{"alg":"None","typ":"at+jwt"}`) + "." + parts[1] + ".",
		"self-signed JWT":                     "Bearer " + selfSigned,
		"self-signed JWT with a known key id": "Bearer " + impostor,
	} {
		t.Run(name, func(t *testing.T) {
			answer := c.post(t, initializeMessage, authorization)
			if answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("status %d, challenge %q", answer.StatusCode, answer.Header.Get("WWW-Authenticate"))
			}
		})
	}
	if c.ran > 0 {
		t.Errorf("the handler ran %d times", c.ran)
	}
	if answer := c.post(t, initializeMessage, "Bearer "+good); answer.StatusCode != http.StatusAccepted {
		t.Errorf("status %d for the good token", answer.StatusCode)
	}
}

// Pull request 106, with the name of its tool.
func TestConformance_server_auth_step_up_auth(t *testing.T) {
	c := newConforming(t, resource, issuerURL, []string{"mcp:basic", "mcp:admin"}, scopes.Policy{
		Base:  scopes.All("mcp:basic"),
		Tools: map[string]scopes.Requirement{"test-tool": scopes.All(), "admin-action": scopes.All("mcp:admin")},
	})
	issuer := c.startIssuer(t, authtest.Config{URL: issuerURL, Resources: []string{resource}, Scopes: []string{"mcp:basic", "mcp:admin"}})
	basic := "Bearer " + issuer.Token(authtest.Claims{"scope": "mcp:basic"})
	if answer := c.post(t, listMessage, basic); answer.StatusCode != http.StatusAccepted {
		t.Fatalf("status %d for tools/list", answer.StatusCode)
	}
	answer := c.post(t, adminMessage, basic)
	checkID(t, "step-up-403-response", answer.StatusCode == http.StatusForbidden && param(t, answer.Header, "error") == "insufficient_scope")
	asked := param(t, answer.Header, "scope")
	checkID(t, "step-up-scope-in-header", asked == "mcp:admin mcp:basic")
	checkID(t, "step-up-resource-metadata", c.get(t, param(t, answer.Header, "resource_metadata")) != nil)
	checkID(t, "step-up-403-response, before the handler", c.ran == 1)
	wide := "Bearer " + issuer.Token(authtest.Claims{"scope": asked})
	checkID(t, "step-up-success-after-escalation", c.post(t, adminMessage, wide).StatusCode == http.StatusAccepted)
}
