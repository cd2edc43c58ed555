package fetch_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

// A spy is a transport that keeps the requests, and counts what is read of the
// answers' bodies and whether they are closed.
type spy struct {
	next http.RoundTripper

	mu       sync.Mutex
	requests []*http.Request
	read     int
	open     int
}

func (s *spy) RoundTrip(request *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.requests = append(s.requests, request)
	s.mu.Unlock()
	response, err := s.next.RoundTrip(request)
	if err == nil {
		s.mu.Lock()
		s.open++
		s.mu.Unlock()
		response.Body = &spyBody{ReadCloser: response.Body, spy: s}
	}
	return response, err
}

type spyBody struct {
	io.ReadCloser
	spy  *spy
	once sync.Once
}

func (b *spyBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.spy.mu.Lock()
	b.spy.read += n
	b.spy.mu.Unlock()
	return n, err
}

func (b *spyBody) Close() error {
	b.once.Do(func() {
		b.spy.mu.Lock()
		b.spy.open--
		b.spy.mu.Unlock()
	})
	return b.ReadCloser.Close()
}

func (s *spy) counts() (requests, read, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.requests), s.read, s.open
}

// serve starts a provider, and returns its URL and a spying client.
func serve(t *testing.T, handler http.HandlerFunc) (string, *fetch.Client, *spy) {
	t.Helper()
	server := httptest.NewServer(handler)
	// A transport that would decompress if it were asked to.
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	s := &spy{next: transport}
	return server.URL, fetch.NewClient(s), s
}

// get makes one request and checks what holds for every answer: the document or
// the error, one request, and no body left open.
func get(t *testing.T, client *fetch.Client, s *spy, address, etag string) (*fetch.Document, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), fetch.Timeout)
	defer cancel()
	document, err := client.Get(ctx, address, etag)
	if (document == nil) != (err != nil) {
		t.Errorf("document %v with error %v", document, err)
	}
	if requests, _, open := s.counts(); requests != 1 || open != 0 {
		t.Errorf("%d requests, %d bodies are open", requests, open)
	}
	return document, err
}

// answer is a transport that answers without a network.
type answer func(*http.Request) (*http.Response, error)

func (a answer) RoundTrip(request *http.Request) (*http.Response, error) { return a(request) }

func respond(status int, header http.Header, body string) answer {
	return func(request *http.Request) (*http.Response, error) {
		if header == nil {
			header = http.Header{}
		}
		return &http.Response{
			StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: header, Request: request,
			Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1,
		}, nil
	}
}

// soon returns a context that ends soon, for the tests in which the server never does.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
