package fetch_test

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

func TestGet_returns_the_document(t *testing.T) {
	address, client, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		_, _ = w.Write([]byte(`{"keys":[]}`))
	})
	document, err := get(t, client, s, address+"/jwks?x=1", "")
	if err != nil || string(document.Body) != `{"keys":[]}` || document.ETag != `"v1"` || document.NotModified {
		t.Errorf("%+v, %v", document, err)
	}
}

func TestGet_sends_exactly_these_headers(t *testing.T) {
	for name, test := range map[string]struct {
		etag string
		want []string
	}{
		"unconditional": {"", []string{"Accept", "Accept-Encoding", "User-Agent"}},
		"conditional":   {`W/"v1"`, []string{"Accept", "Accept-Encoding", "If-None-Match", "User-Agent"}},
	} {
		t.Run(name, func(t *testing.T) {
			received := make(chan http.Header, 1)
			address, client, s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.ContentLength != 0 {
					t.Errorf("%s with %d octets", r.Method, r.ContentLength)
				}
				received <- r.Header
			})
			if _, err := get(t, client, s, address, test.etag); err != nil {
				t.Fatal(err)
			}
			header := <-received
			if got := slices.Sorted(maps.Keys(header)); !slices.Equal(got, test.want) {
				t.Errorf("headers %v, want %v", got, test.want)
			}
			if header.Get("If-None-Match") != test.etag || header.Get("Accept-Encoding") != "identity" ||
				!strings.Contains(header.Get("Accept"), "application/json") {
				t.Errorf("headers %v", header)
			}
		})
	}
}

func TestGet_conditional(t *testing.T) {
	for name, test := range map[string]struct {
		etag, answered string
		status         int
		want           *fetch.Document
	}{
		"not modified":                      {`"v1"`, `"v1"`, 304, &fetch.Document{ETag: `"v1"`, NotModified: true}},
		"not modified, without an ETag":     {`"v1"`, ``, 304, &fetch.Document{ETag: `"v1"`, NotModified: true}},
		"modified":                          {`"v1"`, `"v2"`, 200, &fetch.Document{Body: []byte("{}"), ETag: `"v2"`}},
		"modified, without an ETag":         {`"v1"`, ``, 200, &fetch.Document{Body: []byte("{}")}},
		"KS-04 304 that nobody asked for":   {``, `"v1"`, 304, nil},
		"KS-04 412 is no answer to a GET":   {`"v1"`, `"v1"`, 412, nil},
		"an error to a conditional request": {`"v1"`, `"v1"`, 500, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, client, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.answered != "" {
					w.Header().Set("ETag", test.answered)
				}
				w.WriteHeader(test.status)
				if test.status != 304 {
					_, _ = w.Write([]byte("{}"))
				}
			})
			document, err := get(t, client, s, address, test.etag)
			if test.want == nil {
				status, ok := errors.AsType[*fetch.StatusError](err)
				if !ok || status.Status != test.status {
					t.Errorf("%+v, %v", document, err)
				}
				return
			}
			if err != nil || string(document.Body) != string(test.want.Body) || document.ETag != test.want.ETag ||
				document.NotModified != test.want.NotModified || (document.Body == nil) != test.want.NotModified {
				t.Errorf("%+v, %v; want %+v", document, err, test.want)
			}
		})
	}
}

func TestGet_KS_04_every_other_status_is_an_error(t *testing.T) {
	for _, status := range []int{201, 202, 203, 204, 205, 206, 300, 305, 306, 400, 401, 403, 404, 405, 406, 410, 418, 421, 429, 451, 500, 501, 502, 503, 504, 599} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			t.Parallel()
			address, client, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
				w.WriteHeader(status)
				if status != 204 {
					_, _ = w.Write([]byte(`{"keys":[{}]}`))
				}
			})
			_, err := get(t, client, s, address, "")
			got, ok := errors.AsType[*fetch.StatusError](err)
			if !ok || got.Status != status || got.RetryAfter != 0 {
				t.Errorf("status %d: %v", status, err)
			}
			if _, read, _ := s.counts(); read != 0 {
				t.Errorf("%d octets of an error page are read", read)
			}
		})
	}
}

