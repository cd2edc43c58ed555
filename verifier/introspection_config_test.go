package verifier_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

var noAuth = clientauth.None("")

func TestNewIntrospectionReportsEveryMistake(t *testing.T) {
	_, err := verifier.NewIntrospection(verifier.IntrospectionConfig{
		Issuer:                "http://as.example?x=1",
		Auth:                  clientauth.SecretBasic("", ""),
		Endpoint:              "http://as.example/introspect",
		Audiences:             []string{""},
		ClientIDs:             []string{"a", ""},
		TTL:                   time.Hour,
		NegativeTTL:           -1,
		Leeway:                3 * time.Minute,
		Timeout:               time.Minute,
		MaxConcurrent:         -1,
		JWKSURI:               "ftp://as.example",
		DangerouslyServeStale: 2 * time.Hour,
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"Resource is required", `issuer "http://as.example?x=1": URL: https is required`, "a query is not allowed",
		"Auth: clientauth: the client id is empty", "the client secret is empty",
		`Endpoint "http://as.example/introspect": https is required`, "Audiences: empty value", "ClientIDs: empty value",
		"TTL 1h0m0s", "NegativeTTL -1ns", "Leeway 3m0s", "Timeout 1m0s", "MaxConcurrent -1", "JWKSURI: ",
		"DangerouslyServeStale 2h0m0s", "which Signed does not ask for",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

func TestNewIntrospectionRequires(t *testing.T) {
	_, err := verifier.NewIntrospection(verifier.IntrospectionConfig{})
	for _, want := range []string{"Resource is required", `issuer "": URL`, "Auth: clientauth: no method is set"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in:\n%v", want, err)
		}
	}
}

// The configuration is copied, and making the verifier asks nobody.
func TestNewIntrospectionCopies(t *testing.T) {
	audiences, clients := []string{resource}, []string{"client-0123456789abcdef"}
	i := newInspector(t, func(c *verifier.IntrospectionConfig) { c.Audiences, c.ClientIDs = audiences, clients })
	i.asked(0)
	audiences[0], clients[0] = "changed", "changed"
	i.accept(opaque)
}

// The front door accepts what introspection found out, and nothing leaks.
func TestIntrospectionTokenDoesNotShareMemory(t *testing.T) {
	i := newInspector(t, func(c *verifier.IntrospectionConfig) { c.AnswersAreOurs = true })
	i.endpoint.set("bare", about(raw{"aud": ""}))
	got := i.accept("bare")
	got.Audience = append(got.Audience, "https://evil.example")
	got.Subject = "changed"
	if again := i.accept("bare"); len(again.Audience) != 1 || again.Subject == "changed" {
		t.Errorf("subject %q, audience %q", again.Subject, again.Audience)
	}
}

func TestIntrospectionStatus(t *testing.T) {
	i := newInspector(t)
	i.accept(opaque)
	i.accept(opaque)
	i.refuse("other", verifier.ReasonInactive)
	i.refuse("other", verifier.ReasonInactive)
	i.endpoint.set("elsewhere", about(raw{"aud": `"x"`}))
	i.refuse("elsewhere", verifier.ReasonAudience)
	got := i.v.Status()
	want := verifier.IntrospectionCounts{Hits: 1, NegativeHits: 1, Misses: 3, Active: 1, Inactive: 1, Refused: 1}
	if got.Counts != want {
		t.Errorf("counts %+v, want %+v", got.Counts, want)
	}
	if got.Issuer != server || got.InFlight != 0 || got.Waiting != 0 || got.Breaker != "closed" || got.Remembered != 1 ||
		got.RememberedRefusals != 2 || got.LastError != nil {
		t.Errorf("status %+v", got)
	}
	i.endpoint.fail(faulty(authtest.Down()))
	i.unavailable("new")
	if got := i.v.Status(); got.LastError == nil || got.Counts.Failed != 1 {
		t.Errorf("status %+v", got)
	}
}
