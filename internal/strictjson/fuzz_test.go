package strictjson_test

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// depthOf counts nesting by encoding/json's tokens.
func depthOf(text []byte) (deepest int) {
	decoder, depth := json.NewDecoder(strings.NewReader(string(text))), 0
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return deepest
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// FuzzUnmarshal: what we accept, encoding/json accepts with the same value, it is
// not too deep, and written again it is read again. What we refuse as too deep is
// that, where encoding/json reads it at all.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":{"b":1,"b":2}}`, `{"a":1}{}`, "\ufeff{}", "{\"a\":\"\xff\"}",
		`{"a":"\ud800"}`, `"\ud83d\ude00"`, `[1e400]`, `-0`, `01`, `NaN`, `{"a":1,}`, `{/**/}`, `{"a":1,"A":2}`, `{"a\u0000":1}`,
		nested("[", "", "]", 32), nested("[", "", "]", 33), nested(`{"a":`, "1", "}", 33), `]]]]` + nested("[", "", "]", 40),
		`"\"` + strings.Repeat("[", 50) + `"`, `{"a":1"` + strings.Repeat("[", 50) + `"}`, `[0.1,1E+2,-1.5e-7,12345678901234567890]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got any
		err := strictjson.Unmarshal(text, &got)
		if errors.Is(err, strictjson.ErrDepth) {
			if json.Valid(text) && depthOf(text) <= strictjson.MaxDepth {
				t.Errorf("%d deep is refused", depthOf(text))
			}
			return
		}
		var raw strictjson.Value
		asText := strictjson.Unmarshal(text, &raw)
		if err == nil && asText != nil || err != nil && asText == nil && !strictjson.Valid(err) {
			t.Errorf("as a value: %v; as text: %v", err, asText)
		}
		if err != nil {
			return
		}
		var want any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("encoding/json refuses: %v", err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("we read %#v, encoding/json %#v", got, want)
		}
		if !utf8.Valid(text) || depthOf(text) > strictjson.MaxDepth {
			t.Errorf("accepted, %d deep", depthOf(text))
		}
		_, isObject := want.(map[string]any)
		var object map[string]strictjson.Value
		if err := strictjson.Object(text, &object); (err == nil) != isObject {
			t.Errorf("as an object: %v", err)
		}
		written, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var again any
		if err := strictjson.Unmarshal(written, &again); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("written again: %v", err)
		}
		// A second value behind it must not be lost in silence.
		if err := strictjson.Unmarshal(append(text[:len(text):len(text)], " 1"...), &again); err == nil {
			t.Error("a second value is accepted")
		}
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		_ = decoder.Decode(&want)
		if _, err := decoder.Token(); err != io.EOF {
			t.Error("trailing data is accepted")
		}
	})
}
