package verifier_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
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

// BenchmarkHitWhileTheServerHangs measures the 99th percentile of hits while 500
// other tokens a second find a server that hangs, beside the same load while the
// server is well. The bar is a ratio of 1.5. The states take turns in an order
// that cancels a drift of the machine, and the spread among the phases of the
// healthy server says how much of the ratio is noise.
func BenchmarkHitWhileTheServerHangs(b *testing.B) {
	for b.Loop() {
		var all [2][]time.Duration // well, hanging
		var control []time.Duration
		for _, state := range []int{0, 1, 1, 0, 0, 1, 1, 0} {
			took := hits(b, state == 1)
			p99 := percentile(took)
			b.Logf("hanging %v: p50 %v, p99 %v of %d hits", state == 1, took[len(took)/2], p99, len(took))
			all[state] = append(all[state], took...)
			if state == 0 {
				control = append(control, p99)
			}
		}
		well, hanging := percentile(all[0]), percentile(all[1])
		b.ReportMetric(float64(well), "p99-well-ns")
		b.ReportMetric(float64(hanging), "p99-hanging-ns")
		b.ReportMetric(float64(hanging)/float64(well), "ratio")
		b.ReportMetric(float64(slices.Max(control))/float64(slices.Min(control)), "well-max/min")
	}
}

func percentile(took []time.Duration) time.Duration {
	slices.Sort(took)
	return took[len(took)*99/100]
}

// hits returns how long each hit took during 10 s of load.
func hits(b *testing.B, hang bool) []time.Duration {
	i := newInspector(b)
	i.accept(opaque)
	if hang {
		i.endpoint.fail(faulty(authtest.Hang()))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
				wg.Go(func() { _, _ = i.v.Verify(ctx, fmt.Sprint("token-", n)) })
			case <-ctx.Done():
				return
			}
		}
	})
	var took []time.Duration
	for ctx.Err() == nil {
		start := time.Now()
		if _, err := i.v.Verify(ctx, opaque); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
		time.Sleep(200 * time.Microsecond)
	}
	wg.Wait()
	return took
}
