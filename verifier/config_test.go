package verifier_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestNewJWTRefusesEachMistake(t *testing.T) {
	good := func() verifier.JWTConfig {
		return verifier.JWTConfig{Resource: resource, Issuers: []verifier.Issuer{{URL: authtest.DefaultURL}}}
	}
	for _, test := range []struct {
		name   string
		change func(*verifier.JWTConfig)
		want   []string // texts of the error
	}{
		{"DS-22 no resource", func(c *verifier.JWTConfig) { c.Resource = "" }, []string{"Resource"}},
		{"DS-22 no issuers", func(c *verifier.JWTConfig) { c.Issuers = nil }, []string{"Issuers"}},
		{"DS-22 empty list of issuers", func(c *verifier.JWTConfig) { c.Issuers = []verifier.Issuer{} }, []string{"Issuers"}},
		{"DS-22 zero issuer", func(c *verifier.JWTConfig) { c.Issuers = make([]verifier.Issuer, 1) }, []string{`issuer ""`}},
		{"an issuer twice", func(c *verifier.JWTConfig) { c.Issuers = append(c.Issuers, c.Issuers[0]) }, []string{"twice", authtest.DefaultURL}},
		{"CL-16 negative leeway", func(c *verifier.JWTConfig) { c.Leeway = -1 }, []string{"Leeway", "-1ns"}},
		{"CL-16 leeway of a day", func(c *verifier.JWTConfig) { c.Leeway = 24 * time.Hour }, []string{"Leeway", "24h"}},
		{"CL-16 leeway just over the limit", func(c *verifier.JWTConfig) { c.Leeway = 2*time.Minute + 1 }, []string{"Leeway"}},
		{"MaxStale under a minute", func(c *verifier.JWTConfig) { c.MaxStale = 59 * time.Second }, []string{"MaxStale", "59s"}},
		{"negative MaxStale", func(c *verifier.JWTConfig) { c.MaxStale = -time.Hour }, []string{"MaxStale", "-1h"}},
		{"Cooldown under a second", func(c *verifier.JWTConfig) { c.Cooldown = time.Millisecond }, []string{"Cooldown", "1ms"}},
		{"negative Cooldown", func(c *verifier.JWTConfig) { c.Cooldown = -time.Second }, []string{"Cooldown", "-1s"}},
		{"issuer over http", func(c *verifier.JWTConfig) { c.Issuers[0].URL = "http://issuer.example" }, []string{`"http://issuer.example"`, "https"}},
		{"issuer is relative", func(c *verifier.JWTConfig) { c.Issuers[0].URL = "issuer.example" }, []string{`"issuer.example"`}},
		{"issuer without a host", func(c *verifier.JWTConfig) { c.Issuers[0].URL = "https:///tenant" }, []string{"absolute"}},
		{"issuer with userinfo", func(c *verifier.JWTConfig) { c.Issuers[0].URL = "https://u@issuer.example" }, []string{"userinfo"}},
		{"issuer with a query", func(c *verifier.JWTConfig) { c.Issuers[0].URL = "https://issuer.example?x=1" }, []string{"query"}},
		{"issuer with an empty query", func(c *verifier.JWTConfig) { c.Issuers[0].URL = "https://issuer.example?" }, []string{"query"}},
		{"issuer with a fragment", func(c *verifier.JWTConfig) { c.Issuers[0].URL = "https://issuer.example#x" }, []string{"fragment"}},
		{"issuer with an empty fragment", func(c *verifier.JWTConfig) { c.Issuers[0].URL = "https://issuer.example#" }, []string{"fragment"}},
		{"issuer is a metadata URL", func(c *verifier.JWTConfig) {
			c.Issuers[0].URL = "https://issuer.example/.well-known/openid-configuration"
		}, []string{"metadata URL"}},
		{"KS-16 keys over http", func(c *verifier.JWTConfig) { c.Issuers[0].JWKSURI = "http://issuer.example/jwks" }, []string{"JWKSURI", "https"}},
		{"KS-16 keys with userinfo", func(c *verifier.JWTConfig) { c.Issuers[0].JWKSURI = "https://u:p@issuer.example/jwks" }, []string{"JWKSURI", "userinfo"}},
		{"KS-16 keys with a fragment", func(c *verifier.JWTConfig) { c.Issuers[0].JWKSURI = "https://issuer.example/jwks#k" }, []string{"JWKSURI", "fragment"}},
		{"KS-16 keys in a file", func(c *verifier.JWTConfig) { c.Issuers[0].JWKSURI = "file:///etc/jwks.json" }, []string{"JWKSURI"}},
		{"KS-16 keys in a data URL", func(c *verifier.JWTConfig) { c.Issuers[0].JWKSURI = "data:application/json,{}" }, []string{"JWKSURI"}},
		{"HA symmetric algorithm", func(c *verifier.JWTConfig) { c.Issuers[0].Algorithms = []string{"RS256", "HS256"} }, []string{"Algorithms", `"HS256"`}},
		{"HA none", func(c *verifier.JWTConfig) { c.Issuers[0].Algorithms = []string{"none"} }, []string{"Algorithms", `"none"`}},
		{"algorithm in another case", func(c *verifier.JWTConfig) { c.Issuers[0].Algorithms = []string{"rs256"} }, []string{`"rs256"`}},
		{"DS-22 empty audience", func(c *verifier.JWTConfig) { c.Issuers[0].Audiences = []string{resource, ""} }, []string{"Audiences"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			config := good()
			test.change(&config)
			j, err := verifier.NewJWT(config)
			if err == nil || j != nil {
				t.Fatalf("verifier: %v, error: %v; want an error alone", j, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v; want %s named", err, want)
				}
			}
		})
	}
	if _, err := verifier.NewJWT(good()); err != nil {
		t.Errorf("the configuration without a mistake: %v", err)
	}
}

