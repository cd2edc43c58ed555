package verifier_test

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// BenchmarkHit compares a remembered opaque token with a remembered JWT, and
// with the same text in both.
func BenchmarkHit(b *testing.B) {
	w := newWorld(b).warm()
	token := w.token(raw{"email": `"somebody@example.com"`, "groups": `["one","two","three","four"]`})
	i := newInspector(b)
	i.endpoint.set(token, about(nil))
	shaped, err := verifier.ByShape(verifier.ByShapeConfig{JWT: w.jwt, Opaque: i.v})
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		v     verifier.Verifier
		token string
	}{
		{"jwt", w.jwt, token}, {"introspection", i.v, opaque}, {"introspection of the JWT", i.v, token},
		{"shape, jwt", shaped, token}, {"shape, introspection", shaped, opaque},
	} {
		b.Run(c.name, func(b *testing.B) {
			i.v.Forget(c.token)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.v.Verify(ctx, c.token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkIntrospectionRefused measures what costs an attacker nothing to send
// twice.
func BenchmarkIntrospectionRefused(b *testing.B) {
	i := newInspector(b, func(c *verifier.IntrospectionConfig) { c.NegativeTTL = time.Minute })
	i.refuse("nobody's", verifier.ReasonInactive)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.v.Verify(context.Background(), "nobody's"); err == nil {
			b.Fatal("accepted")
		}
	}
}
