package middleware_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// writer writes legal JSON in as many spellings as there are.
type writer struct {
	*rand.Rand
	bytes.Buffer
}

func (w *writer) blank() {
	for range w.IntN(3) {
		w.WriteByte(" \t\r\n"[w.IntN(4)])
	}
}

func (w *writer) text(s string) {
	w.blank()
	w.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			w.WriteRune('\\')
			w.WriteRune(c)
		case c == '/' && w.IntN(3) == 0:
			w.WriteString(`\/`)
		case c < ' ' || c < 0x10000 && w.IntN(8) == 0:
			fmt.Fprintf(w, []string{`\u%04x`, `\u%04X`}[w.IntN(2)], c)
		default:
			w.WriteRune(c)
		}
	}
	w.WriteByte('"')
	w.blank()
}

func (w *writer) value(depth int) {
	w.blank()
	kind := w.IntN(8)
	if depth <= 0 {
		kind %= 6
	}
	switch kind {
	case 0, 1, 2:
		w.text([]string{"", "a", "tools/call", "danger", "日本語", "\u2028<&>", "😀\x00\x1f", "\\u0000", "\ufeff", strings.Repeat("x", w.IntN(2000))}[w.IntN(10)])
	case 3:
		w.WriteString([]string{"0", "-0", "1e400", "1E-7", "0.1000", "123456789012345678901234567890", "-1.5e+3"}[w.IntN(7)])
	case 4:
		w.WriteString([]string{"true", "false"}[w.IntN(2)])
	case 5:
		w.WriteString("null")
	case 6:
		w.WriteByte('[')
		for i := range w.IntN(5) {
			if i > 0 {
				w.WriteByte(',')
			}
			w.value(depth - 1)
		}
		w.blank()
		w.WriteByte(']')
	case 7:
		w.object(depth-1, w.IntN(5))
	}
	w.blank()
}

func (w *writer) object(depth, members int) {
	w.WriteByte('{')
	for i := range members {
		if i > 0 {
			w.WriteByte(',')
		}
		w.text(fmt.Sprintf("m%d %s", i, []string{"", "é", "method", "Name"}[w.IntN(4)]))
		w.WriteByte(':')
		w.value(depth)
	}
	w.blank()
	w.WriteByte('}')
}

// call writes a call of a tool; its members come in any order.
func (w *writer) call(tool string) {
	w.blank()
	members := []func(){
		func() { w.text("jsonrpc"); w.WriteByte(':'); w.text("2.0") },
		func() { w.text("id"); w.WriteByte(':'); fmt.Fprint(w, w.IntN(1000)) },
		func() { w.text("method"); w.WriteByte(':'); w.text("tools/call") },
		func() {
			w.text("params")
			w.WriteString(`:{`)
			w.text("name")
			w.WriteByte(':')
			w.text(tool)
			w.WriteByte(',')
			w.text("arguments")
			w.WriteByte(':')
			w.object(4, w.IntN(6))
			w.WriteByte('}')
		},
		func() { w.text("extra"); w.WriteByte(':'); w.value(3) },
	}
	w.WriteByte('{')
	for i, at := range w.Perm(len(members)) {
		if i > 0 {
			w.WriteByte(',')
		}
		members[at]()
	}
	w.WriteByte('}')
	w.blank()
}

// MB-40: the handler gets the octets that were sent, over real
// connections of HTTP/1.1 and HTTP/2, with a length, in chunks, and with trailers. The same body with another tool
// does not get there.
func TestMB40TheHandlerGetsTheSameOctets(t *testing.T) {
	o := newOperations(t, operationsPolicy())
	var got []byte
	var trailer, length string
	door := o.guard.Protect(o.policy)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		trailer, length = r.Trailer.Get("X-After"), fmt.Sprint(r.ContentLength == int64(len(got)))
	}))
	one, two := httptest.NewServer(door), httptest.NewUnstartedServer(door)
	two.EnableHTTP2 = true
	two.StartTLS()
	defer one.Close()
	defer two.Close()
	for seed := range uint64(1000) {
		write := func(tool string) []byte {
			w := &writer{Rand: rand.New(rand.NewPCG(seed, 40))}
			if seed%10 != 9 {
				w.call(tool)
				return w.Bytes()
			}
			w.WriteByte('[')
			w.call("safe")
			w.WriteByte(',')
			w.call(tool)
			w.WriteByte(']')
			return w.Bytes()
		}
		body := write("safe")
		if !json.Valid(body) {
			t.Fatalf("the test wrote %q", body)
		}
		send := func(body []byte) int {
			got, trailer, length = nil, "", ""
			var source io.Reader = bytes.NewReader(body)
			if seed%3 > 0 {
				source = io.MultiReader(source) // of unknown length
			}
			s := one
			if seed%5 == 4 {
				s = two
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, source)
			if err != nil {
				t.Fatal(err)
			}
			if seed%3 == 2 {
				r.Trailer = http.Header{"X-After": {"here"}}
			}
			r.Header.Set("Authorization", "Bearer "+good)
			r.Header.Set("Content-Type", "application/json")
			res, err := s.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if (res.ProtoMajor == 2) != (s == two) {
				t.Fatalf("the test spoke %s", res.Proto)
			}
			return res.StatusCode
		}
		if status := send(body); status != http.StatusOK || !bytes.Equal(got, body) || length != "true" {
			t.Fatalf("seed %d: %d, length right: %s\nsent %q\ngot  %q", seed, status, length, body, got)
		}
		if want := map[bool]string{true: "here"}[seed%3 == 2]; trailer != want {
			t.Fatalf("seed %d: trailer %q, want %q", seed, trailer, want)
		}
		if status := send(write("danger")); status != http.StatusForbidden || got != nil {
			t.Fatalf("seed %d: %d for a call that is not allowed, got %q", seed, status, got)
		}
	}
}

