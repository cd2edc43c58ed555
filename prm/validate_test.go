package prm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/prm"
)

func TestValidateAccepts(t *testing.T) {
	for _, resource := range []string{
		"https://h.example", "https://h.example/", "https://h.example/mcp", "https://h.example/mcp/", "https://h.example/a/b.c/d",
		"https://h.example:8443/mcp", "https://h.example/mcp?t=1", "https://h.example?t=1", "https://h.example/%7Buser%7D/mcp",
		"https://h.example/a%2Fb", "https://192.0.2.1/mcp", "https://[2001:db8::1]:8443/mcp", "HTTPS://H.example/mcp",
		"https://h_1.example/mcp", "https://xn--bcher-kva.example/mcp", "https://h.example/.well-known/mcp",
		"http://localhost:8080/mcp", "http://LocalHost/mcp", "http://127.0.0.1/mcp", "http://127.1.2.3:1/mcp", "http://[::1]:8080/mcp",
	} {
		m := minimal()
		m.Resource = resource
		if err := m.Validate(); err != nil {
			t.Errorf("Resource %q: %v", resource, err)
		}
	}
	for _, issuer := range []string{
		"https://login.example.net", "https://tenant.auth.example.net/", "https://login.example.net/oauth2/default",
		"http://127.0.0.1:9797", "http://[::1]:9797/realms/a",
	} {
		m := minimal()
		m.AuthorizationServers = []string{issuer}
		if err := m.Validate(); err != nil {
			t.Errorf("issuer %q: %v", issuer, err)
		}
	}
	for _, tag := range []string{"de", "de-CH", "zh-Hant-TW", "sl-rozaj-biske-1994", "x-private", "es-419"} {
		m := minimal()
		m.ResourceNameLang = map[string]string{tag: "name"}
		if err := m.Validate(); err != nil {
			t.Errorf("tag %q: %v", tag, err)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	resource := func(value string) func(*prm.Metadata) {
		return func(m *prm.Metadata) { m.Resource = value }
	}
	issuer := func(values ...string) func(*prm.Metadata) {
		return func(m *prm.Metadata) { m.AuthorizationServers = values }
	}
	extra := func(name string, value any) func(*prm.Metadata) {
		return func(m *prm.Metadata) { m.Extra = map[string]any{name: value} }
	}
	name := func(tag, value string) func(*prm.Metadata) {
		return func(m *prm.Metadata) { m.ResourceNameLang = map[string]string{tag: value} }
	}
	for _, test := range []struct {
		name   string
		change func(*prm.Metadata)
		want   string
	}{
		{"no resource", resource(""), `Resource: ""`},
		{"http off loopback", resource("http://h.example/mcp"), `Resource: "http://h.example/mcp" must use https`},
		{"http on an address that only looks like loopback", resource("http://127.0.0.1.example/mcp"), "must use https"},
		{"http on IPv4 loopback in IPv6", resource("http://[::ffff:127.0.0.1]/mcp"), "must use https"},
		{"another scheme", resource("ftp://h.example/mcp"), "must use https"},
		{"no scheme", resource("h.example/mcp"), "absolute"},
		{"scheme-relative", resource("//h.example/mcp"), "absolute"},
		{"no host", resource("https:///mcp"), "absolute"},
		{"only a port", resource("https://:443/mcp"), "absolute"},
		{"opaque", resource("https:h.example"), "absolute"},
		{"URN", resource("urn:example:mcp"), "absolute"},
		{"fragment", resource("https://h.example/mcp#a"), "fragment"},
		{"empty fragment", resource("https://h.example/mcp#"), "fragment"},
		{"empty query", resource("https://h.example/mcp?"), "empty query"},
		{"user", resource("https://user@h.example/mcp"), "user name"},
		{"empty port", resource("https://h.example:/mcp"), "port"},
		{"port zero", resource("https://h.example:0/mcp"), "port"},
		{"port too large", resource("https://h.example:65536/mcp"), "port"},
		{"escaped host", resource("https://h%C3%A9.example/mcp"), "host"},
		{"odd host", resource("https://h!.example/mcp"), "host"},
		{"HT-23 quote", resource(`https://h.example/"mcp`), "offset 18"},
		{"HT-23 backslash", resource(`https://h.example/\mcp`), "offset 18"},
		{"space", resource("https://h.example/a b"), "offset 19"},
		{"control", resource("https://h.example/a\nb"), "offset 19"},
		{"CR LF", resource("https://h.example/\r\nX: y"), "offset 18"},
		{"not ASCII", resource("https://h.example/é"), "offset 18"},
		{"braces, which a mux would read as a wildcard", resource("https://h.example/{a}"), "offset 18"},
		{"bad escape", resource("https://h.example/%zz"), "not a URL"},
		{"dot segment", resource("https://h.example/a/./b"), "dot segment"},
		{"parent segment", resource("https://h.example/a/.."), "dot segment"},
		{"escaped parent segment", resource("https://h.example/a/%2e%2E/b"), "dot segment"},
		{"empty segment", resource("https://h.example/a//b"), "empty segment"},
		{"empty first segment", resource("https://h.example//"), "empty segment"},
		{"empty last segment", resource("https://h.example/a//"), "empty segment"},
		{"metadata URL as resource", resource("https://h.example/.well-known/oauth-protected-resource/mcp"), "metadata document"},

		{"no issuer", issuer(), "at least one issuer"},
		{"empty issuer", issuer(""), "AuthorizationServers[0]"},
		{"second issuer is bad", issuer("https://a.example", "http://b.example"), `AuthorizationServers[1]: "http://b.example" must use https`},
		{"issuer twice", issuer("https://a.example", "https://a.example"), `AuthorizationServers[1]: "https://a.example" is there twice`},
		{"issuer with query", issuer("https://a.example?x=1"), "query"},
		{"issuer with empty query", issuer("https://a.example/?"), "query"},
		{"issuer with fragment", issuer("https://a.example/#x"), "fragment"},
		{"issuer with user", issuer("https://u@a.example"), "user name"},
		{"issuer is OpenID metadata", issuer("https://a.example/.well-known/openid-configuration"), "metadata document"},
		{"issuer is OAuth metadata", issuer("https://a.example/.well-known/oauth-authorization-server/tenant"), "metadata document"},
		{"issuer ends in well-known", issuer("https://a.example/.well-known"), "metadata document"},

		{"offline_access", func(m *prm.Metadata) { m.ScopesSupported = []string{"a", "offline_access"} }, `ScopesSupported[1]: "offline_access"`},
		{"HT-24 blank in scope", func(m *prm.Metadata) { m.ScopesSupported = []string{"a b"} }, `ScopesSupported[0]: "a b"`},
		{"HT-24 quote in scope", func(m *prm.Metadata) { m.ScopesSupported = []string{`a"`} }, "ScopesSupported[0]"},
		{"HT-24 invalid UTF-8 in scope", func(m *prm.Metadata) { m.ScopesSupported = []string{"a\xff"} }, "ScopesSupported[0]"},
		{"empty scope", func(m *prm.Metadata) { m.ScopesSupported = []string{""} }, "ScopesSupported[0]"},
		{"scope twice", func(m *prm.Metadata) { m.ScopesSupported = []string{"a", "b", "a"} }, "ScopesSupported[2]"},

		{"no bearer method", func(m *prm.Metadata) { m.BearerMethodsSupported = []string{} }, "BearerMethodsSupported"},
		{"token in the query", func(m *prm.Metadata) { m.BearerMethodsSupported = []string{"header", "query"} }, "BearerMethodsSupported"},
		{"header twice", func(m *prm.Metadata) { m.BearerMethodsSupported = []string{"header", "header"} }, "BearerMethodsSupported"},
		{"header in upper case", func(m *prm.Metadata) { m.BearerMethodsSupported = []string{"Header"} }, "BearerMethodsSupported"},

		{"alg none", func(m *prm.Metadata) { m.ResourceSigningAlgValuesSupported = []string{"none"} }, `ResourceSigningAlgValuesSupported: "none"`},
		{"alg NONE", func(m *prm.Metadata) { m.ResourceSigningAlgValuesSupported = []string{"NONE"} }, `"NONE"`},
		{"alg empty", func(m *prm.Metadata) { m.ResourceSigningAlgValuesSupported = []string{""} }, "ResourceSigningAlgValuesSupported[0]"},
		{"DPoP alg none", func(m *prm.Metadata) { m.DPoPSigningAlgValuesSupported = []string{"none"} }, `DPoPSigningAlgValuesSupported: "none"`},
		{"DPoP alg symmetric", func(m *prm.Metadata) { m.DPoPSigningAlgValuesSupported = []string{"HS256"} }, "symmetric"},
		{"details type twice", func(m *prm.Metadata) { m.AuthorizationDetailsTypesSupported = []string{"a", "a"} }, "AuthorizationDetailsTypesSupported[1]"},

		{"keys over http", func(m *prm.Metadata) { m.JWKSURI = "http://h.example/keys" }, `JWKSURI: "http://h.example/keys"`},
		{"a script as documentation", func(m *prm.Metadata) { m.ResourceDocumentation = "javascript:alert(1)" }, "ResourceDocumentation"},
		{"policy without host", func(m *prm.Metadata) { m.ResourcePolicyURI = "/policy" }, "ResourcePolicyURI"},
		{"terms over http", func(m *prm.Metadata) { m.ResourceTOSURI = "http://h.example/terms" }, "ResourceTOSURI"},
		{"terms variant over http", func(m *prm.Metadata) { m.ResourceTOSURILang = map[string]string{"de": "http://h.example/tos"} }, `ResourceTOSURILang["de"]`},
		{"control in name", func(m *prm.Metadata) { m.ResourceName = "a\x1b[31m" }, "ResourceName"},
		{"invalid UTF-8 in name", func(m *prm.Metadata) { m.ResourceName = "a\xff" }, "ResourceName"},

		{"empty tag", name("", "x"), `ResourceNameLang[""]`},
		{"tag with underscore", name("de_CH", "x"), `"de_CH" is not a language tag`},
		{"tag that is too long", name("germanish", "x"), "language tag"},
		{"tag that starts with a digit", name("1a", "x"), "language tag"},
		{"tag with an empty part", name("de-", "x"), "language tag"},
		{"tag with a member in it", name("de\",\"resource", "x"), "language tag"},
		{"empty variant", name("de", ""), `ResourceNameLang["de"]: "" is empty`},
		{"one language in two spellings", func(m *prm.Metadata) {
			m.ResourceNameLang = map[string]string{"de": "x", "DE": "y"}
		}, "same language"},

		{"extra resource", extra("resource", "x"), `Extra["resource"]`},
		{"extra resource in another case", extra("Resource", "x"), `Extra["Resource"]`},
		{"extra that folds to a defined member", extra("re\u017fource", "x"), "defined by RFC 9728"},
		{"extra with language tag", extra("resource_name#de", "x"), "defined by RFC 9728"},
		{"extra signed_metadata", extra("signed_metadata", "x"), "defined by RFC 9728"},
		{"extra defined but unset", extra("dpop_bound_access_tokens_required", true), "defined by RFC 9728"},
		{"extra without name", extra("", "x"), `Extra[""]`},
		{"extra that JSON cannot hold", extra("x", func() {}), `Extra["x"]: value of type func()`},
		{"extra raw JSON that is none", extra("x", json.RawMessage("{")), `Extra["x"]`},
		{"extra raw JSON that is not UTF-8", extra("x", json.RawMessage("\"\xff\"")), `Extra["x"]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := minimal()
			test.change(&m)
			err := m.Validate()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v does not say %s", err, test.want)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("one mistake, several errors: %v", err)
			}
			doc, newErr := prm.New(m)
			if doc != nil || newErr == nil || newErr.Error() != err.Error() {
				t.Errorf("New = %v, %v", doc, newErr)
			}
		})
	}
}

func TestValidateNamesEveryMistake(t *testing.T) {
	err := prm.Metadata{
		Resource:               "http://u@h.example:0/a//b#c",
		AuthorizationServers:   []string{"http://a.example?x", ""},
		ScopesSupported:        []string{"a b", "offline_access"},
		BearerMethodsSupported: []string{"body"},
		JWKSURI:                "keys",
		ResourceName:           "a\n",
		Extra:                  map[string]any{"resource": 1, "": 2},
	}.Validate()
	if err == nil {
		t.Fatal("found nothing")
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{
		"https", "user name", "port", "fragment", "empty segment", "https", "query", "[1]", `"a b"`, "offline_access",
		"ResourceName", "BearerMethods", "JWKSURI", `Extra[""]`, `Extra["resource"]`,
	} {
		if i >= len(lines) {
			t.Fatalf("only %d lines: %v", len(lines), err)
		}
		if !strings.HasPrefix(lines[i], "prm: ") || !strings.Contains(lines[i], want) {
			t.Errorf("line %d is %q, want one that says %s", i, lines[i], want)
		}
	}
	if len(lines) != 15 {
		t.Errorf("%d lines:\n%v", len(lines), err)
	}
}

func TestZeroMetadataIsRefused(t *testing.T) {
	err := prm.Metadata{}.Validate()
	if err == nil || !strings.Contains(err.Error(), "Resource") || !strings.Contains(err.Error(), "AuthorizationServers") {
		t.Errorf("error %v", err)
	}
}

func TestErrorsDoNotRepeatPasswords(t *testing.T) {
	for _, raw := range []string{
		"https://user:hunter2@h.example/mcp", "http://user:hunter2@h.example/a//b#c", "https://user:hunter2@h.example:x/",
		"https://user:hunter2@h example/", "//user:hunter2@h.example", "https://user:hunter2@",
	} {
		m := minimal()
		m.Resource = raw
		m.AuthorizationServers = []string{raw, raw}
		m.JWKSURI, m.ResourceDocumentation = raw, raw
		err := m.Validate()
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: error %v", raw, err)
		}
	}
}
