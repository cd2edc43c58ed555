package middleware_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// sized is a call whose arguments are a text of size octets, all of them letter.
func sized(tool, letter string, size int) string {
	return strings.Replace(call(tool), `{}`, `{"x":"`+strings.Repeat(letter, size)+`"}`, 1)
}

// A body ends as those of net/http do: with io.EOF, at Close, and a large one with its
// handler.
func TestTheBodyAfterItsEnd(t *testing.T) {
	for _, size := range []int{10, 100 << 10} {
		for name, test := range map[string]struct {
			handle func(io.Reader, io.Closer)
			inside error // nil: there is more
		}{
			"read":   {func(b io.Reader, _ io.Closer) { _, _ = io.Copy(io.Discard, b) }, io.EOF},
			"closed": {func(_ io.Reader, b io.Closer) { _ = b.Close() }, http.ErrBodyReadAfterClose},
			"closed in the middle": {func(r io.Reader, b io.Closer) {
				_, _ = io.CopyN(io.Discard, r, 20)
				_ = b.Close()
			}, http.ErrBodyReadAfterClose},
			"left alone": {func(io.Reader, io.Closer) {}, nil},
		} {
			for _, tool := range []string{"safe", "open"} { // the latter without a token
				t.Run(fmt.Sprint(name, ", ", tool, ", ", size), func(t *testing.T) {
					var kept io.ReadCloser
					door := baseGuard(t).Protect(operationsPolicy())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						kept = r.Body
						r.Body = http.MaxBytesReader(w, r.Body, 10)
						test.handle(kept, kept)
						if test.inside != nil {
							if n, err := kept.Read(make([]byte, 10)); n != 0 || !errors.Is(err, test.inside) {
								t.Errorf("in the handler: %d, %v", n, err)
							}
						}
					}))
					r := message(sized(tool, "a", size))
					if tool == "open" {
						r.Header.Del("Authorization")
					}
					door.ServeHTTP(httptest.NewRecorder(), r)
					then := test.inside
					if size > 64<<10 {
						then = http.ErrBodyReadAfterClose
					}
					if then == nil {
						return
					}
					if n, err := kept.Read(make([]byte, 10)); n != 0 || !errors.Is(err, then) {
						t.Errorf("after it: %d, %v; want %v", n, err, then)
					}
				})
			}
		}
	}
}

// held returns how much memory is in use.
func held() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools had goes with the second
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// A stream goes on when its message is read. What a client has put behind that, blanks
// for instance, is not held for as long.
func TestAStreamHoldsNoBody(t *testing.T) {
	const size = 3 << 20
	var before, inside int
	door := baseGuard(t).Protect(operationsPolicy())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.CopyN(io.Discard, r.Body, 200); err != nil {
			t.Error(err)
		}
		inside = held()
	}))
	for _, length := range []int64{-1, size} {
		body := call("safe") + strings.Repeat(" ", size-len(call("safe")))
		before = held()
		r := message(body)
		r.ContentLength = length
		if door.ServeHTTP(httptest.NewRecorder(), r); inside-before > size/4 {
			t.Errorf("length %d: %d octets are held", length, inside-before)
		}
	}
}

// Memory goes from one request to the next. Whatever handlers do with their bodies,
// and for however long, none sees a piece of somebody else's.
func TestNobodySeesAnothersBody(t *testing.T) {
	const letters = "ABCDEFGH"
	check := func(r *http.Request, read io.Reader) {
		others := strings.Replace(letters, r.Header.Get("X-Letter"), "", 1)
		part := make([]byte, 7000)
		for {
			n, err := read.Read(part)
			if at := bytes.IndexAny(part[:n], others); at >= 0 {
				t.Errorf("%q where there should be none of %s", part[at], others)
			}
			if err != nil {
				return
			}
		}
	}
	var late sync.WaitGroup
	handlers := []func(*http.Request){
		func(r *http.Request) { check(r, r.Body) },
		func(r *http.Request) { check(r, io.LimitReader(r.Body, 50000)) },
		func(r *http.Request) { late.Go(func() { check(r, r.Body) }) },
		func(r *http.Request) {
			late.Go(func() { check(r, r.Body) })
			check(r, r.Body)
		},
		func(r *http.Request) {
			late.Go(func() { check(r, r.Body) })
			_ = r.Body.Close()
			check(r, r.Body)
		},
	}
	door := baseGuard(t).Protect(operationsPolicy())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		handlers[r.ContentLength%int64(len(handlers))](r)
	}))
	var clients sync.WaitGroup
	for _, letter := range strings.Split(letters, "") {
		clients.Go(func() {
			for i := range 40 {
				size := []int{70 << 10, 100 << 10, 250 << 10}[i%3] + i
				r := message(sized("safe", letter, size), "X-Letter: "+letter)
				if i%4 == 3 {
					r = message(sized("safe", letter, size)+"}", "X-Letter: "+letter) // refused
				}
				if i%5 == 4 {
					r.ContentLength = -1
				}
				w := httptest.NewRecorder()
				door.ServeHTTP(w, r)
				if refused := w.Code == http.StatusBadRequest; refused != (i%4 == 3) {
					t.Errorf("%d: %d", i, w.Code)
				}
			}
		})
	}
	clients.Wait()
	late.Wait()
}

