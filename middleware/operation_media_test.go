package middleware_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// MB-36: JSON in UTF-8 and nothing else, because the handler may read what the
// header says.
func TestMB36MediaTypes(t *testing.T) {
	const (
		notJSON = "415 -32600: The Content-Type must be application/json, in UTF-8."
		encoded = "415 -32600: The request body must not be compressed."
	)
	o := newOperations(t, operationsPolicy())
	for text, want := range map[string]string{
		"application/json":                                      "200",
		"Application/JSON":                                      "200",
		"application/json; charset=utf-8":                       "200",
		"application/json;charset=UTF-8":                        "200",
		`application/json; charset="utf-8"`:                     "200",
		" application/json ":                                    "200",
		"":                                                      notJSON,
		"text/plain":                                            notJSON,
		"text/json":                                             notJSON,
		"application/json-rpc":                                  notJSON,
		"application/jsonx":                                     notJSON,
		"application/vnd.api+json":                              notJSON,
		"application/json-seq":                                  notJSON,
		"application/x-ndjson":                                  notJSON,
		"application/json;charset=utf-16":                       notJSON,
		"application/json; charset=utf-7":                       notJSON,
		"application/json; charset=iso-8859-1":                  notJSON,
		"application/json; charset=":                            notJSON,
		"application/json; charset=utf-8; charset=utf-16":       notJSON,
		"application/json; charset=utf-8; x=y":                  notJSON,
		"application/json; boundary=x":                          notJSON,
		"application/json, text/plain":                          notJSON,
		"application/json;charset=utf-16,application/json":      notJSON,
		"multipart/form-data; boundary=x":                       notJSON,
		"application/x-www-form-urlencoded":                     notJSON,
		"application/*":                                         notJSON,
		"*/*":                                                   notJSON,
		"application":                                           notJSON,
		"application/json x":                                    notJSON,
		"application/json\x00":                                  notJSON,
		"application/json; charset*=utf-8''utf-16":              notJSON,
		"application/json; charset*=utf-16''utf-16":             notJSON,
		"application/json; charset*0=utf-; charset*1=16":        notJSON,
		"application/json; charset=utf-8; charset*=x''utf-16":   notJSON,
		"application/json; charset*0=utf-8; charset*1*=x''u":    notJSON,
		"application/json; charset*0*=x''utf-16; charset*1=foo": notJSON,
	} {
		r := message(call("safe"))
		r.Header["Content-Type"] = []string{text}
		if got := o.serve(r, call("safe")); got != want {
			t.Errorf("Content-Type %q: %s, want %s", text, got, want)
		}
	}
	for _, fields := range [][]string{nil, {}, {"application/json", "application/json"}, {"application/json", "text/plain"}} {
		r := message(call("safe"))
		if r.Header["Content-Type"] = fields; fields == nil {
			delete(r.Header, "Content-Type")
		}
		if got := o.serve(r, call("safe")); got != notJSON {
			t.Errorf("Content-Type %q: %s, want %s", fields, got, notJSON)
		}
	}
	for _, tt := range []struct {
		fields []string
		want   string
	}{
		{nil, "200"},
		{[]string{"identity"}, "200"},
		{[]string{"Identity"}, "200"},
		{[]string{"gzip"}, encoded},
		{[]string{"x-gzip"}, encoded},
		{[]string{"br"}, encoded},
		{[]string{"deflate"}, encoded},
		{[]string{"zstd"}, encoded},
		{[]string{"identity, gzip"}, encoded},
		{[]string{"identity", "gzip"}, encoded},
		{[]string{"gzip", "identity"}, encoded},
		{[]string{""}, encoded},
		{[]string{"identity", "identity"}, encoded},
	} {
		r := message(call("safe"))
		if tt.fields != nil {
			r.Header["Content-Encoding"] = tt.fields
		}
		if got := o.serve(r, call("safe")); got != tt.want {
			t.Errorf("Content-Encoding %q: %s, want %s", tt.fields, got, tt.want)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// MB-33: no body over the limit reaches the handler, and no more than the limit
// and one buffer is read of it.
func TestMB33Sizes(t *testing.T) {
	const tooLarge = "413 -32600: The request body is too large."
	const limit = 4 << 10
	exact := func(size int) string { return call("safe") + strings.Repeat(" ", size-len(call("safe"))) }
	small := newOperations(t, operationsPolicy(), func(f *fixture) { f.config.MaxBody = limit })
	for _, declared := range []bool{true, false} {
		for size, want := range map[int]string{limit: "200", limit - 1: "200", limit + 1: tooLarge, 3 * limit: tooLarge} {
			r := message(exact(size))
			if !declared {
				r.ContentLength = -1
			}
			source := r.Body.(*closable)
			if got := small.serve(r, exact(size)); got != want {
				t.Errorf("%d octets, declared %t: %s, want %s", size, declared, got, want)
			}
			if declared && size > limit && source.read > 0 {
				t.Errorf("%d octets were read of a body that says it is too large", source.read)
			}
			if source.read > limit+1 {
				t.Errorf("%d octets were read", source.read)
			}
		}
	}
	t.Run("1 TB is declared", func(t *testing.T) {
		r := message("")
		source := &closable{Reader: endless{}}
		r.Body, r.ContentLength = source, 1<<40
		if got := small.serve(r, ""); got != tooLarge || source.read != 0 {
			t.Errorf("%s after %d octets", got, source.read)
		}
	})
	t.Run("an endless body", func(t *testing.T) {
		r := message("")
		source := &closable{Reader: endless{}}
		r.Body, r.ContentLength = source, -1
		if got := small.serve(r, ""); got != tooLarge || source.read > limit+1 {
			t.Errorf("%s after %d octets", got, source.read)
		}
	})
	t.Run("4 MiB are the default", func(t *testing.T) {
		o := newOperations(t, operationsPolicy())
		for size, want := range map[int]string{4 << 20: "200", 4<<20 + 1: tooLarge} {
			if got := o.send(exact(size)); got != want {
				t.Errorf("%d octets: %s, want %s", size, got, want)
			}
		}
	})
	t.Run("a smaller limit outside is kept", func(t *testing.T) {
		before := len(small.got)
		w := httptest.NewRecorder()
		http.MaxBytesHandler(small.door, 200).ServeHTTP(w, message(exact(limit)))
		if w.Code != http.StatusBadRequest && w.Code != http.StatusRequestEntityTooLarge || len(small.got) != before {
			t.Errorf("the handler ran %d times\n%s", len(small.got)-before, dump(w))
		}
	})
}

// O6: what a refusal costs goes by what was sent, not by what was announced: a
// client that sends nothing more would keep it for as long as it likes.
func TestMB33ARefusalCostsLittle(t *testing.T) {
	door := baseGuard(t).Protect(operationsPolicy())(http.NotFoundHandler())
	for name, body := range map[string]string{
		"a scope": call("danger"), "denied": call("later"), "no JSON": "{", "a name twice": `{"id":1,"id":2}`,
		"nested": `{"x":` + strings.Repeat("[", 1000), "a batch": "[" + strings.Repeat(call("safe")+",", 50) + call("danger") + "]",
		"4 MiB are announced, 10 octets come": "announced",
	} {
		t.Run(name, func(t *testing.T) {
			least, most := uint64(1<<62), uint64(64<<10)
			for range 10 {
				r := message(body)
				if body == "announced" {
					r = message(body + ".")
					r.ContentLength = 4 << 20
					most = 128 << 10 // a first buffer
				}
				w := discard{http.Header{}}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				door.ServeHTTP(w, r)
				runtime.ReadMemStats(&after)
				least = min(least, after.TotalAlloc-before.TotalAlloc)
			}
			if least > most {
				t.Errorf("%d octets were allocated", least)
			}
		})
	}
}

// broken ends with err, and counts how often.
type broken struct {
	io.Reader
	err  error
	ends int
}

func (b *broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		err = b.err
		if b.ends++; b.ends > 100 {
			err = io.ErrNoProgress // so that a test ends
		}
	}
	return n, err
}

// MB-39: a body that ends early is not judged by its beginning.
func TestMB39BodiesThatBreakOff(t *testing.T) {
	const incomplete = "400 -32700: The request body is incomplete."
	o := newOperations(t, operationsPolicy())
	whole := call("safe")
	for name, change := range map[string]func(*http.Request){
		"an error behind a whole message": func(r *http.Request) {
			r.Body, r.ContentLength = &closable{Reader: &broken{Reader: strings.NewReader(whole), err: errBoom}}, -1
		},
		"an error at once": func(r *http.Request) {
			r.Body = &closable{Reader: &broken{Reader: strings.NewReader(""), err: errBoom}}
		},
		"an error in the middle": func(r *http.Request) {
			r.Body = &closable{Reader: &broken{Reader: strings.NewReader(whole[:20]), err: io.ErrUnexpectedEOF}}
		},
		"shorter than declared":            func(r *http.Request) { r.ContentLength = int64(len(whole)) + 1 },
		"longer than declared":             func(r *http.Request) { r.ContentLength = int64(len(whole)) - 1 },
		"longer than declared, by a blank": func(r *http.Request) { r.Body = &closable{Reader: strings.NewReader(whole + " ")} },
		"declared empty":                   func(r *http.Request) { r.ContentLength = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			o.t = t
			r := message(whole)
			change(r)
			if got := o.serve(r, whole); got != incomplete {
				t.Errorf("answer %s, want %s", got, incomplete)
			}
		})
	}
	r := message("")
	r.Body, r.ContentLength = http.NoBody, 0
	if got := o.serve(r, ""); got != "400 -32700: not JSON in UTF-8" {
		t.Errorf("no body: %s", got)
	}
	// A body is whole at its declared length, whatever its Reader says then.
	for _, end := range []error{errBoom, nil} {
		r := message(whole)
		source := &broken{Reader: strings.NewReader(whole), err: end}
		r.Body = &closable{Reader: source}
		if got := o.serve(r, whole); got != "200" || source.ends > 1 {
			t.Errorf("%v behind the end: %s, asked %d times", end, got, source.ends)
		}
	}
}

// The same with real connections, of clients that stop, vanish or dawdle.
func TestMB39ConnectionsThatBreakOff(t *testing.T) {
	o := newOperations(t, operationsPolicy())
	decided := make(chan middleware.Outcome, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.door.ServeHTTP(w, r)
		decided <- o.last().Outcome
	}))
	s.Config.ReadTimeout = 100 * time.Millisecond
	s.Start()
	defer s.Close()
	wr := &wire{Server: s}
	head := func(fields ...string) string {
		return lines(append([]string{"POST /mcp HTTP/1.1", "Host: h", "Authorization: Bearer " + good, "Content-Type: application/json"}, fields...)...)
	}
	whole := call("safe")
	for name, tt := range map[string]struct {
		text string
		hang bool
	}{
		"gone in the middle":              {head("Content-Length: 1000") + whole, false},
		"gone within a chunk":             {head("Transfer-Encoding: chunked") + "fff\r\n" + whole, false},
		"gone before the last chunk":      {head("Transfer-Encoding: chunked") + "2\r\n{}\r\n", false},
		"a chunk of nonsense":             {head("Transfer-Encoding: chunked") + "zz\r\n" + whole, false},
		"waits with the rest":             {head("Content-Length: 1000") + whole, true},
		"waits with the last chunk":       {head("Transfer-Encoding: chunked") + "2\r\n{}\r\n", true},
		"a whole message, and then waits": {head("Content-Length: 1000") + whole + strings.Repeat(" ", 100), true},
	} {
		t.Run(name, func(t *testing.T) {
			conn, in := wr.send(t, tt.text)
			if tcp, ok := conn.(interface{ CloseWrite() error }); ok && !tt.hang {
				if err := tcp.CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			if got := <-decided; got != middleware.OutcomeInvalidMessage {
				t.Errorf("outcome %s", got)
			}
			if rest, _ := io.ReadAll(in); !bytes.HasPrefix(rest, []byte("HTTP/1.1 400")) {
				t.Errorf("answer %.80q", rest)
			}
		})
	}
	if len(o.got) > 0 {
		t.Errorf("the handler ran with %q", o.got)
	}
}

