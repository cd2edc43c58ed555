package authtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// A Fault spoils the answer to a request: it wraps the handler that would have
// answered well. It is called once per request, possibly concurrently; write
// your own for what is missing here.
type Fault func(next http.Handler) http.Handler

// SetFault makes the issuer treat requests to endpoint by faults, the first one
// outermost, in place of those set before. None: the endpoint works again. The
// faults of EndpointAll come before those of an endpoint. CORS preflights meet
// no faults.
func (i *Issuer) SetFault(endpoint Endpoint, faults ...Fault) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.faults == nil {
		i.faults = make(map[Endpoint][]Fault)
	}
	i.faults[endpoint] = slices.Clone(faults)
}

// ClearFaults makes every endpoint work again. Requests under way are not
// affected.
func (i *Issuer) ClearFaults() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.faults)
}

// answerWith makes a Fault that never asks the issuer.
func answerWith(serve http.HandlerFunc) Fault {
	return func(http.Handler) http.Handler { return serve }
}

// Down refuses the connection. Over a socket, where it exists already, it is
// closed without an answer.
func Down() Fault {
	return answerWith(func(w http.ResponseWriter, _ *http.Request) {
		if memory, ok := w.(interface{ refuse() }); ok {
			memory.refuse()
			return
		}
		panic(http.ErrAbortHandler)
	})
}

// Hang accepts the request and answers nothing until the client gives up.
func Hang() Fault {
	return answerWith(func(_ http.ResponseWriter, r *http.Request) {
		// A server notices that its client left only once the body is read.
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxBody))
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	})
}

// Slow waits for d before the issuer answers, less when the client gives up.
func Slow(d time.Duration) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !pause(r.Context(), d) {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// pause reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Respond answers with this status (200 to 599), header and body, and the CORS
// header fields of the endpoint. header may be nil.
func Respond(status int, header http.Header, body string) Fault {
	return answerWith(func(w http.ResponseWriter, _ *http.Request) {
		maps.Copy(w.Header(), header.Clone())
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// JSON answers 200 with body as application/json; "{}" is a classic.
func JSON(body string) Fault {
	return Respond(http.StatusOK, http.Header{"Content-Type": {"application/json"}}, body)
}

// HTML answers 200 with a web page, as captive portals and login walls do.
func HTML() Fault {
	return Respond(http.StatusOK, http.Header{"Content-Type": {"text/html; charset=utf-8"}},
		"<!doctype html><title>Sign in</title><p>Please sign in to the network.")
}

// Redirect answers 302 to url.
func Redirect(url string) Fault {
	return Respond(http.StatusFound, http.Header{"Location": {url}}, "")
}

// padding is legal between the tokens of JSON, so that only a limit stops a
// parser.
func padding() []byte { return bytes.Repeat([]byte(" "), 4<<10) }

// Endless answers 200 with JSON that never ends.
func Endless() Fault {
	return answerWith(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, err := io.WriteString(w, `{"keys":[`)
		spaces := padding()
		for err == nil {
			_, err = w.Write(spaces)
		}
	})
}

// GzipBomb answers 200 with JSON of size octets, a thousandth of that on the
// wire, whether the client accepts gzip or not.
func GzipBomb(size int64) Fault {
	return answerWith(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		const start, end = `{"keys":[`, `]}`
		_, err := io.WriteString(zip, start)
		spaces := padding()
		for left := size - int64(len(start)+len(end)); err == nil && left > 0; left -= int64(len(spaces)) {
			_, err = zip.Write(spaces[:min(left, int64(len(spaces)))])
		}
		_, _ = io.WriteString(zip, end)
		_ = zip.Close()
	})
}

// Truncate breaks off the issuer's answer in the middle of its body.
func Truncate() Fault {
	return replay(func(w http.ResponseWriter, _ *http.Request, body []byte) {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
}

// Trickle sends the body of the issuer's answer octet by octet, one every
// interval, and the header at once.
func Trickle(interval time.Duration) Fault {
	return replay(func(w http.ResponseWriter, r *http.Request, body []byte) {
		out := http.NewResponseController(w)
		_ = out.Flush()
		for len(body) > 0 && pause(r.Context(), interval) {
			if _, err := w.Write(body[:1]); err != nil {
				return
			}
			_ = out.Flush()
			body = body[1:]
		}
	})
}

// Flap lets each request meet the next of faults, around and around. nil stands
// for a good answer: Flap(Down(), nil) fails every other time.
func Flap(faults ...Fault) Fault {
	faults = slices.Clone(faults)
	var requests atomic.Uint64
	return func(next http.Handler) http.Handler {
		if len(faults) == 0 {
			return next
		}
		turn := (requests.Add(1) - 1) % uint64(len(faults))
		if fault := faults[turn]; fault != nil {
			return fault(next)
		}
		return next
	}
}

// replay makes a Fault that holds the issuer's answer back, sends its header
// with the true Content-Length, and leaves the body to send.
func replay(send func(w http.ResponseWriter, r *http.Request, body []byte)) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			held := &recorder{header: w.Header(), status: http.StatusOK}
			next.ServeHTTP(held, r)
			w.Header().Set("Content-Length", strconv.Itoa(held.body.Len()))
			w.WriteHeader(held.status)
			send(w, r, held.body.Bytes())
		})
	}
}

type recorder struct {
	header http.Header
	status int
	begun  bool
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if !r.begun {
		r.begun, r.status = true, status
	}
}

func (r *recorder) Write(p []byte) (int, error) {
	r.begun = true
	return r.body.Write(p)
}
