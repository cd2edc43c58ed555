package middleware_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func guardOf(t *testing.T, issuers ...*authtest.Issuer) *middleware.Guard {
	t.Helper()
	servers := []string{}
	byHost := map[string]http.Handler{}
	for _, issuer := range issuers {
		servers = append(servers, issuer.URL())
		byHost[strings.TrimPrefix(issuer.URL(), "https://")] = issuer
	}
	guard, err := middleware.New(middleware.Config{
		Metadata:  prm.Metadata{Resource: resource, AuthorizationServers: servers, ScopesSupported: []string{"files:read"}},
		Transport: hosts(byHost),
	})
	if err != nil {
		t.Fatal(err)
	}
	return guard
}

// hosts answers for several hosts in memory.
type hosts map[string]http.Handler

func (h hosts) RoundTrip(r *http.Request) (*http.Response, error) {
	handler, ok := h[r.URL.Host]
	if !ok {
		return nil, errors.New("no such host")
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Result(), nil
}

func newIssuer(t *testing.T, url string) *authtest.Issuer {
	t.Helper()
	return authtest.NewIssuer(t, authtest.Config{URL: url, Resources: []string{resource}, Scopes: []string{"files:read"}})
}

func TestReadyOnlyWithTheKeysOfEveryIssuer(t *testing.T) {
	one, two := newIssuer(t, "https://one.example"), newIssuer(t, "https://two.example")
	guard := guardOf(t, one, two)
	for _, health := range guard.Status().Issuers() {
		if health.Ready || health.Keys != 0 {
			t.Errorf("ready before the first fetch: %+v", health)
		}
	}

	two.SetFault(authtest.EndpointAll, authtest.Respond(http.StatusBadGateway, nil, ""))
	err := guard.Ready(t.Context())
	var outage *verifier.UnavailableError
	if !errors.As(err, &outage) || outage.Issuer != two.URL() || strings.Contains(err.Error(), one.URL()) {
		t.Errorf("error %v, want one that names %s only", err, two.URL())
	}
	health := guard.Status().Issuers()
	if len(health) != 2 || !health[0].Ready || health[1].Ready || health[1].Problem == "" || health[0].KeysFetched.IsZero() {
		t.Errorf("health %+v", health)
	}
	text, err := json.Marshal(health)
	if err != nil || !strings.Contains(string(text), `"ready":false`) {
		t.Errorf("as JSON: %s, %v", text, err)
	}
}

func TestReadyOutlivesAnOutage(t *testing.T) {
	issuer := newIssuer(t, "https://one.example")
	guard := guardOf(t, issuer)
	if err := guard.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	issuer.SetFault(authtest.EndpointAll, authtest.Respond(http.StatusBadGateway, nil, ""))
	if err := guard.Ready(t.Context()); err != nil {
		t.Errorf("not ready although the keys are good: %v", err)
	}
}

func TestReadyOfWhatCannotSay(t *testing.T) {
	if new(middleware.Guard).Ready(t.Context()) == nil {
		t.Error("the zero Guard is ready")
	}
	if status := new(middleware.Guard).Status(); status.Resource != "" || len(status.Issuers()) != 0 {
		t.Errorf("the zero Guard knows %+v", status)
	}
	f := newFixture(t)
	if err := f.guard.Ready(t.Context()); err != nil {
		t.Errorf("a custom Verifier without Ready: %v", err)
	}
}

func TestExplainOfAGuard(t *testing.T) {
	issuer := newIssuer(t, "https://one.example")
	guard := guardOf(t, issuer)
	if e := guard.Explain(t.Context(), issuer.Token(nil)); !e.Accepted || len(e.Checks) < 10 {
		t.Errorf("explanation of a good token:\n%s", e)
	}
	e := guard.Explain(t.Context(), issuer.Token(authtest.Claims{"aud": "api://x"}))
	if decisive, _ := e.Decisive(); e.Accepted || decisive.Reason != verifier.ReasonAudience || !strings.Contains(decisive.Found, "api://x") {
		t.Errorf("explanation:\n%s", e)
	}
	if e := new(middleware.Guard).Explain(t.Context(), issuer.Token(nil)); e.Accepted {
		t.Error("the zero Guard accepts")
	}
}

func TestExplainLooksAtAForgetfulVerifierAgain(t *testing.T) {
	f := newFixture(t)
	f.verifier.token.Expiry = time.Now().Add(-time.Hour)
	e := f.guard.Explain(t.Context(), good)
	if decisive, _ := e.Decisive(); e.Accepted || e.Reason != verifier.ReasonExpired || decisive.Name != "front door" {
		t.Errorf("explanation:\n%s", e)
	}
	f.verifier.err = errors.New("secret-of-the-database")
	if e := f.guard.Explain(t.Context(), good); e.Accepted || e.Unavailable == "" || strings.Contains(e.String(), "secret-of") {
		t.Errorf("explanation:\n%s", e)
	}
	if len(f.events) != 0 {
		t.Errorf("%d events for explanations", len(f.events))
	}
}

var _ func(context.Context, string) verifier.Explanation = (*middleware.Guard)(nil).Explain