func TestNewJWTJoinsEveryMistake(t *testing.T) {
	_, err := verifier.NewJWT(verifier.JWTConfig{
		Leeway: -time.Second, MaxStale: time.Second, Cooldown: time.Millisecond,
		Issuers: []verifier.Issuer{
			{URL: "http://one.example", JWKSURI: "ftp://one.example", Algorithms: []string{"none", "HS512"}, Audiences: []string{""}},
			{URL: "https://two.example?q"},
		},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"Resource", "Leeway", "MaxStale", "Cooldown", "http://one.example", "JWKSURI", `"none"`, `"HS512"`, "Audiences", "two.example",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is missing in:\n%v", want, err)
		}
	}
}

func TestNewJWTAcceptsLoopbackAndLimits(t *testing.T) {
	for _, url := range []string{"http://127.0.0.1:8080", "http://[::1]:8080/realm", "http://localhost", "https://issuer.example/tenant/"} {
		newJWT(t, verifier.JWTConfig{
			Resource: resource, Issuers: []verifier.Issuer{{URL: url}},
			Leeway: 2 * time.Minute, MaxStale: time.Minute, Cooldown: time.Second, CacheSize: 1,
		})
	}
}

// A cool-down longer than the life of the keys would cause outages with a
// provider in perfect health.
func TestNewJWTRefusesACooldownOverMaxStale(t *testing.T) {
	for _, pair := range [][2]time.Duration{{time.Hour, time.Minute}, {48 * time.Hour, 0}} {
		t.Run(fmt.Sprintf("Cooldown %v MaxStale %v", pair[0], pair[1]), func(t *testing.T) {
			_, err := verifier.NewJWT(verifier.JWTConfig{
				Resource: resource, Issuers: []verifier.Issuer{{URL: authtest.DefaultURL}}, Cooldown: pair[0], MaxStale: pair[1],
			})
			if err == nil {
				t.Error("accepted: keys expire before they may be fetched again")
			}
		})
	}
}

func TestNewJWTDoesNoIO(t *testing.T) {
	w := newWorld(t)
	if w.hits() != 0 {
		t.Errorf("%d requests by the constructor", w.hits())
	}
	if status := w.jwt.KeyStatus(); len(status) != 1 || status[0].Usable || w.hits() != 0 {
		t.Errorf("KeyStatus %+v after %d requests", status, w.hits())
	}
}

func TestNewJWTCopiesItsConfig(t *testing.T) {
	issuer := authtest.NewIssuer(t, authtest.Config{Resources: []string{resource}})
	audiences, algorithms, types := []string{resource}, []string{"ES256"}, []string{"at+jwt"}
	issuers := []verifier.Issuer{{URL: issuer.URL(), Audiences: audiences, Algorithms: algorithms, Types: types}}
	j := newJWT(t, verifier.JWTConfig{Resource: resource, Issuers: issuers, Transport: issuer.Transport()})
	issuers[0].URL, audiences[0], algorithms[0], types[0] = "https://evil.example", "evil", "RS256", "evil"
	if _, err := verify(t, j, issuer.Token(nil)); err != nil {
		t.Errorf("the verifier sees later changes: %v", err)
	}
}

func TestZeroJWTRefusesEveryToken(t *testing.T) {
	issuer := authtest.NewIssuer(t, authtest.Config{Resources: []string{resource}})
	var zero verifier.JWT
	_, err := verify(t, &zero, issuer.Token(nil))
	isInvalid(t, err, verifier.ReasonIssuer)
	_, err = verify(t, &zero, "")
	isInvalid(t, err, verifier.ReasonMalformed)
	if status := zero.KeyStatus(); len(status) != 0 {
		t.Errorf("KeyStatus %v", status)
	}
}

func TestIssuerTrustsItsExactURLOnly(t *testing.T) {
	issuer := verifier.Issuer{URL: "https://issuer.example"}
	if !issuer.Trusts("https://issuer.example") {
		t.Error("does not trust its own URL")
	}
	for _, iss := range []string{"", "https://issuer.example/", "https://ISSUER.example", "https://issuer.example.evil"} {
		if issuer.Trusts(iss) {
			t.Errorf("trusts %q", iss)
		}
	}
	if (verifier.Issuer{}).Trusts("") {
		t.Error("the zero Issuer trusts an absent iss")
	}
}

// DS-23: what an adapted function returns arrives unchanged, so that the front
// door can judge it.
func TestFuncPassesOn(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, 1)
	want := &verifier.Token{Issuer: authtest.DefaultURL}
	got, err := verifier.Func(func(c context.Context, token string) (*verifier.Token, error) {
		if c != ctx || token != "credential" {
			t.Errorf("called with %v, %q", c, token)
		}
		return want, http.ErrAbortHandler
	}).Verify(ctx, "credential")
	if got != want || err != http.ErrAbortHandler {
		t.Errorf("returned %v, %v", got, err)
	}
}
