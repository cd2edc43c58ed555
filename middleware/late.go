package middleware

import (
	"maps"
	"net/http"
	"sync"
)

// A lateAnswer lets RequireMore and Refuse answer in place of a handler that has
// not begun to. It is the ResponseWriter of that handler.
type lateAnswer struct {
	http.ResponseWriter
	request *http.Request
	rules   *rules
	route   *route
	decided decision    // what let the handler run
	header  http.Header // the handler's, until it begins

	mu    sync.Mutex
	begun bool // by the handler, or it is done
	taken bool // by a refusal: what the handler writes is dropped
}

// answer writes refusal, if the handler has not begun.
func (l *lateAnswer) answer(refusal *Refusal) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.taken {
		return refusal
	}
	if l.begun {
		return ErrTooLate
	}
	l.taken = true
	d := l.decided
	d.token, d.refusal, d.duration = nil, refusal, 0 // the Verifier was asked once
	l.rules.report(l.request.Context(), d)
	refusal.ServeHTTP(l.ResponseWriter, l.request)
	return refusal
}

// begin reports whether the handler may write, and takes over its header fields
// the first time.
func (l *lateAnswer) begin() bool {
	if !l.begun && !l.taken {
		fields := l.ResponseWriter.Header()
		clear(fields)
		maps.Copy(fields, l.header)
	}
	l.begun = true
	return !l.taken
}

// Header returns fields that a refusal does not meet: neither what the handler
// set already goes out with it, nor do the two write to one map.
func (l *lateAnswer) Header() http.Header {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begun && !l.taken {
		return l.ResponseWriter.Header()
	}
	return l.header
}

func (l *lateAnswer) WriteHeader(status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begin() {
		l.ResponseWriter.WriteHeader(status)
	}
}

func (l *lateAnswer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begin() {
		return l.ResponseWriter.Write(p)
	}
	return len(p), nil
}

// FlushError serves http.ResponseController.
func (l *lateAnswer) FlushError() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.begin() {
		return http.NewResponseController(l.ResponseWriter).Flush()
	}
	return nil
}

// Flush serves those who look for an http.Flusher.
func (l *lateAnswer) Flush() { _ = l.FlushError() }

// Unwrap serves http.ResponseController, deadlines for instance.
func (l *lateAnswer) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// finish ends it: the handler has returned, and its writer with it.
func (l *lateAnswer) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin()
}
