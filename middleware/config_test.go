package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestConfigMistakes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*middleware.Config)
		want   []string // all in one error
	}{
		{"zero value", func(c *middleware.Config) { *c = middleware.Config{} }, []string{"Resource", "AuthorizationServers"}},
		{"DS-22 no issuer", func(c *middleware.Config) { c.Metadata.AuthorizationServers = nil }, []string{"AuthorizationServers"}},
		{"a nil function", func(c *middleware.Config) { c.Verifier = verifier.Func(nil) }, []string{"Verifier"}},
		{"an issuer that is not advertised", func(c *middleware.Config) {
			c.Issuers = []verifier.Issuer{{URL: otherIssuer}}
		}, []string{otherIssuer}},
		{"an issuer twice", func(c *middleware.Config) {
			c.Issuers = []verifier.Issuer{{URL: issuerURL}, {URL: issuerURL}}
		}, []string{"twice"}},
		{"an empty audience", func(c *middleware.Config) {
			c.Issuers = []verifier.Issuer{{URL: issuerURL, Audiences: []string{""}}}
		}, []string{"empty audience"}},
		{"an empty accepted audience", func(c *middleware.Config) { c.AcceptAudiences = []string{"x", ""} }, []string{"AcceptAudiences"}},
		{"accepted audiences without effect", func(c *middleware.Config) {
			c.Verifier, c.AcceptAudiences = nil, []string{"x"}
		}, []string{"AcceptAudiences"}},
		{"leeway too long", func(c *middleware.Config) { c.Leeway = 2*time.Minute + 1 }, []string{"Leeway"}},
		{"negative leeway", func(c *middleware.Config) { c.Leeway = -1 }, []string{"Leeway"}},
		{"HT-24 hierarchy", func(c *middleware.Config) { c.Hierarchy = scopes.Hierarchy{"a b": {`c"`}} }, []string{"a b", `c`}},
		{"HT-23 a quote in the resource", func(c *middleware.Config) { c.Metadata.Resource = `https://h/"` }, []string{"Resource"}},
		{"all at once", func(c *middleware.Config) {
			c.Metadata.Resource = "http://h.example/mcp"
			c.AllowedOrigins = []string{"*", "null"}
			c.Leeway = time.Hour
			c.AcceptAudiences = []string{""}
			c.Hierarchy = scopes.Hierarchy{"": nil}
			c.Issuers = []verifier.Issuer{{URL: otherIssuer}}
		}, []string{"Resource", `"*"`, `"null"`, "1h0m0s", "AcceptAudiences", "Hierarchy", otherIssuer}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := newFixture(t).config
			tt.change(&config)
			guard, err := middleware.New(config)
			if guard != nil || err == nil {
				t.Fatal("New took it")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in: %v", want, err)
				}
			}
		})
	}
}

func TestAllowedOrigins(t *testing.T) {
	for origin, valid := range map[string]bool{
		"https://app.example.com":        true,
		"https://app.example.com:8443":   true,
		"http://localhost:6274":          true,
		"http://127.0.0.1":               true,
		"http://[::1]:3000":              true,
		"vscode-webview://0a1b2c":        true,
		"chrome-extension://abcdefghijk": true,
		"*":                              false,
		"null":                           false,
		"":                               false,
		"app.example.com":                false,
		"https://":                       false,
		"https://*.example.com":          false,
		"https://app.example.com/":       false,
		"https://app.example.com/x":      false,
		"https://app.example.com?x":      false,
		"https://app.example.com?":       false,
		"https://app.example.com#":       false,
		"https://app.example.com:443":    false,
		"https://app.example.com:":       false,
		"https://app.example.com:0443":   false,
		"https://app.example.com:99999":  false,
		"http://localhost:80":            false,
		"http://app.example.com":         false,
		"https://APP.example.com":        false,
		"HTTPS://app.example.com":        false,
		"https://u@app.example.com":      false,
		"https://b\u00fccher.example":    false,
		"https://a.example b.example":    false,
		"https://a.example\r\nX: y":      false,
		"mailto:a@example.com":           false,
	} {
		t.Run(origin, func(t *testing.T) {
			config := newFixture(t).config
			config.AllowedOrigins = []string{origin}
			if _, err := middleware.New(config); (err == nil) != valid {
				t.Errorf("New: %v", err)
			}
		})
	}
}

