package verifier_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// badAnswer is one way to fail. cold: it fails at every request and asks for no
// pause, so that it serves for the cold start too.
type badAnswer struct {
	name  string
	fault func(*world) authtest.Fault
	cold  bool
}

// badAnswers lists what a provider can do wrong (KS-02 to KS-14, KS-35).
func badAnswers(t testing.TB) []badAnswer {
	always := func(name string, fault authtest.Fault) badAnswer {
		return badAnswer{name, func(*world) authtest.Fault { return fault }, true}
	}
	status := func(id string, code int) badAnswer {
		return always(fmt.Sprintf("%s status %d", id, code), authtest.Respond(code, nil, ""))
	}
	body := func(name, text string) badAnswer { return always(name, authtest.JSON(text)) }
	many := func(n int, key string) string {
		return `{"keys":[` + strings.TrimSuffix(strings.Repeat(key+",", n), ",") + `]}`
	}
	key := strings.TrimSuffix(strings.TrimPrefix(jwks(t, newKey(t, "ES256", "evil")), `{"keys":[`), "]}")
	long := authtest.Fault(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte(many(1, key)[:10]))
			_, _ = w.Write([]byte(many(1, key)[10:]))
		})
	})
	answers := []badAnswer{
		always("KS-02 down", authtest.Down()),
		always("KS-02 hangs", authtest.Hang()),
		always("KS-02 slower than the limit", authtest.Slow(6*time.Second)),
		always("KS-02 trickles", authtest.Trickle(time.Second)),
		status("KS-04", 500), status("KS-04", 502), status("KS-04", 204), status("KS-04", 206), status("KS-04", 304), status("KS-04", 401), status("KS-04", 403), status("KS-04", 404),
		{"KS-04 status 429 with Retry-After", func(*world) authtest.Fault {
			return authtest.Respond(429, http.Header{"Retry-After": {"3600"}}, "")
		}, false},
		always("KS-05 web page", authtest.HTML()),
		body("KS-05 empty", ""), body("KS-05 null", "null"), body("KS-05 array", "[]"), body("KS-05 object", "{}"),
		body("KS-05 keys is an object", `{"keys":{}}`), body("KS-05 keys is null", `{"keys":null}`), body("KS-06 no keys", `{"keys":[]}`),
		body("KS-05 bare JWK", key), body("KS-05 bare array", "["+key+"]"), body("KS-05 trailing garbage", many(1, key)+"x"),
		body("KS-05 error document", `{"error":"server_error"}`),
		always("KS-05 truncated", authtest.Truncate()),
		body("KS-05 cut short", many(1, key)[:40]),
		body("KS-10 10 000 keys", many(10_000, `{}`)),
		body("KS-10 10 000 keys of one kid", many(10_000, key)),
		body("KS-10 10 000 keys of different kty and kid", many(10_000, `{"kty":"x"}`)),
		always("KS-11 endless", authtest.Endless()),
		body("KS-11 a MiB", many(1, key)+strings.Repeat(" ", 1<<20)),
		always("KS-11 more than Content-Length", long),
		always("KS-12 gzip bomb", authtest.GzipBomb(4<<20)),
		always("KS-14 redirect to another host", authtest.Redirect("https://evil.example/jwks")),
		always("KS-14 redirect to http", authtest.Redirect("http://issuer.example/jwks")),
		always("KS-14 redirect into the network", authtest.Redirect("http://169.254.169.254/")),
		always("KS-14 redirect to a file", authtest.Redirect("file:///etc/passwd")),
		always("KS-14 redirect to itself", authtest.Redirect("https://issuer.example/jwks")),
		body("KS-35 keys twice", `{"keys":[`+key+`],"keys":[`+key+`]}`),
		body("KS-35 KEYS", strings.Replace(many(1, key), "keys", "KEYS", 1)),
		body("KS-35 only a broken key", `{"keys":[{"kty":"EC","kid":"a","kid":"b"}]}`),
	}
	return answers
}

