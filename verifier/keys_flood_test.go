package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// flood sends tokens with random kids from 100 clients for d, two a second each,
// and returns what was not called an unknown key, and the longest wait.
func (w *world) flood(d time.Duration) (wrong int64, slowest time.Duration) {
	var longest, others atomic.Int64
	var wait sync.WaitGroup
	end := time.Now().Add(d)
	for client := range 100 {
		wait.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				start := time.Now()
				_, err := w.jwt.Verify(context.Background(), w.stranger(fmt.Sprintf("%d-%d", client, n)))
				if refused, ok := errors.AsType[*verifier.InvalidTokenError](err); !ok || refused.Reason != verifier.ReasonUnknownKey {
					others.Add(1)
				}
				waited := int64(time.Since(start))
				for old := longest.Load(); waited > old && !longest.CompareAndSwap(old, waited); old = longest.Load() {
				}
				time.Sleep(500 * time.Millisecond)
			}
		})
	}
	wait.Wait()
	return others.Load(), time.Duration(longest.Load())
}

// KS-25: 12 000 tokens with random kids in a minute cost six refreshes.
func TestFloodOfUnknownKidsCausesOneFetchPerCooldown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, uncached).warm()
		w.issuer.SetFault(authtest.EndpointKeys, authtest.Slow(100*time.Millisecond))
		pass(10 * time.Second)
		known, before := w.token(nil), w.keyHits()
		stop := make(chan struct{})
		go func() { // known keys meanwhile
			for range 550 {
				start := time.Now()
				if _, err := w.jwt.Verify(context.Background(), known); err != nil || time.Since(start) != 0 {
					t.Errorf("a known key: %v after %v", err, time.Since(start))
				}
				time.Sleep(100 * time.Millisecond)
			}
			close(stop)
		}()
		wrong, slowest := w.flood(time.Minute)
		<-stop
		if n := w.keyHits() - before; n > 6 || n < 5 {
			t.Errorf("%d refreshes in a minute, want six", n)
		}
		if wrong != 0 || slowest > 100*time.Millisecond {
			t.Errorf("%d answers were not unknown_key; the slowest took %v", wrong, slowest)
		}
		status := w.jwt.KeyStatus()[0]
		if status.Counts.Suppressed < 9000 || !status.Usable {
			t.Errorf("KeyStatus %+v", status)
		}
	})
}

// KS-26: a good new kid in the flood passes within one cool-down, because the
// flood cannot push the next refresh away.
func TestFloodCannotKeepARotationOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t).warm()
		pass(10 * time.Second)
		done := make(chan struct{})
		go func() { w.flood(40 * time.Second); close(done) }()
		for range 3 {
			time.Sleep(3*time.Second + 7*time.Millisecond)
			w.issuer.Rotate(0)
			start, token := time.Now(), w.token(nil)
			for {
				if _, err := w.jwt.Verify(context.Background(), token); err == nil {
					break
				}
				if time.Since(start) > 10*time.Second {
					t.Fatal("not accepted within one cool-down")
				}
				time.Sleep(100 * time.Millisecond)
			}
		}
		<-done
	})
}

// KS-06, KS-25: a flood while the provider answers nonsense.
func TestFloodDuringAnOutageKeepsTheCooldown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, of(func(i *verifier.Issuer) { i.JWKSURI = authtest.DefaultURL + "/jwks" })).warm()
		w.issuer.SetFault(authtest.EndpointKeys, authtest.JSON(`{"keys":[]}`))
		pass(time.Minute)
		w.flood(time.Minute) // the pause grows to the cool-down
		before := w.keyHits()
		w.flood(time.Minute)
		if n := w.keyHits() - before; n > 6 {
			t.Errorf("%d requests in the second minute", n)
		}
		w.accept(w.token(nil))
	})
}

// DS-08: clients that go away, refused tokens and outages leave nothing behind.
func TestCancelledRequestsLeaveNoGoroutine(t *testing.T) {
	if left := goroutinesAfterCancelledRequests(t); left != 0 {
		t.Errorf("%d goroutines left", left)
	}
}

// goroutinesAfterCancelledRequests makes 10 000 requests whose clients go away
// while the keys are being fetched, half of them for the first keys.
func goroutinesAfterCancelledRequests(t *testing.T) int {
	before := runtime.NumGoroutine()
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		cancelled := func(token string) {
			w.issuer.SetFault(authtest.EndpointKeys, authtest.Hang())
			for range 5 {
				ctx, cancel := context.WithCancel(context.Background())
				var wait sync.WaitGroup
				for range 1000 {
					wait.Go(func() {
						if _, err := w.jwt.Verify(ctx, token); err == nil {
							t.Error("accepted")
						}
					})
				}
				synctest.Wait()
				cancel()
				wait.Wait()
			}
			w.issuer.ClearFaults()
			pass(time.Minute)
		}
		cancelled(w.token(nil))
		w.warm()
		pass(time.Minute)
		cancelled(w.stranger("new"))
		inside := runtime.NumGoroutine()
		for range 10_000 { // refused without any request
			if _, err := w.jwt.Verify(context.Background(), "a.b.c"); err == nil {
				t.Error("accepted")
			}
		}
		if n := runtime.NumGoroutine(); n > inside {
			t.Errorf("%d goroutines after refused tokens, %d before", n, inside)
		}
	})
	// The bubble ends only when its goroutines have; the runtime forgets them a
	// little later, on a busy machine.
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
		runtime.Gosched()
	}
	return max(0, runtime.NumGoroutine()-before)
}
