package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// KS-21: the first token with the new kid waits for one refresh and passes.
func TestRotationCostsOneRefresh(t *testing.T) {
	for keep, name := range []string{"abrupt", "with overlap"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t).warm()
				old := w.token(nil)
				w.accept(old)
				w.issuer.SetFault(authtest.EndpointKeys, authtest.Slow(100*time.Millisecond))
				for range 3 {
					time.Sleep(10 * time.Second)
					w.issuer.Rotate(keep)
					token, before, start := w.token(nil), w.keyHits(), time.Now()
					var wait sync.WaitGroup
					for range 100 {
						wait.Go(func() {
							if _, err := w.jwt.Verify(context.Background(), token); err != nil {
								t.Errorf("refused: %v", err)
							}
						})
					}
					wait.Wait()
					if n := w.keyHits() - before; n != 1 {
						t.Errorf("%d refreshes, want one", n)
					}
					if waited := time.Since(start); waited != 100*time.Millisecond {
						t.Errorf("accepted after %v, want as long as the keys took", waited)
					}
				}
				if status := w.jwt.KeyStatus()[0]; status.Generation != 4 {
					t.Errorf("generation %d after three changes", status.Generation)
				}
				w.refuse(old, verifier.ReasonUnknownKey)
			})
		})
	}
}

// During the rotation, the tokens of a known key never wait.
func TestRotationDoesNotDelayKnownKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, uncached).warm()
		known := w.token(nil)
		time.Sleep(time.Minute)
		w.issuer.SetFault(authtest.EndpointKeys, authtest.Hang())
		for i := range 300 {
			stranger := w.stranger(fmt.Sprint(i))
			go func() { _, _ = w.jwt.Verify(context.Background(), stranger) }()
		}
		synctest.Wait()
		start := time.Now()
		w.accept(known)
		if time.Since(start) != 0 {
			t.Errorf("waited %v", time.Since(start))
		}
	})
}

// Many clients wait for one refresh: none may be told that its good token is
// invalid.
func TestRotationUnderLoadCallsNoGoodTokenInvalid(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t).warm()
		time.Sleep(time.Minute)
		w.issuer.Rotate(0)
		w.issuer.SetFault(authtest.EndpointKeys, authtest.Slow(100*time.Millisecond))
		token := w.token(nil)
		var mu sync.Mutex
		var invalid int
		var wait sync.WaitGroup
		for range 600 {
			wait.Go(func() {
				if _, err := w.jwt.Verify(context.Background(), token); errors.Is(err, verifier.ErrInvalidToken) {
					mu.Lock()
					defer mu.Unlock()
					invalid++
				}
			})
		}
		wait.Wait()
		if invalid > 0 {
			t.Errorf("%d of 600 good tokens called invalid while one refresh of 100 ms was under way", invalid)
		}
	})
}

// A withdrawn key ends with the next refresh, for remembered tokens too.
func TestWithdrawnKeyIsRefusedAtTheNextRefresh(t *testing.T) {
	for name, edit := range map[string]func(*verifier.JWTConfig){"remembered": func(*verifier.JWTConfig) {}, "not remembered": uncached} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, edit).warm()
				token := w.token(nil)
				w.accept(token)
				w.issuer.Rotate(0)
				start := time.Now()
				for {
					_, err := w.verify(token)
					synctest.Wait()
					if err != nil {
						isInvalid(t, err, verifier.ReasonUnknownKey)
						break
					}
					if time.Since(start) > 16*time.Minute {
						t.Fatal("still accepted after 16 minutes")
					}
					time.Sleep(time.Second)
				}
				if w.keyHits() > 3 {
					t.Errorf("%d refreshes", w.keyHits())
				}
			})
		})
	}
}

// A server that was idle for hours waits for a refresh before it honours a key
// that may be gone.
func TestWithdrawnKeyIsRefusedAfterIdleHours(t *testing.T) {
	for _, test := range []struct {
		name  string
		fault authtest.Fault // at one refresh before the idle time
	}{
		{"nothing happened before", nil},
		{"the refresh before failed", authtest.Down()},
	} {
		for name, edit := range map[string]func(*verifier.JWTConfig){"remembered": func(*verifier.JWTConfig) {}, "not remembered": uncached} {
			t.Run(test.name+", "+name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := newWorld(t, edit).warm()
					token := w.token(nil)
					w.accept(token)
					if test.fault != nil {
						pass(16 * time.Minute)
						w.issuer.SetFault(authtest.EndpointKeys, test.fault)
						w.accept(token)
						pass(time.Second)
						w.issuer.ClearFaults()
					}
					w.issuer.Rotate(0)
					time.Sleep(9 * time.Hour)
					w.refuse(token, verifier.ReasonUnknownKey)
				})
			})
		}
	}
}

// After idle hours the provider is down: the wait is bounded, and the keys serve.
func TestIdleServerServesThroughAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t).warm()
		token := w.token(nil)
		w.issuer.SetFault(authtest.EndpointAll, authtest.Hang())
		time.Sleep(9 * time.Hour)
		start := time.Now()
		w.accept(token)
		if waited := time.Since(start); waited > 5*time.Second {
			t.Errorf("waited %v", waited)
		}
		start = time.Now()
		w.accept(token)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the second waited %v", waited)
		}
	})
}

