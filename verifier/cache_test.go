package verifier_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// counted returns a world that counts whole verifications: the issuer's own rule
// runs in each, and not for a remembered token.
func counted(t testing.TB, edit ...func(*verifier.JWTConfig)) (*world, *atomic.Int64) {
	t.Helper()
	var n atomic.Int64
	w := newWorld(t, append(edit, of(func(i *verifier.Issuer) {
		i.Judge = func(*verifier.Token) error { n.Add(1); return nil }
	}))...)
	return w.warm(), &n
}

func TestCacheRemembersATokenByItsExactText(t *testing.T) {
	w, n := counted(t)
	token := w.token(nil)
	first := w.accept(token)
	for range 9 {
		again := w.accept(strings.Clone(token))
		if again == first || again.DangerouslyRaw() != token || again.Subject != first.Subject || !again.Expiry.Equal(first.Expiry) || !again.Scopes.Equal(first.Scopes) {
			t.Error("a remembered token differs, or is what its verification made")
		}
		var claims struct {
			Sub string `json:"sub"`
		}
		if err := again.Claims(&claims); err != nil || claims.Sub != first.Subject {
			t.Errorf("Claims: %v, %+v", err, claims)
		}
	}
	if n.Load() != 1 {
		t.Errorf("%d verifications of one text", n.Load())
	}
	// One character more, less or other is another token.
	for _, text := range []string{token + "A", token[:len(token)-1], "." + token, token + ".", strings.ToUpper(token[:1]) + token[1:] + " "} {
		if _, err := w.verify(text); err == nil {
			t.Errorf("accepted a changed text")
		}
	}
	w.accept(w.token(raw{"jti": `"another-0123456789"`}))
	if n.Load() != 2 {
		t.Errorf("%d verifications of two texts", n.Load())
	}
}

