package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

const resource = "http://127.0.0.1:8080/mcp"

func newTest(t *testing.T) (servers, *authtest.Issuer, *bytes.Buffer) {
	t.Helper()
	issuer := authtest.NewServer(t, authtest.Config{Resources: []string{resource}, Scopes: []string{"files:read"}})
	var log bytes.Buffer
	both, err := newServers(resource, issuer.URL(), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return both, issuer, &log
}

func do(h http.Handler, method, target, token, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://127.0.0.1:8080"+target, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestExplainIsForAdministrators(t *testing.T) {
	both, issuer, log := newTest(t)
	wrong := issuer.Token(authtest.Claims{"aud": "api://x"})
	if w := do(both.clients, http.MethodPost, "/mcp", wrong, ""); w.Code != http.StatusUnauthorized || strings.Contains(w.Body.String(), "api://x") {
		t.Fatalf("status %d, body %s", w.Code, w.Body)
	}
	for name, token := range map[string]string{"anonymous": "", "a user": issuer.Token(nil)} {
		if w := do(both.operators, http.MethodPost, "/explain", token, wrong); w.Code == http.StatusOK || strings.Contains(w.Body.String(), "checks") {
			t.Errorf("%s: status %d, body %s", name, w.Code, w.Body)
		}
	}
	admin := issuer.Token(authtest.Claims{"scope": "gatehouse:admin"})
	w := do(both.operators, http.MethodPost, "/explain", admin, wrong)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `aud is \"api://x\", this resource is \"`+resource) {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "auth.reason=audience") {
		t.Errorf("log: %s", log)
	}
}

func TestLivenessDoesNotDependOnTheProvider(t *testing.T) {
	both, issuer, _ := newTest(t)
	issuer.SetFault(authtest.EndpointAll, authtest.Down())
	if w := do(both.operators, http.MethodGet, "/livez", "", ""); w.Code != http.StatusNoContent {
		t.Errorf("livez: %d", w.Code)
	}
	if w := do(both.operators, http.MethodGet, "/readyz", "", ""); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), `"ready":false`) {
		t.Errorf("readyz in an outage: %d %s", w.Code, w.Body)
	}
	issuer.ClearFaults()
	fresh, _, _ := newTest(t)
	if w := do(fresh.operators, http.MethodGet, "/readyz", "", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"ready":true`) {
		t.Errorf("readyz: %d %s", w.Code, w.Body)
	}
	if w := do(fresh.operators, http.MethodGet, "/metrics", "", ""); !strings.Contains(w.Body.String(), "gatehouse_key_set_usable") {
		t.Errorf("metrics: %d", w.Code)
	}
}
