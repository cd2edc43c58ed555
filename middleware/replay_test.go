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

// A body ends as those of net/http do: with io.EOF, at Close, and with its handler.
func TestTheBodyAfterItsEnd(t *testing.T) {
	for _, size := range []int{10, 100 << 10} {
		for name, test := range map[string]struct {
			handle       func(*testing.T, io.ReadCloser)
			inside, then error
		}{
			"read":   {func(t *testing.T, b io.ReadCloser) { _, _ = io.Copy(io.Discard, b) }, io.EOF, http.ErrBodyReadAfterClose},
			"closed": {func(t *testing.T, b io.ReadCloser) { _ = b.Close() }, http.ErrBodyReadAfterClose, http.ErrBodyReadAfterClose},
			"closed in the middle": {func(t *testing.T, b io.ReadCloser) {
				_, _ = io.CopyN(io.Discard, b, 20)
				_ = b.Close()
			}, http.ErrBodyReadAfterClose, http.ErrBodyReadAfterClose},
			"left alone": {func(*testing.T, io.ReadCloser) {}, nil, http.ErrBodyReadAfterClose},
		} {
			t.Run(fmt.Sprint(name, ", ", size), func(t *testing.T) {
				var kept io.ReadCloser
				door := baseGuard(t).Protect(operationsPolicy())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					kept = r.Body
					test.handle(t, kept)
					if test.inside != nil {
						if n, err := kept.Read(make([]byte, 10)); n != 0 || !errors.Is(err, test.inside) {
							t.Errorf("in the handler: %d, %v", n, err)
						}
					}
				}))
				door.ServeHTTP(httptest.NewRecorder(), message(sized("safe", "a", size)))
				if n, err := kept.Read(make([]byte, 10)); n != 0 || !errors.Is(err, test.then) {
					t.Errorf("after it: %d, %v; want %v", n, err, test.then)
				}
			})
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

// Decide may keep what it is given, for as long as it likes.
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
	const size = 100 << 10
	for i := range 20 {
		door.ServeHTTP(httptest.NewRecorder(), message(sized("safe", string(rune('a'+i)), size)))
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
