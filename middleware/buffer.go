package middleware

import (
	"math/bits"
	"sync"
)

// A buffer holds a request's body. A large one serves one request after the other:
// new memory for each costs more than to receive and judge what it holds.
type buffer struct {
	octets []byte
	pool   *sync.Pool // of *[]byte, where it goes when it is free; nil: nowhere
}

// reused are buffers by size: believed, twice that, and so on, up to 16 MiB.
var reused [9]sync.Pool

// newBuffer returns a buffer of n octets, all zero.
func newBuffer(n int) buffer {
	size := bits.Len(uint(max(n-1, 0)) / believed)
	if n < believed || size >= len(reused) {
		return buffer{octets: make([]byte, n)}
	}
	b := buffer{pool: &reused[size]}
	if octets, ok := b.pool.Get().(*[]byte); ok {
		b.octets = (*octets)[:n]
	} else {
		b.octets = make([]byte, n, believed<<size)
	}
	return b
}

// free lets another request use the octets. Nothing may refer to them any more; who
// did all the same would find zeros, until there is another body.
func (b buffer) free() {
	if b.pool != nil {
		octets := b.octets // b itself need not be on the heap
		clear(octets)
		b.pool.Put(&octets)
	}
}
