package strictjson

import "github.com/go-json-experiment/json/jsontext"

// skip checks the value at i and returns where it ends. fold is about the names of
// the value itself.
func (r *Reader) skip(i int, fold bool) (int, error) {
	data, outer := r.data, len(r.open)
	for {
		if i = space(data, i); i == len(data) {
			return 0, ErrSyntax
		}
		switch c := data[i]; c {
		case '"':
			if i, _ = scanString(data, i+1); i == 0 {
				return 0, ErrSyntax
			}
		case '{', '[':
			if len(r.open) == r.limit {
				return 0, ErrDepth
			}
			r.push(i, fold)
			fold = false
			if i = space(data, i+1); i < len(data) && data[i] == c+2 {
				break // its end is read below
			}
			if c == '{' {
				var err error
				if _, i, err = r.member(i); err != nil {
					return 0, err
				}
			}
			continue
		default:
			end := scanScalar(data, i)
			if end == i {
				return 0, ErrSyntax
			}
			i = end
		}
		// The ends of what ends with this value, then a comma.
		for comma := false; !comma; i++ {
			if len(r.open) == outer {
				return i, nil
			}
			if i = space(data, i); i == len(data) {
				return 0, ErrSyntax
			}
			switch data[i] {
			case r.end():
				r.pop()
			case ',':
				comma = true
			default:
				return 0, ErrSyntax
			}
		}
		if r.end() == '}' {
			var err error
			if _, i, err = r.member(space(data, i)); err != nil {
				return 0, err
			}
		}
	}
}

// member reads the name at i and its colon, and returns where its value begins.
func (r *Reader) member(i int) (name []byte, value int, err error) {
	data := r.data
	if i == len(data) || data[i] != '"' {
		return nil, 0, ErrSyntax
	}
	end, escaped := scanString(data, i+1)
	if end == 0 {
		return nil, 0, ErrSyntax
	}
	name = data[i+1 : end-1]
	if escaped {
		if r.unquoted, err = jsontext.AppendUnquote(r.unquoted[:0], data[i:end]); err != nil {
			return nil, 0, ErrSyntax
		}
		name = r.unquoted
	}
	object := &r.open[len(r.open)-1]
	if r.most > 0 && object.count >= r.most {
		return nil, 0, ErrTooMany
	}
	if !r.add(object, name, end) {
		r.duplicate = true
	}
	if end = space(data, end); end == len(data) || data[end] != ':' {
		return nil, 0, ErrSyntax
	}
	return name, end + 1, nil
}

// space returns where the white space at i ends.
func space(data []byte, i int) int {
	if i < len(data) && data[i] > ' ' {
		return i
	}
	return longSpace(data, i)
}

func longSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\t' || data[i] == '\n' || data[i] == '\r') {
		i++
	}
	return i
}