// The calls that come over an upgraded connection nobody would read, so the
// handler does not hear of the wish; the caller's request keeps its fields.
func TestNoOtherProtocolOnTheConnection(t *testing.T) {
	var got http.Header
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header })
	guard := baseGuard(t)
	for name, test := range map[string]struct {
		policy scopes.Policy
		stays  bool
	}{
		"a policy that names tools": {operationsPolicy(), false},
		"a route":                   {scopes.Policy{Base: scopes.All("base")}, true},
	} {
		t.Run(name, func(t *testing.T) {
			door := guard.Protect(test.policy)(handler)
			for method, body := range map[string]string{http.MethodGet: "", http.MethodPost: call("safe")} {
				for _, protocol := range []string{"websocket", "h2c", "mine"} {
					got = nil
					r := message(body, "Connection: Upgrade, HTTP2-Settings", "Upgrade: "+protocol, "Http2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
					r.Method = method
					door.ServeHTTP(httptest.NewRecorder(), r)
					if got == nil {
						t.Fatalf("%s with %s does not reach the handler", method, protocol)
					}
					if stays := got["Upgrade"] != nil && got["Http2-Settings"] != nil; stays != test.stays || got["Connection"] == nil {
						t.Errorf("%s with %s: the handler sees %v", method, protocol, got)
					}
					if r.Header.Get("Upgrade") != protocol {
						t.Error("the caller's request was written to")
					}
				}
			}
		})
	}
	r := message(call("safe"), "Upgrade: websocket")
	if _, err := guard.Check(r, operationsPolicy()); err != nil || r.Header["Upgrade"] != nil {
		t.Errorf("Check: %v, %v", err, r.Header)
	}
}
