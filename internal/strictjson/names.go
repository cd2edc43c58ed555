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

// A container is an object or array that a Reader is in. Of the names of an object
// there are hashes. Their seed is secret, so that nobody can write names that
// collide. Should two collide by chance, once in 2^64, an honest text is refused;
// a duplicate never passes.
type container struct {
	start int  // where it begins in the text
	base  int  // where its hashes begin in Reader.hashes; many: in the last of Reader.tables
	count int  // of hashes
	fold  bool // names must differ by more than case
}

const many = -1

// add reports whether name, which ends at i, is new in o, the innermost object.
func (r *Reader) add(o *container, name []byte, i int) bool {
	var scratch [64]byte
	if o.fold {
		name = canonical(name, scratch[:0])
	}
	hash := max(maphash.Bytes(r.seed, name), 1)
	if o.base == many {
		table := &r.tables[len(r.tables)-1]
		if !insert(*table, hash) {
			return false
		}
		if o.count++; 4*o.count > 3*len(*table) {
			*table = r.table(o, i, *table)
		}
		return true
	}
	if slices.Contains(r.hashes[o.base:], hash) {
		return false
	}
	r.hashes = append(r.hashes, hash)
	if o.count++; o.count > few {
		r.tables = append(r.tables, r.table(o, i, r.hashes[o.base:]))
		r.hashes, o.base = r.hashes[:o.base], many
	}
	return true
}

// table returns a table of the known hashes. A place is zero where it is free. A
// first table is small: a text may have thousands of objects. Later there are
// places for as many names more as the text behind i has, if they go on as they
// began, but for sixteen times as many as there are at the most.
func (r *Reader) table(o *container, i int, known []uint64) []uint64 {
	size := 8 * few
	if 3*size < 4*o.count {
		more := (len(r.data) - i) / ((i - o.start) / o.count)
		for 3*size < 4*min(o.count+more, 16*o.count) {
			size *= 2
		}
	}
	table := make([]uint64, size)
	for _, hash := range known {
		if hash != 0 {
			insert(table, hash)
		}
	}
	return table
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

// push enters the container at i.
func (r *Reader) push(i int, fold bool) {
	r.open = append(r.open, container{start: i, base: len(r.hashes), fold: fold})
}

// end returns the bracket that ends the innermost container.
func (r *Reader) end() byte { return r.data[r.open[len(r.open)-1].start] + 2 }

// pop leaves the innermost container.
func (r *Reader) pop() {
	last := len(r.open) - 1
	if base := r.open[last].base; base == many {
		r.tables = r.tables[:len(r.tables)-1]
	} else {
		r.hashes = r.hashes[:base]
	}
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
