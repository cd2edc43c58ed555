package prm_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/prm"
)

// minimal is the shortest valid metadata.
func minimal() prm.Metadata {
	return prm.Metadata{
		Resource:             "https://h.example/mcp",
		AuthorizationServers: []string{"https://login.example.net"},
	}
}

func full() prm.Metadata {
	return prm.Metadata{
		Resource:                  "https://files.example.net/mcp",
		AuthorizationServers:      []string{"https://login.example.net", "https://login.example.net/partners"},
		ScopesSupported:           []string{"files:read", "files:write"},
		ResourceName:              "Example Files",
		ResourceNameLang:          map[string]string{"zh-Hant-TW": "範例檔案", "de": "Beispieldateien"},
		ResourceDocumentation:     "https://files.example.net/docs?topic=mcp&v=2#start",
		ResourceDocumentationLang: map[string]string{"de": "https://files.example.net/de/docs"},
		ResourcePolicyURI:         "https://files.example.net/policy",
		ResourcePolicyURILang:     map[string]string{"de": "https://files.example.net/de/policy"},
		ResourceTOSURI:            "https://files.example.net/terms",
		ResourceTOSURILang:        map[string]string{"de": "https://files.example.net/de/terms"},
		JWKSURI:                   "https://files.example.net/keys.json",

		ResourceSigningAlgValuesSupported:     []string{"ES256"},
		AuthorizationDetailsTypesSupported:    []string{"file_access"},
		TLSClientCertificateBoundAccessTokens: true,
		DPoPSigningAlgValuesSupported:         []string{"ES256", "EdDSA"},
		DPoPBoundAccessTokensRequired:         true,

		Extra: map[string]any{
			"b_vendor_flag":   false,
			"a_vendor_member": map[string]any{"tier": 0},
			"c_nil":           nil, "d_empty": "", "e_none": []string{}, "f_none": map[string]any{},
		},
	}
}

func mustNew(t testing.TB, m prm.Metadata) *prm.Document {
	t.Helper()
	doc, err := prm.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// body returns the published document.
func body(t testing.TB, doc *prm.Document) []byte {
	t.Helper()
	target := doc.Path()
	if _, query, ok := strings.Cut(doc.URL(), "?"); ok {
		target += "?" + query
	}
	recorder := httptest.NewRecorder()
	doc.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, target, nil))
	if recorder.Code != http.StatusOK {
		t.Fatalf("GET %s: %d", target, recorder.Code)
	}
	return recorder.Body.Bytes()
}

func TestGolden(t *testing.T) {
	example := prm.Metadata{
		Resource:              "https://files.example.net",
		AuthorizationServers:  []string{"https://login.example.net", "https://login.example.org"},
		ScopesSupported:       []string{"profile", "files:read", "files:write"},
		ResourceDocumentation: "https://files.example.net/docs.html",
	}
	for _, test := range []struct {
		file string
		in   prm.Metadata
	}{
		{"full.json", full()},
		{"rfc9728-3.2.json", example},
	} {
		t.Run(test.file, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join("testdata", test.file))
			if err != nil {
				t.Fatal(err)
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, want); err != nil {
				t.Fatal(err)
			}
			if got := body(t, mustNew(t, test.in)); !bytes.Equal(got, compact.Bytes()) {
				t.Errorf("got  %s\nwant %s", got, compact.Bytes())
			}
		})
	}
}

