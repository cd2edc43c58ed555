package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/middleware"
)

func TestOrigin(t *testing.T) {
	const bearer = "Authorization: Bearer " + good
	for _, tt := range []struct {
		name    string
		origins []string
		want    int
	}{
		{"none", nil, ok},
		{"the resource's own", []string{"https://mcp.example.com"}, ok},
		{"a configured one", []string{appOrigin}, ok},
		{"HT-41 null", []string{"null"}, forbidden},
		{"HT-41 another", []string{"https://evil.example"}, forbidden},
		{"HT-41 ours as a prefix", []string{appOrigin + ".evil.example"}, forbidden},
		{"HT-41 ours as a suffix", []string{"https://evilapp.example.com"}, forbidden},
		{"HT-41 a subdomain", []string{"https://x.app.example.com"}, forbidden},
		{"HT-41 another port", []string{appOrigin + ":444"}, forbidden},
		{"HT-41 the default port, spelt out", []string{appOrigin + ":443"}, forbidden},
		{"HT-41 another scheme", []string{"http://app.example.com"}, forbidden},
		{"HT-41 upper case", []string{"https://APP.example.com"}, forbidden},
		{"HT-41 a trailing slash", []string{appOrigin + "/"}, forbidden},
		{"HT-41 two in one field", []string{appOrigin + " " + appOrigin}, forbidden},
		{"HT-41 two fields, both allowed", []string{appOrigin, appOrigin}, forbidden},
		{"HT-41 two fields, one allowed", []string{appOrigin, "https://evil.example"}, forbidden},
		{"HT-41 empty", []string{""}, forbidden},
		{"HT-41 with user information", []string{"https://app.example.com@evil.example"}, forbidden},
		{"HT-41 a wildcard", []string{"*"}, forbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, authorization := range []string{"X-None: 1", bearer} {
				f := newFixture(t)
				r := request(authorization)
				if tt.origins != nil {
					r.Header["Origin"] = tt.origins
				}
				w := f.answer(f.handler(), r)
				want := tt.want
				if want == ok && authorization != bearer {
					want = unauthenticated
				}
				check(t, w, want)
				allowed := tt.origins != nil && tt.want == ok
				checkCORS(t, w.Header(), allowed, tt.origins)
				if want == forbidden && f.last().Outcome != middleware.OutcomeForbiddenOrigin {
					t.Errorf("outcome %s", f.last().Outcome)
				}
				if want == forbidden && len(f.verifier.seen) > 0 {
					t.Error("the token was looked at")
				}
			}
		})
	}
}

func checkCORS(t *testing.T, h http.Header, allowed bool, origins []string) {
	t.Helper()
	if !allowed {
		for name := range h {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s: %q for an origin that is not allowed", name, h[name])
			}
		}
		return
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":   origins[0],
		"Access-Control-Expose-Headers": "WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id, Retry-After",
		"Vary":                          "Origin",
	} {
		if got := strings.Join(h[name], "|"); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestEveryRefusalCanBeReadByTheBrowser(t *testing.T) {
	for name, tt := range map[string]struct {
		authorization string
		err           error
		scopes        []string
		want          int
	}{
		"HT-42 no credentials":     {"", nil, nil, unauthenticated},
		"HT-42 malformed":          {"Bearer", nil, nil, invalidRequest},
		"HT-42 bad token":          {"Bearer " + bad, nil, nil, invalidToken},
		"HT-42 insufficient scope": {"Bearer " + good, nil, []string{"other"}, insufficientScope},
		"HT-42 unavailable":        {"Bearer " + good, errBoom, nil, unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, func(f *fixture) {
				f.verifier.err = tt.err
				f.verifier.token = goodToken(tt.scopes...)
			})
			r := request("Origin: " + appOrigin)
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			w := f.answer(f.handler(), r)
			check(t, w, tt.want)
			checkCORS(t, w.Header(), true, []string{appOrigin})
		})
	}
}

func preflight(origin, headers string) *http.Request {
	r := httptest.NewRequest(http.MethodOptions, "/mcp", nil)
	r.Header.Set("Origin", origin)
	r.Header.Set("Access-Control-Request-Method", "POST")
	if headers != "" {
		r.Header.Set("Access-Control-Request-Headers", headers)
	}
	return r
}

