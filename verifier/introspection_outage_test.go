package verifier_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// broken is a network on which nothing works.
type broken struct{ err error }

func (b broken) RoundTrip(r *http.Request) (*http.Response, error) { return nil, b.err }

// IN-01, IN-02, IN-05: the server's trouble is an outage, ends at the deadline,
// and leaves nothing behind.
func TestIntrospectionOutages(t *testing.T) {
	status := func(code int) http.Handler { return faulty(authtest.Respond(code, nil, about(nil))) }
	hangAfterHeader := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	for name, fault := range map[string]http.Handler{
		"IN-01 connection refused":   faulty(authtest.Down()),
		"IN-01 connection closed":    http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"IN-02 hangs":                faulty(authtest.Hang()),
		"IN-02 hangs after headers":  hangAfterHeader,
		"IN-02 trickles":             authtest.Trickle(time.Second)(serveJSON(about(nil))),
		"IN-02 answers too late":     authtest.Slow(6 * time.Second)(serveJSON(about(nil))),
		"IN-02 breaks off":           authtest.Truncate()(serveJSON(about(nil))),
		"IN-05 500":                  status(500),
		"IN-05 502":                  status(502),
		"IN-05 503":                  status(503),
		"IN-05 504":                  status(504),
		"IN-05 204":                  status(204),
		"IN-05 201":                  status(201),
		"IN-05 206":                  status(206),
		"IN-05 400":                  status(400),
		"IN-05 404":                  status(404),
		"IN-05 302 to another host":  faulty(authtest.Redirect("https://elsewhere.example/")),
		"IN-05 302 to the same host": faulty(authtest.Redirect("/elsewhere")),
		"IN-05 307":                  faulty(authtest.Respond(307, http.Header{"Location": {"https://elsewhere.example/"}}, "")),
		"IN-05 308":                  faulty(authtest.Respond(308, http.Header{"Location": {"https://elsewhere.example/"}}, "")),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				i := newInspector(t)
				i.network["https://elsewhere.example"] = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					t.Error("a redirect was followed")
				})
				i.endpoint.fail(fault)
				start := time.Now()
				i.unavailable(opaque)
				if waited := time.Since(start); waited > 5*time.Second {
					t.Errorf("waited %v", waited)
				}
				i.asked(1)
				i.endpoint.fail(nil)
				i.accept(opaque)
			})
		})
	}
	for name, err := range map[string]error{
		"IN-01 TLS": x509.UnknownAuthorityError{}, "IN-01 anything": errors.New("no network"),
	} {
		t.Run(name, func(t *testing.T) {
			i := newInspector(t, func(c *verifier.IntrospectionConfig) { c.Transport = broken{err} })
			if outage := i.unavailable(opaque); !errors.Is(outage, err) {
				t.Errorf("the cause is not %v", err)
			}
		})
	}
	t.Run("IN-01 no such host", func(t *testing.T) {
		i := newInspector(t, func(c *verifier.IntrospectionConfig) { c.Endpoint = "https://nowhere.example/" })
		i.unavailable(opaque)
	})
}

func TestIntrospectionTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t, func(c *verifier.IntrospectionConfig) { c.Timeout = 300 * time.Millisecond })
		i.endpoint.fail(faulty(authtest.Hang()))
		start := time.Now()
		i.unavailable(opaque)
		if waited := time.Since(start); waited != 300*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
	})
}

// A transport that ignores its context cannot hold a caller.
func TestIntrospectionKeepsItsDeadlineOnABadTransport(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		i := newInspector(t, func(c *verifier.IntrospectionConfig) { c.Transport = stuck(release) })
		start := time.Now()
		i.unavailable(opaque)
		if waited := time.Since(start); waited > 5200*time.Millisecond {
			t.Errorf("waited %v", waited)
		}
		close(release)
	})
}

type stuck chan struct{}

func (s stuck) RoundTrip(*http.Request) (*http.Response, error) {
	<-s
	return nil, errors.New("released")
}

// IN-04: the server's pause is the client's, and kept here: no question before.
func TestIntrospectionKeepsToRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		i.endpoint.fail(faulty(authtest.Respond(http.StatusTooManyRequests, http.Header{"Retry-After": {"20"}}, "")))
		if got := i.unavailable(opaque); got.RetryAfter != 20*time.Second {
			t.Errorf("RetryAfter %v, want 20s", got.RetryAfter)
		}
		i.endpoint.fail(nil)
		for n := range 100 {
			if got := i.unavailable(fmt.Sprint("token-", n)); got.RetryAfter <= 0 || got.RetryAfter > 20*time.Second {
				t.Errorf("RetryAfter %v", got.RetryAfter)
			}
			time.Sleep(190 * time.Millisecond)
		}
		i.asked(1)
		if got := i.v.Status().Counts; got.Limited != 1 || got.Suppressed != 100 {
			t.Errorf("counted as %+v", got)
		}
		time.Sleep(time.Second)
		i.accept(opaque)
	})
}

