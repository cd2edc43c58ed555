package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// inHandler runs f as the handler of an accepted request whose token expires in
// a minute, with the default leeway.
func inHandler(t *testing.T, parent context.Context, f func(context.Context)) {
	t.Helper()
	fx := newFixture(t, func(f *fixture) { f.verifier.token.Expiry = time.Now().Add(time.Minute) })
	fx.next.bodies = func(r *http.Request) { f(r.Context()) }
	fx.handler().ServeHTTP(httptest.NewRecorder(), request("Authorization: Bearer "+good).WithContext(parent))
	if !fx.next.ran() {
		t.Fatal("the handler did not run")
	}
}

const untilTheEnd = 70 * time.Second

func TestAStreamEndsWhenItsTokenDoes(t *testing.T) {
	for name, wait := range map[string]func(context.Context){
		"by Done":                func(ctx context.Context) { <-ctx.Done() },
		"by a child's Done":      func(ctx context.Context) { child, cancel := context.WithCancel(ctx); defer cancel(); <-child.Done() },
		"by AfterFunc":           func(ctx context.Context) { c := make(chan bool); context.AfterFunc(ctx, func() { close(c) }); <-c },
		"by Err alone":           func(ctx context.Context) { time.Sleep(untilTheEnd) },
		"by Err, Done afterward": func(ctx context.Context) { time.Sleep(untilTheEnd); _ = ctx.Err(); <-ctx.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				inHandler(t, t.Context(), func(ctx context.Context) {
					if deadline, ok := ctx.Deadline(); !ok || !deadline.Equal(start.Add(untilTheEnd)) {
						t.Errorf("deadline %v, %t", deadline, ok)
					}
					if err := ctx.Err(); err != nil {
						t.Errorf("at the start: %v", err)
					}
					wait(ctx)
					if got := time.Since(start); got != untilTheEnd {
						t.Errorf("ended after %v", got)
					}
					if !errors.Is(ctx.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
						t.Errorf("Err %v, Cause %v", ctx.Err(), context.Cause(ctx))
					}
					if _, ok := verifier.FromContext(ctx); !ok {
						t.Error("the token is gone")
					}
				})
			})
		})
	}
}

func TestTheContextEndsWithTheRequest(t *testing.T) {
	for name, touch := range map[string]func(context.Context){
		"nobody waited":   func(context.Context) {},
		"somebody waited": func(ctx context.Context) { ctx.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var kept context.Context
				inHandler(t, t.Context(), func(ctx context.Context) { kept = ctx; touch(ctx) })
				if !errors.Is(kept.Err(), context.Canceled) {
					t.Errorf("after the request: %v", kept.Err())
				}
				<-kept.Done()
			})
		})
	}
}

// Whoever begins to wait while the handler returns does so for nothing.
func TestManyWaitWhileTheRequestEnds(t *testing.T) {
	for range 100 {
		var group sync.WaitGroup
		inHandler(t, t.Context(), func(ctx context.Context) {
			for range 8 {
				group.Go(func() {
					<-ctx.Done()
					if !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(context.Cause(ctx), context.Canceled) {
						t.Errorf("Err %v, Cause %v", ctx.Err(), context.Cause(ctx))
					}
				})
			}
		})
		group.Wait()
	}
}

// Requests may share a token: whoever writes to it, against its documentation, moves
// nobody's end.
func TestAWriteToTheTokenMovesNoEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		inHandler(t, t.Context(), func(ctx context.Context) {
			token, _ := verifier.FromContext(ctx)
			token.Expiry = token.Expiry.Add(time.Hour)
			if deadline, _ := ctx.Deadline(); !deadline.Equal(start.Add(untilTheEnd)) {
				t.Errorf("deadline %v", deadline)
			}
			<-ctx.Done()
			if got := time.Since(start); got != untilTheEnd {
				t.Errorf("ended after %v", got)
			}
		})
	})
}

func TestWhoLooksAfterTheRequestSeesItCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept context.Context
		inHandler(t, t.Context(), func(ctx context.Context) { kept = ctx })
		time.Sleep(2 * untilTheEnd)
		if kept.Err() != context.Canceled || context.Cause(kept) != context.Canceled {
			t.Errorf("Err %v, Cause %v", kept.Err(), context.Cause(kept))
		}
	})
}

func TestTheParentsEndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithTimeoutCause(t.Context(), time.Second, errBoom)
		defer cancel()
		inHandler(t, parent, func(ctx context.Context) {
			start := time.Now()
			if deadline, ok := ctx.Deadline(); !ok || !deadline.Equal(start.Add(time.Second)) {
				t.Errorf("deadline %v, %t", deadline, ok)
			}
			<-ctx.Done()
			if time.Since(start) != time.Second || !errors.Is(context.Cause(ctx), errBoom) {
				t.Errorf("after %v: %v", time.Since(start), context.Cause(ctx))
			}
		})
	})
	t.Run("canceled before anybody waits", func(t *testing.T) {
		parent, cancel := context.WithCancelCause(t.Context())
		inHandler(t, parent, func(ctx context.Context) {
			cancel(errBoom)
			if !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(context.Cause(ctx), errBoom) {
				t.Errorf("Err %v, Cause %v", ctx.Err(), context.Cause(ctx))
			}
			<-ctx.Done()
		})
	})
}

func TestAChildContextCostsNoGoroutine(t *testing.T) {
	inHandler(t, t.Context(), func(ctx context.Context) {
		before := runtime.NumGoroutine()
		for range 100 {
			_, cancel := context.WithCancel(ctx)
			defer cancel()
		}
		if more := runtime.NumGoroutine() - before; more > 10 {
			t.Errorf("%d goroutines for 100 children", more)
		}
	})
}
