package verifier_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// IN-19: a revoked token is accepted for TTL at most, counted from the question,
// and using it does not extend that.
func TestIntrospectionSeesARevocationAfterTTL(t *testing.T) {
	for _, ttl := range []time.Duration{0, time.Second, 2 * time.Minute} {
		t.Run(ttl.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				i := newInspector(t, func(c *verifier.IntrospectionConfig) { c.TTL = ttl })
				i.accept(opaque)
				i.endpoint.set(opaque, `{"active":false}`)
				want := ttl
				if ttl == 0 {
					want = 30 * time.Second // the documented default
				}
				const step = 100 * time.Millisecond
				for lag := step; ; lag += step {
					time.Sleep(step)
					_, err := i.verify(opaque)
					if err == nil && lag < want {
						continue
					}
					isInvalid(t, err, verifier.ReasonInactive)
					if lag != want {
						t.Errorf("seen after %v, want %v", lag, want)
					}
					break
				}
				i.asked(2)
				// What was found past its time is no hit.
				if got, hits := i.v.Status().Counts, uint64(want/step)-1; got.Hits != hits || got.Misses != 2 {
					t.Errorf("%d hits and %d misses, want %d and 2", got.Hits, got.Misses, hits)
				}
			})
		})
	}
}

// The answer may be older than its arrival: TTL counts from the question.
func TestIntrospectionCountsTTLFromTheQuestion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		i.endpoint.fail(authtest.Slow(4 * time.Second)(serveJSON(about(nil))))
		i.accept(opaque)
		i.endpoint.fail(nil)
		i.endpoint.set(opaque, `{"active":false}`)
		time.Sleep(25 * time.Second)
		i.accept(opaque)
		time.Sleep(time.Second)
		i.refuse(opaque, verifier.ReasonInactive)
	})
}

// RFC 7662 §4: no answer outlives exp.
func TestIntrospectionRemembersNothingBeyondExp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t, func(c *verifier.IntrospectionConfig) { c.DangerouslyServeStale = time.Hour })
		i.endpoint.set(opaque, about(raw{"exp": number(time.Now().Add(10 * time.Second))}))
		i.accept(opaque)
		i.endpoint.fail(faulty(authtest.Down()))
		time.Sleep(9999 * time.Millisecond)
		i.accept(opaque)
		i.asked(1)
		time.Sleep(time.Millisecond)
		i.unavailable(opaque)
		i.asked(2)
	})
}

// A token without exp has an Expiry for the front door, and is asked about again.
func TestIntrospectionOfATokenWithoutEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		i.endpoint.set(opaque, about(raw{"exp": ""}))
		for n := range 4 {
			for range 3 {
				if left := time.Until(i.accept(opaque).Expiry); left != 30*time.Second {
					t.Errorf("expires in %v", left)
				}
				time.Sleep(10 * time.Second)
			}
			i.asked(n + 1)
		}
	})
}

// IN-20: only the same text is the same token, to the same verifier.
func TestIntrospectionKeepsTokensApart(t *testing.T) {
	i := newInspector(t)
	long := strings.Repeat("eyJhbGciOiJSUzI1NiIs", 100)
	i.endpoint.set(long+"A", about(nil))
	i.accept(long + "A")
	i.accept(opaque)
	for _, other := range []string{
		long, long + "B", long + "a", long + "AA", long[:20], " " + opaque, opaque + " ", strings.ToUpper(opaque),
		opaque[1:], opaque[:len(opaque)-1], opaque[:20],
	} {
		i.refuse(other, verifier.ReasonInactive)
	}
	i.accept(long + "A")
	i.accept(opaque)
	// Another resource's verifier knows nothing of it.
	other := newInspector(t, func(c *verifier.IntrospectionConfig) { c.Resource = "https://other.example/mcp" })
	other.refuse(opaque, verifier.ReasonAudience)
}

// IN-20, IN-27: tokens that weak hashes take for one, or put in one place.
func TestIntrospectionKeepsTokensWithEqualWeakHashesApart(t *testing.T) {
	i := newInspector(t)
	byHash := map[uint32]string{}
	pairs := 0
	for n := 0; pairs < 4 && n < 1_000_000; n++ {
		token := fmt.Sprintf("token-%08d", n)
		for _, sum := range []uint32{crc32.ChecksumIEEE([]byte(token)), fnv32(token)} {
			other, taken := byHash[sum]
			byHash[sum] = token
			if taken && other != token {
				pairs++
				i.endpoint.set(token, about(raw{"sub": quote(token)}))
				if got := i.accept(token); got.Subject != token {
					t.Errorf("subject %q", got.Subject)
				}
				i.refuse(other, verifier.ReasonInactive)
			}
		}
	}
	if pairs == 0 {
		t.Fatal("no collision was found")
	}
}

func fnv32(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return h.Sum32()
}

// IN-22: 200 concurrent different tokens are 200 questions, and nobody gets the
// identity of another.
func TestIntrospectionDoesNotMixUpConcurrentTokens(t *testing.T) {
	const tokens, callers = 200, 3
	i := newInspector(t)
	for n := range tokens {
		i.endpoint.set(fmt.Sprintf("token-%03d", n), about(raw{"sub": fmt.Sprintf(`"user-%03d"`, n)}))
	}
	var wg sync.WaitGroup
	for range callers {
		for n := range tokens {
			wg.Go(func() {
				got, err := i.v.Verify(context.Background(), fmt.Sprintf("token-%03d", n))
				if err != nil || got.Subject != fmt.Sprintf("user-%03d", n) || got.DangerouslyRaw() != fmt.Sprintf("token-%03d", n) {
					t.Errorf("token %d: %v", n, err)
				}
			})
		}
	}
	wg.Wait()
	i.asked(tokens)
}

