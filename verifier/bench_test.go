package verifier_test

import (
	"context"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// BenchmarkVerify measures a token of usual size: cold is every check, warm is a
// token seen before. The keys are there in both.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		key, err := authtest.NewKey(alg, "key")
		if err != nil {
			b.Fatal(err)
		}
		for _, state := range []struct {
			name string
			size int
		}{{"cold", -1}, {"warm", 0}} {
			b.Run(alg+"/"+state.name, func(b *testing.B) {
				w := newWorld(b, func(c *verifier.JWTConfig) { c.CacheSize = state.size })
				w.issuer.SetKeys(key)
				token := w.token(raw{"email": `"somebody@example.com"`, "groups": `["one","two","three","four"]`})
				w.warm().accept(token)
				ctx := context.Background()
				b.ReportAllocs()
				for b.Loop() {
					if _, err := w.jwt.Verify(ctx, token); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkRefuse measures what costs an attacker nothing to send.
func BenchmarkRefuse(b *testing.B) {
	w := newWorld(b).warm()
	good := w.token(nil)
	for name, token := range map[string]string{
		"malformed":   good + "=",
		"unknown kid": w.stranger("nobody"),
		"signature":   signWith(b, newKey(b, "ES256", w.issuer.Key().KeyID()), nil, w.payload(nil)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.jwt.Verify(context.Background(), token); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}