func TestTheOwnOriginIsSerializedAsBrowsersDo(t *testing.T) {
	for resource, origin := range map[string]string{
		"https://h.example:443/mcp":  "https://h.example",
		"https://h.example:8443/mcp": "https://h.example:8443",
		"http://127.0.0.1:80/mcp":    "http://127.0.0.1",
		"http://[::1]:8080/mcp":      "http://[::1]:8080",
	} {
		t.Run(resource, func(t *testing.T) {
			f := newFixture(t, func(f *fixture) {
				f.config.Metadata.Resource = resource
				f.verifier.token.Audience = []string{resource}
			})
			r := request("Authorization: Bearer "+good, "Origin: "+origin)
			r.Host = "localhost"
			check(t, f.answer(f.handler(), r), ok)
		})
	}
}

func TestIssuersFillTheMetadata(t *testing.T) {
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{Resource: resource},
		Issuers:  []verifier.Issuer{{URL: issuerURL, Audiences: []string{"client-1"}}, {URL: otherIssuer}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := guard.Metadata().Metadata().AuthorizationServers; !reflect.DeepEqual(got, []string{issuerURL, otherIssuer}) {
		t.Errorf("published %q", got)
	}
}

func TestTheConfigIsCopied(t *testing.T) {
	f := newFixture(t, func(f *fixture) {
		f.config.Issuers = []verifier.Issuer{{URL: issuerURL, Audiences: []string{"client-1"}}}
		f.config.Hierarchy = scopes.Hierarchy{"reader": {"files:read"}}
		f.config.AcceptAudiences = []string{"urn:mcp"}
		f.verifier.token = goodToken("reader")
		f.verifier.token.Audience = []string{"client-1"}
	})
	h := f.handler()
	good := request("Authorization: Bearer "+good, "Origin: "+appOrigin)
	check(t, f.answer(h, good), ok)

	c := &f.config
	c.Issuers[0].Audiences[0] = "evil"
	c.Issuers[0].URL = "https://evil.example"
	c.AcceptAudiences[0] = "evil"
	c.AllowedOrigins[0] = "https://evil.example"
	c.Hierarchy["reader"][0] = "evil"
	c.Hierarchy["x"] = []string{"files:read"}
	c.Metadata.AuthorizationServers[0] = "https://evil.example"
	c.Metadata.ScopesSupported[0] = "evil"
	c.Metadata.Resource = "https://evil.example"
	check(t, f.answer(h, good), ok)
	check(t, f.answer(h, request("Origin: https://evil.example")), forbidden)
	f.verifier.token.Audience = []string{"evil"}
	check(t, f.answer(h, good), invalidToken)
	f.verifier.token = goodToken("x")
	f.verifier.token.Audience = []string{"urn:mcp"}
	check(t, f.answer(h, good), insufficientScope)
	if m := f.guard.Metadata().Metadata(); m.Resource != resource || m.AuthorizationServers[0] != issuerURL {
		t.Errorf("published %+v", m)
	}
}

func TestUnkeyedConfigsDoNotCompile(t *testing.T) {
	first := reflect.TypeFor[middleware.Config]().Field(0)
	if first.Name != "_" || first.Type != reflect.TypeFor[[0]func()]() {
		t.Errorf("the first field is %v", first)
	}
}

func TestTheZeroGuardRefuses(t *testing.T) {
	for name, guard := range map[string]*middleware.Guard{"zero": {}, "nil": nil} {
		t.Run(name, func(t *testing.T) {
			next := &spy{}
			for _, policy := range []scopes.Policy{{}, {Base: scopes.Public()}, {Base: scopes.All("a")}} {
				for _, r := range []*http.Request{
					request(), request("Authorization: Bearer " + good), preflight(appOrigin, ""), request("Origin: " + appOrigin),
				} {
					w := httptest.NewRecorder()
					guard.Protect(policy)(next).ServeHTTP(w, r)
					if w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") != `Bearer realm="unconfigured"` {
						t.Error(dump(w))
					}
					if token, err := guard.Check(r, policy); token != nil || err == nil {
						t.Errorf("Check = %v, %v", token, err)
					}
				}
			}
			if next.ran() {
				t.Error("the handler ran")
			}
			w := httptest.NewRecorder()
			guard.Metadata().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			if w.Code != http.StatusNotFound {
				t.Errorf("metadata: %d", w.Code)
			}
		})
	}
}

