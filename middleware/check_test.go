package middleware_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const otherIssuer = "https://other.example.com"

// A Verifier may be forgetful; the front door is not.
func TestTheFrontDoorJudgesAgain(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*verifier.Token)
		want   int
		reason verifier.Reason
		issuer string
	}{
		{"a good token", func(*verifier.Token) {}, ok, "", issuerURL},
		{"no Expiry", func(k *verifier.Token) { k.Expiry = time.Time{} }, invalidToken, verifier.ReasonClaims, issuerURL},
		{"Expiry at the Unix epoch", func(k *verifier.Token) { k.Expiry = time.Unix(0, 0) }, invalidToken, verifier.ReasonExpired, issuerURL},
		{"expired", func(k *verifier.Token) { k.Expiry = time.Now().Add(-time.Minute) }, invalidToken, verifier.ReasonExpired, issuerURL},
		{"expired within the leeway", func(k *verifier.Token) { k.Expiry = time.Now().Add(-5 * time.Second) }, ok, "", issuerURL},
		{"Expiry beyond every calendar", func(k *verifier.Token) { k.Expiry = time.Unix(1<<60, 0) }, ok, "", issuerURL},
		{"no Issuer", func(k *verifier.Token) { k.Issuer = "" }, invalidToken, verifier.ReasonIssuer, ""},
		{"a foreign Issuer", func(k *verifier.Token) { k.Issuer = "https://evil.example" }, invalidToken, verifier.ReasonIssuer, ""},
		{"an Issuer with a slash more", func(k *verifier.Token) { k.Issuer += "/" }, invalidToken, verifier.ReasonIssuer, ""},
		{"no Audience", func(k *verifier.Token) { k.Audience = nil }, invalidToken, verifier.ReasonAudience, issuerURL},
		{"an empty Audience", func(k *verifier.Token) { k.Audience = []string{""} }, invalidToken, verifier.ReasonAudience, issuerURL},
		{"another resource", func(k *verifier.Token) { k.Audience = []string{"https://mcp.example.com/other"} }, invalidToken, verifier.ReasonAudience, issuerURL},
		{"ours as a prefix", func(k *verifier.Token) { k.Audience = []string{resource + "/x"} }, invalidToken, verifier.ReasonAudience, issuerURL},
		{"ours with a slash more", func(k *verifier.Token) { k.Audience = []string{resource + "/"} }, invalidToken, verifier.ReasonAudience, issuerURL},
		{"the origin of ours", func(k *verifier.Token) { k.Audience = []string{"https://mcp.example.com"} }, invalidToken, verifier.ReasonAudience, issuerURL},
		{"ours among others", func(k *verifier.Token) { k.Audience = []string{"x", resource} }, ok, "", issuerURL},
		{"an accepted audience", func(k *verifier.Token) { k.Audience = []string{"urn:mcp"} }, ok, "", issuerURL},
		{"the other issuer's audience", func(k *verifier.Token) { k.Audience = []string{"client-1"} }, invalidToken, verifier.ReasonAudience, issuerURL},
		{"the other issuer and its audience", func(k *verifier.Token) { k.Issuer, k.Audience = otherIssuer, []string{"client-1"} }, ok, "", otherIssuer},
		{"the other issuer and the resource", func(k *verifier.Token) { k.Issuer = otherIssuer }, invalidToken, verifier.ReasonAudience, otherIssuer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, func(f *fixture) {
				f.config.Metadata.AuthorizationServers = []string{issuerURL, otherIssuer}
				f.config.Issuers = []verifier.Issuer{{URL: otherIssuer, Audiences: []string{"client-1"}}}
				f.config.AcceptAudiences = []string{"urn:mcp"}
				tt.change(f.verifier.token)
			})
			check(t, f.answer(f.handler(), request("Authorization: Bearer "+good)), tt.want)
			e := f.last()
			if e.Reason != tt.reason || e.Issuer != tt.issuer || e.Resource != resource {
				t.Errorf("event %+v", e)
			}
			if tt.want != ok && !errors.Is(e.Err, verifier.ErrInvalidToken) {
				t.Errorf("error %v", e.Err)
			}
		})
	}
}

