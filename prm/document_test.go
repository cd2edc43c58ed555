package prm_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/prm"
)

// serve sends one request, its target exactly as written, and returns the answer.
func serve(handler http.Handler, method, target string, header http.Header) *http.Response {
	r := httptest.NewRequest(method, "/", nil)
	path, query, _ := strings.Cut(target, "?")
	unescaped, err := url.PathUnescape(path)
	if err != nil {
		panic("target of a test: " + err.Error())
	}
	r.URL = &url.URL{Path: unescaped, RawPath: path, RawQuery: query}
	for name, values := range header {
		r.Header[name] = values
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	return recorder.Result()
}

func wantHeader(t *testing.T, got http.Header, want map[string]string) {
	t.Helper()
	exact := http.Header{}
	for name, value := range want {
		exact[name] = []string{value}
	}
	if !reflect.DeepEqual(got, exact) {
		t.Errorf("header\ngot  %v\nwant %v", got, exact)
	}
}

func readAll(t *testing.T, response *http.Response) string {
	t.Helper()
	var buffer bytes.Buffer
	if _, err := buffer.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	return buffer.String()
}

func TestPathAndURL(t *testing.T) {
	const wellKnown = "/.well-known/oauth-protected-resource"
	for _, test := range []struct{ name, resource, path, url string }{
		{"HT-45 path", "https://h/mcp", wellKnown + "/mcp", "https://h" + wellKnown + "/mcp"},
		{"HT-47 bare host", "https://h", wellKnown, "https://h" + wellKnown},
		{"HT-47 bare host with slash", "https://h/", wellKnown, "https://h" + wellKnown},
		{"HT-47 query", "https://h/mcp?t=1", wellKnown + "/mcp", "https://h" + wellKnown + "/mcp?t=1"},
		{"HT-47 query after slash", "https://h/?t=1", wellKnown, "https://h" + wellKnown + "?t=1"},
		{"HT-47 query after host", "https://h?t=/1", wellKnown, "https://h" + wellKnown + "?t=/1"},
		{"HT-47 port", "https://h:8443/mcp", wellKnown + "/mcp", "https://h:8443" + wellKnown + "/mcp"},
		{"HT-47 IPv6 and port", "http://[::1]:8080/mcp", wellKnown + "/mcp", "http://[::1]:8080" + wellKnown + "/mcp"},
		{"a slash at the end of a path stays", "https://h/mcp/", wellKnown + "/mcp/", "https://h" + wellKnown + "/mcp/"},
		{"escapes stay", "https://h/a%2Fb/%7ec", wellKnown + "/a%2Fb/%7ec", "https://h" + wellKnown + "/a%2Fb/%7ec"},
		{"case stays", "HTTPS://H/Mcp", wellKnown + "/Mcp", "HTTPS://H" + wellKnown + "/Mcp"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := minimal()
			m.Resource = test.resource
			doc := mustNew(t, m)
			if doc.Path() != test.path || doc.URL() != test.url {
				t.Errorf("got  %s, %s\nwant %s, %s", doc.Path(), doc.URL(), test.path, test.url)
			}
			var published struct{ Resource string }
			if err := json.Unmarshal(body(t, doc), &published); err != nil || published.Resource != test.resource {
				t.Errorf("HT-45 resource is %q, %v; want it byte for byte", published.Resource, err)
			}
		})
	}
}

