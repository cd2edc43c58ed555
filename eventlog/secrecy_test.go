package eventlog_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/eventlog"
	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// The values that no sink may show: a person, a session, a claim.
const (
	secretSubject = "subject-5f2b8c1d9e7a4630"
	secretID      = "session-0c9d8e7f6a5b4c3d"
	secretClaim   = "claim-value-77aa66bb55cc44dd"
)

// TestNoSinkShowsASecret sends good and bad tokens through a Guard that is
// watched by everything there is, at debug level.
func TestNoSinkShowsASecret(t *testing.T) {
	var shown bytes.Buffer
	debug := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
	asJSON, asText := slog.New(slog.NewJSONHandler(&shown, debug)), slog.New(slog.NewTextHandler(&shown, debug))
	one := eventlog.New(asJSON, eventlog.Config{Audit: asText, PerSecond: -1})
	two := eventlog.New(asText, eventlog.Config{Audit: asJSON, PerSecond: -1})
	m := metrics.New(metrics.Config{TraceID: func(context.Context) string { return "4bf92f3577b34da6" }})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)

	idp := authtest.NewIssuer(t, authtest.Config{Resources: []string{resource}, Scopes: []string{"files:read", "files:write"}})
	guard, err := middleware.New(middleware.Config{
		Metadata:  prm.Metadata{Resource: resource, AuthorizationServers: []string{idp.URL()}},
		Transport: idp.Transport(),
		Observe: func(ctx context.Context, e middleware.Event) {
			one.Observe(ctx, e)
			two.Observe(ctx, e)
			m.Observe(ctx, e)
			fmt.Fprintf(&shown, "%v %+v %#v\n", e, e, e) // DS-17: whoever prints an Event
			asJSON.Debug("event", "event", e, "token", e.Caller)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Watch(guard.Status)

	tokens := secretTokens(t, idp)
	handler := guard.Require("files:read")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	outcomes := map[int]int{}
	for _, token := range tokens {
		r := httptest.NewRequest(http.MethodPost, resource, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		outcomes[w.Code]++
		fmt.Fprintln(&shown, w.Header(), w.Body)
		explanation := guard.Explain(t.Context(), token)
		fmt.Fprintln(&shown, explanation)
		if err := json.NewEncoder(&shown).Encode(explanation); err != nil {
			t.Fatal(err)
		}
	}
	for _, accept := range []string{"", "application/openmetrics-text; version=1.0.0"} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{EnableOpenMetrics: true}).ServeHTTP(w, r)
		shown.Write(w.Body.Bytes())
	}
	fmt.Fprintln(&shown, guard.Status(), guard.Status().Issuers())
	if outcomes[http.StatusOK] == 0 || outcomes[http.StatusUnauthorized] < 8 || outcomes[http.StatusForbidden] == 0 {
		t.Fatalf("the requests ended as %v: too few kinds", outcomes)
	}
	checkSecrets(t, shown.String(), tokens)
}

func secretTokens(t *testing.T, idp *authtest.Issuer) []string {
	t.Helper()
	base := authtest.Claims{"sub": secretSubject, "jti": secretID, "email": secretClaim}
	with := func(name string, value any) string {
		claims := authtest.Claims{name: value}
		for k, v := range base {
			claims[k] = v
		}
		claims[name] = value
		return idp.Token(claims)
	}
	stranger, err := authtest.NewKey("ES256", idp.Key().KeyID())
	if err != nil {
		t.Fatal(err)
	}
	forged, err := idp.Mint(authtest.TokenConfig{Claims: base, Key: stranger})
	if err != nil {
		t.Fatal(err)
	}
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	good := with("x", 1)
	return []string{
		good, forged, good[:len(good)-3], good + ".a.b", "opaque-token-f00dfeedf00dfeed",
		with("exp", past), with("nbf", future), with("aud", "https://other.example"), with("iss", "https://other.example"),
		with("scope", "files:write"), with("exp", nil), with("cnf", map[string]any{"jkt": secretClaim}), with("aud", 1),
		with("nonce", secretClaim), with("client_id", "a\n"), with("act", 1),
	}
}

func checkSecrets(t *testing.T, shown string, tokens []string) {
	t.Helper()
	for _, secret := range []string{secretSubject, secretID, secretClaim} {
		if i := strings.Index(shown, secret); i >= 0 {
			t.Errorf("a sink shows %q: ...%s", secret, shown[max(0, i-120):i])
		}
	}
	for _, token := range tokens {
		for i := 0; i+16 <= len(token); i++ {
			if at := strings.Index(shown, token[i:i+16]); at >= 0 {
				t.Errorf("a sink shows a piece of a token: ...%s", shown[max(0, at-120):at])
				break
			}
		}
	}
}

func TestDS17ConfigurationsAndPrincipalsPrintRedacted(t *testing.T) {
	caller := verifier.Token{Issuer: issuer, Subject: secretSubject, ID: secretID}.WithClaims([]byte(`{"email":"` + secretClaim + `"}`))
	key := []byte("subject-key-0123456789abcdef")
	log := eventlog.New(slog.New(slog.DiscardHandler), eventlog.Config{SubjectKey: key})
	event := middleware.Event{Token: caller, Caller: caller, Err: errors.New("cause")}
	asJSON, err := json.Marshal(map[string]any{"token": caller, "value": *caller})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %+v %#v %s %v %+v %#v %s", caller, *caller, *caller, caller, event, event, log, asJSON)
	for _, secret := range []string{secretSubject, secretID, secretClaim, string(key), base64.StdEncoding.EncodeToString(key), fmt.Sprintf("%x", key)} {
		if strings.Contains(text, secret) {
			t.Errorf("DS-17 printed: %q", secret)
		}
	}
}