func TestZeroValuesAreOmitted(t *testing.T) {
	want := `{"resource":"https://h.example/mcp","authorization_servers":["https://login.example.net"],"bearer_methods_supported":["header"]}`
	if got := string(body(t, mustNew(t, minimal()))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNewCopies(t *testing.T) {
	in := full()
	doc := mustNew(t, in)
	before := body(t, doc)
	scribble := func(m prm.Metadata) {
		for _, list := range [][]string{
			m.AuthorizationServers, m.ScopesSupported, m.BearerMethodsSupported, m.ResourceSigningAlgValuesSupported,
			m.AuthorizationDetailsTypesSupported, m.DPoPSigningAlgValuesSupported,
		} {
			for i := range list {
				list[i] = "scribbled"
			}
		}
		for _, lang := range []map[string]string{
			m.ResourceNameLang, m.ResourceDocumentationLang, m.ResourcePolicyURILang, m.ResourceTOSURILang,
		} {
			lang["de"] = "scribbled"
		}
		m.Extra["scribbled"] = true
	}
	scribble(in)
	scribble(doc.Metadata())
	want := full()
	want.BearerMethodsSupported = []string{"header"}
	if got := doc.Metadata(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if after := body(t, doc); !bytes.Equal(before, after) {
		t.Errorf("document changed to %s", after)
	}
}

func TestUnkeyedLiteralsDoNotCompile(t *testing.T) {
	field := reflect.TypeFor[prm.Metadata]().Field(0)
	if field.Name != "_" || field.Type != reflect.TypeFor[[0]func()]() {
		t.Errorf("first field is %s %s", field.Name, field.Type)
	}
}

func jws(header, payload string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(payload)) + "." + encode([]byte("signature"))
}

func TestSign(t *testing.T) {
	calls, token := 0, ""
	m := minimal()
	m.Extra = map[string]any{"vendor": 1}
	m.Sign = func(claims []byte) (string, error) {
		calls++
		var members map[string]any
		if err := json.Unmarshal(claims, &members); err != nil {
			return "", err
		}
		names := slices.Sorted(maps.Keys(members))
		if want := []string{"authorization_servers", "bearer_methods_supported", "resource", "vendor"}; !slices.Equal(names, want) {
			t.Errorf("claims are %q, want %q", names, want)
		}
		token = jws(`{"alg":"ES256"}`, `{"iss":"https://h.example",`+string(claims[1:]))
		clear(claims)
		return token, nil
	}
	if err := m.Validate(); err != nil || calls != 0 {
		t.Fatalf("Validate: %v after %d calls", err, calls)
	}
	doc := mustNew(t, m)
	want := `{"resource":"https://h.example/mcp","authorization_servers":["https://login.example.net"],` +
		`"bearer_methods_supported":["header"],"vendor":1,"signed_metadata":"` + token + `"}`
	for range 2 {
		if got := string(body(t, doc)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}

func TestSignRefuses(t *testing.T) {
	const header = `{"alg":"ES256"}`
	boom := errors.New("no key")
	for _, test := range []struct {
		name, want string
		sign       func(claims string) (string, error)
	}{
		{"an error", "no key", func(string) (string, error) { return "", boom }},
		{"nothing", "three segments", func(string) (string, error) { return "", nil }},
		{"JSON", "three segments", func(c string) (string, error) { return c, nil }},
		{"an encrypted token", "three segments", func(string) (string, error) { return "YQ.YQ.YQ.YQ.YQ", nil }},
		{"an empty signature", "segment 3", func(string) (string, error) { return "e30.e30.", nil }},
		{"padding", "segment 1", func(string) (string, error) { return "YQ==.e30.YQ", nil }},
		{"a line feed", "segment 1", func(string) (string, error) { return "e3\n0.e30.YQ", nil }},
		{"a header that is no object", "header", func(string) (string, error) { return jws(`[]`, `{}`), nil }},
		{"a null header", "header", func(string) (string, error) { return jws(`null`, `{}`), nil }},
		{"alg none", "not signed", func(c string) (string, error) { return jws(`{"alg":"None"}`, c), nil }},
		{"no alg", "not signed", func(c string) (string, error) { return jws(`{}`, c), nil }},
		{"a payload that is no object", "payload", func(string) (string, error) { return jws(header, `"x"`), nil }},
		{"no iss", "iss", func(c string) (string, error) { return jws(header, c), nil }},
		{"another resource", `"resource"`, func(c string) (string, error) {
			return jws(header, `{"iss":"x",`+strings.Replace(c[1:], "/mcp", "/other", 1)), nil
		}},
		{"a missing member", `"authorization_servers"`, func(string) (string, error) {
			return jws(header, `{"iss":"x","resource":"https://h.example/mcp","bearer_methods_supported":["header"]}`), nil
		}},
		{"a member that is not published", `"scopes_supported"`, func(c string) (string, error) {
			return jws(header, `{"iss":"x","scopes_supported":["admin"],`+c[1:]), nil
		}},
		{"itself nested", `"signed_metadata"`, func(c string) (string, error) {
			return jws(header, `{"iss":"x","signed_metadata":"a.b.c",`+c[1:]), nil
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := minimal()
			m.Sign = func(claims []byte) (string, error) { return test.sign(string(claims)) }
			doc, err := prm.New(m)
			if doc != nil || err == nil {
				t.Fatalf("New = %v, %v", doc, err)
			}
			if !strings.HasPrefix(err.Error(), "prm: Sign: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q does not name %s", err, test.want)
			}
			if test.name == "an error" && !errors.Is(err, boom) {
				t.Errorf("%v does not wrap the signer's error", err)
			}
		})
	}
}
