package fetch_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

func TestGet_KS_11_size_limit_is_exact(t *testing.T) {
	for name, test := range map[string]struct {
		size    int
		chunked bool
		want    error
	}{
		"nothing":                    {0, false, nil},
		"one octet less":             {fetch.MaxBody - 1, false, nil},
		"the limit":                  {fetch.MaxBody, false, nil},
		"the limit, chunked":         {fetch.MaxBody, true, nil},
		"one octet more":             {fetch.MaxBody + 1, false, fetch.ErrTooLarge},
		"one octet more, chunked":    {fetch.MaxBody + 1, true, fetch.ErrTooLarge},
		"ten times as much":          {10 * fetch.MaxBody, false, fetch.ErrTooLarge},
		"ten times as much, chunked": {10 * fetch.MaxBody, true, fetch.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := bytes.Repeat([]byte("x"), test.size)
			address, client, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", `"v1"`)
				if test.chunked {
					_ = http.NewResponseController(w).Flush()
				}
				_, _ = w.Write(body)
			})
			document, err := get(t, client, s, address, "")
			if !errors.Is(err, test.want) {
				t.Fatalf("%v, want %v", err, test.want)
			}
			if err == nil && !bytes.Equal(document.Body, body) {
				t.Errorf("%d octets, want %d", len(document.Body), test.size)
			}
			if _, read, _ := s.counts(); read > fetch.MaxBody+1 {
				t.Errorf("%d octets are read", read)
			}
		})
	}
}

func TestGet_KS_11_endless_body(t *testing.T) {
	ended := make(chan int, 1)
	address, client, s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		block, sent := bytes.Repeat([]byte(" "), 64<<10), 0
		for {
			n, err := w.Write(block)
			sent += n
			if err != nil || r.Context().Err() != nil {
				ended <- sent
				return
			}
		}
	})
	if _, err := get(t, client, s, address, ""); !errors.Is(err, fetch.ErrTooLarge) {
		t.Fatalf("%v", err)
	}
	if _, read, _ := s.counts(); read > fetch.MaxBody+1 {
		t.Errorf("%d octets are read", read)
	}
	<-ended // the connection is gone, or the handler would go on
}