func TestTheSlashOfABareOrigin(t *testing.T) {
	for _, tt := range []struct {
		resource, audience string
		want               int
	}{
		{"https://h.example", "https://h.example/", ok},
		{"https://h.example/", "https://h.example", ok},
		{"https://h.example:8443", "https://h.example:8443/", ok},
		{"https://h.example", "https://h.example//", invalidToken},
		{"https://h.example", "https://H.example", invalidToken},
		{"https://h.example/a", "https://h.example/a/", invalidToken},
		{"https://h.example/a/", "https://h.example/a", invalidToken},
	} {
		t.Run(tt.resource+" for "+tt.audience, func(t *testing.T) {
			f := newFixture(t, func(f *fixture) {
				f.config.Metadata.Resource = tt.resource
				f.config.Observe = nil
				f.verifier.token.Audience = []string{tt.audience}
			})
			token, err := f.guard.Check(request("Authorization: Bearer "+good), scopes.Policy{})
			if (token != nil) != (tt.want == ok) || (err == nil) != (tt.want == ok) {
				t.Errorf("Check = %v, %v", token, err)
			}
		})
	}
}

// The boundary, to the nanosecond, by a virtual clock.
func TestExpiryToTheNanosecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(f *fixture) {
			f.config.Leeway = time.Second
			f.verifier.token.Expiry = time.Now().Add(time.Minute)
		})
		r := request("Authorization: Bearer " + good)
		time.Sleep(61*time.Second - 1)
		check(t, f.answer(f.handler(), r), ok)
		time.Sleep(time.Nanosecond)
		check(t, f.answer(f.handler(), r), invalidToken)
	})
}

func TestScopes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		base  scopes.Requirement
		token []string
		want  int
		scope string
	}{
		{"any valid token", scopes.Requirement{}, nil, ok, ""},
		{"all of them", scopes.All("a", "b"), []string{"a", "b", "z"}, ok, ""},
		{"one missing", scopes.All("a", "b"), []string{"a", "z"}, insufficientScope, "a b"},
		{"an alternative", scopes.Any(scopes.All("a"), scopes.All("b")), []string{"b"}, ok, ""},
		{"the closest alternative", scopes.Any(scopes.All("a", "b", "c"), scopes.All("d", "e")), []string{"a", "b"}, insufficientScope, "a b c"},
		{"the first alternative on a tie", scopes.Any(scopes.All("b"), scopes.All("a")), nil, insufficientScope, "b"},
		{"held and supported", scopes.All("a"), []string{"files:read"}, insufficientScope, "a files:read"},
		{"held and in the hierarchy", scopes.All("a"), []string{"reader"}, insufficientScope, "a reader"},
		{"held and in this policy", scopes.Any(scopes.All("a", "b"), scopes.All("c", "d")), []string{"b", "d"}, insufficientScope, "a b d"},
		{"held for others", scopes.All("a"), []string{"mail", "openid", "offline_access"}, insufficientScope, "a"},
		{"CL-33 implied", scopes.All("reader"), []string{"admin"}, ok, ""},
		{"CL-33 not the other way", scopes.All("admin"), []string{"reader"}, insufficientScope, "admin reader"},
		{"CL-33 what is implied is not written down", scopes.All("a", "reader"), []string{"admin"}, insufficientScope, "a admin reader"},
		{"case counts", scopes.All("a"), []string{"A"}, insufficientScope, "a"},
		{"public with a token", scopes.Public(), nil, ok, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, func(f *fixture) {
				f.config.Hierarchy = scopes.Hierarchy{"admin": {"reader"}, "x": {"offline_access"}}
				f.verifier.token = goodToken(tt.token...)
			})
			h := f.guard.Protect(scopes.Policy{Base: tt.base})(f.next)
			w := f.answer(h, request("Authorization: Bearer "+good))
			check(t, w, tt.want)
			if tt.want == ok {
				if got, _ := verifier.FromContext(f.next.requests[0].Context()); got != f.verifier.token {
					t.Errorf("the handler found %v", got)
				}
				return
			}
			if got := param(t, w.Header(), "scope"); got != tt.scope {
				t.Errorf("scope %q, want %q", got, tt.scope)
			}
		})
	}
}

func TestExpiryIsJudgedBeforeScopes(t *testing.T) {
	f := newFixture(t)
	f.verifier.token = goodToken()
	f.verifier.token.Expiry = time.Now().Add(-time.Hour)
	check(t, f.answer(f.handler(), request("Authorization: Bearer "+good)), invalidToken)
}

