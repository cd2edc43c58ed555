package middleware_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// cataloguePrint writes values in every way in which a careless program would.
func cataloguePrint(t *testing.T, values ...any) string {
	t.Helper()
	var told bytes.Buffer
	for _, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%e"} {
			fmt.Fprintf(&told, verb+"\n", value)
		}
		text, err := json.Marshal(value)
		if err != nil {
			fmt.Fprintf(&told, "%v\n", err)
		}
		told.Write(text)
		for _, handler := range []slog.Handler{slog.NewTextHandler(&told, nil), slog.NewJSONHandler(&told, nil)} {
			record := slog.NewRecord(time.Time{}, slog.LevelInfo, "printed", 0)
			record.AddAttrs(slog.Any("value", value))
			if err := handler.Handle(t.Context(), record); err != nil {
				t.Error(err)
			}
		}
	}
	return told.String()
}

// catalogueNotPrinted looks for a secret, and for it in hexadecimal.
func catalogueNotPrinted(t *testing.T, told, secret string) {
	t.Helper()
	catalogueNoPiece(t, told, secret)
	catalogueNoPiece(t, told, fmt.Sprintf("%x", secret))
	catalogueNoPiece(t, told, fmt.Sprintf("%X", secret))
}

func (c *catalogue) printing(t *testing.T) {
	w := c.world(t)
	good, bad := w.token(nil, catalogueRaw{"act": `{"sub":"actor-d41d8cd98f00b204"}`}), w.token(nil, catalogueRaw{"exp": "1"})
	accepted, refused := w.send(t, catalogueRow{token: good}).event, w.send(t, catalogueRow{token: bad}).event
	token := accepted.Token
	if token == nil || refused.Err == nil || token.DangerouslyRaw() != good {
		t.Fatal("no token, or no refusal: there is nothing to print")
	}
	c.row(t, "DS-17 token, event, refusal and Guard", func(t *testing.T) {
		type holder struct{ Token verifier.Token }
		type pointer struct{ Token *verifier.Token }
		told := cataloguePrint(t, token, *token, accepted, &accepted, []middleware.Event{accepted}, refused, refused.Err, []any{*token, token},
			map[string]*verifier.Token{"t": token}, map[verifier.Reason]verifier.Token{"t": *token}, holder{*token}, &holder{*token}, pointer{token}, w.guard)
		for _, secret := range []string{good, bad, catalogueSubject, catalogueClient, catalogueID, "actor-d41d8cd98f00b204"} {
			catalogueNotPrinted(t, told, secret)
		}
	})
	// fmt asks no method of what is in an unexported field, so the claims of a
	// Token there are printed; the credential must not be.
	c.row(t, "DS-17 a token in an unexported field keeps its credential", func(t *testing.T) {
		type pointer struct{ token *verifier.Token }
		type holder struct{ token verifier.Token }
		for _, value := range []any{pointer{token}, &pointer{token}, []pointer{{token}}, holder{*token}, &holder{*token}, []holder{{*token}}, map[string]holder{"t": {*token}}} {
			catalogueNotPrinted(t, cataloguePrint(t, value), good)
		}
	})
	c.row(t, "DS-17 configuration with a secret", func(t *testing.T) {
		secret := "introspection-secret-" + strings.Repeat("0123456789", 3)
		config := verifier.IntrospectionConfig{Resource: resource, Issuer: catalogueA, Auth: clientauth.SecretBasic("resource-server-1", secret)}
		opaque, err := verifier.NewIntrospection(config)
		if err != nil {
			t.Fatal(err)
		}
		whole := middleware.Config{Verifier: opaque}
		type hidden struct{ config verifier.IntrospectionConfig }
		for _, value := range []any{config, &config, config.Auth, opaque, whole, &whole, hidden{config}, &hidden{config}} {
			catalogueNotPrinted(t, cataloguePrint(t, value), secret)
		}
	})
}