func TestGet_KS_11_length_that_lies(t *testing.T) {
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			connection, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(connection, text)
			_ = connection.Close()
		}
	}
	for name, test := range map[string]struct{ text, want string }{
		"more than the length":       {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}garbage", "{}"},
		"less than the length":       {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", ""},
		"a chunk that is cut":        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{}", ""},
		"no last chunk":              {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", ""},
		"a length of exabytes":       {"HTTP/1.1 200 OK\r\nContent-Length: 1152921504606846976\r\n\r\n{}", ""},
		"two lengths":                {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", ""},
		"a negative length":          {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", ""},
		"no answer":                  {"", ""},
		"no HTTP":                    {"SSH-2.0-x\r\n", ""},
		"a status line without code": {"HTTP/1.1 OK\r\n\r\n{}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, client, s := serve(t, raw(test.text))
			ctx, cancel := context.WithTimeout(t.Context(), fetch.Timeout)
			defer cancel()
			document, err := client.Get(ctx, address, "")
			if test.want == "" {
				if err == nil {
					t.Errorf("accepted: %q", document.Body)
				}
			} else if err != nil || string(document.Body) != test.want {
				t.Errorf("%+v, %v", document, err)
			}
			if _, _, open := s.counts(); open != 0 {
				t.Errorf("%d bodies are open", open)
			}
		})
	}
}

func compressed(t *testing.T, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	if _, err := writer.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// KS-12: a compressed answer was not asked for, and is refused unread: nothing
// inflates it, neither we nor the transport.
func TestGet_KS_12_compressed_answers(t *testing.T) {
	bomb := compressed(t, bytes.Repeat([]byte(" "), 16<<20))
	if len(bomb) > 64<<10 {
		t.Fatalf("the bomb has %d octets", len(bomb))
	}
	small := compressed(t, []byte(`{"keys":[]}`))
	for name, test := range map[string]struct {
		encodings []string
		body      []byte
		refused   bool
	}{
		"gzip":                        {[]string{"gzip"}, small, true},
		"gzip bomb":                   {[]string{"gzip"}, bomb, true},
		"GZIP":                        {[]string{"GZIP"}, small, true},
		"x-gzip":                      {[]string{"x-gzip"}, small, true},
		"deflate":                     {[]string{"deflate"}, small, true},
		"br":                          {[]string{"br"}, small, true},
		"zstd":                        {[]string{"zstd"}, small, true},
		"two in one field":            {[]string{"identity, gzip"}, small, true},
		"something that is no name":   {[]string{"?"}, small, true},
		"identity":                    {[]string{"identity"}, []byte("{}"), false},
		"Identity":                    {[]string{"Identity"}, []byte("{}"), false},
		"an empty field":              {[]string{""}, []byte("{}"), false},
		"gzip that does not say so":   {nil, small, false},
		"a bomb that does not say so": {nil, bomb, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, client, s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for _, encoding := range test.encodings {
					w.Header().Add("Content-Encoding", encoding)
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write(test.body)
			})
			document, err := get(t, client, s, address, "")
			_, read, _ := s.counts()
			if test.refused {
				if err == nil || read != 0 {
					t.Errorf("%d octets are read: %v", read, err)
				}
				return
			}
			// As it came: not one octet more.
			if err != nil || !bytes.Equal(document.Body, test.body) || read != len(test.body) {
				t.Errorf("%d octets are read: %v", read, err)
			}
		})
	}
}

// A transport of the user's may inflate all the same; then what counts is what
// comes out of it.
func TestGet_KS_12_limit_counts_what_a_transport_inflates(t *testing.T) {
	s := &spy{next: respond(200, nil, strings.Repeat(" ", fetch.MaxBody+1))}
	if _, err := get(t, fetch.NewClient(s), s, "https://login.example.com/jwks", ""); !errors.Is(err, fetch.ErrTooLarge) {
		t.Errorf("%v", err)
	}
}

// The caller's deadline bounds the whole operation, slow bodies included.
func TestGet_time(t *testing.T) {
	begin := func(w http.ResponseWriter) {
		_, _ = w.Write([]byte(`{"keys":`))
		_ = http.NewResponseController(w).Flush()
	}
	for name, handler := range map[string]http.HandlerFunc{
		"no answer":      func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"half an answer": func(w http.ResponseWriter, r *http.Request) { begin(w); <-r.Context().Done() },
		"headers and no body": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"an octet at a time":            drip,
		"half, then an octet at a time": func(w http.ResponseWriter, r *http.Request) { begin(w); drip(w, r) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, client, s := serve(t, handler)
			if _, err := client.Get(soon(t), address, ""); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			if _, _, open := s.counts(); open != 0 {
				t.Errorf("%d bodies are open", open)
			}
		})
	}
}

// drip never ends and never pauses for long.
func drip(w http.ResponseWriter, r *http.Request) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
			if _, err := w.Write([]byte(" ")); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
		}
	}
}

func TestGet_KS_30_a_context_that_ended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := answer(func(request *http.Request) (*http.Response, error) {
			<-request.Context().Done()
			return nil, request.Context().Err()
		})
		s := &spy{next: wait}
		client := fetch.NewClient(s)
		ctx, cancel := context.WithTimeout(t.Context(), fetch.Timeout)
		defer cancel()
		start := time.Now()
		if _, err := client.Get(ctx, "https://login.example.com/", ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		if took := time.Since(start); took != fetch.Timeout {
			t.Errorf("took %v", took)
		}
		canceled, stop := context.WithCancel(t.Context())
		stop()
		if _, err := client.Get(canceled, "https://login.example.com/", ""); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}
