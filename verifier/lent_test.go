package verifier_test

import (
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// lenders are the verifiers that remember tokens, with a function that accepts the
// same token again and again, each time from another request's text.
func lenders(t *testing.T) map[string]func() *verifier.Token {
	w, _ := counted(t)
	text := w.token(nil)
	i := newInspector(t)
	return map[string]func() *verifier.Token{
		"JWT":           func() *verifier.Token { return w.accept(strings.Clone(text)) },
		"Introspection": func() *verifier.Token { return i.accept(strings.Clone(opaque)) },
	}
}

// lent returns a token that requests share.
func lent(t *testing.T, accept func() *verifier.Token) *verifier.Token {
	t.Helper()
	for range 100 {
		if token := accept(); token == accept() {
			return token
		}
	}
	t.Fatal("a token that is used often is not shared")
	return nil
}

func TestRequestsShareARememberedToken(t *testing.T) {
	for name, accept := range lenders(t) {
		t.Run(name, func(t *testing.T) {
			verified := accept()
			if first, second := accept(), accept(); first == second {
				t.Error("a token that is used seldom is shared: that costs more than copies")
			}
			often := lent(t, accept)
			if verified == often {
				t.Error("what a verification made is shared with those who remember it")
			}
			if allocated := testing.AllocsPerRun(100, func() { accept() }); allocated > 1 { // the clone of the text
				t.Errorf("%v allocations", allocated)
			}
			runtime.KeepAlive(often)
		})
	}
}

// The cache lends a credential and does not keep it.
func TestALentTokenIsGoneWithItsLastUser(t *testing.T) {
	for name, accept := range lenders(t) {
		t.Run(name, func(t *testing.T) {
			held := lent(t, accept)
			gone := weak.Make(held)
			runtime.GC()
			if accept() != held {
				t.Error("a garbage collection took a token that is in use")
			}
			runtime.KeepAlive(held)
			// Nobody has it from here.
			runtime.GC()
			if gone.Value() != nil {
				t.Fatal("a lent token outlives its users")
			}
			if again := lent(t, accept); again.DangerouslyRaw() == "" || again.Subject == "" {
				t.Error("what is lent anew is not the same token")
			}
		})
	}
}

// Nobody should write to a shared token. Who does changes nothing for later requests.
func TestAChangedTokenIsNotLentAgain(t *testing.T) {
	other, err := scopes.Of("admin")
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string]any{
		"Issuer": "x", "Subject": "x", "ClientID": "x", "ID": "x", "Tenant": "x", "Audience": []string{"x"}, "Scopes": other,
		"Expiry": time.Unix(1<<33, 0), "IssuedAt": time.Unix(1<<33, 0), "Actor": &verifier.Actor{Subject: "x"},
	}
	for name, accept := range lenders(t) {
		for field := range reflect.TypeFor[verifier.Token]().Fields() {
			if !field.IsExported() {
				continue
			}
			t.Run(name+"/"+field.Name, func(t *testing.T) {
				changed := lent(t, accept)
				before := *changed
				value, ok := changes[field.Name]
				if !ok {
					t.Fatal("this test knows no other value of the field")
				}
				reflect.ValueOf(changed).Elem().FieldByIndex(field.Index).Set(reflect.ValueOf(value))
				after := accept()
				if after == changed || !reflect.DeepEqual(*after, before) {
					t.Error("a later request sees the change")
				}
				runtime.KeepAlive(changed)
			})
		}
	}
}