// A pause of an hour is handed on, but not kept for an hour.
func TestIntrospectionBoundsRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		i.endpoint.fail(faulty(authtest.Respond(http.StatusServiceUnavailable, http.Header{"Retry-After": {"3600"}}, "")))
		if got := i.unavailable(opaque); got.RetryAfter != time.Hour {
			t.Errorf("RetryAfter %v", got.RetryAfter)
		}
		i.endpoint.fail(nil)
		time.Sleep(time.Minute)
		i.accept(opaque)
	})
}

// IN-32: a server that fails half the time is left alone for a while, tried with
// one question, and used again when it is well.
func TestIntrospectionBreaker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		i.endpoint.fail(authtest.Flap(authtest.Down(), nil)(serveJSON(`{"active":false}`)))
		for n := range 5000 { // 50 s at 100 a second
			_, _ = i.verify(fmt.Sprint("token-", n))
			time.Sleep(10 * time.Millisecond)
		}
		// It opens after a handful, and lets one through every two seconds; a success
		// of that one closes it for the next handful.
		if n := i.calls(); n > 300 {
			t.Errorf("%d questions to a failing server", n)
		}
		i.endpoint.fail(faulty(authtest.Down()))
		for n := 0; i.v.Status().Breaker != "open"; n++ {
			_, _ = i.verify(fmt.Sprint("more-", n))
		}
		before := i.calls()
		got := i.unavailable(opaque)
		if got.RetryAfter <= 0 || got.RetryAfter > 2*time.Second || i.calls() != before {
			t.Errorf("open: RetryAfter %v, %d questions", got.RetryAfter, i.calls()-before)
		}
		i.endpoint.fail(nil)
		time.Sleep(2*time.Second + time.Millisecond)
		if state := i.v.Status().Breaker; state != "half-open" {
			t.Errorf("state %s", state)
		}
		i.accept(opaque)
		if state := i.v.Status().Breaker; state != "closed" {
			t.Errorf("state %s", state)
		}
	})
}

// While half open, one question tries; nobody waits behind it.
func TestIntrospectionTriesWithOneQuestion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		i.endpoint.fail(faulty(authtest.Down()))
		for n := range 5 {
			i.unavailable(fmt.Sprint("token-", n))
		}
		i.endpoint.fail(faulty(authtest.Hang()))
		time.Sleep(2*time.Second + time.Millisecond)
		before := i.calls()
		var wg sync.WaitGroup
		for n := range 100 {
			wg.Go(func() { i.unavailable(fmt.Sprint("try-", n)) })
		}
		wg.Wait()
		if n := i.calls() - before; n != 1 {
			t.Errorf("%d questions", n)
		}
	})
}

// Nonsense about one token is no reason to stop asking about others: whoever can
// make the server stumble over a token must not cut everybody off.
func TestIntrospectionBreakerIgnoresWhatATokenCanCause(t *testing.T) {
	for name, fault := range map[string]http.Handler{
		"400": faulty(authtest.Respond(400, nil, `{"error":"invalid_request"}`)), "413": faulty(authtest.Respond(413, nil, "")),
		"nonsense": serveJSON(`{"active":"true"}`),
	} {
		t.Run(name, func(t *testing.T) {
			i := newInspector(t)
			i.endpoint.fail(fault)
			for n := range 50 {
				i.unavailable(fmt.Sprint("token-", n))
			}
			i.endpoint.fail(nil)
			i.accept(opaque)
			i.asked(51)
		})
	}
}

