package middleware_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// wire is a protected server on a loopback socket, for what httptest.NewRequest
// cannot express.
type wire struct {
	*httptest.Server

	mu       sync.Mutex
	ran      []string // what the handler saw: method and path
	outcomes []middleware.Outcome
	panics   strings.Builder
}

func newWire(t *testing.T, start func(*httptest.Server)) *wire {
	t.Helper()
	wr := &wire{}
	known := goodToken("files:read")
	guard, err := middleware.New(middleware.Config{
		Metadata:       prm.Metadata{Resource: resource, AuthorizationServers: []string{issuerURL}},
		AllowedOrigins: []string{appOrigin},
		Verifier: verifier.Func(func(_ context.Context, token string) (*verifier.Token, error) {
			if token != good {
				return nil, verifier.ErrInvalidToken
			}
			return known, nil
		}),
		Observe: func(_ context.Context, e middleware.Event) {
			wr.mu.Lock()
			defer wr.mu.Unlock()
			wr.outcomes = append(wr.outcomes, e.Outcome)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(guard.Metadata().Path(), guard.Metadata())
	mux.Handle("/mcp", guard.Require("files:read")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		wr.mu.Lock()
		defer wr.mu.Unlock()
		wr.ran = append(wr.ran, r.Method+" "+r.URL.Path)
	})))
	mux.Handle("/public/", guard.Protect(scopes.Policy{Base: scopes.Public()})(http.NotFoundHandler()))
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				wr.mu.Lock()
				defer wr.mu.Unlock()
				fmt.Fprintln(&wr.panics, p)
			}
		}()
		mux.ServeHTTP(w, r)
	})
	wr.Server = httptest.NewUnstartedServer(counted)
	if start == nil {
		start = (*httptest.Server).Start
	}
	start(wr.Server)
	t.Cleanup(func() {
		wr.Close()
		if wr.panics.Len() > 0 {
			t.Errorf("panics: %s", wr.panics.String())
		}
	})
	return wr
}

// saw returns, and forgets, the outcomes and the requests of the handler.
func (w *wire) saw() (outcomes []middleware.Outcome, ran []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	outcomes, ran = w.outcomes, w.ran
	w.outcomes, w.ran = nil, nil
	return outcomes, ran
}

// send writes bytes to a new connection and returns it with its reader.
func (w *wire) send(t *testing.T, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", w.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// The server may answer and close before it has read everything.
	_, _ = io.WriteString(conn, text)
	return conn, bufio.NewReader(conn)
}

// response reads one answer and discards its body.
func response(t *testing.T, in *bufio.Reader) *http.Response {
	t.Helper()
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}

// lines makes a request head of lines.
func lines(text ...string) string { return strings.Join(text, "\r\n") + "\r\n\r\n" }

