package verifier_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// KS-01: whatever the provider does wrong at the start, a token cannot be judged
// and is not called invalid; when the provider is well again, so is the server.
func TestColdStartIsAnOutageUntilTheProviderIsWell(t *testing.T) {
	for _, fault := range badAnswers(t) {
		for _, endpoint := range []authtest.Endpoint{authtest.EndpointDiscovery, authtest.EndpointKeys} {
			if !fault.cold {
				continue
			}
			t.Run(fault.name+" at "+string(endpoint), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					w := newWorld(t)
					token := w.token(nil)
					w.issuer.SetFault(endpoint, fault.fault(w))
					for range 30 {
						start := time.Now()
						_, err := w.verify(token)
						outage := isUnavailable(t, err)
						if outage.Issuer != w.issuer.URL() || outage.Err == nil {
							t.Fatalf("issuer %q, cause %v", outage.Issuer, outage.Err)
						}
						if outage.RetryAfter < 0 || outage.RetryAfter > time.Second {
							t.Fatalf("RetryAfter %v, want at most a second", outage.RetryAfter)
						}
						if waited := time.Since(start); waited > 5*time.Second {
							t.Fatalf("waited %v", waited)
						}
						time.Sleep(700 * time.Millisecond)
					}
					w.issuer.ClearFaults()
					start := time.Now()
					for {
						if _, err := w.verify(token); err == nil {
							break
						} else {
							isUnavailable(t, err)
						}
						if time.Since(start) > time.Second {
							t.Fatalf("no recovery within a second")
						}
						time.Sleep(50 * time.Millisecond)
					}
				})
			})
		}
	}
}

// A provider that asks for a pause is told to the caller as such.
func TestColdStartPassesRetryAfterOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.issuer.SetFault(authtest.EndpointKeys, authtest.Respond(http.StatusTooManyRequests, http.Header{"Retry-After": {"30"}}, ""))
		_, err := w.verify(w.token(nil))
		if outage := isUnavailable(t, err); outage.RetryAfter != 30*time.Second {
			t.Errorf("RetryAfter %v, want 30s", outage.RetryAfter)
		}
	})
}

// KS-01: a start in front of a dead provider costs it one attempt a second, not
// one per request.
func TestColdStartRetriesOnceASecond(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, of(func(i *verifier.Issuer) { i.JWKSURI = authtest.DefaultURL + "/jwks" }))
		w.issuer.SetFault(authtest.EndpointAll, authtest.Down())
		token := w.token(nil)
		for range 600 {
			_, err := w.verify(token)
			isUnavailable(t, err)
			time.Sleep(100 * time.Millisecond)
		}
		if n := w.hits(); n > 60 {
			t.Errorf("%d requests in a minute", n)
		}
	})
}

// Tokens that the set could not save are refused during an outage as well: that
// needs no keys.
func TestColdStartStillRefusesWhatNeedsNoKeys(t *testing.T) {
	w := newWorld(t)
	w.issuer.SetFault(authtest.EndpointAll, authtest.Down())
	w.refuse("x", verifier.ReasonMalformed)
	w.refuse(w.token(raw{"iss": `"https://evil.example"`}), verifier.ReasonIssuer)
	w.refuse(w.sign(raw{"alg": `"none"`}, w.payload(nil)), verifier.ReasonAlgorithm)
	if w.hits() != 0 {
		t.Errorf("%d requests", w.hits())
	}
}

// KS-30: the caller's end is the caller's only.
func TestCancelledCallerDoesNotCancelTheSharedFetch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		w.issuer.SetFault(authtest.EndpointKeys, authtest.Slow(2*time.Second))
		token := w.token(nil)
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error)
		go func() { _, err := w.jwt.Verify(ctx, token); first <- err }()
		synctest.Wait()
		second := make(chan error)
		go func() { _, err := w.jwt.Verify(context.Background(), token); second <- err }()
		time.Sleep(time.Second)
		cancel()
		err := <-first
		if !errors.Is(err, context.Canceled) || errors.Is(err, verifier.ErrInvalidToken) || errors.Is(err, verifier.ErrUnavailable) {
			t.Errorf("the cancelled caller got %v, want context.Canceled and neither class", err)
		}
		start := time.Now()
		if err := <-second; err != nil || time.Since(start) != time.Second {
			t.Errorf("the other got %v after %v", err, time.Since(start))
		}
		if w.keyHits() != 1 {
			t.Errorf("%d requests for keys, want one", w.keyHits())
		}
		timed, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		w.issuer.SetFault(authtest.EndpointKeys, authtest.Hang())
		time.Sleep(time.Minute)
		if _, err := w.jwt.Verify(timed, w.stranger("new")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("past its deadline the caller got %v", err)
		}
	})
}

