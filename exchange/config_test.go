package exchange_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
)

func TestEveryMistakeIsReported(t *testing.T) {
	_, err := exchange.New(exchange.Config{
		TokenEndpoint: "http://as.example/token", SubjectIssuers: []string{"", "ftp://x"},
		CacheSize: 1 << 30, Timeout: time.Minute,
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"Issuer is required", "Auth", `TokenEndpoint "http://as.example/token"`, "SubjectIssuers is required", `SubjectIssuers "ftp://x"`, "CacheSize 1073741824", "Timeout 1m0s"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%q is not in %v", field, err)
		}
	}
	if _, err := exchange.New(exchange.Config{}); err == nil {
		t.Error("the zero Config is accepted")
	}
}

func TestMistakesInTargets(t *testing.T) {
	client := newWorld(t).client
	err := client.Check(exchange.Target{
		Resource: []string{"relative", "https://api.example.com/#x"}, Audience: []string{""}, Scopes: []string{"a b"},
		Hosts: []string{"https://api.example.com", "*.example.com", "", "a/b", "a@b", "ex\u00e4mple.com"},
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, part := range []string{`"relative"`, `#x`, "Audience", "Scopes", `"https://api.example.com" is not a host`, `"*.example.com"`, `""`, `"a/b"`, `"a@b"`, `"ex`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in %v", part, err)
		}
	}
	for name, target := range map[string]exchange.Target{
		"a mistake":            {Hosts: []string{"*"}},
		"no host":              {Audience: []string{"reports"}},
		"a resource of no URL": {Resource: []string{"urn:example:reports"}},
		"a plain resource":     {Resource: []string{"http://api.example.com/"}},
	} {
		if !panics(func() { client.Transport(nil, target) }) {
			t.Errorf("%s: Transport accepted it", name)
		}
	}
	actor := func(context.Context) (*exchange.Token, error) { return nil, nil }
	for _, target := range []exchange.Target{{TokenType: exchange.TypeJWT}, {Actor: actor}} {
		if _, err := client.ClientCredentials(t.Context(), target); err == nil {
			t.Error("ClientCredentials accepted what needs a user")
		}
	}
}

func panics(f func()) (did bool) {
	defer func() { did = recover() != nil }()
	f()
	return false
}

func TestTheZeroValuesRefuse(t *testing.T) {
	for _, client := range []*exchange.Client{nil, {}} {
		if _, err := client.Exchange(t.Context(), exchange.Request{}); err == nil {
			t.Error("Exchange")
		}
		if _, err := client.ClientCredentials(t.Context(), exchange.Target{}); err == nil {
			t.Error("ClientCredentials")
		}
		if client.Check(target()) == nil || !panics(func() { client.Transport(nil, target()) }) {
			t.Error("Check or Transport")
		}
	}
	var token *exchange.Token
	if token.AccessToken() != "" || (&exchange.Token{}).AccessToken() != "" {
		t.Error("a token out of nothing")
	}
}

func TestConfigPrintsNoSecret(t *testing.T) {
	config := exchange.Auth0("acme.auth0.example", clientauth.SecretPost(serverID, secret))
	noSecrets(t, fmt.Sprintf("%v %+v %#v", config, config, config))
	w := newWorld(t)
	issued := w.mustExchange(w.user("alice"))
	noSecrets(t, fmt.Sprintf("%v %+v %#v", w.client, w.client, w.client), issued.AccessToken())
}