// KS-02 to KS-14: bad answers never replace good keys, and nobody waits for
// them. After MaxStale the keys are too old, and recovery needs no restart.
func TestWarmOutageRefusesNobodyUntilMaxStale(t *testing.T) {
	for _, fault := range badAnswers(t) {
		t.Run(fault.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, uncached)
				// Without an entity tag, so that 304 has no meaning.
				w.issuer.SetFault(authtest.EndpointKeys, authtest.JSON(string(w.issuer.JWKS())))
				w.warm()
				start := time.Now()
				token := w.token(nil)
				w.issuer.SetFault(authtest.EndpointKeys, fault.fault(w))
				for time.Since(start) < 24*time.Hour {
					asked := time.Now()
					if _, err := w.verify(token); err != nil {
						t.Fatalf("after %v: %v", time.Since(start), err)
					}
					if waited := time.Since(asked); waited != 0 {
						t.Fatalf("waited %v after %v", waited, time.Since(start))
					}
					time.Sleep(10 * time.Minute)
				}
				status := w.jwt.KeyStatus()[0]
				if status.Counts.Succeeded != 1 || status.Counts.Failed < 100 || status.LastError == nil || status.Generation != 1 {
					t.Errorf("KeyStatus %+v", status)
				}
				_, err := w.verify(token)
				outage := isUnavailable(t, err)
				// A provider that names a time is left alone for up to a minute.
				if limit := time.Second; outage.RetryAfter > limit && !strings.Contains(fault.name, "Retry-After") {
					t.Errorf("RetryAfter %v, want at most %v", outage.RetryAfter, limit)
				}
				w.issuer.ClearFaults()
				time.Sleep(max(time.Second, outage.RetryAfter))
				w.accept(token)
			})
		})
	}
}

// During the outage a refresh is tried at most once per cool-down, whatever
// requests come, and the pause grows up to there.
func TestWarmOutageBacksOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, of(func(i *verifier.Issuer) { i.JWKSURI = authtest.DefaultURL + "/jwks" })).warm()
		token := w.token(nil)
		w.issuer.SetFault(authtest.EndpointKeys, authtest.JSON(`{"keys":[]}`))
		time.Sleep(16 * time.Minute)
		before := w.keyHits()
		for range 1200 {
			w.accept(token)
			time.Sleep(50 * time.Millisecond)
		}
		if n := w.keyHits() - before; n > 9 { // 0 s, 1, 3, 7, 15, 25, 35, 45, 55
			t.Errorf("%d requests in the first minute of an outage", n)
		}
		before = w.keyHits()
		for range 1200 {
			w.accept(token)
			time.Sleep(50 * time.Millisecond)
		}
		if n := w.keyHits() - before; n > 6 { // KS-06: the cool-down engages
			t.Errorf("%d requests in the second minute", n)
		}
	})
}

// A provider that is merely slow or works every other time is no outage.
func TestWarmProviderThatIsSlowOrFlapsStaysUsable(t *testing.T) {
	for name, fault := range map[string]authtest.Fault{
		"KS-02 slow":     authtest.Slow(4 * time.Second),
		"KS-33 flapping": authtest.Flap(authtest.Down(), nil, authtest.JSON("{}"), nil, authtest.Hang(), nil),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, uncached).warm()
				token := w.token(nil)
				w.issuer.SetFault(authtest.EndpointKeys, fault)
				for range 40 * 60 {
					asked := time.Now()
					w.accept(token)
					if waited := time.Since(asked); waited != 0 {
						t.Fatalf("waited %v", waited)
					}
					time.Sleep(time.Minute)
				}
				if status := w.jwt.KeyStatus()[0]; time.Since(status.Fetched) > 20*time.Minute {
					t.Errorf("keys are %v old", time.Since(status.Fetched))
				}
			})
		})
	}
}

// KS-33: two backends with different sets cause no thrash.
func TestWarmProviderWithTwoSetsIsAskedOncePerCooldown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		one, two := newKey(t, "ES256", "one"), newKey(t, "ES256", "two")
		w := newWorld(t, uncached)
		w.issuer.SetKeys(one)
		first := w.token(nil)
		w.issuer.SetKeys(two)
		second := w.token(nil)
		w.issuer.SetFault(authtest.EndpointKeys, authtest.Flap(authtest.JSON(jwks(t, one)), authtest.JSON(jwks(t, two))))
		for range 600 {
			_, _ = w.verify(first)
			_, _ = w.verify(second)
			time.Sleep(100 * time.Millisecond)
		}
		if n := w.keyHits(); n > 6 {
			t.Errorf("%d requests for keys in a minute", n)
		}
	})
}

