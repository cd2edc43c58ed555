//go:build e2e

package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// message returns curl's arguments for a JSON-RPC request.
func message(body string) []string {
	return []string{
		"--header", "Content-Type: application/json",
		"--header", "Accept: application/json, text/event-stream",
		"--data", body,
	}
}

func field(name, value string) []string { return []string{"--header", name + ": " + value} }

func bearer(token string) []string { return field("Authorization", "Bearer "+token) }

// refusal is the exact header of a refusal, with Date and Content-Length, which
// are net/http's own.
func refusal(challenge string, further map[string]string) map[string]string {
	header := map[string]string{
		"Cache-Control":          "no-store",
		"Content-Length":         anyValue,
		"Content-Type":           "application/json",
		"Date":                   anyValue,
		"X-Content-Type-Options": "nosniff",
	}
	if challenge != "" {
		header["Www-Authenticate"] = challenge
	}
	maps.Copy(header, further)
	return header
}

func TestCurlSeesTheWholeRefusalTable(t *testing.T) {
	eachFront(t, setup{alg: "ES256"}, func(t *testing.T, f front, s *server, p *provider) {
		good := p.machineToken(t, s.resource, "mcp:tools")
		narrow := p.machineToken(t, s.resource, "mcp:admin")
		foreign := p.machineToken(t, s.resource+"/other", "mcp:tools")
		p.nextToken(t, -time.Minute)
		expired := p.machineToken(t, s.resource, "mcp:tools")
		signature := strings.LastIndex(good, ".") + 1
		forged := good[:signature] + strings.Repeat("A", len(good)-signature)
		tokens := []string{good, narrow, foreign, expired}

		metadata := `resource_metadata="` + metadataURL(t, s.resource) + `"`
		noToken := refusal(`Bearer `+metadata+`, scope="mcp:tools"`, nil)
		invalidRequest := refusal(`Bearer error="invalid_request", error_description="*", `+metadata, nil)
		invalidToken := refusal(`Bearer error="invalid_token", error_description="*", scope="mcp:tools", `+metadata, nil)
		// What is needed and what is held, whichever is which.
		insufficientScope := refusal(`Bearer error="insufficient_scope", error_description="*", scope="mcp:admin mcp:tools", `+metadata, nil)
		origin := strings.TrimSuffix(s.resource, "/mcp")
		inBrowser := refusal(noToken["Www-Authenticate"], map[string]string{
			"Access-Control-Allow-Origin":   origin,
			"Access-Control-Expose-Headers": "WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id, Retry-After",
			"Vary":                          "Origin",
		})

		list := message(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		admin := message(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"admin_report"}}`)
		join := slices.Concat[[]string]

		for _, c := range []struct {
			name   string
			query  string
			args   []string
			status int
			error  string
			header map[string]string
			atEdge bool // nginx answers by itself, and nothing reaches the server
		}{
			{name: "no token", args: list, status: 401, error: "unauthorized", header: noToken},
			{name: "no token in a browser", args: join(list, field("Origin", origin)), status: 401, error: "unauthorized", header: inBrowser},
			{name: "another scheme", args: join(list, []string{"--user", "user:password"}), status: 401, error: "unauthorized", header: noToken},
			{name: "token in the query", query: "?access_token=" + good, args: list, status: 401, error: "unauthorized", header: noToken},
			{name: "token in the query and in the header", query: "?access_token=" + good, args: join(list, bearer(good)),
				status: 400, error: "invalid_request", header: invalidRequest},
			{name: "two Authorization fields", args: join(list, bearer(good), bearer(good)),
				status: 400, error: "invalid_request", header: invalidRequest, atEdge: true},
			{name: "two tokens in one field", args: join(list, bearer(good+" "+good)), status: 400, error: "invalid_request", header: invalidRequest},
			{name: "not a JWT", args: join(list, bearer("nonsense")), status: 401, error: "invalid_token", header: invalidToken},
			{name: "forged signature", args: join(list, bearer(forged)), status: 401, error: "invalid_token", header: invalidToken},
			{name: "expired", args: join(list, bearer(expired)), status: 401, error: "invalid_token", header: invalidToken},
			{name: "for another resource", args: join(list, bearer(foreign)), status: 401, error: "invalid_token", header: invalidToken},
			{name: "scope of the endpoint missing", args: join(list, bearer(narrow)), status: 403, error: "insufficient_scope", header: insufficientScope},
			{name: "scope of the tool missing", args: join(admin, bearer(good)), status: 403, error: "insufficient_scope", header: insufficientScope},
			{name: "foreign origin", args: join(list, bearer(good), field("Origin", "https://evil.example")),
				status: 403, error: "forbidden", header: refusal("", nil)},
		} {
			t.Run(c.name, func(t *testing.T) {
				before := len(s.events.all())
				got := curl(t, f, s.resource+c.query, c.args...)
				if got.status != c.status {
					t.Errorf("status %d, want %d", got.status, c.status)
				}
				seen := s.events.all()[before:]
				if c.atEdge && f.caFile != "" {
					if len(seen) != 0 {
						t.Errorf("the server saw %+v", seen)
					}
					return
				}
				if len(seen) != 1 || seen[0].Status != c.status || seen[0].Token != nil {
					t.Errorf("the server reported %+v, want one refusal", seen)
				}
				expectHeader(t, f, got.header, c.header)
				if !strings.HasPrefix(got.body, `{"error":"`+c.error+`","error_description":"`) {
					t.Errorf("body %q, want error %q", got.body, c.error)
				}
				for _, token := range tokens {
					if strings.Contains(got.body, token) {
						t.Error("the answer repeats a token")
					}
				}
			})
		}

		t.Run("a good token passes", func(t *testing.T) {
			got := curl(t, f, s.resource, join(message(initialize), bearer(good))...)
			if got.status != 200 || got.header.Get("Mcp-Session-Id") == "" || !strings.Contains(got.body, `"serverInfo"`) {
				t.Errorf("status %d, header %v, body %q", got.status, got.header, got.body)
			}
		})
	})
}
