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

// A Reader may use all that it is offered as scratch (io.Reader).
func TestABufferThatWasCutIsEmptyToo(t *testing.T) {
	for range 10 {
		b := newBuffer(2 * believed)
		if at := bytes.IndexByte(b.octets, 'x'); at >= 0 {
			t.Fatalf("something is left at %d", at)
		}
		copy(b.octets, bytes.Repeat([]byte("x"), len(b.octets)))
		b.cut(10)
		b.free()
	}
}
