package middleware

import (
	"bytes"
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
	class := bits.Len(uint(max(n-1, 0)) / believed)
	if n < believed || class >= len(reused) {
		return buffer{octets: make([]byte, n)}
	}
	b := buffer{pool: &reused[class]}
	if octets, ok := b.pool.Get().(*[]byte); ok {
		b.octets = (*octets)[:n]
	} else {
		b.octets = make([]byte, n, believed<<class)
	}
	return b
}

// cut shortens b to n octets.
func (b *buffer) cut(n int) {
	clear(b.octets[n:]) // a Reader may use as scratch what it does not fill
	b.octets = b.octets[:n]
}

// keep makes b the only user of its memory for good, and that memory no larger than
// it has to be.
func (b *buffer) keep() {
	if b.pool == nil && 2*len(b.octets) >= cap(b.octets) {
		return
	}
	octets := bytes.Clone(b.octets)
	b.free()
	*b = buffer{octets: octets}
}

// free lets another request use the octets. Nothing may refer to them any more; who
// did all the same would find zeros, until there is another body.
func (b *buffer) free() {
	if b.pool != nil {
		octets := b.octets // b itself need not be on the heap
		clear(octets)
		b.pool.Put(&octets)
	}
	*b = buffer{}
}