// KS-24: a kid with a new key: the new key wins, the old tokens end.
func TestSameKidNewKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.issuer.SetKeys(newKey(t, "ES256", "same"))
		old := w.token(nil)
		w.accept(old)
		w.issuer.SetKeys(newKey(t, "ES256", "same"))
		time.Sleep(time.Hour)
		w.accept(w.token(nil))
		w.refuse(old, verifier.ReasonSignature)
		if g := w.jwt.KeyStatus()[0].Generation; g != 2 {
			t.Errorf("generation %d, want 2", g)
		}
	})
}

// KS-34: what a key may be used for changes under its kid.
func TestChangedUseOfAKeyApplies(t *testing.T) {
	for name, edit := range map[string][2]string{
		"KS-34 use":     {`"use":"sig"`, `"use":"enc"`},
		"KS-34 alg":     {`"alg":"ES256"`, `"alg":"ES384"`},
		"KS-34 key_ops": {`"use":"sig"`, `"key_ops":["encrypt"]`},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.issuer.AddKey(newKey(t, "ES256", "spare"))
				token, document := w.token(nil), string(w.issuer.JWKS())
				w.accept(token)
				w.issuer.SetJWKS([]byte(strings.Replace(document, edit[0], edit[1], 1)))
				time.Sleep(time.Hour)
				w.refuse(token, verifier.ReasonUnknownKey)
			})
		})
	}
}

// One bad key among good ones costs nobody but itself.
func TestBadKeyAmongGoodOnesIsSkipped(t *testing.T) {
	for _, test := range []struct{ name, key, cause string }{
		{"not an object", `1`, "malformed"},
		{"null", `null`, ""},
		{"unknown kty", `{"kty":"LMS","kid":"x"}`, "type"},
		{"unknown curve", `{"kty":"EC","crv":"P-999","x":"AA","y":"AA","kid":"x"}`, "malformed"},
		{"off the curve", `{"kty":"EC","crv":"P-256","kid":"x","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}`, "malformed"},
		{"short RSA", `{"kty":"RSA","kid":"x","e":"AQAB","n":"` + strings.Repeat("_", 170) + `w"}`, "unsafe"},
		{"symmetric", `{"kty":"oct","k":"AAAA","kid":"x"}`, "symmetric"},
		{"for encryption", `{"kty":"EC","use":"enc","kid":"x"}`, "use"},
		{"small-order Ed25519", `{"kty":"OKP","crv":"Ed25519","kid":"x","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`, "unsafe"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			good := string(w.issuer.JWKS())
			w.issuer.SetJWKS([]byte(`{"keys":[` + test.key + "," + good[len(`{"keys":[`):]))
			w.accept(w.token(nil))
			status := w.jwt.KeyStatus()[0]
			if status.Keys != 1 || len(status.Skipped) != 1 || test.cause != "" && status.Skipped[test.cause] != 1 {
				t.Errorf("%d keys, skipped %v; want one, skipped by %q", status.Keys, status.Skipped, test.cause)
			}
		})
	}
}

// KS-36: certificates prove nothing here, and are never fetched.
func TestCertificatesInKeysAreIgnored(t *testing.T) {
	w := newWorld(t)
	with := strings.Replace(string(w.issuer.JWKS()), `"kty"`, `"x5c":["bm90IGEgY2VydGlmaWNhdGU="],"x5u":"https://evil.example/c","x5t":"AA","kty"`, 1)
	w.issuer.SetJWKS([]byte(with))
	w.accept(w.token(nil))
	if w.hits() != 2 {
		t.Errorf("%d requests", w.hits())
	}
}

// HA-20: two keys of one kid: neither can be told from the other.
func TestTwoKeysOfOneKidAreBothSkipped(t *testing.T) {
	one, two, good := newKey(t, "ES256", "same"), newKey(t, "ES256", "same"), newKey(t, "ES256", "good")
	w := newWorld(t)
	w.issuer.SetKeys(one, two, good)
	w.refuse(signWith(t, one, nil, w.payload(nil)), verifier.ReasonUnknownKey)
	w.refuse(signWith(t, two, nil, w.payload(nil)), verifier.ReasonUnknownKey)
	w.accept(signWith(t, good, nil, w.payload(nil)))
	// A token without a kid is taken only where one key fits.
	w.accept(signWith(t, good, raw{"kid": ""}, w.payload(nil)))
	w.issuer.SetKeys(newKey(t, "ES256", "a"), good)
	fresh := newJWT(t, verifier.JWTConfig{Resource: resource, Issuers: []verifier.Issuer{{URL: w.issuer.URL()}}, Transport: w.issuer.Transport()})
	_, err := verify(t, fresh, signWith(t, good, raw{"kid": ""}, w.payload(nil)))
	isInvalid(t, err, verifier.ReasonUnknownKey)
}
