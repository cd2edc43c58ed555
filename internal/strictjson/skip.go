package strictjson

import "github.com/go-json-experiment/json/jsontext"

// skip checks the value at i, which is depth deep, and returns where it ends. fold
// is about the names of the value itself.
func (r *Reader) skip(i, depth int, fold bool) (int, error) {
	data := r.data
	i = space(data, i)
	if i == len(data) {
		return 0, ErrSyntax
	}
	switch data[i] {
	case '"':
		end, _ := scanString(data, i+1)
		if end == 0 {
			return 0, ErrSyntax
		}
		return end, nil
	case '{':
		if depth == r.limit {
			return 0, ErrDepth
		}
		return r.skipObject(i+1, depth+1, fold)
	case '[':
		if depth == r.limit {
			return 0, ErrDepth
		}
		return r.skipArray(i+1, depth+1)
	}
	end := scanScalar(data, i)
	if end == i {
		return 0, ErrSyntax
	}
	return end, nil
}

func (r *Reader) skipArray(i, depth int) (int, error) {
	data := r.data
	if i = space(data, i); i < len(data) && data[i] == ']' {
		return i + 1, nil
	}
	for {
		end, err := r.skip(i, depth, false)
		if err != nil {
			return 0, err
		}
		if i = space(data, end); i == len(data) {
			return 0, ErrSyntax
		}
		switch data[i] {
		case ',':
			i++
		case ']':
			return i + 1, nil
		default:
			return 0, ErrSyntax
		}
	}
}

func (r *Reader) skipObject(i, depth int, fold bool) (int, error) {
	data := r.data
	if i = space(data, i); i < len(data) && data[i] == '}' {
		return i + 1, nil
	}
	object := object{base: len(r.names), fold: fold}
	for {
		_, end, err := r.member(space(data, i), &object)
		if err != nil {
			return 0, err
		}
		if end, err = r.skip(end, depth, false); err != nil {
			return 0, err
		}
		if i = space(data, end); i == len(data) {
			return 0, ErrSyntax
		}
		switch data[i] {
		case ',':
			i++
		case '}':
			r.close(&object)
			return i + 1, nil
		default:
			return 0, ErrSyntax
		}
	}
}

// member reads the name at i and its colon, and returns where its value begins.
func (r *Reader) member(i int, object *object) (name []byte, value int, err error) {
	data := r.data
	if i == len(data) || data[i] != '"' {
		return nil, 0, ErrSyntax
	}
	end, escaped := scanString(data, i+1)
	if end == 0 {
		return nil, 0, ErrSyntax
	}
	where := span{i + 1, end - 1}
	if escaped {
		before := len(r.unquoted)
		if r.unquoted, err = jsontext.AppendUnquote(r.unquoted, data[i:end]); err != nil {
			return nil, 0, ErrSyntax
		}
		where = span{len(data) + before, len(data) + len(r.unquoted)}
	}
	name = r.text(where)
	if r.most > 0 && len(object.many.hashes) >= r.most {
		return nil, 0, ErrTooMany
	}
	if !r.add(object, where, name) {
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
