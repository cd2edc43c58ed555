package middleware

import (
	"bytes"
	"testing"
)

func TestABufferIsEmptyAndLargeEnough(t *testing.T) {
	const most = believed << (len(reused) - 1)
	other := bytes.Repeat([]byte("x"), most+1)
	for _, size := range []int{0, 1, believed - 1, believed, believed + 1, 2 * believed, 1<<20 - 1, 1 << 20, 3 << 20, most, most + 1} {
		for range 3 {
			b := newBuffer(size)
			if len(b.octets) != size {
				t.Fatalf("%d octets, want %d", len(b.octets), size)
			}
			if bytes.Count(b.octets, []byte{0}) != size {
				t.Fatalf("size %d: something is left of another body", size)
			}
			copy(b.octets, other)
			if reused := b.pool != nil; reused != (size >= believed && size <= most) {
				t.Errorf("size %d: reused: %t", size, reused)
			}
			b.free()
		}
	}
}