func TestHTTP1(t *testing.T) {
	const (
		post   = "POST /mcp HTTP/1.1"
		host   = "Host: h"
		bearer = "Authorization: Bearer " + good
		none   = "Content-Length: 0"
	)
	wr := newWire(t, nil)
	for _, tt := range []struct {
		name string
		text string
		want []int // any of these
		ran  string
	}{
		{"a good request", lines(post, host, bearer, none), []int{200}, "POST /mcp"},
		{"HT-01 none", lines(post, host, none), []int{401}, ""},
		{"HT-02 two fields", lines(post, host, bearer, "authorization: Bearer "+bad, none), []int{400}, ""},
		{"HT-07 blanks around", lines(post, host, "Authorization: \t Bearer  "+good+" \t", none), []int{200}, "POST /mcp"},
		{"HT-08 a tab", lines(post, host, "Authorization: Bearer\t"+good, none), []int{400}, ""},
		{"HT-08 obs-fold", lines(post, host, "Authorization: Bearer", " "+good, none), []int{200, 400}, "?"},
		{"HT-08 Latin-1 NBSP", lines(post, host, "Authorization: Bearer\xa0"+good, none), []int{400}, ""},
		{"HT-08 NUL", lines(post, host, "Authorization: Bearer "+good+"\x00", none), []int{400}, ""},
		{"HT-16 a field name with an underscore", lines(post, host, "Authorization_: Bearer "+good, none), []int{401}, ""},
		{"HT-16 a blank before the colon", lines(post, host, "Authorization : Bearer "+good, none), []int{400}, ""},
		{"HT-25 HTTP/1.0 without Host", lines("POST /mcp HTTP/1.0", bearer, none), []int{200}, "POST /mcp"},
		{"HT-25 HTTP/1.0 without Host and token", lines("POST /mcp HTTP/1.0", none), []int{401}, ""},
		{"HT-26 absolute form", lines("GET http://evil.example/mcp HTTP/1.1", host), []int{401}, ""},
		{"HT-28 a double slash", lines("POST //mcp HTTP/1.1", host, bearer, none), []int{307, 404}, ""},
		{"HT-28 a dot", lines("POST /./mcp HTTP/1.1", host, bearer, none), []int{307, 404}, ""},
		{"HT-28 two dots", lines("POST /x/../mcp HTTP/1.1", host, bearer, none), []int{307, 404}, ""},
		{"HT-28 protocol relative", lines("POST //evil.example/mcp HTTP/1.1", host, bearer, none), []int{307, 404}, ""},
		{"HT-30 escaped letter", lines("POST /%6dcp HTTP/1.1", host, none), []int{401, 404}, ""},
		{"HT-30 another", lines("POST /mc%70 HTTP/1.1", host, none), []int{401, 404}, ""},
		{"HT-30 escaped slash", lines("POST /mcp%2f HTTP/1.1", host, none), []int{401, 404}, ""},
		{"HT-30 NUL", lines("POST /mcp%00 HTTP/1.1", host, none), []int{401, 404}, ""},
		{"HT-30 blank", lines("POST /mcp%20 HTTP/1.1", host, none), []int{401, 404}, ""},
		{"HT-30 path parameter", lines("POST /mcp;jsessionid=1 HTTP/1.1", host, none), []int{401, 404}, ""},
		{"HT-30 trailing dot", lines("POST /mcp. HTTP/1.1", host, none), []int{401, 404}, ""},
		{"HT-30 fullwidth slash", lines("POST /mcp%ef%bc%8f HTTP/1.1", host, none), []int{401, 404}, ""},
		{"HT-30 out of an open route", lines("POST /public/%2e%2e/mcp HTTP/1.1", host, none), []int{307, 401, 404}, ""},
		{"HT-30 out of an open route, escaped slash", lines("POST /public/..%2fmcp HTTP/1.1", host, none), []int{307, 401, 404}, ""},
		{"HT-35 get", lines("get /mcp HTTP/1.1", host), []int{401}, ""},
		{"HT-35 GETX", lines("GETX /mcp HTTP/1.1", host), []int{401}, ""},
		{"HT-35 PROPFIND", lines("PROPFIND /mcp HTTP/1.1", host), []int{401}, ""},
		{"HT-35 TRACE", lines("TRACE /mcp HTTP/1.1", host), []int{401}, ""},
		{"HT-35 CONNECT", lines("CONNECT /mcp HTTP/1.1", host), []int{401}, ""},
		{"HT-35 a method with a path", lines("POST /x /mcp HTTP/1.1", host), []int{400}, ""},
		{"HT-35 1 KiB of method", lines(strings.Repeat("A", 1<<10)+" /mcp HTTP/1.1", host), []int{401}, ""},
		{"HT-39 OPTIONS *", lines("OPTIONS * HTTP/1.1", host, bearer), []int{200}, ""},
		{"HT-53 two lengths", lines(post, host, bearer, "Content-Length: 1", "Content-Length: 2"), []int{400}, ""},
		{"HT-53 a signed length", lines(post, host, bearer, "Content-Length: +3"), []int{400}, ""},
		{"HT-53 an unknown coding", lines(post, host, bearer, "Transfer-Encoding: xchunked"), []int{501}, ""},
		{"HT-54 10,000 fields", lines(post, host, strings.Repeat("A: b\r\n", 10000)+"B: c", none), []int{401, 431}, ""},
		{"HT-54 a field of 900 KiB", lines(post, host, "Authorization: Bearer "+strings.Repeat(".", 900<<10), none), []int{401, 431}, ""},
		{"HT-54 a field of 2 MiB", lines(post, host, "Authorization: Bearer "+strings.Repeat(".", 2<<20), none), []int{431}, ""},
		{"HT-60 Authorization as a trailer", lines(post, host, "Transfer-Encoding: chunked", "Trailer: Authorization") +
			"1\r\nx\r\n0\r\n" + lines(bearer), []int{401}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wr.saw()
			_, in := wr.send(t, tt.text)
			res := response(t, in)
			_, ran := wr.saw()
			if !slices.Contains(tt.want, res.StatusCode) {
				t.Errorf("answer %s, want %v", res.Status, tt.want)
			}
			if got := strings.Join(ran, ","); got != tt.ran && (tt.ran != "?" || (got != "") != (res.StatusCode == 200)) {
				t.Errorf("the handler ran for %q", got)
			}
			if to := res.Header.Get("Location"); to != "" && (!strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//")) {
				t.Errorf("redirect to %q", to)
			}
			if challenge := res.Header.Get("WWW-Authenticate"); challenge != "" {
				checkAnswer(t, res.StatusCode, res.Header, metadataURL)
			}
		})
	}
}

