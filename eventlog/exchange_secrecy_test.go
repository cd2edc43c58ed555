package eventlog_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/eventlog"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/prometheus/client_golang/prometheus"
)

// TestNoSinkShowsASecretOfAnExchange has a server repeat what it was sent.
func TestNoSinkShowsASecretOfAnExchange(t *testing.T) {
	const api, server, clientSecret = "https://reports.example.com/", "mcp-server", "client-secret-1f2e3d4c5b6a7988"
	var shown bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&shown, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
	log := eventlog.New(logger, eventlog.Config{PerSecond: -1})
	m := metrics.New(metrics.Config{})
	idp := authtest.NewIssuer(t, authtest.Config{
		Resources: []string{resource},
		Clients:   []authtest.Client{{ID: server, Secret: clientSecret}},
		Exchanges: []authtest.Exchange{{ClientID: server, Resource: resource, Targets: []string{api}}},
	})
	seen := map[exchange.Result]bool{}
	client, err := exchange.New(exchange.Config{
		Issuer: idp.URL(), Auth: clientauth.SecretPost(server, clientSecret), Transport: idp.Transport(),
		Observe: func(ctx context.Context, e exchange.Event) {
			seen[e.Result] = true
			log.ObserveExchange(ctx, e)
			m.ObserveExchange(ctx, e)
			fmt.Fprintf(&shown, "%v %+v %#v\n", e, e, e)
			logger.Debug("event", "event", e)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	jwt, err := verifier.NewJWT(verifier.JWTConfig{
		Resource: resource, Issuers: []verifier.Issuer{{URL: idp.URL()}}, Transport: idp.Transport(),
	})
	if err != nil {
		t.Fatal(err)
	}
	user, err := jwt.Verify(t.Context(), idp.Token(authtest.Claims{"sub": secretSubject, "jti": secretID}))
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{user.DangerouslyRaw(), clientSecret}
	ask := func(scopes ...string) {
		ctx := verifier.NewContext(t.Context(), user)
		token, err := client.Exchange(ctx, exchange.Request{Subject: user, Target: exchange.Target{Resource: []string{api}, Scopes: scopes}})
		if err == nil {
			secrets = append(secrets, token.AccessToken())
		}
	}
	ask()
	ask()
	for i, code := range []string{"invalid_grant", "invalid_client", "interaction_required", "invalid_target", user.DangerouslyRaw()} {
		body := fmt.Sprintf(`{"error":%q,"error_description":"%s %s %s"}`, code, user.DangerouslyRaw(), clientSecret, secretSubject)
		idp.SetFault(authtest.EndpointToken, authtest.Respond(http.StatusBadRequest, http.Header{"Content-Type": {"application/json"}}, body))
		ask(fmt.Sprint("scope", i))
	}
	idp.SetFault(authtest.EndpointToken, authtest.Respond(http.StatusOK, http.Header{"Content-Type": {"text/html"}}, user.DangerouslyRaw()))
	ask("another")
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&shown, families)
	if len(seen) < 6 {
		t.Errorf("only the results %v: too few kinds", seen)
	}
	checkSecrets(t, shown.String(), secrets)
}