func TestGet_Retry_After(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"1":                             time.Second,
		"007":                           7 * time.Second,
		"120":                           2 * time.Minute,
		" 120 ":                         2 * time.Minute, // the field value is trimmed on its way
		"3600":                          time.Hour,
		"3601":                          time.Hour,
		"9999":                          time.Hour,
		"-1":                            0,
		"+5":                            0,
		"1.5":                           0,
		"1e3":                           0,
		"5s":                            0,
		"0x10":                          0,
		"5, 6":                          0,
		"\u0665":                        0, // a digit, but not one of ASCII
		"soon":                          0,
		"Fri, 31 Dec 1999 23:59:59 GMT": 0,
		"Fri, 31 Dec 2100 23:59:59 GMT": 0,
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			checkRetryAfter(t, value, want)
		})
	}
}

// The longer the provider wants to be left alone, the more it matters.
func TestGet_Retry_After_over_an_hour_is_an_hour(t *testing.T) {
	for _, value := range []string{"10000", "86400", "99999999999999999999999"} {
		t.Run(value, func(t *testing.T) { checkRetryAfter(t, value, time.Hour) })
	}
}

func checkRetryAfter(t *testing.T, value string, want time.Duration) {
	t.Helper()
	for _, status := range []int{429, 503} {
		address, client, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(status)
		})
		_, err := get(t, client, s, address, "")
		if got, ok := errors.AsType[*fetch.StatusError](err); !ok || got.Status != status || got.RetryAfter != want {
			t.Errorf("%d: %#v, want %v", status, err, want)
		}
	}
}

func TestGet_KS_14_redirects_are_not_followed(t *testing.T) {
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{"keys":[{"attacker":true}]}`))
	}))
	// Not deferred: the parallel tests below run after this function.
	t.Cleanup(func() {
		other.Close()
		if n := asked.Load(); n != 0 {
			t.Errorf("%d redirects were followed", n)
		}
	})
	for name, location := range map[string]string{
		"to another host":             other.URL + "/jwks",
		"to http":                     strings.Replace(other.URL, "https:", "http:", 1),
		"to the metadata service":     "http://169.254.169.254/latest/meta-data/",
		"to a file":                   "file:///etc/passwd",
		"to itself":                   "/",
		"to another path":             "/other",
		"to a host without a scheme":  "//" + strings.TrimPrefix(other.URL, "http://"),
		"to data":                     "data:application/json,{}",
		"nowhere":                     "",
		"to something else than HTTP": "gopher://127.0.0.1/",
	} {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(name+" "+http.StatusText(status), func(t *testing.T) {
				t.Parallel()
				address, client, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
					if location != "" {
						w.Header().Set("Location", location)
					}
					w.WriteHeader(status)
					_, _ = w.Write([]byte(`{"keys":[{}]}`))
				})
				_, err := get(t, client, s, address, "")
				if got, ok := errors.AsType[*fetch.StatusError](err); !ok || got.Status != status {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// The transport that NewClient makes itself keeps the same rules.
func TestNewClient_own_transport(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), fetch.Timeout)
	defer cancel()
	headers := make(chan http.Header, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
		headers <- r.Header
		_, _ = w.Write([]byte("{}"))
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
	mux.HandleFunc("/headers", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("x", 128<<10))
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	secure := httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshake that must fail
	secure.StartTLS()
	defer secure.Close()
	client := fetch.NewClient(nil)

	document, err := client.Get(ctx, server.URL+"/ok", "")
	if err != nil || string(document.Body) != "{}" {
		t.Fatalf("%+v, %v", document, err)
	}
	if got := (<-headers).Get("Accept-Encoding"); got != "identity" {
		t.Errorf("Accept-Encoding %q", got)
	}
	if _, err := client.Get(ctx, server.URL+"/redirect", ""); len(headers) != 0 {
		t.Errorf("redirect followed: %v", err)
	}
	if _, err := client.Get(ctx, server.URL+"/headers", ""); err == nil {
		t.Error("128 KiB of headers are accepted")
	}
	// KS-20: a certificate of nobody's.
	if _, err := client.Get(ctx, secure.URL+"/ok", ""); err == nil || len(headers) != 0 {
		t.Errorf("a self-signed certificate is accepted: %v", err)
	}
}

func TestGet_is_safe_for_concurrent_use(t *testing.T) {
	address, client, s := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.URL.Path)) })
	var group sync.WaitGroup
	for _, path := range []string{"/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h"} {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), fetch.Timeout)
			defer cancel()
			if document, err := client.Get(ctx, address+path, ""); err != nil || string(document.Body) != path {
				t.Errorf("%s: %v", path, err)
			}
		})
	}
	group.Wait()
	if requests, _, open := s.counts(); requests != 8 || open != 0 {
		t.Errorf("%d requests, %d bodies are open", requests, open)
	}
}
