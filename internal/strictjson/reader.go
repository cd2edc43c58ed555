package strictjson

import (
	"bytes"
	"errors"
	"hash/maphash"

	"github.com/go-json-experiment/json/jsontext"
)

// What a Reader finds wrong. The texts repeat nothing of the input.
var (
	ErrSyntax    = errors.New("strictjson: not JSON in UTF-8")
	ErrDuplicate = errors.New("strictjson: a member twice in one object")
	ErrTooMany   = errors.New("strictjson: too many members in one object")
)

// A Reader walks over one JSON text in place, once, without copying it. It is as
// strict as Unmarshal: FuzzReader proves that it accepts what jsontext accepts.
// It exists for large texts, where jsontext costs more than receiving them does;
// BenchmarkReader has the figures.
//
// A Reader is spent after an error. A member that comes twice is not an error
// before End, so that what follows it, such as the id to answer to, can be read.
type Reader struct {
	data      []byte
	pos       int
	limit     int
	most      int // members of an object; 0: any number
	duplicate bool
	open      []container // what pos is in, the innermost last
	seed      maphash.Seed
	hashes    []uint64   // of the names of the open objects with few
	tables    [][]uint64 // of those with many
	unquoted  []byte     // the last name that had escapes
}

// NewReader returns a Reader of data, which may nest at most limit deep.
func NewReader(data []byte, limit int) Reader {
	r := Reader{data: data, limit: limit, seed: maphash.MakeSeed()}
	// Room for most texts, without a pointer for the collector to follow.
	if len(data) < 1<<10 {
		var room struct {
			open   [3]container
			hashes [few]uint64
		}
		r.open, r.hashes = room.open[:0], room.hashes[:0]
		return r
	}
	var room struct {
		open   [6]container
		hashes [2 * few]uint64
	}
	r.open, r.hashes = room.open[:0], room.hashes[:0]
	return r
}

// AtMost refuses objects with more than n members. It bounds what the names of a
// small document cost.
func (r *Reader) AtMost(n int) { r.most = n }

// Kind returns the first byte of the next value, '0' for any number, and 0 if
// there is no value.
func (r *Reader) Kind() byte {
	switch c := r.peek(); c {
	case '{', '[', '"', 't', 'f', 'n':
		return c
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return '0'
	}
	return 0
}

// Duplicate reports whether any object so far had a member twice.
func (r *Reader) Duplicate() bool { return r.duplicate }

// Value reads one whole value and returns its text, a part of data.
func (r *Reader) Value() ([]byte, error) { return r.value(false) }

// FoldedValue is Value, but if it is an object, its own names must differ by more
// than case, as in FoldedMembers.
func (r *Reader) FoldedValue() ([]byte, error) { return r.value(true) }

func (r *Reader) value(fold bool) ([]byte, error) {
	r.peek()
	start := r.pos
	end, err := r.skip(start, fold)
	if err != nil {
		return nil, err
	}
	r.pos = end
	return r.data[start:end:end], nil
}

// End checks that nothing but white space follows (RFC 8259 §2), and that no
// member came twice.
func (r *Reader) End() error {
	switch {
	case r.peek() != 0 || r.pos < len(r.data):
		return ErrSyntax
	case r.duplicate:
		return ErrDuplicate
	}
	return nil
}

// Unquote returns what a string says whose text came from Value.
func Unquote(text []byte) (string, error) {
	if len(text) < 2 || text[0] != '"' {
		return "", ErrSyntax
	}
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text[1 : len(text)-1]), nil
	}
	unquoted, err := jsontext.AppendUnquote(nil, text)
	return string(unquoted), err
}

// Elements is an array that is being read: Next until it returns false, and one
// Value, Members or Elements of the Reader after each true.
type Elements struct {
	reader  *Reader
	started bool
}

// Elements enters the next value, which must be an array.
func (r *Reader) Elements() (Elements, error) {
	return Elements{reader: r}, r.enter('[', false)
}

// Next moves to the next element.
func (e *Elements) Next() (more bool, err error) {
	return e.reader.next(&e.started)
}

// Members is an object that is being read: Next until it returns false, and one
// Value, Members or Elements of the Reader after each true.
type Members struct {
	reader  *Reader
	started bool
}

// Members enters the next value, which must be an object.
func (r *Reader) Members() (Members, error) {
	return Members{reader: r}, r.enter('{', false)
}

// FoldedMembers is Members for an object whose names must differ by more than
// case (strings.EqualFold): some decoders take "Name" for "name".
func (r *Reader) FoldedMembers() (Members, error) {
	return Members{reader: r}, r.enter('{', true)
}

// Next moves to the next member and returns its name, unescaped, which is valid
// until the next call on the Reader.
func (m *Members) Next() (name []byte, more bool, err error) {
	r := m.reader
	if more, err = r.next(&m.started); err != nil || !more {
		return nil, false, err
	}
	name, end, err := r.member(space(r.data, r.pos))
	if err != nil {
		return nil, false, err
	}
	r.pos = end
	return name, true, nil
}

func (r *Reader) enter(bracket byte, fold bool) error {
	switch {
	case r.peek() != bracket:
		return ErrSyntax
	case len(r.open) == r.limit:
		return ErrDepth
	}
	r.push(r.pos, fold)
	r.pos++
	return nil
}

// next reads the comma before an element, or the end.
func (r *Reader) next(started *bool) (bool, error) {
	end := r.end()
	switch c := r.peek(); {
	case !*started && c != end:
		*started = true
		return true, nil // whether a value follows, its reader says
	case c == end:
		r.pos++
		r.pop()
		return false, nil
	case c == ',':
		r.pos++
		return true, nil
	}
	return false, ErrSyntax
}

// peek skips white space and returns the byte behind it, 0 at the end.
func (r *Reader) peek() byte {
	r.pos = space(r.data, r.pos)
	if r.pos == len(r.data) {
		return 0
	}
	return r.data[r.pos]
}