func TestWiringPanics(t *testing.T) {
	f := newFixture(t)
	mustPanic(t, "nil handler", func() { f.guard.Require()(nil) })
	mustPanic(t, "nil handler", func() { f.guard.Require()(http.HandlerFunc(nil)) })
	mustPanic(t, "a b", func() { f.guard.Require("a b") })
	mustPanic(t, "a b", func() { new(middleware.Guard).Require("a b") })
}

func TestTwoGuardsOnOneMuxNeverAnswerForOneAnother(t *testing.T) {
	const otherResource = "https://mcp.example.com/other"
	mux := http.NewServeMux()
	ran := map[string]int{}
	mount := func(path, resource string) {
		guard, err := middleware.New(middleware.Config{
			Metadata: prm.Metadata{Resource: resource, AuthorizationServers: []string{issuerURL}},
			// Knows the token of either resource, as one provider's verifier would.
			Verifier: verifier.Func(func(_ context.Context, token string) (*verifier.Token, error) {
				known := goodToken()
				known.Audience = []string{token}
				return known, nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		mux.Handle(guard.Metadata().Path(), guard.Metadata())
		mux.Handle(path, guard.Require()(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran[path]++ })))
	}
	mount("/mcp", resource)
	mount("/other", otherResource)
	for _, tt := range []struct {
		path, token, metadata string
		want                  int
	}{
		{"/mcp", resource, "", 200},
		{"/other", otherResource, "", 200},
		{"/mcp", otherResource, metadataURL, 401},
		{"/other", resource, "https://mcp.example.com/.well-known/oauth-protected-resource/other", 401},
	} {
		r := httptest.NewRequest(http.MethodPost, tt.path, nil)
		r.Header.Set("Authorization", "Bearer "+tt.token)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s with the token for %s: %d", tt.path, tt.token, w.Code)
		}
		checkAnswer(t, w.Code, w.Header(), tt.metadata)
	}
	if ran["/mcp"] != 1 || ran["/other"] != 1 {
		t.Errorf("handlers ran: %v", ran)
	}
}

func TestTheResponseWriterIsPassedOnUnwrapped(t *testing.T) {
	f := newFixture(t)
	var got http.ResponseWriter
	h := f.guard.Require("files:read")(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { got = w }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, request("Authorization: Bearer "+good))
	if got != http.ResponseWriter(w) {
		t.Errorf("the handler got a %T", got)
	}
	if len(w.Header()) != 0 {
		t.Errorf("headers %v", w.Header())
	}
}

func TestObserveRunsBeforeTheHandler(t *testing.T) {
	observed := false
	f := newFixture(t, func(f *fixture) {
		f.config.Observe = func(_ context.Context, e middleware.Event) {
			observed = e.Token != nil && e.Issuer == issuerURL && e.Outcome == middleware.OutcomeAllowed && e.Duration >= 0
		}
	})
	f.next.bodies = func(*http.Request) {
		if !observed {
			t.Error("the handler ran first")
		}
	}
	f.handler().ServeHTTP(httptest.NewRecorder(), request("Authorization: Bearer "+good))
	if !f.next.ran() {
		t.Error("the handler did not run")
	}
}