// What a signature signed is a part of the token's name: no other claims pass by it.
func TestCacheBelievesNoBorrowedSignature(t *testing.T) {
	w, n := counted(t)
	token := w.token(nil)
	w.accept(token)
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(w.payload(raw{"sub": `"root-0123456789abcdef"`})))
	otherHeader := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"at+jwt","alg":"ES256","kid":` + quote(w.issuer.Key().KeyID()) + `}`))
	for name, text := range map[string]string{
		"other claims": header + "." + forged + "." + signature,
		"other header": otherHeader + "." + payload + "." + signature,
	} {
		for range 2 {
			t.Run(name, func(t *testing.T) { w.refuse(text, verifier.ReasonSignature) })
		}
	}
	for _, text := range []string{signature, "." + signature, ".." + signature, header + "." + signature, header + ".." + signature, token + "." + signature} {
		w.refuse(text, verifier.ReasonMalformed)
	}
	if w.accept(token); n.Load() != 1 {
		t.Errorf("%d verifications; the good token was forgotten", n.Load())
	}
}

func TestCacheNeverOutlivesExpiry(t *testing.T) {
	for _, leeway := range []time.Duration{1, 10 * time.Second, 2 * time.Minute} {
		t.Run(leeway.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w, _ := counted(t, func(c *verifier.JWTConfig) { c.Leeway = leeway })
				expiry := time.Now().Add(10 * time.Minute)
				token := w.token(raw{"exp": number(expiry)})
				w.accept(token)
				time.Sleep(time.Until(expiry.Add(leeway)) - 1)
				w.accept(token)
				time.Sleep(time.Nanosecond)
				w.refuse(token, verifier.ReasonExpired)
			})
		})
	}
}

// KS-02: a remembered token ends with the keys it was verified by.
func TestCacheNeverOutlivesMaxStale(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, _ := counted(t)
		token := w.token(nil)
		w.accept(token)
		w.issuer.SetFault(authtest.EndpointAll, authtest.Down())
		time.Sleep(24*time.Hour - 1)
		w.accept(token)
		time.Sleep(time.Hour)
		_, err := w.verify(token)
		isUnavailable(t, err)
	})
}

func TestCacheEntryEndsWithItsKeyGeneration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w, n := counted(t)
		token := w.token(nil)
		refresh := func() {
			pass(16 * time.Minute)
			w.accept(token) // sets the refresh off
			pass(time.Second)
			w.accept(token)
		}
		w.accept(token)
		refresh() // answered with 304
		w.issuer.SetFault(authtest.EndpointKeys, authtest.JSON(string(w.issuer.JWKS())))
		refresh() // answered with the same set in full
		if status := w.jwt.KeyStatus()[0]; n.Load() != 1 || status.Generation != 1 || status.Counts.Succeeded != 3 {
			t.Errorf("%d verifications, want one: the set did not change; KeyStatus %+v", n.Load(), status)
		}
		w.issuer.ClearFaults()
		w.issuer.Rotate(1)
		refresh()
		if n.Load() != 2 {
			t.Errorf("%d verifications, want another after the set changed", n.Load())
		}
		pass(1) // by the nanosecond, another part of the cache answers
		if w.accept(token); n.Load() != 2 {
			t.Errorf("%d verifications, what came after the change is not remembered", n.Load())
		}
		w.issuer.Rotate(0)
		pass(16 * time.Minute)
		w.accept(token)
		pass(time.Second)
		w.refuse(token, verifier.ReasonUnknownKey)
	})
}

func TestCacheLimits(t *testing.T) {
	t.Run("off when negative", func(t *testing.T) {
		w, n := counted(t, uncached)
		token := w.token(nil)
		w.accept(token)
		w.accept(token)
		if n.Load() != 2 {
			t.Errorf("%d verifications, want two", n.Load())
		}
	})
	t.Run("a token over 4 KiB is not kept", func(t *testing.T) {
		w, n := counted(t)
		for size, want := range map[int]int64{2000: 1, 5000: 2} {
			n.Store(0)
			token := w.token(raw{"x": `"` + strings.Repeat("a", size) + `"`})
			w.accept(token)
			w.accept(token)
			if n.Load() != want {
				t.Errorf("%d verifications of a token of %d octets, want %d", n.Load(), len(token), want)
			}
		}
	})
	t.Run("big tokens with one beginning are told apart", func(t *testing.T) {
		w, _ := counted(t)
		pad := `"` + strings.Repeat("a", 5000) + `"`
		w.accept(w.token(raw{"aaa": pad}))
		w.refuse(w.token(raw{"aaa": pad, "aud": `"x"`}), verifier.ReasonAudience)
	})
	t.Run("DS-05 bounded", func(t *testing.T) {
		const size, tokens = 64, 1000
		w, n := counted(t, func(c *verifier.JWTConfig) { c.CacheSize = size })
		texts := make([]string, tokens)
		for i := range texts {
			texts[i] = w.token(raw{"jti": quote(fmt.Sprint(i))})
			w.accept(texts[i])
		}
		n.Store(0)
		for i := range texts { // the latest first
			w.accept(texts[tokens-1-i])
		}
		if hits := tokens - n.Load(); hits < size/4 || hits > 2*size {
			t.Errorf("%d of %d tokens remembered, want about %d", hits, tokens, size)
		}
	})
	t.Run("DS-04 refused tokens are not kept", func(t *testing.T) {
		const size = 64
		w, n := counted(t, func(c *verifier.JWTConfig) { c.CacheSize = size })
		token := w.token(nil)
		w.accept(token)
		bad := token[:strings.LastIndexByte(token, '.')+1]
		for i := range 1000 {
			w.refuse(bad+fmt.Sprintf("%04d", i), verifier.ReasonSignature)
			if i%100 == 0 {
				w.refuse(w.token(raw{"aud": quote(fmt.Sprint(i))}), verifier.ReasonAudience)
			}
		}
		n.Store(0)
		w.accept(token)
		if n.Load() != 0 {
			t.Error("refused tokens drove a good one out")
		}
	})
}

// DS-25: 64 goroutines, keys rotating, everything asked at once. Run it with
// -race.
func TestVerifyDuringRotationFromManyGoroutines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		fixed := newKey(t, "EdDSA", "fixed")
		w.issuer.SetKeys(newKey(t, "ES256", "first"), fixed)
		always := signWith(t, fixed, nil, w.payload(nil))
		var current atomic.Pointer[string]
		publish := func() { token := w.token(nil); current.Store(&token) }
		publish()
		stop := make(chan struct{})
		var wait sync.WaitGroup
		for i := range 64 {
			wait.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if _, err := w.jwt.Verify(context.Background(), always); err != nil {
						t.Errorf("a key that is in every set: %v", err)
					}
					if _, err := w.jwt.Verify(context.Background(), *current.Load()); err != nil {
						if refused, ok := errors.AsType[*verifier.InvalidTokenError](err); !ok || refused.Reason != verifier.ReasonUnknownKey {
							t.Errorf("the current key: %v", err)
						}
					}
					switch i % 16 {
					case 0:
						_ = w.jwt.Ready(context.Background())
					case 1:
						_ = w.jwt.KeyStatus()
					case 2:
						_, _ = w.jwt.Verify(context.Background(), w.stranger(fmt.Sprint(i)))
					}
					time.Sleep(time.Second)
				}
			})
		}
		for i := range 10 {
			time.Sleep(11 * time.Second)
			w.issuer.SetKeys(newKey(t, "ES256", fmt.Sprint(i)), fixed)
			publish()
		}
		time.Sleep(11 * time.Second)
		w.accept(*current.Load())
		close(stop)
		wait.Wait()
		synctest.Wait()
		if status := w.jwt.KeyStatus()[0]; status.Generation < 10 {
			t.Errorf("generation %d after ten rotations", status.Generation)
		}
	})
}