// MB-56: who decides twice reads once.
func TestMB56StackedGuards(t *testing.T) {
	forward := func(f *fixture) { f.config.DangerouslyForwardToken = true }
	o := newOperations(t, operationsPolicy(), forward)
	inner := newOperations(t, operationsPolicy())
	o.door = o.guard.Protect(o.policy)(inner.door)
	for body, want := range map[string]int{call("safe"): 200, call("danger"): 403, "{": 400} {
		w := httptest.NewRecorder()
		o.door.ServeHTTP(w, message(body))
		if w.Code != want || want != 200 && len(inner.events) > 1 || want == 200 && string(inner.got[0]) != body {
			t.Errorf("%s: %d, handler got %q", body, w.Code, inner.got)
		}
	}
	t.Run("Check before Protect", func(t *testing.T) {
		o := newOperations(t, operationsPolicy())
		r := message(call("safe"))
		r.ContentLength = -1
		for range 2 {
			if _, err := o.guard.Check(r, o.policy); err != nil {
				t.Error(err)
			}
		}
		w := httptest.NewRecorder()
		if o.door.ServeHTTP(w, r); w.Code != 200 || string(o.got[0]) != call("safe") || r.ContentLength != int64(len(call("safe"))) {
			t.Errorf("%s, handler got %q", dump(w), o.got)
		}
	})
	t.Run("a Check that refuses leaves the body", func(t *testing.T) {
		o := newOperations(t, operationsPolicy())
		r := message(call("danger"))
		if _, err := o.guard.Check(r, o.policy); err == nil {
			t.Error("allowed")
		}
		if text, err := io.ReadAll(r.Body); err != nil || string(text) != call("danger") {
			t.Errorf("%q, %v", text, err)
		}
	})
	t.Run("the inner policy counts too", func(t *testing.T) {
		narrow := operationsPolicy()
		narrow.Tools = map[string]scopes.Requirement{"other": {}}
		inner := newOperations(t, narrow)
		w := httptest.NewRecorder()
		if o.guard.Protect(o.policy)(inner.door).ServeHTTP(w, message(call("safe"))); w.Code != 403 {
			t.Error(dump(w))
		}
	})
	t.Run("the inner one without the token", func(t *testing.T) {
		o, inner := newOperations(t, operationsPolicy()), newOperations(t, operationsPolicy())
		w := httptest.NewRecorder()
		if o.guard.Protect(o.policy)(inner.door).ServeHTTP(w, message(call("safe"))); w.Code != 401 || len(inner.got) > 0 {
			t.Error(dump(w))
		}
	})
}

// once gives its text to whoever comes first, under a lock.
type once struct {
	mu   sync.Mutex
	rest *strings.Reader
}

func (o *once) Read(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.rest.Read(p)
}

func (o *once) Close() error { return nil }

// MB-56: handlers must not write to the request that they are given (net/http,
// Handler), so one request value may be with several of them at a time.
func TestMB56TheSameRequestAtTheSameTime(t *testing.T) {
	var mu sync.Mutex
	var got []string
	door := baseGuard(t).Protect(operationsPolicy())(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(text))
	}))
	for range 50 {
		r := message(call("safe"))
		source := &once{rest: strings.NewReader(call("safe"))}
		r.Body = source
		got = nil
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() { door.ServeHTTP(httptest.NewRecorder(), r) })
		}
		group.Wait()
		if slices.ContainsFunc(got, func(text string) bool { return text != call("safe") }) {
			t.Fatalf("handlers got %q", got)
		}
		if r.Body != source {
			t.Fatal("the request was written to")
		}
	}
}

// MB-49, MB-50: a stream is judged like any request, and ends with its token.
func TestMB50AListenerEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOperations(t, operationsPolicy())
		door := o.guard.Protect(o.policy)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			<-r.Context().Done()
			_, _ = io.WriteString(w, "end")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}))
		listen := ask("subscriptions/listen", `{"notifications":{"resourceSubscriptions":["note://one"]}}`)
		get := func() *http.Request {
			r := message("", "Last-Event-ID: s_1", "Mcp-Session-Id: s")
			r.Method = http.MethodGet
			return r
		}
		for _, r := range []*http.Request{message(listen), get()} {
			start := time.Now()
			o.verifier.token = goodToken("base")
			o.verifier.token.Expiry = start.Add(2 * time.Second)
			w := httptest.NewRecorder()
			door.ServeHTTP(w, r)
			if took := time.Since(start); took != 12*time.Second || w.Body.String() != "end" || !w.Flushed {
				t.Errorf("%s ended after %s with %q", r.Method, took, w.Body)
			}
		}
		o.door = door
		for _, r := range []*http.Request{message(listen), get()} {
			if got := o.serve(r, ""); got != "401 invalid_token" {
				t.Errorf("%s with an expired token: %s", r.Method, got)
			}
		}
	})
}
