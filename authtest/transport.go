package authtest

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Network is an in-memory network, the http.RoundTripper of every client in it.
// Its keys are serialized origins such as "https://issuer.example"; a request to
// any other origin fails like a host name that does not exist. Nothing is
// listened on, so it works inside testing/synctest bubbles. Bodies stream; a
// gzip answer is decompressed as net/http.Transport does it; a cancelled request
// cancels the handler. It is safe for concurrent use while nobody changes it.
type Network map[string]http.Handler

// RoundTrip implements http.RoundTripper.
func (n Network) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	handler := n[origin(request.URL)]
	if handler == nil || ctx.Err() != nil {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		missing := &net.DNSError{Err: "no such host", Name: request.URL.Hostname(), IsNotFound: true}
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: missing}
	}

	// The handler must not see values of the client's context, only its end.
	serving, cancel := context.WithCancel(context.Background())
	received, unzip := receive(request, serving)
	reader, writer := io.Pipe()
	answer := &answer{header: make(http.Header), body: writer, head: received.Method == http.MethodHead, ready: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() {
		_ = writer.CloseWithError(context.Cause(ctx))
		cancel()
	})
	go func() {
		defer cancel()
		defer stop()
		defer received.Body.Close()
		defer answer.finish()
		handler.ServeHTTP(answer, received)
	}()

	select {
	case <-answer.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if answer.err != nil {
		return nil, answer.err
	}
	response := answer.response(request)
	response.Body = &body{PipeReader: reader, cancel: cancel}
	if unzip && strings.EqualFold(response.Header.Get("Content-Encoding"), "gzip") {
		response.Header.Del("Content-Encoding")
		response.Header.Del("Content-Length")
		response.ContentLength, response.Uncompressed = -1, true
		response.Body = &inflated{ReadCloser: response.Body}
	}
	return response, nil
}

// receive turns a client's request into the server's view of it. unzip reports
// that the transport asked for gzip itself and has to undo it.
func receive(request *http.Request, ctx context.Context) (_ *http.Request, unzip bool) {
	received := request.Clone(ctx)
	if received.Header == nil {
		received.Header = make(http.Header)
	}
	if received.Body == nil {
		received.Body = http.NoBody
	}
	received.Method = cmp.Or(received.Method, http.MethodGet)
	received.Host = cmp.Or(request.Host, request.URL.Host)
	received.RequestURI = request.URL.RequestURI()
	received.RemoteAddr = "192.0.2.1:1234" // RFC 5737 §3
	received.Proto, received.ProtoMajor, received.ProtoMinor = "HTTP/1.1", 1, 1
	if request.URL.Scheme == "https" {
		received.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: request.URL.Hostname()}
	}
	path := *request.URL
	path.Scheme, path.Host, path.User = "", "", nil
	received.URL = &path
	unzip = received.Header.Get("Accept-Encoding") == "" && received.Header.Get("Range") == "" && received.Method != http.MethodHead
	if unzip {
		received.Header.Set("Accept-Encoding", "gzip")
	}
	return received, unzip
}

// answer is the http.ResponseWriter of one request.
type answer struct {
	header http.Header
	body   *io.PipeWriter
	head   bool

	begun   bool
	written int64
	ready   chan struct{} // closed once the fields below are final
	sent    http.Header
	status  int
	length  int64
	err     error
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.begun || status < http.StatusOK {
		return
	}
	a.begun = true
	a.sent, a.status, a.length = a.header.Clone(), status, -1
	if a.sent.Get("Date") == "" {
		a.sent.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	if n, err := strconv.ParseInt(a.sent.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		a.length = n
	}
	close(a.ready)
}

func (a *answer) Write(p []byte) (int, error) {
	if !a.begun {
		if a.header.Get("Content-Type") == "" && a.header.Get("Content-Encoding") == "" {
			a.header.Set("Content-Type", http.DetectContentType(p))
		}
		a.WriteHeader(http.StatusOK)
	}
	switch {
	case a.status == http.StatusNoContent || a.status == http.StatusNotModified:
		return 0, http.ErrBodyNotAllowed
	case a.head:
		return len(p), nil
	case a.length >= 0 && a.written+int64(len(p)) > a.length:
		return 0, http.ErrContentLength
	case len(p) == 0:
		return 0, nil
	}
	n, err := a.body.Write(p)
	a.written += int64(n)
	return n, err
}

// FlushError makes the header go out, as http.ResponseController expects.
func (a *answer) FlushError() error {
	a.WriteHeader(http.StatusOK)
	return nil
}

func (a *answer) Flush() { _ = a.FlushError() }

// refuse makes the request fail as if nobody listened.
func (a *answer) refuse() {
	if !a.begun {
		a.begun = true
		a.err = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		close(a.ready)
	}
}

// finish runs when the handler returns or panics. http.ErrAbortHandler is the
// handler's way to break the connection; any other panic is a bug and goes on.
func (a *answer) finish() {
	reason := recover()
	aborted := reason == any(http.ErrAbortHandler)
	switch {
	case aborted && !a.begun:
		a.begun = true
		a.err = io.EOF // what a client sees when the connection just closes
		close(a.ready)
	case !a.begun:
		a.WriteHeader(http.StatusOK)
	}
	short := !a.head && a.status != http.StatusNotModified && a.length >= 0 && a.written < a.length
	if aborted || short {
		_ = a.body.CloseWithError(io.ErrUnexpectedEOF)
	}
	_ = a.body.Close()
	if reason != nil && !aborted {
		panic(reason)
	}
}

func (a *answer) response(request *http.Request) *http.Response {
	return &http.Response{
		Status:     strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		StatusCode: a.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        a.sent,
		ContentLength: a.length,
		Request:       request,
	}
}

// body is the client's end. Closing it early ends the handler, as a closed
// connection does.
type body struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *body) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// inflated decompresses from the first Read on, not earlier: the header of the
// answer may be there long before its body.
type inflated struct {
	io.ReadCloser
	once sync.Once
	zip  *gzip.Reader
	err  error
}

func (z *inflated) Read(p []byte) (int, error) {
	z.once.Do(func() { z.zip, z.err = gzip.NewReader(bufio.NewReader(z.ReadCloser)) })
	if z.err != nil {
		return 0, z.err
	}
	return z.zip.Read(p)
}