// IN-23: 1 000 requests with one fresh token, 50 at a time, are one question.
func TestIntrospectionAsksOnceForManyRequests(t *testing.T) {
	i := newInspector(t)
	var wg sync.WaitGroup
	left := atomic.Int64{}
	left.Store(1000)
	for range 50 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if _, err := i.v.Verify(context.Background(), opaque); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	i.asked(1)
	if got := i.v.Status().Counts; got.Hits+got.Misses != 1000 || got.Active != 1 {
		t.Errorf("counted as %+v", got)
	}
}

// IN-24: a flood of tokens that nobody issued takes bounded memory and does not
// push out the good ones.
func TestIntrospectionWithstandsAFloodOfInvalidTokens(t *testing.T) {
	withstandFlood(t, 100_000)
}

// BenchmarkIntrospectionFlood does the same with a million, once.
func BenchmarkIntrospectionFlood(b *testing.B) {
	for b.Loop() {
		withstandFlood(b, 1_000_000)
	}
}

func withstandFlood(t testing.TB, flood int) {
	i := newInspector(t, func(c *verifier.IntrospectionConfig) {
		c.MaxConcurrent, c.TTL, c.Transport = 8, 5*time.Minute, directly(`{"active":false}`)
	})
	good := make([]string, 1000)
	if err := prime(i, good); err != nil {
		t.Fatal(err)
	}
	flooded(t, i, 30_000) // the refusals' store is full now
	before := heap()
	flooded(t, i, flood)
	grown := int64(heap()) - int64(before)
	t.Logf("heap grew by %d KiB over %d invalid tokens", grown>>10, flood)
	if grown > 4<<20 {
		t.Errorf("heap grew by %d octets", grown)
	}
	if got := i.v.Status(); got.RememberedRefusals > 16_384 {
		t.Errorf("%d refusals remembered", got.RememberedRefusals)
	}
	calls := i.v.Status().Counts.Misses
	for _, token := range good {
		i.accept(token)
	}
	if n := i.v.Status().Counts.Misses - calls; n != 0 {
		t.Errorf("%d good tokens were pushed out", n)
	}
}

// directly answers every question with body, at once.
type directly string

func (d directly) RoundTrip(r *http.Request) (*http.Response, error) {
	body := string(d)
	if form := r.Body; form != nil {
		var text strings.Builder
		_, _ = copyAll(&text, form)
		if strings.HasPrefix(text.String(), "token=good-") {
			body = about(nil)
		}
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: readCloser{strings.NewReader(body)}, Request: r,
	}, nil
}

// prime has good tokens remembered for longer than the test runs.
func prime(i *inspector, good []string) error {
	for n := range good {
		good[n] = fmt.Sprintf("good-%04d", n)
		if _, err := i.v.Verify(context.Background(), good[n]); err != nil {
			return err
		}
	}
	return nil
}

var floodSerial atomic.Int64

func flooded(t testing.TB, i *inspector, n int) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range n / 8 {
				_, err := i.v.Verify(context.Background(), fmt.Sprintf("nobody-%d", floodSerial.Add(1)))
				if err == nil {
					t.Error("accepted")
				}
			}
		})
	}
	wg.Wait()
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// IN-25, IN-26: what a token was refused for can pass.
func TestIntrospectionForgetsARefusalSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		i.refuse("later", verifier.ReasonInactive)
		begin := time.Now().Add(10*time.Second + time.Millisecond) // the leeway, and a millisecond
		i.endpoint.set("early", about(raw{"nbf": fmt.Sprintf("%d.%09d", begin.Unix(), begin.Nanosecond())}))
		i.refuse("early", verifier.ReasonNotYetValid)
		i.endpoint.set("later", about(nil))
		time.Sleep(4900 * time.Millisecond)
		i.refuse("later", verifier.ReasonInactive)
		i.asked(2)
		time.Sleep(100 * time.Millisecond)
		i.accept("later")
		i.accept("early")
	})
}

// IN-25: an outage leaves no trace in the cache.
func TestIntrospectionDoesNotRememberErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		i.endpoint.fail(faulty(authtest.Respond(http.StatusInternalServerError, nil, `{"active":false}`)))
		i.unavailable(opaque)
		i.endpoint.fail(nil)
		i.accept(opaque)
		i.endpoint.fail(faulty(authtest.Down()))
		i.accept(opaque)
		i.asked(2)
	})
}

// IN-34: the caller's end is the caller's only.
func TestIntrospectionGoesOnWithoutACallerWhoLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		i.endpoint.fail(authtest.Slow(3 * time.Second)(serveJSON(about(nil))))
		ctx, cancel := context.WithCancel(context.Background())
		first := make(chan error, 1)
		go func() {
			_, err := i.v.Verify(ctx, opaque)
			first <- err
		}()
		synctest.Wait()
		second := make(chan error, 1)
		go func() {
			_, err := i.v.Verify(context.Background(), opaque)
			second <- err
		}()
		synctest.Wait()
		start := time.Now()
		cancel()
		if err := <-first; err != context.Canceled || time.Since(start) != 0 {
			t.Errorf("the caller who left: %v after %v", err, time.Since(start))
		}
		if err := <-second; err != nil {
			t.Errorf("the caller who stayed: %v", err)
		}
		i.asked(1)
		i.accept(opaque)
		i.asked(1)
	})
}

func TestIntrospectionWithoutCache(t *testing.T) {
	i := newInspector(t, func(c *verifier.IntrospectionConfig) { c.CacheSize = -1 })
	i.accept(opaque)
	i.accept(opaque)
	i.refuse("other", verifier.ReasonInactive)
	i.refuse("other", verifier.ReasonInactive)
	i.v.Forget(opaque)
	i.asked(4)
}