func TestGetAndHead(t *testing.T) {
	doc := mustNew(t, minimal())
	const path = "/.well-known/oauth-protected-resource/mcp"
	const want = `{"resource":"https://h.example/mcp","authorization_servers":["https://login.example.net"],"bearer_methods_supported":["header"]}`
	etag := serve(doc, http.MethodGet, path, nil).Header.Get("ETag")
	if !strings.HasPrefix(etag, `"`) || !strings.HasSuffix(etag, `"`) || len(etag) < 10 {
		t.Fatalf("ETag %s is not strong", etag)
	}
	headers := map[string]string{
		"Accept-Ranges":               "bytes",
		"Access-Control-Allow-Origin": "*",
		"Cache-Control":               "public, max-age=300",
		"Content-Length":              strconv.Itoa(len(want)),
		"Content-Type":                "application/json",
		"Etag":                        etag,
		"X-Content-Type-Options":      "nosniff",
	}
	notModified := map[string]string{
		"Access-Control-Allow-Origin": "*",
		"Cache-Control":               "public, max-age=300",
		"Etag":                        etag,
		"X-Content-Type-Options":      "nosniff",
	}
	for _, test := range []struct {
		name, method string
		header       http.Header
		status       int
		body         string
	}{
		{"HT-45 GET", "GET", nil, 200, want},
		{"HEAD has no body", "HEAD", nil, 200, ""},
		{"HT-49 a bad token changes nothing", "GET", http.Header{"Authorization": {"Bearer not-a-token"}}, 200, want},
		{"HT-49 a malformed header changes nothing", "GET", http.Header{"Authorization": {"foo", "\x00"}}, 200, want},
		{"HT-49 neither does it for HEAD", "HEAD", http.Header{"Authorization": {"Bearer x"}}, 200, ""},
		{"Origin is not echoed", "GET", http.Header{"Origin": {"https://evil.example"}}, 200, want},
		{"HT-20 a forwarded host changes nothing", "GET", http.Header{"X-Forwarded-Host": {"evil.example"}}, 200, want},
		{"another ETag", "GET", http.Header{"If-None-Match": {`"other"`}}, 200, want},
		{"the same ETag", "GET", http.Header{"If-None-Match": {etag}}, 304, ""},
		{"the same ETag, weak and in a list", "GET", http.Header{"If-None-Match": {`"other", W/` + etag}}, 304, ""},
		{"any ETag", "GET", http.Header{"If-None-Match": {"*"}}, 304, ""},
		{"HEAD with the same ETag", "HEAD", http.Header{"If-None-Match": {etag}}, 304, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			response := serve(doc, test.method, path, test.header)
			if response.StatusCode != test.status {
				t.Fatalf("status %d, want %d", response.StatusCode, test.status)
			}
			if got := readAll(t, response); got != test.body {
				t.Errorf("body %q, want %q", got, test.body)
			}
			if test.status == 304 {
				wantHeader(t, response.Header, notModified)
			} else {
				wantHeader(t, response.Header, headers)
			}
		})
	}
}

func TestETagFollowsTheContent(t *testing.T) {
	m := minimal()
	first, second := mustNew(t, m), mustNew(t, m)
	m.ScopesSupported = []string{"a"}
	changed := mustNew(t, m)
	etag := func(doc *prm.Document) string { return serve(doc, "GET", doc.Path(), nil).Header.Get("ETag") }
	if etag(first) != etag(second) {
		t.Error("two replicas disagree")
	}
	if etag(first) == etag(changed) {
		t.Error("a change goes unnoticed")
	}
}

func TestPreflight(t *testing.T) {
	doc := mustNew(t, minimal())
	for _, header := range []http.Header{
		{"Origin": {"https://app.example"}, "Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": {"mcp-protocol-version"}},
		{"Authorization": {"Bearer x"}},
		nil,
	} {
		response := serve(doc, http.MethodOptions, doc.Path(), header)
		if response.StatusCode != http.StatusNoContent || readAll(t, response) != "" {
			t.Errorf("status %d", response.StatusCode)
		}
		wantHeader(t, response.Header, map[string]string{
			"Access-Control-Allow-Headers": "Accept, Authorization, Content-Type, MCP-Protocol-Version, *",
			"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
			"Access-Control-Allow-Origin":  "*",
			"Access-Control-Max-Age":       "7200",
			"Allow":                        "GET, HEAD, OPTIONS",
			"X-Content-Type-Options":       "nosniff",
		})
	}
}

func TestOtherMethods(t *testing.T) {
	doc := mustNew(t, minimal())
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "get", "GETX"} {
		t.Run("HT-35 "+method, func(t *testing.T) {
			response := serve(doc, method, doc.Path(), http.Header{"X-Http-Method-Override": {"GET"}})
			if response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("status %d", response.StatusCode)
			}
			wantHeader(t, response.Header, map[string]string{
				"Access-Control-Allow-Origin": "*",
				"Allow":                       "GET, HEAD, OPTIONS",
				"Cache-Control":               "no-store",
				"Content-Type":                "text/plain; charset=utf-8",
				"X-Content-Type-Options":      "nosniff",
			})
		})
	}
}

