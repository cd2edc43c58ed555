package verifier_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestIntrospectionForget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		i.accept(opaque)
		i.refuse("other", verifier.ReasonInactive)
		i.endpoint.set(opaque, `{"active":false}`)
		i.endpoint.set("other", about(nil))
		i.accept(opaque)
		i.v.Forget(opaque)
		i.v.Forget("other")
		i.refuse(opaque, verifier.ReasonInactive)
		i.accept("other")
	})
}

// An answer that was on its way when its token was forgotten is not remembered,
// and nobody who comes later gets it.
func TestIntrospectionForgetsTheQuestionUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		i.endpoint.fail(authtest.Slow(2 * time.Second)(serveJSON(about(nil))))
		early := make(chan error, 1)
		go func() {
			_, err := i.v.Verify(context.Background(), opaque)
			early <- err
		}()
		time.Sleep(time.Second)
		i.endpoint.fail(nil)
		i.endpoint.set(opaque, `{"active":false}`)
		i.v.Forget(opaque)
		i.refuse(opaque, verifier.ReasonInactive)
		if err := <-early; err != nil {
			t.Errorf("the early caller: %v", err)
		}
		i.refuse(opaque, verifier.ReasonInactive)
		i.asked(2) // the late answer has not even taken the newer one away
	})
}

// A back-channel notice makes a remembered token be asked about again.
func TestIntrospectionHeedsNotices(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var revoked atomic.Bool
		i := newInspector(t, func(c *verifier.IntrospectionConfig) {
			c.DangerouslyServeStale = time.Minute
			c.Revoked = func(token *verifier.Token) bool {
				if token.DangerouslyRaw() != "" {
					t.Error("the hook was given a credential")
				}
				return revoked.Load() && token.Subject == "user-0123456789abcdef"
			}
		})
		i.accept(opaque)
		i.accept(opaque)
		i.asked(1)
		revoked.Store(true)
		i.accept(opaque) // the server has the last word
		i.asked(2)
		i.endpoint.set(opaque, `{"active":false}`)
		i.refuse(opaque, verifier.ReasonInactive)
		// Nor does it serve in an outage.
		i.endpoint.set("second", about(nil))
		revoked.Store(false)
		i.accept("second")
		time.Sleep(31 * time.Second)
		i.endpoint.fail(faulty(authtest.Down()))
		i.accept("second")
		revoked.Store(true)
		i.unavailable("second")
	})
}

// A notice reaches those who join a question that was put before it; whoever put
// that question came earlier.
func TestIntrospectionHeedsNoticesDuringAQuestion(t *testing.T) {
	for name, size := range map[string]int{"with a cache": 0, "without": -1} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var revoked atomic.Bool
				i := newInspector(t, func(c *verifier.IntrospectionConfig) {
					c.CacheSize = size
					c.Revoked = func(*verifier.Token) bool { return revoked.Load() }
				})
				i.endpoint.fail(authtest.Slow(3 * time.Second)(serveJSON(about(nil))))
				early := make(chan error, 1)
				go func() {
					_, err := i.v.Verify(context.Background(), opaque)
					early <- err
				}()
				time.Sleep(time.Second)
				revoked.Store(true)
				i.endpoint.fail(nil)
				i.endpoint.set(opaque, `{"active":false}`)
				var late sync.WaitGroup
				for range 20 {
					late.Go(func() {
						_, err := i.v.Verify(context.Background(), opaque)
						isInvalid(t, err, verifier.ReasonInactive)
					})
				}
				late.Wait()
				if err := <-early; err != nil {
					t.Errorf("the early caller: %v", err)
				}
				i.refuse(opaque, verifier.ReasonInactive)
			})
		})
	}
}

// A second question does not give a caller more time.
func TestIntrospectionKeepsItsDeadlineAfterANotice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var revoked atomic.Bool
		i := newInspector(t, func(c *verifier.IntrospectionConfig) {
			c.Revoked = func(*verifier.Token) bool { return revoked.Load() }
		})
		i.endpoint.fail(authtest.Slow(4 * time.Second)(serveJSON(about(nil))))
		go func() { _, _ = i.v.Verify(context.Background(), opaque) }()
		time.Sleep(time.Millisecond)
		revoked.Store(true)
		start := time.Now()
		i.unavailable(opaque)
		if waited := time.Since(start); waited > 5100*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
	})
}