func TestScopeOfThe401(t *testing.T) {
	for _, tt := range []struct {
		name string
		base scopes.Requirement
		want string
	}{
		{"none", scopes.Requirement{}, `Bearer resource_metadata="` + metadataURL + `"`},
		{"all", scopes.All("b", "a"), `Bearer resource_metadata="` + metadataURL + `", scope="a b"`},
		{"the smallest alternative", scopes.Any(scopes.All("a", "b"), scopes.All("c")), `Bearer resource_metadata="` + metadataURL + `", scope="c"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			w := f.answer(f.guard.Protect(scopes.Policy{Base: tt.base})(f.next), request())
			check(t, w, unauthenticated)
			if got := w.Header().Get("WWW-Authenticate"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestHT52ChallengeIsBounded(t *testing.T) {
	var supported, held []string
	for i := range 400 {
		held = append(held, fmt.Sprintf("held:%06d", i))
		supported = append(supported, fmt.Sprintf("held:%06d", i))
	}
	f := newFixture(t, func(f *fixture) {
		f.config.Metadata.ScopesSupported = supported
		f.verifier.token = goodToken(held...)
	})
	w := f.answer(f.guard.Require("zz", "aa")(f.next), request("Authorization: Bearer "+good))
	check(t, w, insufficientScope)
	named := strings.Split(param(t, w.Header(), "scope"), " ")
	if !slices.Contains(named, "zz") || !slices.Contains(named, "aa") || len(named) < 200 {
		t.Errorf("%d scopes are named", len(named))
	}

	t.Run("a policy that cannot fit panics at wiring", func(t *testing.T) {
		mustPanic(t, "4096", func() { f.guard.Require(held...) })
	})
	t.Run("Check refuses it", func(t *testing.T) {
		token, err := f.guard.Check(request("Authorization: Bearer "+good), scopes.Policy{Base: scopes.All(held...)})
		checkDenied(t, token, err)
	})
	t.Run("so does a metadata URL in New", func(t *testing.T) {
		_, err := middleware.New(middleware.Config{
			Metadata: prm.Metadata{Resource: "https://h.example/" + strings.Repeat("a", 4<<10), AuthorizationServers: []string{issuerURL}},
			Verifier: f.verifier,
		})
		if err == nil {
			t.Error("New took it")
		}
	})
}

func checkDenied(t *testing.T, token *verifier.Token, err error) {
	t.Helper()
	var refusal *middleware.Refusal
	if token != nil || !errors.As(err, &refusal) || refusal.Status != 403 || refusal.Outcome != middleware.OutcomeDenied {
		t.Errorf("Check = %v, %v", token, err)
	}
}

func TestCheckFailsClosedOnAnInvalidPolicy(t *testing.T) {
	f := newFixture(t)
	for name, base := range map[string]scopes.Requirement{
		"HT-24 a blank":    scopes.All("a b"),
		"HT-24 a quote":    scopes.All(`a"b`),
		"HT-24 a control":  scopes.All("a\x00"),
		"no alternatives":  scopes.Any(),
		"public inside":    scopes.Any(scopes.Public(), scopes.All("a")),
		"a refresh token":  scopes.All("offline_access"),
		"HT-23 backslash":  scopes.All(`a\b`),
		"HT-24 empty name": scopes.All(""),
	} {
		t.Run(name, func(t *testing.T) {
			token, err := f.guard.Check(request("Authorization: Bearer "+good), scopes.Policy{Base: base})
			checkDenied(t, token, err)
			if f.last().Outcome != middleware.OutcomeDenied || !strings.Contains(err.Error(), "policy") {
				t.Errorf("event %+v", f.last())
			}
			mustPanic(t, "policy", func() { f.guard.Protect(scopes.Policy{Base: base}) })
		})
	}
}

func TestCheckReturnsNeitherForAnonymous(t *testing.T) {
	f := newFixture(t)
	token, err := f.guard.Check(request(), scopes.Policy{Base: scopes.Public()})
	if token != nil || err != nil || f.last().Outcome != middleware.OutcomeAnonymous {
		t.Errorf("Check = %v, %v", token, err)
	}
	token, err = f.guard.Check(request("Authorization: Bearer "+good), scopes.Policy{Base: scopes.Public()})
	if token == nil || err != nil || f.last().Outcome != middleware.OutcomeAllowed {
		t.Errorf("Check = %v, %v", token, err)
	}
	token, err = f.guard.Check(request("Authorization: Bearer "+bad), scopes.Policy{Base: scopes.Public()})
	if token != nil || err == nil || f.last().Outcome != middleware.OutcomeInvalidToken {
		t.Errorf("Check = %v, %v", token, err)
	}
}

func TestAnonymousFindsNoTokenInItsContext(t *testing.T) {
	f := newFixture(t)
	r := request()
	r = r.WithContext(verifier.NewContext(r.Context(), goodToken("admin")))
	check(t, f.answer(f.guard.Protect(scopes.Policy{Base: scopes.Public()})(f.next), r), ok)
	if token, found := verifier.FromContext(f.next.requests[0].Context()); found {
		t.Errorf("found %v", token)
	}
}

func mustPanic(t *testing.T, text string, f func()) {
	t.Helper()
	defer func() {
		if got := fmt.Sprint(recover()); !strings.Contains(got, text) {
			t.Errorf("panic %q, want %q in it", got, text)
		}
	}()
	f()
}
