package verifier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// O4: however it is printed, a Token shows nothing.
func TestTokenPrintsRedacted(t *testing.T) {
	w := newWorld(t)
	text := w.token(nil)
	token := w.accept(text)
	type wrapper struct {
		Token  verifier.Token
		Next   *verifier.Token
		hidden verifier.Token
	}
	wrapped := wrapper{*token, token, *token}
	outputs := make(map[string]string)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t", "%o", "%08b"} {
		outputs["pointer "+verb] = fmt.Sprintf(verb, token)
		outputs["value "+verb] = fmt.Sprintf(verb, *token)
		outputs["field "+verb] = fmt.Sprintf(verb, struct{ Token *verifier.Token }{token})
		outputs["slice "+verb] = fmt.Sprintf(verb, []verifier.Token{*token})
	}
	var buffer bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&buffer, nil), slog.NewJSONHandler(&buffer, nil)} {
		slog.New(handler).Info("x", "pointer", token, "value", *token, "group", slog.GroupValue(slog.Any("t", token)))
	}
	outputs["slog"] = buffer.String()
	for name, value := range map[string]any{"pointer": token, "value": *token, "wrapped": struct{ T *verifier.Token }{token}, "map": map[string]any{"t": *token}} {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		outputs["json "+name] = string(text)
	}
	outputs["error"] = fmt.Errorf("%w with %v", errors.New("x"), token).Error()
	for name, output := range outputs {
		leaks(t, name, output, text)
	}
	// fmt calls no method on an unexported field; at least the credential must not
	// be there.
	for _, verb := range []string{"%v", "%+v", "%#v"} {
		if output := fmt.Sprintf(verb, wrapped); strings.Contains(output, text[:40]) || strings.Contains(output, text[len(text)-40:]) {
			t.Errorf("a Token in an unexported field prints the credential with %s", verb)
		}
	}
}

func leaks(t *testing.T, name, output, token string) {
	t.Helper()
	secrets := append(strings.Split(token, "."), "user-0123456789abcdef", "client-0123456789abcdef", "id-0123456789abcdef")
	for _, secret := range secrets {
		for i := 0; i+16 <= len(secret); i++ {
			if strings.Contains(output, secret[i:i+16]) {
				t.Errorf("%s shows the token or a claim", name)
				return
			}
		}
	}
}

func TestTokenClaims(t *testing.T) {
	var into struct {
		A int `json:"a"`
	}
	for name, token := range map[string]*verifier.Token{"nil": nil, "of a custom Verifier": {}} {
		if err := token.Claims(&into); err == nil {
			t.Errorf("%s: Claims of nothing", name)
		}
	}
	text := []byte(`{"a":1,"A":2}`)
	token := verifier.Token{Subject: "s"}
	with := token.WithClaims(text)
	text[5] = '9'
	if err := with.Claims(&into); err != nil || into.A != 1 || with.Subject != "s" {
		t.Errorf("Claims: %v, %+v", err, into)
	}
	if err := token.Claims(&into); err == nil {
		t.Error("WithClaims changed its receiver")
	}
	var wrong struct {
		A string `json:"a"`
	}
	if err := (verifier.Token{}).WithClaims([]byte(`{"a":123456789012345678}`)).Claims(&wrong); err == nil || strings.Contains(err.Error(), "12345678") {
		t.Errorf("Claims into the wrong type: %v; want an error without the value", err)
	}
	for _, bad := range []string{`{"a":1,"a":2}`, `{"a":1}x`, `{"x":"` + "\xff" + `"}`} {
		if err := (verifier.Token{}).WithClaims([]byte(bad)).Claims(&into); err == nil {
			t.Errorf("Claims of %q", bad)
		}
	}
}

func TestContextCarriesTheToken(t *testing.T) {
	if token, ok := verifier.FromContext(t.Context()); ok || token != nil {
		t.Error("a token from an empty context")
	}
	if token, ok := verifier.FromContext(verifier.NewContext(t.Context(), nil)); ok || token != nil {
		t.Error("a nil token counts as one")
	}
	want := &verifier.Token{Subject: "s"}
	ctx, cancel := context.WithTimeout(verifier.NewContext(t.Context(), want), time.Hour)
	defer cancel()
	if token, ok := verifier.FromContext(ctx); !ok || token != want {
		t.Errorf("FromContext = %v, %v", token, ok)
	}
}

func TestErrorsMatchTheirClass(t *testing.T) {
	cause := errors.New("cause")
	var invalid error = &verifier.InvalidTokenError{Reason: verifier.ReasonExpired, Hint: "a hint", Issuer: "https://i.example"}
	var outage error = &verifier.UnavailableError{Issuer: "https://i.example", Err: cause}
	wrapped := fmt.Errorf("wrapped: %w", invalid)
	if !errors.Is(wrapped, verifier.ErrInvalidToken) || errors.Is(wrapped, verifier.ErrUnavailable) {
		t.Error("InvalidTokenError has the wrong class")
	}
	if !errors.Is(outage, verifier.ErrUnavailable) || errors.Is(outage, verifier.ErrInvalidToken) || !errors.Is(outage, cause) {
		t.Error("UnavailableError has the wrong class or hides its cause")
	}
	if got := invalid.Error(); got != "invalid token: expired: a hint" {
		t.Errorf("%q", got)
	}
	if got := (&verifier.InvalidTokenError{Reason: verifier.ReasonType}).Error(); got != "invalid token: type" {
		t.Errorf("%q", got)
	}
	if got := outage.Error(); got != "identity provider https://i.example unavailable: cause" {
		t.Errorf("%q", got)
	}
	seen := make(map[verifier.Reason]bool)
	for _, reason := range verifier.Reasons() {
		if reason == "" || seen[reason] || strings.ToLower(string(reason)) != string(reason) || strings.ContainsAny(string(reason), ` "\`) {
			t.Errorf("Reason %q is empty, there twice or no label", reason)
		}
		seen[reason] = true
	}
	verifier.Reasons()[0] = "changed"
	if verifier.Reasons()[0] == "changed" {
		t.Error("a caller can change the closed list")
	}
}
