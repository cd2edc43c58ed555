package strictjson

import (
	"bytes"
	"hash/maphash"
	"unicode"
	"unicode/utf8"
)

// few is up to how many names of an object are compared one by one.
const few = 16

// A span is where a name is in the data; beyond its end, in what was unquoted.
type span struct{ start, end int }

// An object is what a Reader remembers of one that it is in.
type object struct {
	base int  // where its names begin, as long as they are few
	fold bool // names must differ by more than case
	many nameSet
}

// A nameSet holds hashes of the names of a large object. Its seed is secret, so
// that nobody can write names that collide. Should two collide by chance, once in
// 2^64, an honest text is refused; a duplicate never passes.
type nameSet struct {
	seed   maphash.Seed
	hashes map[uint64]struct{}
}

func (s *nameSet) add(name []byte) bool {
	before := len(s.hashes)
	s.hashes[maphash.Bytes(s.seed, name)] = struct{}{}
	return len(s.hashes) > before
}

func (r *Reader) text(name span) []byte {
	if name.start < len(r.data) {
		return r.data[name.start:name.end:name.end]
	}
	return r.unquoted[name.start-len(r.data) : name.end-len(r.data)]
}

// add reports whether name is new in the object.
func (r *Reader) add(o *object, where span, name []byte) bool {
	if o.many.hashes != nil {
		return o.many.add(r.canonical(o, name))
	}
	for _, other := range r.names[o.base:] {
		known := r.text(other)
		if bytes.Equal(known, name) || o.fold && bytes.EqualFold(known, name) {
			return false
		}
	}
	r.names = append(r.names, where)
	if len(r.names)-o.base > few {
		o.many = nameSet{seed: maphash.MakeSeed(), hashes: make(map[uint64]struct{}, 4*few)}
		for _, known := range r.names[o.base:] {
			o.many.add(r.canonical(o, r.text(known)))
		}
		r.close(o)
	}
	return true
}

// close forgets the names of the innermost object.
func (r *Reader) close(o *object) { r.names = r.names[:o.base] }

// canonical returns the same bytes for all names that are equal in the object.
func (r *Reader) canonical(o *object, name []byte) []byte {
	if !o.fold {
		return name
	}
	r.folded = r.folded[:0]
	for len(name) > 0 {
		c, size := utf8.DecodeRune(name)
		name = name[size:]
		r.folded = utf8.AppendRune(r.folded, smallest(c))
	}
	return r.folded
}

// smallest returns the least of the runes that differ from c in case only: the
// Kelvin sign and k become K.
func smallest(c rune) rune {
	least := c
	for next := unicode.SimpleFold(c); next != c; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}