func TestHT53TheNextRequestIsNotSmuggled(t *testing.T) {
	next := lines("POST /mcp HTTP/1.1", "Host: h", "Authorization: Bearer "+good, "Content-Length: 0")
	for name, text := range map[string]string{
		"length and coding": lines("POST /mcp HTTP/1.1", "Host: h", "Content-Length: 4", "Transfer-Encoding: chunked") +
			"5\r\nPOST \r\n0\r\n\r\n",
		"a chunk extension": lines("POST /mcp HTTP/1.1", "Host: h", "Transfer-Encoding: chunked") +
			"1;" + strings.Repeat("a", 1000) + "\r\nx\r\n0\r\n\r\n",
		"a bare LF in the chunk size": lines("POST /mcp HTTP/1.1", "Host: h", "Transfer-Encoding: chunked") +
			"1;a\nb\r\nx\r\n0\r\n\r\n",
		"a body nobody reads": lines("POST /mcp HTTP/1.1", "Host: h", "Content-Length: 9") + "GET /mcp ",
	} {
		t.Run(name, func(t *testing.T) {
			wr := newWire(t, nil)
			_, in := wr.send(t, text+next)
			res := response(t, in)
			if res.StatusCode != 401 && res.StatusCode != 400 {
				t.Errorf("answer %s", res.Status)
			}
			// The server may close the connection; if not, it reads what was sent.
			if !res.Close {
				if second, err := http.ReadResponse(in, nil); err == nil && second.StatusCode != 200 {
					t.Errorf("the next answer: %s", second.Status)
				}
			}
			if _, ran := wr.saw(); len(ran) > 1 || len(ran) == 1 && ran[0] != "POST /mcp" {
				t.Errorf("the handler ran for %q", ran)
			}
		})
	}
}

func TestHT57NobodyAsksForTheBodyOfARefusedRequest(t *testing.T) {
	wr := newWire(t, nil)
	conn, in := wr.send(t, lines("POST /mcp HTTP/1.1", "Host: h", "Authorization: Bearer "+bad,
		"Expect: 100-continue", "Content-Length: 1073741824"))
	res := response(t, in)
	if res.StatusCode != 401 || !res.Close {
		t.Errorf("answer %s, close %t", res.Status, res.Close)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the connection is open: %d, %v", n, err)
	}
}

// net/http waits for the rest of a small body before it answers, so the server's
// ReadTimeout bounds a slow one. The decision does not wait.
func TestHT58ASlowBodyDelaysNoDecision(t *testing.T) {
	for token, want := range map[string]middleware.Outcome{
		bad: middleware.OutcomeInvalidToken, good: middleware.OutcomeAllowed,
	} {
		wr := newWire(t, func(s *httptest.Server) { s.Config.ReadTimeout = 100 * time.Millisecond; s.Start() })
		_, in := wr.send(t, lines("POST /mcp HTTP/1.1", "Host: h", "Authorization: Bearer "+token, "Content-Length: 1000")+"{")
		_ = response(t, in)
		if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("the connection is open: %v", err)
		}
		if outcomes, _ := wr.saw(); len(outcomes) != 1 || outcomes[0] != want {
			t.Errorf("outcomes %v, want %s", outcomes, want)
		}
	}
}

func TestHT55ManyStreamsWithBadTokens(t *testing.T) {
	wr := newWire(t, func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() })
	before := runtime.NumGoroutine()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for range 50 {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, wr.URL+"/mcp", strings.NewReader("{}"))
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("Authorization", "Bearer "+bad)
				res, err := wr.Client().Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != 401 || res.ProtoMajor != 2 {
					t.Errorf("answer %s %s", res.Proto, res.Status)
				}
			}
		})
	}
	group.Wait()
	outcomes, ran := wr.saw()
	if len(outcomes) != 1000 || len(ran) != 0 {
		t.Errorf("%d events, handler ran %d times", len(outcomes), len(ran))
	}
	if more := runtime.NumGoroutine() - before; more > 100 {
		t.Errorf("%d goroutines more", more)
	}
}

func TestHT62TheServerNameMakesNoDifference(t *testing.T) {
	wr := newWire(t, (*httptest.Server).StartTLS)
	for _, name := range []string{"", "mcp.example.com", "evil.example"} {
		for token, want := range map[string]int{good: 200, bad: 401} {
			conn, err := tls.Dial("tcp", wr.Listener.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true}) //nolint:gosec // the name is the point
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(conn, lines("POST /mcp HTTP/1.1", "Host: mcp.example.com", "Authorization: Bearer "+token, "Content-Length: 0"))
			if res := response(t, bufio.NewReader(conn)); res.StatusCode != want {
				t.Errorf("server name %q: %s", name, res.Status)
			}
			_ = conn.Close()
		}
	}
}
