// Package strictjson is the one reader for JSON that arrives from outside.
//
// It refuses what different parsers read differently: duplicate names (compared
// after unescaping), invalid UTF-8 and lone surrogates, a byte order mark,
// trailing data, and deep nesting (RFC 8259 §4, §8.1; RFC 8725 §2.4, §3.7). Names
// match in exact case.
package strictjson

import (
	"bytes"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how deep arrays and objects may nest.
const MaxDepth = 32

// ErrDepth is returned for a document that nests deeper than MaxDepth.
var ErrDepth = errors.New("strictjson: nested too deeply")

// Value is one JSON value, kept as text.
type Value = jsontext.Value

// Object is Unmarshal for a document that must be a JSON object: null, which
// would leave v as it is, is an error.
func Object(data []byte, v any) error {
	if Value(data).Kind() != '{' {
		return errors.New("strictjson: not an object")
	}
	return Unmarshal(data, v)
}

// Unmarshal decodes data into v, a pointer. Names match in exact case; unknown
// members are skipped, but their content must be as strict as the rest.
func Unmarshal(data []byte, v any) error {
	if deep(data) {
		return ErrDepth
	}
	return json.Unmarshal(data, v)
}

// Valid reports whether err, from Unmarshal, is about a value that did not fit
// its Go type while the JSON up to there was in order.
func Valid(err error) bool {
	_, semantic := errors.AsType[*json.SemanticError](err)
	return semantic
}

// deep reports nesting beyond MaxDepth before anything recursive runs. It is
// exact for valid JSON; for invalid JSON the decoder has the last word.
func deep(data []byte) bool {
	if bytes.Count(data, []byte{'{'})+bytes.Count(data, []byte{'['}) <= MaxDepth {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
