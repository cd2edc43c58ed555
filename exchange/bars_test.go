package exchange_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestAThousandCallsOfOneUserMakeOneExchange(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	client := w.http()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 20 {
				if status, err := w.call(client, newRequest(t, alice, http.MethodGet, api, nil)); err != nil || status != 200 {
					t.Errorf("%d, %v", status, err)
				}
			}
		})
	}
	wg.Wait()
	if w.api.count() != 1000 {
		t.Errorf("%d calls", w.api.count())
	}
	w.wantAsked(1)
}

func TestTwoUsersNeverGetTheOthersToken(t *testing.T) {
	// A cache of two entries makes the users push each other out all the time.
	for _, size := range []int{0, 2, -1} {
		server := &endpoint{}
		server.answer = func(w http.ResponseWriter, form url.Values) {
			respondJSON(w, 200, answer("access_token", `"for.`+form.Get("subject_token")+`"`))
		}
		w := newWorld(t, func(c *exchange.Config) {
			c.CacheSize = size
			c.TokenEndpoint, c.Transport = "https://as.example/token", authtest.Network{"https://as.example": server}
		})
		calls := 10_000
		if size != 0 {
			calls = 1000
		}
		var wrong, refused atomic.Int32
		check := roundTrip(func(r *http.Request) (*http.Response, error) {
			subject, _ := verifier.FromContext(r.Context())
			if r.Header.Get("Authorization") != "Bearer for."+subject.DangerouslyRaw() {
				wrong.Add(1)
			}
			status := 200
			if refused.Add(1)%7 == 0 { // renewals take part
				status = 401
			}
			return &http.Response{StatusCode: status, Body: http.NoBody, Request: r}, nil
		})
		client := &http.Client{Transport: w.client.Transport(check, target())}
		users := []*verifier.Token{w.user("alice"), w.user("bob")}
		var wg sync.WaitGroup
		for worker := range 20 {
			wg.Go(func() {
				for n := range calls / 20 {
					request := newRequest(t, users[(worker+n)%2], http.MethodGet, api, nil)
					response, err := client.Do(request)
					if err != nil {
						t.Error(err)
						return
					}
					_ = response.Body.Close()
				}
			})
		}
		wg.Wait()
		if wrong.Load() != 0 {
			t.Errorf("size %d: %d calls had another's token", size, wrong.Load())
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestMemoryIsBounded(t *testing.T) {
	const size, tokens = 1000, 20_000
	token := strings.Repeat("t", 1000)
	var n atomic.Int64
	client := newClient(t, exchange.Config{
		Issuer: "https://as.example", TokenEndpoint: "https://as.example/token", CacheSize: size,
		Auth: clientauth.SecretBasic(serverID, secret),
		Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			body := answer("access_token", fmt.Sprintf(`"%s%d"`, token, n.Add(1)), "scope", "")
			return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
		}),
	})
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	fill := func(from, to int) {
		for i := from; i < to; i++ {
			if _, err := client.ClientCredentials(t.Context(), exchange.Target{Audience: []string{fmt.Sprint(i)}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(0, 3*size)
	before := heap()
	fill(3*size, tokens)
	if after := heap(); after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d octets", before, after)
	}
	if n.Load() != tokens {
		t.Errorf("%d requests", n.Load())
	}
	// The latest are still there.
	fill(tokens-size/2, tokens)
	if n.Load() != tokens {
		t.Errorf("%d of the latest %d were forgotten", n.Load()-tokens, size/2)
	}
	runtime.KeepAlive(client)
}

// cachedCall returns a call by a transport that answers at once, with the token
// and without.
func cachedCall(t testing.TB) (request *http.Request, exchanged, plain http.RoundTripper) {
	w := newWorld(t)
	answer := &http.Response{StatusCode: 200, Body: http.NoBody}
	plain = roundTrip(func(*http.Request) (*http.Response, error) { return answer, nil })
	request = newRequest(t, w.user("alice", authtest.Claims{"groups": strings.Repeat("x", 600)}), http.MethodGet, api, nil)
	request.Header = http.Header{"Accept": {"application/json"}, "User-Agent": {"x"}, "Content-Type": {"application/json"}}
	return request, w.client.Transport(plain, target()), plain
}

func BenchmarkCachedCall(b *testing.B) {
	request, exchanged, plain := cachedCall(b)
	for name, transport := range map[string]http.RoundTripper{"plain": plain, "exchanged": exchanged} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := transport.RoundTrip(request); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The fastest of many short runs is what a call costs, whatever else the machine
// does.
func TestACachedCallCostsLittle(t *testing.T) {
	const bar, calls = 2 * time.Microsecond, 100
	if raceDetector {
		t.Skip("times mean nothing under the race detector")
	}
	request, exchanged, plain := cachedCall(t)
	fastest := func(transport http.RoundTripper) time.Duration {
		best := time.Hour
		for range 500 {
			start := time.Now()
			for range calls {
				if _, err := transport.RoundTrip(request); err != nil {
					t.Fatal(err)
				}
			}
			best = min(best, time.Since(start)/calls)
		}
		return best
	}
	if over := fastest(exchanged) - fastest(plain); over > bar {
		t.Errorf("%v over the plain transport, want at most %v", over, bar)
	} else {
		t.Logf("%v over the plain transport", over)
	}
}

func TestACachedCallAllocatesLittle(t *testing.T) {
	request, exchanged, _ := cachedCall(t)
	allocations := testing.AllocsPerRun(1000, func() {
		if _, err := exchanged.RoundTrip(request); err != nil {
			t.Fatal(err)
		}
	})
	if allocations > 6 {
		t.Errorf("%v allocations", allocations)
	}
}
