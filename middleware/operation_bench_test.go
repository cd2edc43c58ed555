package middleware_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// toolsPolicy names n tools, the last of which is tool.
func toolsPolicy(n int) scopes.Policy {
	policy := scopes.Policy{Base: scopes.All("base"), Tools: map[string]scopes.Requirement{"tool": scopes.All("base")}}
	for i := range n - 1 {
		policy.Tools[fmt.Sprintf("tool-%d", i)] = scopes.All(fmt.Sprintf("scope-%d", i%20))
	}
	return policy
}

// callOf is a tools/call of 2026-07-28 with size octets, in one text or in many
// members.
func callOf(size int, manyMembers bool) []byte {
	head := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"tool","_meta":` + modernMeta + `,"arguments":{`
	var b strings.Builder
	b.WriteString(head)
	if manyMembers {
		for i := 0; b.Len() < size-60; i++ {
			fmt.Fprintf(&b, `"member%d":["text %d",%d,true],`, i, i, i)
		}
	}
	b.WriteString(`"text":"`)
	b.WriteString(strings.Repeat("x", max(size-b.Len()-len(`"}}}`), 0)))
	b.WriteString(`"}}}`)
	return []byte(b.String())
}

// rewound is a request whose body is there again for each round.
type rewound struct {
	*http.Request
	body   []byte
	reader bytes.Reader
}

func newRewound(ctx context.Context, body []byte) *rewound {
	r := request("Authorization: Bearer "+good, "Accept: application/json", "Content-Type: application/json",
		version, "Mcp-Method: tools/call", "Mcp-Name: tool", "User-Agent: bench/1.0", "Accept-Encoding: gzip").WithContext(ctx)
	return &rewound{Request: r, body: body}
}

func (r *rewound) Close() error { return nil }

func (r *rewound) Read(p []byte) (int, error) { return r.reader.Read(p) }

func (r *rewound) again() *http.Request {
	r.reader.Reset(r.body)
	r.Body, r.ContentLength = r, int64(len(r.body))
	return r.Request
}

// BenchmarkOperation measures what a decision by the body adds: compare with
// "Require". The handler does nothing.
func BenchmarkOperation(b *testing.B) {
	idle := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	guard := baseGuard(b)
	ten, many := guard.Protect(toolsPolicy(10))(idle), guard.Protect(toolsPolicy(10000))(idle)
	for _, bb := range []struct {
		name    string
		handler http.Handler
		body    []byte
	}{
		{"Require, 2 KiB", guard.Require("base")(idle), callOf(2<<10, false)},
		{"10 tools, 2 KiB", ten, callOf(2<<10, false)},
		{"10 tools, 2 KiB of members", ten, callOf(2<<10, true)},
		{"10000 tools, 2 KiB", many, callOf(2<<10, false)},
		{"10 tools, 1 MiB", ten, callOf(1<<20, false)},
		{"10 tools, 1 MiB of members", ten, callOf(1<<20, true)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			r := newRewound(ctx, bb.body)
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				bb.handler.ServeHTTP(w, r.again())
			}
		})
	}
}

// shapes are what 1 MiB of arguments may look like.
var shapes = []string{"text", "source", "UTF-8", "records", "members"}

// shaped returns a call with 1 MiB of arguments, as a text or as a tree.
func shaped(shape string) []byte {
	fill := func(piece string) string { return strings.Repeat(piece, 1<<20/len(piece)) }
	var value string
	switch shape {
	case "text":
		value = `"` + fill("A line of plain text without anything to escape. ") + `"`
	case "source":
		value = `"` + fill(`\tif err := f(\"x\"); err != nil {\n\t\treturn err\n\t}\n`) + `"`
	case "UTF-8":
		value = `"` + fill("Größe für Straßen, 日本語テキスト. ") + `"`
	case "records":
		value = `[` + fill(`{"id":12345,"name":"someone","tags":["a","b"],"active":true,"score":1.25,"at":{"city":"Paris"}},`) + `0]`
	default:
		return callOf(1<<20, true)
	}
	return bytes.Replace(callOf(0, false), []byte(`"text":""`), []byte(`"text":`+value), 1)
}

