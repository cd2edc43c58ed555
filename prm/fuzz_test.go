package prm_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/prm"
)

// FuzzInsertion: taking the well-known part out of URL gives the resource back,
// up to the slash that ends a bare host (RFC 9728 §3.1); the URL needs no escape
// in a quoted-string; a mux takes the path and a request for the URL gets the
// document.
func FuzzInsertion(f *testing.F) {
	for _, seed := range []string{
		"https://h", "https://h/", "https://h/mcp", "https://h/mcp/", "https://h:1/a%2Fb?t=1", "https://h/?t=1", "https://h?/t",
		"http://[::1]:8080/mcp", "HTTPS://H/a", "https://h//a", "https://u@h/a", "https://h/a#b", "https://h/{a}", "https://h/?a?b",
		"https://h/$", "https://h/%7B$%7D", "https://h/a;b=c,d", "https://h/%", "https://h:/", "https://[::1%25a]/",
	} {
		f.Add(seed)
	}
	const wellKnown = "/.well-known/oauth-protected-resource"
	f.Fuzz(func(t *testing.T, resource string) {
		m := minimal()
		m.Resource = resource
		doc, err := prm.New(m)
		if err != nil {
			if doc != nil {
				t.Fatal("document and error")
			}
			return
		}
		if n := strings.Count(doc.URL(), wellKnown); n == 0 || !strings.HasPrefix(doc.Path(), wellKnown) {
			t.Fatalf("URL %q, Path %q", doc.URL(), doc.Path())
		}
		origin, rest, _ := strings.Cut(doc.URL(), wellKnown)
		if got := origin + rest; got != resource {
			host, query, _ := strings.Cut(resource, "?")
			if query != "" {
				query = "?" + query
			}
			bare, ended := strings.CutSuffix(host, "/")
			if !ended || strings.Count(host, "/") != 3 || got != bare+query {
				t.Fatalf("%q became %q", resource, got)
			}
		}
		if strings.ContainsFunc(doc.URL(), func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' }) {
			t.Fatalf("URL %q cannot stand in a quoted-string", doc.URL())
		}
		mux := http.NewServeMux()
		mux.Handle(doc.Path(), doc)
		r, err := http.NewRequest(http.MethodGet, doc.URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		recorder := httptest.NewRecorder()
		mux.ServeHTTP(recorder, r)
		var published struct{ Resource string }
		if err := json.Unmarshal(recorder.Body.Bytes(), &published); err != nil || published.Resource != resource {
			t.Fatalf("GET %q: status %d, resource %q, %v", doc.URL(), recorder.Code, published.Resource, err)
		}
	})
}

// FuzzValidate: what Validate takes is one JSON object in which every value
// reads as it was written, and an extra member never replaces another.
func FuzzValidate(f *testing.F) {
	f.Add("https://a.example", "files:read", "Name", "de", "x", "y")
	f.Add("http://a.example", "offline_access", "\x1b", "d_e", "Resource", "y")
	f.Add("https://a.example/.well-known/x", "a b", "\xff", "", "resource_name#de", "\u2028")
	f.Fuzz(func(t *testing.T, issuer, scope, name, tag, extra, value string) {
		m := minimal()
		m.AuthorizationServers = []string{issuer}
		m.ScopesSupported = []string{scope}
		m.ResourceNameLang = map[string]string{tag: name}
		m.Extra = map[string]any{extra: []string{value}}
		doc, err := prm.New(m)
		if err != nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(body(t, doc), &members); err != nil {
			t.Fatal(err)
		}
		if len(members) != 6 {
			t.Fatalf("%d members: %s", len(members), body(t, doc))
		}
		var published struct {
			Resource string   `json:"resource"`
			Issuers  []string `json:"authorization_servers"`
			Scopes   []string `json:"scopes_supported"`
		}
		if err := json.Unmarshal(body(t, doc), &published); err != nil {
			t.Fatal(err)
		}
		var gotName string
		if err := json.Unmarshal(members["resource_name#"+tag], &gotName); err != nil {
			t.Fatal(err)
		}
		if published.Resource != m.Resource || published.Issuers[0] != issuer || published.Scopes[0] != scope || gotName != name {
			t.Fatalf("published %s", body(t, doc))
		}
	})
}
