package strictjson

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"unicode"
	"unicode/utf8"
)

// few is up to how many names of an object are compared one by one.
const few = 16

// A container is an object or array that a Reader is in, with a hash of each name.
// The seed is secret, so that nobody can write names that collide. Should two
// collide by chance, once in 2^64, an honest text is refused; a duplicate never
// passes.
type container struct {
	start int      // where it begins in the text
	base  int      // where its hashes begin in Reader.hashes, as long as they are few
	count int      // of hashes
	table []uint64 // when they are many: a place for each, zero where it is free
	fold  bool     // names must differ by more than case
	end   byte     // the bracket that ends it
}

// add reports whether name, which ends at i, is new in the object.
func (r *Reader) add(o *container, name []byte, i int) bool {
	var scratch [64]byte
	if o.fold {
		name = canonical(name, scratch[:0])
	}
	hash := max(maphash.Bytes(r.seed, name), 1)
	switch {
	case o.table != nil:
		if !insert(o.table, hash) {
			return false
		}
	case slices.Contains(r.hashes[o.base:], hash):
		return false
	default:
		r.hashes = append(r.hashes, hash)
	}
	if o.count++; o.count > few && 4*o.count > 3*len(o.table) {
		r.grow(o, i)
	}
	return true
}

// grow gives o a table for as many names more as the text behind i has, if they
// go on as they began, but for sixteen times as many as there are at the most.
func (r *Reader) grow(o *container, i int) {
	known := o.table
	if known == nil {
		known = r.hashes[o.base:]
	}
	more := (len(r.data) - i) / ((i - o.start) / o.count)
	size := 8 * few
	for 3*size < 4*min(o.count+more, 16*o.count) {
		size *= 2
	}
	o.table = make([]uint64, size)
	for _, hash := range known {
		if hash != 0 {
			insert(o.table, hash)
		}
	}
	r.hashes = r.hashes[:o.base]
}

// insert reports whether hash was not in the table, whose length is a power of
// two. It probes one place after the other.
func insert(table []uint64, hash uint64) bool {
	for at := hash; ; at++ {
		switch place := &table[at&uint64(len(table)-1)]; *place {
		case 0:
			*place = hash
			return true
		case hash:
			return false
		}
	}
}

// close forgets the innermost container.
func (r *Reader) close() {
	last := len(r.open) - 1
	r.hashes = r.hashes[:r.open[last].base]
	r.open = r.open[:last]
}

// canonical returns the same bytes for all names that differ in case only: name
// itself, or what it appends to scratch.
func canonical(name, scratch []byte) []byte {
	i := 0
	for len(name)-i >= 8 && !folds(binary.LittleEndian.Uint64(name[i:])) {
		i += 8
	}
	for i < len(name) && !folds(uint64(name[i])) {
		i++
	}
	if i == len(name) {
		return name
	}
	scratch = append(scratch, name[:i]...)
	for i < len(name) {
		if c := name[i]; c < utf8.RuneSelf {
			if folds(uint64(c)) {
				c += 'a' - 'A'
			}
			scratch = append(scratch, c)
			i++
			continue
		}
		c, size := utf8.DecodeRune(name[i:])
		scratch = utf8.AppendRune(scratch, canonicalRune(c))
		i += size
	}
	return scratch
}

// folds reports whether a byte of word is a capital letter or not in ASCII: all
// others are canonical as they are.
func folds(word uint64) bool {
	ascii := word &^ highs
	fromA, behindZ := ascii+(0x80-'A')*lows, ascii+(0x80-'Z'-1)*lows
	return (word|fromA&^behindZ)&highs != 0
}

// canonicalRune returns the same rune for all that differ from c in case only: a
// small letter of ASCII, else the least. The Kelvin sign and K become k.
func canonicalRune(c rune) rune {
	least := c
	for next := unicode.SimpleFold(c); next != c; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if 'A' <= least && least <= 'Z' {
		return least - 'A' + 'a'
	}
	return least
}
