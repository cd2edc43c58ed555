package scopes_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

func TestMB32_plain_URIs(t *testing.T) {
	for _, uri := range []string{
		"file:///", "file:///a", "file:///a/", "file:///a/b.txt", "file:///A/B", "file:///a%20b", "file:///%C3%A9", "file:///C:/x", "file:///.hidden/...",
		"https://h", "https://h/", "https://h:8443/a", "https://h/a?b=c/d&e=%26", "https://h/a?u=../b", "https://[::1]/a", "https://[::1]:8080/a", "http://h:443/",
		"urn:x:y", "urn:isbn:0451450523", "note:1", "git+ssh://h/a", "screen://", "db://users/{id}", "test://template/{+path}{?q}", "mem:a/b",
	} {
		if problem := scopes.Ambiguity(uri); problem != "" {
			t.Errorf("%q %s", uri, problem)
		}
	}
}

func TestMB32_ambiguous_URIs(t *testing.T) {
	for _, uri := range []string{
		"", " ", "a", "/a", "//h/a", ":a", "1a:b", "a b:c", "file", "../a",
		"FILE:///a", "File:///a", "https://H/a", "https://h./a", "https://%68/a", "https://u@h/", "https://u:p@h/", "https://@h/",
		"https://h:/a", "https://h:443/a", "https://h:0443/a", "http://h:80/", "wss://h:443/", "ws://h:80/", "https://h:8o/", "https://[::1]:443/",
		"file:///a/../b", "file:///a/..", "file:///../a", "file:///./a", "file:///a/.", "file:///a//b", "file:////a", "file:///a/?/../b", "https://h/?/../b",
		"file:///%2e%2e/a", "file:///%2E%2E/a", "file:///a/.%2e/b", "file:///a%2fb", "file:///a%2Fb", "file:///a%5Cb", "file:///a\\b", "file:///a%252e", "file:///a%00",
		"file:///%61", "file:///%7E", "file:///%c3%a9", "file:///a%", "file:///a%2", "file:///a%G0", "https://h/a?b=%2Fc", "https://h/a?%41",
		"file:a", "file:/a", "file://h/a", "file://localhost/a", "file:///a?x", "file:///a#x", "https://h/#", "https://h/a?", "urn:a/../b", "urn:a//b", "urn:..",
		"file:///a\x00", "file:///a\n", "file:///é", "file:///\xff", "file:///a\x7f", "file:///a\u202eb",
	} {
		if scopes.Ambiguity(uri) == "" {
			t.Errorf("%q is taken as it is", uri)
		}
	}
}

// FuzzAmbiguity: what is taken as it is means to net/url and to a file system
// just what it says.
func FuzzAmbiguity(f *testing.F) {
	for _, seed := range []string{"file:///a/b", "https://h:8443/a?b=c", "urn:x:y", "https://[::1]/a%20b", "file:///a/?/../b", "db://users/{id}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if scopes.Ambiguity(uri) != "" {
			return
		}
		beforeQuery, _, _ := strings.Cut(uri, "?")
		_, asPath, _ := strings.Cut(strings.Replace(beforeQuery, "://", ":", 1), ":")
		if asPath != "" && path.Clean(asPath) != strings.TrimRight(asPath, "/") && strings.Trim(asPath, "/") != "" {
			t.Errorf("%q as a path: %q", uri, path.Clean(asPath))
		}
		parsed, err := url.Parse(uri)
		if err != nil {
			return // net/url wants less than RFC 3986 in places; who cannot parse it reads nothing
		}
		if parsed.User != nil || parsed.Fragment != "" || parsed.ForceQuery || parsed.Scheme != uri[:len(parsed.Scheme)] || parsed.Host != strings.ToLower(parsed.Host) {
			t.Errorf("%q: %#v", uri, parsed)
		}
		if again, err := url.PathUnescape(parsed.Path); err == nil && again != parsed.Path {
			t.Errorf("%q: unescapes twice", uri)
		}
		if parsed.Path != "" && strings.TrimSuffix(parsed.Path, "/") != strings.TrimSuffix(path.Clean(parsed.Path), "/") {
			t.Errorf("%q: path %q is %q", uri, parsed.Path, path.Clean(parsed.Path))
		}
	})
}

func TestAnAliasOfAnExactKeyDoesNotFallThroughToAPrefix(t *testing.T) {
	rules, err := scopes.Policy{Resources: map[string]scopes.Requirement{
		"file:///data/*": scopes.All("read"), "file:///data/secret": scopes.All("admin"),
		"notes://h/*": scopes.All("read"), "notes://h/secret": scopes.All("admin"), "notes://h/listed?page=1": scopes.All("page"),
	}}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	for uri, allowed := range map[string]bool{
		"file:///data/secret": true, "file:///data/other": true, "notes://h/secrets": true, "notes://h/listed?page=1": true,
		"file:///data/secret/": false, "file:///data/secret.": false, "file:///data/secret%20": false, "file:///data/secret/.": false,
		"notes://h/secret/": false, "notes://h/secret?a": false, "notes://h/secret;x": false, "notes://h/secret;x?a": false,
		"notes://h/a/..;/secret": false, "notes://h/%C0%AE%C0%AE/x": false,
	} {
		needs, ok := rules.Judge(scopes.Operation{Method: "resources/read", Name: uri})
		if ok != allowed {
			t.Errorf("%s: %v (%v), want %v", uri, ok, needs.Scopes(), allowed)
		}
	}
}