func TestNotFound(t *testing.T) {
	const wellKnown = "/.well-known/oauth-protected-resource"
	withQuery, bare := minimal(), minimal()
	withQuery.Resource += "?t=1"
	bare.Resource = "https://h.example/"
	for _, test := range []struct {
		name   string
		doc    *prm.Document
		target string
	}{
		{"HT-46 trailing slash", mustNew(t, minimal()), wellKnown + "/mcp/"},
		{"HT-46 double slash", mustNew(t, minimal()), wellKnown + "//mcp"},
		{"HT-46 double slash in front", mustNew(t, minimal()), "/" + wellKnown + "/mcp"},
		{"HT-46 escaped slash", mustNew(t, minimal()), wellKnown + "%2fmcp"},
		{"HT-46 escaped letter", mustNew(t, minimal()), wellKnown + "/%6dcp"},
		{"HT-46 upper case", mustNew(t, minimal()), wellKnown + "/MCP"},
		{"HT-46 upper case in front", mustNew(t, minimal()), "/.WELL-KNOWN/oauth-protected-resource/mcp"},
		{"HT-46 unknown suffix", mustNew(t, minimal()), wellKnown + "/other"},
		{"HT-46 longer suffix", mustNew(t, minimal()), wellKnown + "/mcp/other"},
		{"HT-46 prefix", mustNew(t, minimal()), wellKnown + "/mc"},
		{"HT-46 traversal", mustNew(t, minimal()), wellKnown + "/mcp/../other"},
		{"HT-46 traversal that leads back", mustNew(t, minimal()), wellKnown + "/other/../mcp"},
		{"HT-46 escaped traversal", mustNew(t, minimal()), wellKnown + "/other/%2e%2e/mcp"},
		{"HT-46 root document of a resource with a path", mustNew(t, minimal()), wellKnown},
		{"HT-46 the resource itself", mustNew(t, minimal()), "/mcp"},
		{"NUL at the end", mustNew(t, minimal()), wellKnown + "/mcp%00"},
		{"semicolon", mustNew(t, minimal()), wellKnown + "/mcp;a=1"},
		{"HT-47 slash after a bare host", mustNew(t, bare), wellKnown + "/"},
		{"HT-47 a query that the resource does not have", mustNew(t, minimal()), wellKnown + "/mcp?t=1"},
		{"HT-47 the query of the resource is missing", mustNew(t, withQuery), wellKnown + "/mcp"},
		{"HT-47 another query", mustNew(t, withQuery), wellKnown + "/mcp?t=2"},
		{"HT-47 a longer query", mustNew(t, withQuery), wellKnown + "/mcp?t=1&u=2"},
		{"zero value", &prm.Document{}, ""},
		{"zero value at the root", &prm.Document{}, wellKnown},
	} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST"} {
			t.Run(test.name+" "+method, func(t *testing.T) {
				response := serve(test.doc, method, test.target, nil)
				if response.StatusCode != http.StatusNotFound {
					t.Errorf("status %d", response.StatusCode)
				}
				wantHeader(t, response.Header, map[string]string{
					"Access-Control-Allow-Origin": "*",
					"Cache-Control":               "no-store",
					"Content-Type":                "text/plain; charset=utf-8",
					"X-Content-Type-Options":      "nosniff",
				})
				if got := readAll(t, response); got != "not found\n" {
					t.Errorf("HT-46 body %q", got)
				}
			})
		}
	}
}

func TestSeveralResourcesOnOneMux(t *testing.T) {
	mux := http.NewServeMux()
	for _, resource := range []string{
		"https://h.example", "https://h.example/mcp", "https://h.example/mcp/admin", "https://h.example/%7Bx%7D", "https://h.example/a%2Fb",
	} {
		m := minimal()
		m.Resource = resource
		doc := mustNew(t, m)
		mux.Handle(doc.Path(), doc)
	}
	slash := minimal()
	slash.Resource = "https://h.example/slash/"
	doc := mustNew(t, slash)
	mux.Handle(doc.Path(), doc)
	mux.Handle(strings.TrimSuffix(doc.Path(), "/"), http.NotFoundHandler())

	server := httptest.NewServer(mux)
	defer server.Close()
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	const wellKnown = "/.well-known/oauth-protected-resource"
	for path, want := range map[string]string{
		"":                "https://h.example",
		"/mcp":            "https://h.example/mcp",
		"/mcp/admin":      "https://h.example/mcp/admin",
		"/%7Bx%7D":        "https://h.example/%7Bx%7D",
		"/a%2Fb":          "https://h.example/a%2Fb",
		"/slash/":         "https://h.example/slash/",
		"/slash":          "",
		"/slash/more":     "",
		"/mcp/":           "",
		"/mcp/other":      "",
		"/MCP":            "",
		"/%6dcp":          "",
		"/a%2fb":          "",
		"/mcp?t=1":        "",
		"/mcp/admin/more": "",
	} {
		response, err := client.Get(server.URL + wellKnown + path)
		if err != nil {
			t.Fatal(err)
		}
		text := readAll(t, response)
		response.Body.Close()
		if want == "" {
			if response.StatusCode != http.StatusNotFound {
				t.Errorf("HT-46 %s: status %d", path, response.StatusCode)
			}
			continue
		}
		var published struct{ Resource string }
		if err := json.Unmarshal([]byte(text), &published); err != nil || published.Resource != want {
			t.Errorf("HT-45 %s answers for %q, %v; want %q", path, published.Resource, err, want)
		}
	}
}
