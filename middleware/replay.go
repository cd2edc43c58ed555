package middleware

import (
	"io"
	"net/http"
	"sync"
)

// A replay is a body that was read, to be read once more. As for those of net/http,
// Read and Close may come at the same time, and there is nothing to read after Close,
// nor when the handler has returned, if the memory serves others. It does as soon as
// all is read.
type replay struct {
	source io.Closer

	mu   sync.Mutex
	text buffer
	read int
	over error // what Read says once the memory is free; nil: it is not
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
		r.over = io.EOF
		r.text.free()
	}
	return n, nil
}

func (r *replay) Close() error {
	r.end()
	return r.source.Close()
}

// end is Close, but for what the octets came from. It may come more than once.
func (r *replay) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = http.ErrBodyReadAfterClose
	r.text.free()
}