// Decide may keep what it is given, for as long as it likes, and with that keeps no
// more than it says.
func TestDecideMayKeepArguments(t *testing.T) {
	policy := operationsPolicy()
	var kept [][]byte
	policy.Decide = func(_ context.Context, op scopes.Operation) (scopes.Requirement, error) {
		kept = append(kept, op.Arguments)
		return scopes.Requirement{}, nil
	}
	door := baseGuard(t).Protect(policy)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	for _, size := range []int{10, 70 << 10} {
		for _, declared := range []bool{true, false} {
			kept = nil
			before := held()
			for i := range 20 {
				r := message(sized("safe", string(rune('a'+i)), size))
				if !declared {
					r.ContentLength = -1
				}
				door.ServeHTTP(httptest.NewRecorder(), r)
			}
			if each := (held() - before) / 20; each > size+size/4+2<<10 {
				t.Errorf("%d octets for arguments of %d, declared: %t", each, size, declared)
			}
			for i, arguments := range kept {
				if want := strings.Repeat(string(rune('a'+i)), size); string(arguments) != `{"x":"`+want+`"}` {
					t.Errorf("the arguments of request %d have changed", i)
				}
			}
			if len(kept) != 20 {
				t.Errorf("asked %d times", len(kept))
			}
		}
	}
}

// The memory of a large body is used again, also where the handler does not look at
// it, where it is refused, and where its length is not announced.
func TestLargeBodiesShareMemory(t *testing.T) {
	if catalogueRace {
		t.Skip("the race detector makes pools forget")
	}
	const size, rounds = 1 << 20, 20
	ignores := func(http.ResponseWriter, *http.Request) {}
	for name, test := range map[string]struct {
		body    string
		length  int64 // 0: as it is
		handler http.HandlerFunc
	}{
		"read":        {sized("safe", "a", size), 0, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }},
		"not read":    {sized("safe", "a", size), 0, ignores},
		"no length":   {sized("safe", "a", size), -1, ignores},
		"no JSON":     {sized("safe", "a", size) + "}", 0, ignores},
		"breaks off":  {sized("safe", "a", size), 2 * size, ignores},
		"not allowed": {sized("danger", "a", size), 0, ignores},
		"denied":      {sized("later", "a", size), 0, ignores},
	} {
		t.Run(name, func(t *testing.T) {
			door := baseGuard(t).Protect(operationsPolicy())(test.handler)
			serve := func() {
				r := message(test.body)
				if test.length != 0 {
					r.ContentLength = test.length
				}
				door.ServeHTTP(discard{http.Header{}}, r)
			}
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // each processor has pools of its own
			serve()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range rounds {
				serve()
			}
			runtime.ReadMemStats(&after)
			if each := (after.TotalAlloc - before.TotalAlloc) / rounds; each > size/4 {
				t.Errorf("%d octets for a body of %d", each, size)
			}
		})
	}
}

// slow gives a thousand octets at a time, and watches how much room there is for more.
type slow struct {
	io.Reader
	came  int
	first int     // the room at the beginning
	times float64 // the most, later, compared with what had come
}

func (s *slow) Read(p []byte) (int, error) {
	if s.came == 0 {
		s.first = len(p)
	}
	if s.came > s.first {
		s.times = max(s.times, float64(s.came+len(p))/float64(s.came))
	}
	n, err := s.Reader.Read(p[:min(len(p), 1000)])
	s.came += n
	return n, err
}

// MB-33: who stops in the middle holds memory for what was sent, not for what was
// announced.
func TestMB33MemoryGoesByWhatCame(t *testing.T) {
	door := baseGuard(t).Protect(operationsPolicy())(http.NotFoundHandler())
	body := sized("safe", "a", 3<<20)
	for _, test := range []struct {
		declared bool
		first    int
		times    float64
	}{{true, 64 << 10, 16}, {false, 2 << 10, 2}} {
		source := &slow{Reader: strings.NewReader(body)}
		r := message(body)
		if r.Body = io.NopCloser(source); !test.declared {
			r.ContentLength = -1
		}
		door.ServeHTTP(httptest.NewRecorder(), r)
		if source.came != len(body) || source.first > test.first || source.times > test.times {
			t.Errorf("declared %t: %d of %d octets, room for %d, then for %.1f times what came",
				test.declared, source.came, len(body), source.first, source.times)
		}
	}
}
