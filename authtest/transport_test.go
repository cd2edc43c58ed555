package authtest_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

type contextKey struct{}

func call(t *testing.T, handler http.HandlerFunc, request *http.Request) (*http.Response, error) {
	t.Helper()
	response, err := authtest.Network{"https://h.example": handler}.RoundTrip(request)
	if err == nil {
		t.Cleanup(func() { _ = response.Body.Close() })
	}
	return response, err
}

func newRequest(t *testing.T, ctx context.Context, method, url, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func TestNetwork_shows_the_handler_a_server_request(t *testing.T) {
	ctx := context.WithValue(t.Context(), contextKey{}, "of the client")
	request := newRequest(t, ctx, http.MethodPost, "https://H.example:443/a%2fb?q=1", "ping")
	request.Header.Set("X-Test", "1")
	response, err := call(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != "POST" || r.RequestURI != "/a%2fb?q=1" || r.URL.EscapedPath() != "/a%2fb" || r.URL.Host != "" ||
			r.Host != "H.example:443" || r.TLS == nil || r.RemoteAddr == "" || string(body) != "ping" || r.Header.Get("X-Test") != "1" {
			t.Errorf("request %+v, body %q", r, body)
		}
		if r.Context().Value(contextKey{}) != nil {
			t.Error("a value of the client's context reached the server")
		}
		r.Header.Set("X-Test", "changed")
		w.Header().Set("X-Answer", "yes")
		w.WriteHeader(http.StatusTeapot)
		w.Header().Set("X-Late", "no")
		_, _ = io.WriteString(w, "pong")
	}, request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "pong" || response.StatusCode != http.StatusTeapot || response.Status != "418 I'm a teapot" {
		t.Errorf("%s %q %v", response.Status, body, err)
	}
	if response.Header.Get("X-Answer") != "yes" || response.Header.Get("X-Late") != "" || response.Header.Get("Date") == "" {
		t.Errorf("header %v", response.Header)
	}
	if request.Header.Get("X-Test") != "1" || request.Header.Get("Accept-Encoding") != "" || request.URL.Host == "" {
		t.Error("the client's request was changed")
	}
}

func TestNetwork_other_origins_do_not_exist(t *testing.T) {
	network := authtest.Network{"https://h.example": http.NotFoundHandler(), "http://[::1]:8080": http.NotFoundHandler()}
	for url, exists := range map[string]bool{
		"https://h.example/":      true,
		"https://h.example:443/":  true,
		"https://H.EXAMPLE/":      true,
		"http://[::1]:8080/":      true,
		"https://h.example:8443/": false,
		"http://h.example/":       false,
		"https://h.example.evil/": false,
		"http://[::1]/":           false,
	} {
		response, err := network.RoundTrip(newRequest(t, t.Context(), http.MethodGet, url, ""))
		if err == nil {
			_ = response.Body.Close()
		}
		var missing *net.DNSError
		if exists != (err == nil) || !exists && (!errors.As(err, &missing) || !missing.IsNotFound) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestNetwork_streams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		response, err := call(t, func(w http.ResponseWriter, r *http.Request) {
			for range 3 {
				_, _ = io.WriteString(w, "x")
				time.Sleep(time.Second) // virtual
			}
		}, newRequest(t, t.Context(), http.MethodGet, "https://h.example/", ""))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for n := range 3 {
			if _, err := io.ReadFull(response.Body, make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(begin); got != time.Duration(n)*time.Second {
				t.Errorf("octet %d after %v", n, got)
			}
		}
		if _, err := response.Body.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
	})
}

func TestNetwork_cancelled_request_ends_the_handler(t *testing.T) {
	for name, write := range map[string]bool{"before the header": false, "inside the body": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				ended := make(chan struct{})
				response, err := call(t, func(w http.ResponseWriter, r *http.Request) {
					defer close(ended)
					if write {
						_, _ = io.WriteString(w, "x")
					}
					<-r.Context().Done()
				}, newRequest(t, ctx, http.MethodGet, "https://h.example/", ""))
				if write {
					_, err = io.ReadAll(response.Body)
				}
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v", err)
				}
				<-ended
			})
		})
	}
}

func TestNetwork_cancelled_before_it_starts_never_reaches_the_handler(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := call(t, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") },
		newRequest(t, ctx, http.MethodGet, "https://h.example/", ""))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestNetwork_closed_body_ends_the_handler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		response, err := call(t, func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			_, err := io.WriteString(w, "x")
			ended <- err
		}, newRequest(t, t.Context(), http.MethodGet, "https://h.example/", ""))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if err := <-ended; err == nil {
			t.Error("writing to a closed connection succeeds")
		}
	})
}

func TestNetwork_bodies(t *testing.T) {
	for name, test := range map[string]struct {
		method string
		serve  http.HandlerFunc
		body   string
		err    error // of the round trip or of reading
		length int64
	}{
		"nothing written":   {serve: func(http.ResponseWriter, *http.Request) {}, length: -1},
		"no body with HEAD": {method: http.MethodHead, serve: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, length: -1},
		"no body with 204": {serve: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
			_, _ = io.WriteString(w, "x")
		}, length: -1},
		"declared length": {serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "2")
			_, _ = io.WriteString(w, "xx")
			_, _ = io.WriteString(w, "more")
		}, body: "xx", length: 2},
		"less than declared": {serve: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "xx")
		}, body: "xx", length: 9, err: io.ErrUnexpectedEOF},
		"aborted before the header": {serve: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, err: io.EOF},
		"aborted in the body": {serve: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "xx")
			panic(http.ErrAbortHandler)
		}, body: "xx", length: -1, err: io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := call(t, test.serve, newRequest(t, t.Context(), test.method, "https://h.example/", ""))
			if response == nil {
				if !errors.Is(err, test.err) {
					t.Errorf("error %v, want %v", err, test.err)
				}
				return
			}
			body, err := io.ReadAll(response.Body)
			if string(body) != test.body || !errors.Is(err, test.err) || response.ContentLength != test.length {
				t.Errorf("%q %v, length %d", body, err, response.ContentLength)
			}
		})
	}
}

func TestNetwork_decompresses_what_it_asked_for(t *testing.T) {
	serve := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Asked", r.Header.Get("Accept-Encoding"))
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		_, _ = io.WriteString(zip, "text")
		_ = zip.Close()
	}
	response, err := call(t, serve, newRequest(t, t.Context(), http.MethodGet, "https://h.example/", ""))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "text" || !response.Uncompressed || response.Header.Get("Content-Encoding") != "" {
		t.Errorf("%q %v %v", body, err, response.Header)
	}
	request := newRequest(t, t.Context(), http.MethodGet, "https://h.example/", "")
	request.Header.Set("Accept-Encoding", "br")
	response, err = call(t, serve, request)
	if err != nil {
		t.Fatal(err)
	}
	body, err = io.ReadAll(response.Body)
	if err != nil || string(body) == "text" || response.Uncompressed || response.Header.Get("X-Asked") != "br" {
		t.Errorf("%q %v %v", body, err, response.Header)
	}
	_, err = call(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") },
		newRequest(t, t.Context(), http.MethodGet, "https://h.example/", ""))
	if err != nil {
		t.Errorf("an empty gzip answer fails before it is read: %v", err)
	}
}
