package middleware

import (
	"io"
	"net/http"
	"sync"
)

// A replay is a body that was read, to be read once more. What net/http says of
// bodies holds: Read and Close may come at the same time, and nothing is left after
// Close, or when the handler has returned. The octets are free from then on, or as
// soon as all are read.
type replay struct {
	source io.Closer

	mu   sync.Mutex
	text buffer
	read int
	over error // set once the octets are free: what Read says
}

func (r *replay) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over != nil {
		return 0, r.over
	}
	n := copy(p, r.text.octets[r.read:])
	r.read += n
	if r.read == len(r.text.octets) {
		r.free(io.EOF)
	}
	return n, nil
}

func (r *replay) Close() error {
	r.end()
	return r.source.Close()
}

func (r *replay) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free(http.ErrBodyReadAfterClose)
}

func (r *replay) free(over error) {
	if r.over == nil {
		r.text.free()
	}
	r.text, r.over = buffer{}, over
}

// endReplay ends the body of r, unless it is the one that was given.
func endReplay(r *http.Request, given io.ReadCloser) {
	if body, ok := r.Body.(*replay); ok && body != given {
		body.end()
	}
}
