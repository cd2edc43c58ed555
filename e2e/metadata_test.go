//go:build e2e

package e2e

import (
	"net/url"
	"strings"
	"testing"
)

func TestCurlSeesPreflightAndMetadata(t *testing.T) {
	eachFront(t, setup{alg: "ES256"}, func(t *testing.T, f front, s *server, p *provider) {
		metadata := metadataURL(t, s.resource)
		origin := strings.TrimSuffix(s.resource, "/mcp")
		preflight := func(origin string) []string {
			return []string{
				"--request", "OPTIONS",
				"--header", "Origin: " + origin,
				"--header", "Access-Control-Request-Method: POST",
				"--header", "Access-Control-Request-Headers: authorization,content-type,mcp-protocol-version",
			}
		}
		document := map[string]string{
			"Accept-Ranges":               "bytes",
			"Access-Control-Allow-Origin": "*",
			"Cache-Control":               anyValue,
			"Content-Length":              anyValue,
			"Content-Type":                "application/json",
			"Date":                        anyValue,
			"Etag":                        anyValue,
			"X-Content-Type-Options":      "nosniff",
		}
		// Nothing is mounted there: the answer is that of http.ServeMux.
		notFound := map[string]string{
			"Content-Length":         anyValue,
			"Content-Type":           "text/plain; charset=utf-8",
			"Date":                   anyValue,
			"X-Content-Type-Options": "nosniff",
		}

		for _, c := range []struct {
			name     string
			url      string
			args     []string
			status   int
			header   map[string]string
			contains []string // nil: the body is empty
		}{
			{name: "preflight of the resource's own origin", url: s.resource, args: preflight(origin), status: 204,
				header: map[string]string{
					"Access-Control-Allow-Headers": "Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, " +
						"Mcp-Session-Id, Last-Event-ID, DPoP",
					"Access-Control-Allow-Methods":  "GET, POST, DELETE, OPTIONS",
					"Access-Control-Allow-Origin":   origin,
					"Access-Control-Expose-Headers": anyValue,
					"Access-Control-Max-Age":        anyValue,
					"Date":                          anyValue,
					"Vary":                          "Origin | Access-Control-Request-Method, Access-Control-Request-Headers",
				}},
			{name: "preflight of a foreign origin", url: s.resource, args: preflight("https://evil.example"), status: 403,
				header: refusal("", nil), contains: []string{`"error":"forbidden"`}},
			{name: "metadata by GET", url: metadata, status: 200, header: document, contains: []string{
				`"resource":"` + s.resource + `"`,
				`"authorization_servers":["` + p.issuer + `"]`,
				`"bearer_methods_supported":["header"]`,
			}},
			{name: "metadata by GET with a bad token", url: metadata, args: bearer("nonsense"), status: 200, header: document,
				contains: []string{`"resource":"` + s.resource + `"`}},
			{name: "metadata by HEAD", url: metadata, args: []string{"--head"}, status: 200, header: document},
			{name: "metadata by OPTIONS", url: metadata, args: preflight("https://app.example"), status: 204,
				header: map[string]string{
					"Access-Control-Allow-Headers": anyValue,
					"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
					"Access-Control-Allow-Origin":  "*",
					"Access-Control-Max-Age":       anyValue,
					"Allow":                        "GET, HEAD, OPTIONS",
					"Date":                         anyValue,
					"X-Content-Type-Options":       "nosniff",
				}},
			{name: "metadata by POST", url: metadata, args: []string{"--request", "POST"}, status: 405,
				header: map[string]string{
					"Access-Control-Allow-Origin": "*",
					"Allow":                       "GET, HEAD, OPTIONS",
					"Cache-Control":               "no-store",
					"Content-Length":              anyValue,
					"Content-Type":                "text/plain; charset=utf-8",
					"Date":                        anyValue,
					"X-Content-Type-Options":      "nosniff",
				}, contains: []string{"method not allowed"}},
			{name: "metadata of another resource", url: metadata + "/other", status: 404, header: notFound, contains: []string{"not found"}},
			{name: "metadata of the bare origin", url: strings.TrimSuffix(metadata, "/mcp"), status: 404, header: notFound, contains: []string{"not found"}},
		} {
			t.Run(c.name, func(t *testing.T) {
				got := curl(t, f, c.url, c.args...)
				if got.status != c.status {
					t.Errorf("status %d, want %d", got.status, c.status)
				}
				expectHeader(t, f, got.header, c.header)
				if c.contains == nil && got.body != "" {
					t.Errorf("body %q, want none", got.body)
				}
				for _, text := range c.contains {
					if !strings.Contains(got.body, text) {
						t.Errorf("body %q, want %q in it", got.body, text)
					}
				}
			})
		}
	})
}

// metadataURL inserts the well-known path (RFC 9728 §3.1) without any help of
// the code under test.
func metadataURL(t *testing.T, resource string) string {
	t.Helper()
	u, err := url.Parse(resource)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/.well-known/oauth-protected-resource" + u.Path
	return u.String()
}
