package fetch_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

// http.Client forgives a transport that breaks its contract; a user's transport,
// above all one in a test, has only ever been seen by http.Client. A panic here
// would end the process, because keys are fetched in a goroutine of their own.
func TestGet_transports_that_break_the_contract(t *testing.T) {
	for name, test := range map[string]struct {
		transport answer
		status    int // of the *fetch.StatusError; zero for any error
	}{
		"neither answer nor error": {func(*http.Request) (*http.Response, error) { return nil, nil }, 0},
		"an error without a cause": {func(*http.Request) (*http.Response, error) { return nil, &url.Error{Op: "Get", URL: "https://x/"} }, 0},
		"no body":                  {func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 503}, nil }, 503},
		"no body and no status":    {func(*http.Request) (*http.Response, error) { return &http.Response{}, nil }, 0},
		"a body of the length -1, and none": {func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 500, ContentLength: -1, Header: http.Header{}}, nil
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if cause := recover(); cause != nil {
					t.Errorf("panic: %v", cause)
				}
			}()
			_, err := fetch.NewClient(test.transport).Get(t.Context(), "https://login.example.com/", "")
			status, ok := errors.AsType[*fetch.StatusError](err)
			if err == nil || test.status != 0 && (!ok || status.Status != test.status) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A pool opens no more connections than calls are made at a time.
func TestNewPool_bounds_connections(t *testing.T) {
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // until then, nobody notices that the client left
		<-r.Context().Done()
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client := fetch.NewPool(nil, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			if _, err := client.Post(ctx, server.URL, nil, url.Values{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		})
	}
	calls.Wait()
	if n := opened.Load(); n == 0 || n > 4 {
		t.Errorf("%d connections for a pool of two", n)
	}
}

// A 200 without any body is an empty document, as from http.Client.
func TestGet_no_body_is_an_empty_document(t *testing.T) {
	document, err := fetch.NewClient(respond(200, nil, "")).Get(t.Context(), "https://login.example.com/", "")
	if err != nil || len(document.Body) != 0 || document.NotModified {
		t.Errorf("%+v, %v", document, err)
	}
}

// The error that remains must still say what happened.
func TestGet_inner_cause_stays(t *testing.T) {
	inner := &url.Error{Op: "Get", URL: "https://x/", Err: &url.Error{Op: "Get", URL: "https://y/", Err: io.ErrUnexpectedEOF}}
	client := fetch.NewClient(answer(func(*http.Request) (*http.Response, error) { return nil, inner }))
	if _, err := client.Get(t.Context(), "https://login.example.com/", ""); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}