// What concerns our own credentials is the operator's alarm: an outage for the
// client, with a cause of its own, also while nothing is asked.
func TestIntrospectionOwnCredentials(t *testing.T) {
	for name, fault := range map[string]http.Handler{
		"401":                     faulty(authtest.Respond(401, http.Header{"Www-Authenticate": {"Basic"}}, "")),
		"401 invalid_token":       faulty(authtest.Respond(401, nil, `{"error":"invalid_token"}`)),
		"403":                     faulty(authtest.Respond(403, nil, "")),
		"400 invalid_client":      faulty(authtest.Respond(400, nil, `{"error":"invalid_client","error_description":"x"}`)),
		"400 unauthorized_client": faulty(authtest.Respond(400, nil, `{"error":"unauthorized_client"}`)),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				i := newInspector(t, func(c *verifier.IntrospectionConfig) { c.DangerouslyServeStale = time.Hour })
				i.accept(opaque)
				time.Sleep(31 * time.Second)
				i.endpoint.fail(fault)
				for n := range 20 {
					if err := i.unavailable(opaque); !errors.Is(err, verifier.ErrOurCredentials) {
						t.Fatalf("%d: %v", n, err)
					}
				}
				if got := i.v.Status(); got.Counts.Credentials == 0 || got.Counts.Failed != 0 || got.Counts.Refused != 0 || !errors.Is(got.LastError, verifier.ErrOurCredentials) {
					t.Errorf("counted as %+v", got)
				}
			})
		})
	}
	t.Run("none can be had", func(t *testing.T) {
		i := newInspector(t, func(c *verifier.IntrospectionConfig) {
			c.Auth = clientauth.BearerToken(func(context.Context) (string, error) {
				// A class that must not come through: the client's token is not bad.
				return "", &verifier.InvalidTokenError{Reason: verifier.ReasonExpired}
			})
		})
		if err := i.unavailable(opaque); !errors.Is(err, verifier.ErrOurCredentials) {
			t.Error(err)
		}
		i.asked(0)
	})
}

// An error description, or a code of the server's own, may repeat the token.
func TestIntrospectionErrorsRepeatNothingOfTheServers(t *testing.T) {
	for _, body := range []string{
		`{"error":"` + opaque + `"}`, `{"error":"invalid_request","error_description":"` + opaque + `"}`, opaque, `"` + opaque + `"`,
	} {
		i := newInspector(t)
		i.endpoint.fail(faulty(authtest.Respond(400, http.Header{"X-Token": {opaque}}, body)))
		i.unavailable(opaque) // which looks for pieces of the token
	}
}

func TestIntrospectionServesStaleOnlyWhenTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		strict := newInspector(t)
		strict.accept(opaque)
		i := newInspector(t, func(c *verifier.IntrospectionConfig) { c.DangerouslyServeStale = 10 * time.Minute })
		i.endpoint.set("endless", about(raw{"exp": ""}))
		i.accept(opaque)
		i.accept("endless")
		time.Sleep(30 * time.Second)
		strict.endpoint.fail(faulty(authtest.Down()))
		strict.unavailable(opaque)

		for _, fault := range []http.Handler{faulty(authtest.Down()), faulty(authtest.Respond(500, nil, "")), faulty(authtest.Hang())} {
			i.endpoint.fail(fault)
			i.accept(opaque)
			if left := time.Until(i.accept("endless").Expiry); left <= 0 {
				t.Errorf("a stale token expires in %v", left)
			}
			time.Sleep(10 * time.Second)
		}
		// An answer is an answer, also one that says nothing.
		i.endpoint.fail(serveJSON("{}"))
		time.Sleep(10 * time.Second)
		i.unavailable(opaque)
		i.endpoint.fail(nil)
		i.endpoint.set(opaque, `{"active":false}`)
		i.refuse(opaque, verifier.ReasonInactive)
		i.endpoint.fail(faulty(authtest.Down()))
		time.Sleep(6 * time.Second)
		i.unavailable(opaque)
		if got := i.v.Status().Counts; got.Stale == 0 {
			t.Errorf("counted as %+v", got)
		}
	})
}

func TestIntrospectionStaleEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t, func(c *verifier.IntrospectionConfig) { c.DangerouslyServeStale = 10 * time.Minute })
		i.accept(opaque)
		start := time.Now()
		i.endpoint.fail(faulty(authtest.Down()))
		for {
			if _, err := i.verify(opaque); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if after := time.Since(start); after != 10*time.Minute+30*time.Second {
			t.Errorf("ended after %v", after)
		}
	})
}

