package oteltrace_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/eventlog"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/oteltrace"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const (
	resource = "https://mcp.example.com/mcp"
	issuer   = "https://login.example.com"
)

var (
	_ = metrics.Config{TraceID: oteltrace.TraceID}
	_ = eventlog.Config{TraceID: oteltrace.TraceID}
)

// recorded runs f in a span of a real provider, and returns the span.
func recorded(t *testing.T, f func(context.Context)) tracetest.SpanStub {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	ctx, span := provider.Tracer("test").Start(t.Context(), "request")
	f(ctx)
	span.End()
	all := spans.GetSpans()
	if len(all) != 1 {
		t.Fatalf("%d spans", len(all))
	}
	return all[0]
}

// text writes the events of a span, one a line.
func text(span tracetest.SpanStub) string {
	var b strings.Builder
	for _, event := range span.Events {
		b.WriteString(event.Name)
		for _, attr := range event.Attributes {
			fmt.Fprintf(&b, " %s=%v", attr.Key, attr.Value.AsInterface())
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestObserveAddsOneEvent(t *testing.T) {
	needed, err := scopes.Of("files:read", "files:write")
	if err != nil {
		t.Fatal(err)
	}
	caller := &verifier.Token{Issuer: issuer, Subject: "alice", ClientID: "desk"}
	for name, test := range map[string]struct {
		event middleware.Event
		want  string
	}{
		"allowed": {
			middleware.Event{Resource: resource, Outcome: middleware.OutcomeAllowed, Issuer: issuer, Scheme: middleware.SchemeBearer, Token: caller, Caller: caller, Duration: time.Millisecond},
			"auth.decision auth.outcome=allowed auth.resource=" + resource + " auth.scheme=bearer auth.duration=1000000 iss=" + issuer + "\n",
		},
		"denied": {
			middleware.Event{Resource: resource, Outcome: middleware.OutcomeInsufficientScope, Operation: "write_file", Status: 403, Needed: needed, Caller: caller, Err: errors.New("cause")},
			"auth.decision auth.outcome=insufficient_scope auth.resource=" + resource + " auth.operation=write_file auth.status=403 auth.needed=files:read files:write auth.error=cause\n",
		},
		"ended": {
			middleware.Event{Resource: resource, Outcome: middleware.OutcomeEnded, Reason: verifier.ReasonExpired, Caller: caller},
			"auth.decision auth.outcome=ended auth.reason=expired auth.resource=" + resource + "\n",
		},
	} {
		span := recorded(t, func(ctx context.Context) { oteltrace.Observe(ctx, test.event) })
		if got := text(span); got != test.want {
			t.Errorf("%s:\n%swant\n%s", name, got, test.want)
		}
		if len(span.Attributes) != 0 || span.Status.Description != "" {
			t.Errorf("%s: the span itself was changed: %v, %v", name, span.Attributes, span.Status)
		}
	}
}

func TestObserveExchangeAddsOneEvent(t *testing.T) {
	event := exchange.Event{
		Issuer: issuer, Target: "https://reports.example.com/", Trigger: exchange.TriggerCall,
		Result: exchange.ResultOurCredentials, Duration: time.Second, Err: &exchange.Error{Issuer: issuer, Status: 401, Code: "invalid_client"},
	}
	want := "auth.exchange exchange.result=our_credentials exchange.trigger=call exchange.target=https://reports.example.com/" +
		" exchange.duration=1000000000 iss=" + issuer + " exchange.error=exchange: " + issuer + ": status 401 invalid_client\n"
	if got := text(recorded(t, func(ctx context.Context) { oteltrace.ObserveExchange(ctx, event) })); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestTraceID(t *testing.T) {
	var id string
	span := recorded(t, func(ctx context.Context) { id = oteltrace.TraceID(ctx) })
	if id != span.SpanContext.TraceID().String() || len(id) != 32 {
		t.Errorf("id %q, the span's is %s", id, span.SpanContext.TraceID())
	}
	if id := oteltrace.TraceID(t.Context()); id != "" {
		t.Errorf("id %q without a span", id)
	}
}

// Who samples pays for the sampled ones only.
func TestWithoutARecordingSpanNothingIsDone(t *testing.T) {
	event := middleware.Event{Resource: resource, Outcome: middleware.OutcomeAllowed, Issuer: issuer, Duration: time.Millisecond}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))
	unsampled, _ := provider.Tracer("test").Start(t.Context(), "request")
	for name, ctx := range map[string]context.Context{"no span": t.Context(), "not sampled": unsampled} {
		if n := testing.AllocsPerRun(100, func() {
			oteltrace.Observe(ctx, event)
			oteltrace.ObserveExchange(ctx, exchange.Event{})
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// DS-14: a span says nothing of the token, and nothing of the person.
func TestSpansHoldNoSecret(t *testing.T) {
	const subject, client, claim = "subject-5f2b8c1d9e7a4630", "client-0c9d8e7f6a5b4c3d", "claim-value-77aa66bb55cc44dd"
	idp := authtest.NewIssuer(t, authtest.Config{Resources: []string{resource}, Scopes: []string{"files:read"}})
	guard, err := middleware.New(middleware.Config{
		Metadata:  prm.Metadata{Resource: resource, AuthorizationServers: []string{idp.URL()}},
		Transport: idp.Transport(), Observe: oteltrace.Observe,
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := guard.Require("files:read")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	claims := func(name string, value any) authtest.Claims {
		all := authtest.Claims{"sub": subject, "client_id": client, "email": claim}
		all[name] = value
		return all
	}
	good := idp.Token(claims("x", 1))
	tokens := []string{
		good, good[:len(good)-3], "opaque-token-f00dfeedf00dfeed", idp.Token(claims("aud", "https://other.example")),
		idp.Token(claims("exp", time.Now().Add(-time.Hour))), idp.Token(claims("scope", "files:write")), idp.Token(claims("nonce", claim)),
	}
	span := recorded(t, func(ctx context.Context) {
		for _, token := range tokens {
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, resource, nil)
			r.Header.Set("Authorization", "Bearer "+token)
			handler.ServeHTTP(httptest.NewRecorder(), r)
		}
	})
	if len(span.Events) != len(tokens) {
		t.Fatalf("%d events of %d requests", len(span.Events), len(tokens))
	}
	shown := text(span)
	for _, secret := range append(tokens, subject, client, claim) {
		for i := 0; i+16 <= len(secret); i++ {
			if strings.Contains(shown, secret[i:i+16]) {
				t.Errorf("DS-14 a span shows %q:\n%s", secret[i:i+16], shown)
				break
			}
		}
	}
}

func TestValuesAreBoundedAndUTF8(t *testing.T) {
	hostile := errors.New("\xff" + strings.Repeat("é", 1<<20))
	span := recorded(t, func(ctx context.Context) { oteltrace.Observe(ctx, middleware.Event{Err: hostile}) })
	value := span.Events[0].Attributes[0].Value.AsString()
	if len(value) > 520 || !utf8.ValidString(value) {
		t.Errorf("%d octets, valid %v", len(value), utf8.ValidString(value))
	}
}
