package strictjson_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// All that two bytes can be, and of three and four bytes all that is at an edge of
// a range of RFC 3629 §4, at every place in a word, alone and among many.
func TestReader_takes_what_is_UTF8(t *testing.T) {
	edges := []byte{' ', 'a', 0x7f}
	for _, first := range []byte{0x80, 0x90, 0xa0, 0xc0, 0xc2, 0xe0, 0xe1, 0xed, 0xee, 0xf0, 0xf1, 0xf4, 0xf5, 0xff} {
		edges = append(edges, first-1, first)
	}
	slices.Sort(edges)
	edges = slices.Compact(edges)
	var pieces []string
	for a := range 256 {
		for b := range 256 {
			pieces = append(pieces, string([]byte{byte(a), byte(b)}))
		}
	}
	for _, a := range edges {
		for _, b := range edges {
			for _, c := range edges {
				pieces = append(pieces, string([]byte{a, b, c}))
				for _, d := range edges {
					pieces = append(pieces, string([]byte{a, b, c, d}))
				}
			}
		}
	}
	accepted := 0
	for i, piece := range pieces {
		if strings.ContainsFunc(piece, func(c rune) bool { return c < ' ' || c == '"' || c == '\\' }) {
			continue
		}
		before := strings.Repeat("é", i%2*7) + strings.Repeat("x", i%9)
		for _, behind := range []string{"", "xxxxxxxx", "éééééééé"} {
			text := []byte(`"` + before + piece + behind + `"`)
			reader := strictjson.NewReader(text, 1)
			_, err := reader.Value()
			if err == nil {
				err = reader.End()
			}
			if valid := utf8.Valid(text); valid != (err == nil) {
				t.Fatalf("%q: %v; unicode/utf8: %t", text, err, valid)
			}
			if err == nil {
				accepted++
			}
		}
	}
	if accepted < 10000 || accepted > 2*len(pieces) {
		t.Errorf("the test has %d texts of UTF-8 and %d others", accepted, 3*len(pieces)-accepted)
	}
}