// BenchmarkOperationOverHTTP compares a decision about 1 MiB of arguments with
// reading them, over loopback. The handler is the same behind both doors, so that
// behind Protect it reads once more what has been read.
func BenchmarkOperationOverHTTP(b *testing.B) {
	discards := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	collects := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) })
	guard := baseGuard(b)
	for _, shape := range shapes {
		body := shaped(shape)
		for _, bb := range []struct {
			name    string
			handler http.Handler
		}{
			{"Require and discard", guard.Require("base")(discards)},
			{"Protect and discard", guard.Protect(toolsPolicy(10))(discards)},
			{"Require and ReadAll", guard.Require("base")(collects)},
			{"Protect and ReadAll", guard.Protect(toolsPolicy(10))(collects)},
		} {
			b.Run(shape+"/"+bb.name, func(b *testing.B) {
				s := httptest.NewServer(bb.handler)
				defer s.Close()
				b.SetBytes(int64(len(body)))
				for b.Loop() {
					r := newRewound(b.Context(), body)
					again := r.again()
					out, err := http.NewRequestWithContext(b.Context(), http.MethodPost, s.URL, bytes.NewReader(body))
					if err != nil {
						b.Fatal(err)
					}
					out.Header = again.Header
					res, err := s.Client().Do(out)
					if err != nil || res.StatusCode != http.StatusOK {
						b.Fatal(res, err)
					}
					_ = res.Body.Close()
				}
			})
		}
	}
}

// BenchmarkOperationBeforeServers puts the decision about 1 MiB of arguments beside
// what two servers spend on reading and answering the same call, over loopback.
func BenchmarkOperationBeforeServers(b *testing.B) {
	guard := baseGuard(b)
	protect := guard.Protect(scopes.Policy{Tools: map[string]scopes.Requirement{"safe": scopes.All("base")}})
	for _, server := range []*behind{officialServer(), markServer()} {
		for _, shape := range shapes {
			body := bytes.Replace(shaped(shape), []byte(`"name":"tool"`), []byte(`"name":"safe"`), 1)
			for name, handler := range map[string]http.Handler{"Require": guard.Require("base")(server.handler), "Protect": protect(server.handler)} {
				b.Run(server.name+"/"+shape+"/"+name, func(b *testing.B) {
					s := httptest.NewServer(handler)
					defer s.Close()
					header := newRewound(b.Context(), body).Header
					header.Set("Mcp-Name", "safe")
					header.Set("Accept", "application/json, text/event-stream")
					before := server.safe.Load()
					b.SetBytes(int64(len(body)))
					for b.Loop() {
						out, err := http.NewRequestWithContext(b.Context(), http.MethodPost, s.URL, bytes.NewReader(body))
						if err != nil {
							b.Fatal(err)
						}
						out.Header = header
						res, err := s.Client().Do(out)
						if err != nil {
							b.Fatal(err)
						}
						_, _ = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
					}
					if ran := server.safe.Load() - before; ran < int64(b.N) {
						b.Errorf("the tool ran %d times of %d", ran, b.N)
					}
				})
			}
		}
	}
}

// The bar: 15 allocations over Require for a call of 2 KiB, whatever the number of
// tools.
func TestDecidingAllocatesLittle(t *testing.T) {
	idle := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	guard := baseGuard(t)
	measure := func(h http.Handler, body []byte) float64 {
		r, w := newRewound(t.Context(), body), discard{http.Header{}}
		return testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r.again()) })
	}
	base := measure(guard.Require("base")(idle), callOf(2<<10, false))
	for _, tools := range []int{10, 10000} {
		door := guard.Protect(toolsPolicy(tools))(idle)
		for _, members := range []bool{false, true} {
			if n := measure(door, callOf(2<<10, members)) - base; n > 15 {
				t.Errorf("%d tools, members %t: %v allocations over Require", tools, members, n)
			}
		}
	}
}

// A handler behind both doors, so that the numbers above are of accepted calls.
func TestBenchmarkedCallsAreAccepted(t *testing.T) {
	ran := 0
	count := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ran++
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n != r.ContentLength {
			t.Errorf("%d of %d octets, %v", n, r.ContentLength, err)
		}
	})
	guard := baseGuard(t)
	for _, h := range []http.Handler{guard.Require("base")(count), guard.Protect(toolsPolicy(10))(count), guard.Protect(toolsPolicy(10000))(count)} {
		for _, body := range [][]byte{callOf(2<<10, false), callOf(2<<10, true), callOf(1<<20, false), callOf(1<<20, true)} {
			h.ServeHTTP(discard{http.Header{}}, newRewound(t.Context(), body).again())
		}
	}
	if ran != 12 {
		t.Errorf("%d of 12 calls were accepted", ran)
	}
}