func TestPreflight(t *testing.T) {
	f := newFixture(t)
	w := f.answer(f.handler(), preflight(appOrigin, "authorization,content-type,mcp-param-region,x-evil"))
	const want = `204
Access-Control-Allow-Headers: Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID, DPoP, mcp-param-region
Access-Control-Allow-Methods: GET, POST, DELETE, OPTIONS
Access-Control-Allow-Origin: https://app.example.com
Access-Control-Expose-Headers: WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id, Retry-After
Access-Control-Max-Age: 7200
Vary: Origin
Vary: Access-Control-Request-Method, Access-Control-Request-Headers


`
	if got := dump(w); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if e := f.last(); e.Outcome != middleware.OutcomePreflight || e.Status != noContent || e.Err != nil {
		t.Errorf("event %+v", e)
	}

	w = f.answer(f.handler(), preflight("https://evil.example", "authorization"))
	check(t, w, forbidden)
	checkCORS(t, w.Header(), false, nil)
}

func TestPreflightNamesAreBounded(t *testing.T) {
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("Mcp-Param-%d", i))
	}
	for _, tt := range []struct{ name, requested, want string }{
		{"HT-54 300 names", strings.Join(many, ", "), strings.ToLower(strings.Join(many[:64], ", "))},
		{"a name without a name", "mcp-param-", ""},
		{"not a token", "mcp-param-a b, mcp-param-\u00e9, mcp-param-\"x\"", ""},
		{"twice", "mcp-param-a, MCP-PARAM-A", "mcp-param-a"},
		{"a name of 1 KiB", "mcp-param-" + strings.Repeat("a", 1<<10) + ",mcp-param-b", "mcp-param-b"},
		{"16 KiB of commas", "mcp-param-a" + strings.Repeat(",", 16<<10) + "mcp-param-b", "mcp-param-a"},
		{"half a name at the limit", strings.Repeat("x", 8<<10-12) + ",mcp-param-ab", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			w := f.answer(f.handler(), preflight(appOrigin, tt.requested))
			got := strings.TrimPrefix(w.Header().Get("Access-Control-Allow-Headers"),
				"Authorization, Content-Type, Accept, MCP-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID, DPoP")
			if got = strings.TrimPrefix(got, ", "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestOtherOPTIONSIsARequest(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*http.Request)
		want   int
	}{
		{"HT-39 without Origin", func(r *http.Request) { r.Header.Del("Origin") }, unauthenticated},
		{"HT-39 without Access-Control-Request-Method", func(r *http.Request) {
			r.Header.Del("Access-Control-Request-Method")
		}, unauthenticated},
		{"HT-39 with a body", func(r *http.Request) { r.ContentLength = 40 }, unauthenticated},
		{"HT-39 with a chunked body", func(r *http.Request) { r.ContentLength = -1 }, unauthenticated},
		{"HT-39 with a body and a token", func(r *http.Request) {
			r.ContentLength = 40
			r.Header.Set("Authorization", "Bearer "+good)
		}, ok},
		{"POST is none", func(r *http.Request) { r.Method = http.MethodPost }, unauthenticated},
		{"options in lower case is none", func(r *http.Request) { r.Method = "options" }, unauthenticated},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			r := preflight(appOrigin, "")
			tt.change(r)
			check(t, f.answer(f.handler(), r), tt.want)
		})
	}
}

func TestHostOfALoopbackResource(t *testing.T) {
	const loopback = "http://127.0.0.1:8080/mcp"
	for _, tt := range []struct {
		name, resource, host string
		want                 int
	}{
		{"HT-44 a foreign name", loopback, "evil.example", forbidden},
		{"HT-44 a foreign name with our port", loopback, "evil.example:8080", forbidden},
		{"HT-44 our address as a label", loopback, "127.0.0.1.evil.example:8080", forbidden},
		{"HT-44 localhost as a label", loopback, "localhost.evil.example", forbidden},
		{"HT-44 a public address", loopback, "192.0.2.1:8080", forbidden},
		{"HT-44 the unspecified address", loopback, "0.0.0.0:8080", forbidden},
		{"HT-44 a zone", loopback, "[::1%25lo]:8080", forbidden},
		{"HT-44 garbage", loopback, "[::1", forbidden},
		{"the address", loopback, "127.0.0.1:8080", ok},
		{"another address on loopback", loopback, "127.1.2.3", ok},
		{"IPv6", loopback, "[::1]:8080", ok},
		{"localhost", loopback, "LocalHost:8080", ok},
		{"HT-25 no Host", loopback, "", ok},
		{"elsewhere the Host does not matter", resource, "internal-name:9000", ok},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, func(f *fixture) {
				f.config.Metadata.Resource = tt.resource
				f.verifier.token.Audience = []string{tt.resource}
			})
			r := request("Authorization: Bearer " + good)
			r.Host = tt.host
			check(t, f.answer(f.handler(), r), tt.want)

			// Not even a preflight of an allowed origin gets past a foreign Host.
			r = preflight(appOrigin, "")
			r.Host = tt.host
			want := noContent
			if tt.want == forbidden {
				want = forbidden
			}
			check(t, f.answer(f.handler(), r), want)
		})
	}
}