// KS-31: one issuer's trouble is its own.
func TestHangingIssuerDoesNotTouchAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, other := newPair(t)
		w.issuer.SetFault(authtest.EndpointAll, authtest.Hang())
		stuck := w.token(nil)
		for range 50 {
			go func() { _, _ = w.jwt.Verify(context.Background(), stuck) }()
		}
		synctest.Wait()
		for range 20 {
			start := time.Now()
			if _, err := verify(t, w.jwt, other.Token(nil)); err != nil || time.Since(start) != 0 {
				t.Fatalf("error %v after %v", err, time.Since(start))
			}
			other.Rotate(0)
			time.Sleep(11 * time.Second)
		}
		err := w.jwt.Ready(t.Context())
		if outage := isUnavailable(t, err); outage.Issuer != w.issuer.URL() {
			t.Errorf("Ready blames %q", outage.Issuer)
		}
		status := w.jwt.KeyStatus()
		if status[0].Usable || status[0].LastError == nil || !status[1].Usable || status[1].LastError != nil {
			t.Errorf("KeyStatus %+v", status)
		}
	})
}

// newPair returns a world with a second issuer trusted by the same verifier.
func newPair(t testing.TB) (*world, *authtest.Issuer) {
	t.Helper()
	other := authtest.NewIssuer(t, authtest.Config{URL: otherIssuer, Resources: []string{resource}})
	w := newWorld(t)
	w.jwt = newJWT(t, verifier.JWTConfig{
		Resource: resource, Issuers: []verifier.Issuer{{URL: w.issuer.URL()}, {URL: other.URL()}},
		Transport: authtest.Network{w.issuer.URL(): w.issuer, other.URL(): other},
	})
	return w, other
}

func TestReadyAndKeyStatus(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, other := newPair(t)
		w.issuer.SetFault(authtest.EndpointAll, authtest.Down())
		other.SetFault(authtest.EndpointAll, authtest.Hang())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.jwt.Ready(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, verifier.ErrUnavailable) {
			t.Errorf("Ready = %v, want the outage of one and the deadline at the other", err)
		}
		w.issuer.ClearFaults()
		other.ClearFaults()
		pass(6 * time.Second)
		if err := w.jwt.Ready(t.Context()); err != nil {
			t.Errorf("Ready after recovery = %v", err)
		}
		fetched := time.Now()
		before := w.hits() + other.Hits(authtest.EndpointAll)
		if err := w.jwt.Ready(t.Context()); err != nil || w.hits()+other.Hits(authtest.EndpointAll) != before {
			t.Errorf("Ready with keys = %v, with requests", err)
		}
		status := w.jwt.KeyStatus()
		if len(status) != 2 || status[0].Issuer != w.issuer.URL() || status[1].Issuer != otherIssuer {
			t.Fatalf("KeyStatus %+v, want the order of the configuration", status)
		}
		for _, s := range status {
			if s.Keys != 1 || !s.Usable || s.Generation != 1 || !s.Fetched.Equal(fetched) || s.LastError != nil ||
				s.Counts.Succeeded != 1 || s.Counts.Failed != 1 || s.Counts.Suppressed != 0 {
				t.Errorf("KeyStatus %+v", s)
			}
		}
		// After MaxStale the keys are there and not usable.
		w.issuer.SetFault(authtest.EndpointAll, authtest.Down())
		pass(25 * time.Hour)
		if status := w.jwt.KeyStatus()[0]; status.Usable || status.Keys != 1 {
			t.Errorf("KeyStatus after MaxStale %+v", status)
		}
		isUnavailable(t, w.jwt.Ready(t.Context()))
	})
}

// Skipped is about the current set, also when the usable keys are the same.
func TestKeyStatusCountsSkippedKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, uncached)
		good := string(w.issuer.JWKS())
		spoil := func(key string) string { return `{"keys":[` + key + `,` + good[len(`{"keys":[`):] }
		w.issuer.SetJWKS([]byte(spoil(`{"kty":"oct","k":"AA"}`)))
		w.warm()
		status := w.jwt.KeyStatus()[0]
		if status.Skipped["symmetric"] != 1 || status.Keys != 1 {
			t.Errorf("KeyStatus %+v, want one symmetric key skipped", status)
		}
		status.Skipped["symmetric"] = 99
		if got := w.jwt.KeyStatus()[0].Skipped["symmetric"]; got != 1 {
			t.Errorf("a caller changed the count to %d", got)
		}
		w.issuer.SetJWKS([]byte(spoil(`{"kty":"EC"}`)))
		pass(16 * time.Minute)
		w.accept(w.token(nil))
		pass(0)
		if status := w.jwt.KeyStatus()[0]; status.Skipped["symmetric"] != 0 || len(status.Skipped) != 1 || status.Counts.Succeeded != 2 {
			t.Errorf("KeyStatus %+v after the set changed, want the broken key instead", status)
		}
	})
}