// A kid that the set lacks cannot be judged while the provider is down: the
// token may well be good, and 401 would make its client throw it away.
func TestWarmOutageDoesNotCallANewKidInvalid(t *testing.T) {
	for name, fault := range map[string]authtest.Fault{"down": authtest.Down(), "hangs": authtest.Hang(), "500": authtest.Respond(500, nil, "")} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t).warm()
				time.Sleep(time.Minute)
				w.issuer.SetFault(authtest.EndpointAll, fault)
				w.issuer.Rotate(1)
				token := w.token(nil)
				_, err := w.verify(token)
				if got := isUnavailable(t, err); got.RetryAfter > 10*time.Second {
					t.Errorf("RetryAfter %v", got.RetryAfter)
				}
				w.issuer.ClearFaults()
				time.Sleep(10 * time.Second)
				w.accept(token)
			})
		})
	}
}

func TestRefreshIsAheadOfNeedAndJittered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ages := make(map[time.Duration]bool)
		for range 20 {
			w := newWorld(t, uncached).warm()
			start, token := time.Now(), w.token(nil)
			for range 11 {
				time.Sleep(time.Minute)
				w.accept(token)
			}
			if synctest.Wait(); w.keyHits() != 1 {
				t.Fatal("refreshed within 11 minutes")
			}
			for w.keyHits() == 1 {
				w.accept(token)
				synctest.Wait()
				if time.Since(start) > 16*time.Minute {
					t.Fatal("no refresh")
				}
				time.Sleep(time.Second)
			}
			age := time.Since(start)
			if age < 12*time.Minute || age > 15*time.Minute+2*time.Second {
				t.Errorf("refresh at the age of %v", age)
			}
			ages[age] = true
		}
		if len(ages) < 10 {
			t.Errorf("%d different ages in 20 trials", len(ages))
		}
	})
}

// Conditional requests: 304 renews the age, and changes nothing else.
func TestRefreshIsConditional(t *testing.T) {
	bubble(t, func(t *testing.T) {
		key := newKey(t, "ES256", "one")
		var full, unchanged int
		keys := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("If-None-Match") == `W/"1"` {
				unchanged++
				w.WriteHeader(http.StatusNotModified)
				return
			}
			full++
			w.Header().Set("ETag", `W/"1"`)
			_, _ = w.Write([]byte(jwks(t, key)))
		})
		w := newWorld(t, of(func(i *verifier.Issuer) { i.JWKSURI = "https://keys.example/jwks" }), func(c *verifier.JWTConfig) {
			c.Transport = authtest.Network{"https://keys.example": keys}
			c.MaxStale = time.Hour
		})
		w.issuer.SetKeys(key)
		token := w.token(nil)
		for range 24 * 6 {
			w.accept(token)
			time.Sleep(10 * time.Minute)
		}
		if full != 1 || unchanged < 48 {
			t.Errorf("%d full answers, %d unchanged", full, unchanged)
		}
		if status := w.jwt.KeyStatus()[0]; status.Generation != 1 || status.LastError != nil {
			t.Errorf("KeyStatus %+v", status)
		}
	})
}

// An entity tag belongs to one address (RFC 9110 §8.8.3): one learnt at the old
// place of the keys must not be shown at the new one.
func TestEntityTagDoesNotMoveToAnotherAddress(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, uncached)
		withdrawn, current := newKey(t, "ES256", "withdrawn"), newKey(t, "ES256", "current")
		path, broken := "/one", false
		serve := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/.well-known/"):
				fmt.Fprintf(rw, `{"issuer":%q,"jwks_uri":%q}`, authtest.DefaultURL, authtest.DefaultURL+path)
			case broken && r.URL.Path == "/one":
				http.Error(rw, "gone", http.StatusGone)
			case r.Header.Get("If-None-Match") == `"1"`:
				rw.WriteHeader(http.StatusNotModified)
			default:
				rw.Header().Set("ETag", `"1"`)
				key := map[string]authtest.Key{"/one": withdrawn, "/two": current}[r.URL.Path]
				_, _ = rw.Write([]byte(jwks(t, key)))
			}
		})
		w.jwt = newJWT(t, verifier.JWTConfig{
			Resource: resource, Issuers: []verifier.Issuer{{URL: authtest.DefaultURL}}, Transport: authtest.Network{authtest.DefaultURL: serve},
		})
		old := signWith(t, withdrawn, nil, w.payload(nil))
		w.accept(old)
		path, broken = "/two", true
		for range 60 {
			_, _ = w.jwt.Verify(context.Background(), old)
			time.Sleep(time.Minute)
		}
		w.refuse(old, verifier.ReasonUnknownKey)
		w.accept(signWith(t, current, nil, w.payload(raw{"exp": number(time.Now().Add(time.Hour))})))
	})
}