// The bar: a server that hangs, 500 requests a second for 10 s.
func TestIntrospectionBoundsAHang(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		i.accept(opaque)
		i.endpoint.fail(faulty(authtest.Hang()))
		base := runtime.NumGoroutine()
		var callers, peak, asked atomic.Int64
		var slowest atomic.Int64
		var wg sync.WaitGroup
		for n := range 5000 {
			callers.Add(1)
			wg.Go(func() {
				defer callers.Add(-1)
				start := time.Now()
				_, err := i.v.Verify(context.Background(), fmt.Sprint("token-", n))
				isUnavailable(t, err)
				took := time.Since(start)
				if took > 5*time.Second {
					t.Errorf("an answer after %v", took)
				}
				slowest.Store(max(slowest.Load(), int64(took))) // for the log
			})
			if n%10 == 0 {
				synctest.Wait()
				peak.Store(max(peak.Load(), int64(runtime.NumGoroutine()-base)-callers.Load()))
				asked.Store(max(asked.Load(), int64(i.v.Status().InFlight)))
			}
			start := time.Now()
			if _, err := i.v.Verify(context.Background(), opaque); err != nil || time.Since(start) != 0 {
				t.Fatalf("the cached token: %v after %v", err, time.Since(start))
			}
			time.Sleep(2 * time.Millisecond)
		}
		wg.Wait()
		t.Logf("at most %d questions at a time, %d goroutines besides the callers, slowest answer %v, %d questions in all",
			asked.Load(), peak.Load(), time.Duration(slowest.Load()), i.calls())
		// Counted here: the fake server may still be winding up what was given up.
		if asked.Load() != 64 {
			t.Errorf("%d questions at a time", asked.Load())
		}
		// 64 ask and 256 wait; a question on this network is three goroutines.
		if peak.Load() > 64*4+256+20 {
			t.Errorf("%d goroutines besides the callers", peak.Load())
		}
	})
}

func TestIntrospectionDiscovers(t *testing.T) {
	found := func(c *verifier.IntrospectionConfig) { c.Endpoint = "" }
	metadata := raw{"issuer": quote(server), "introspection_endpoint": quote(server + "/introspect")}
	t.Run("the endpoint", func(t *testing.T) {
		i := newInspector(t, found)
		i.endpoint.metadata = metadata.object(nil)
		i.accept(opaque)
	})
	for name, document := range map[string]string{
		"another issuer":  metadata.object(raw{"issuer": `"https://evil.example"`}),
		"no endpoint":     metadata.object(raw{"introspection_endpoint": ""}),
		"http":            metadata.object(raw{"introspection_endpoint": `"http://as.example/introspect"`}),
		"issuer twice":    `{"issuer":"https://evil.example",` + metadata.object(nil)[1:],
		"nothing at all":  "",
		"another address": metadata.object(raw{"introspection_endpoint": `"https://user:pw@as.example/introspect"`}),
	} {
		t.Run(name, func(t *testing.T) {
			i := newInspector(t, found)
			i.endpoint.metadata = document
			i.unavailable(opaque)
			i.asked(0)
		})
	}
	t.Run("it again when it moved", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			i := newInspector(t, found)
			i.endpoint.metadata = metadata.object(nil)
			i.accept(opaque)
			i.network["https://new.example"] = serveJSON(about(nil))
			i.endpoint.metadata = metadata.object(raw{"introspection_endpoint": `"https://new.example/"`})
			i.endpoint.fail(faulty(authtest.Respond(404, nil, "")))
			i.unavailable("other")
			i.accept("other")
			i.asked(2)
		})
	})
	t.Run("it once for many", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			i := newInspector(t, found)
			var searches atomic.Int64
			i.network[server] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, ".well-known") {
					searches.Add(1)
					time.Sleep(time.Second)
					serveJSON(metadata.object(nil)).ServeHTTP(w, r)
					return
				}
				i.endpoint.ServeHTTP(w, r)
			})
			var wg sync.WaitGroup
			for n := range 50 {
				wg.Go(func() { i.refuse(fmt.Sprint("token-", n), verifier.ReasonInactive) })
			}
			wg.Wait()
			if searches.Load() != 1 {
				t.Errorf("%d searches", searches.Load())
			}
		})
	})
}

func TestIntrospectionReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		for range 5 {
			if err := i.v.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		i.asked(1) // one probe in a TTL
		time.Sleep(31 * time.Second)
		i.endpoint.fail(faulty(authtest.Respond(401, nil, "")))
		if err := i.v.Ready(t.Context()); !errors.Is(err, verifier.ErrOurCredentials) {
			t.Errorf("wrong credentials: %v", err)
		}
		i.endpoint.fail(faulty(authtest.Down()))
		isUnavailable(t, i.v.Ready(t.Context()))
		i.endpoint.fail(serveJSON(about(nil)))
		isUnavailable(t, i.v.Ready(t.Context())) // it calls anything active
	})
}
