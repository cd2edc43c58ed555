package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// FuzzReader: a Reader accepts exactly the texts that jsontext accepts and that
// are not too deep, and tells a wrong form from a member that comes twice.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		``, ` `, `{}`, `[]`, `null`, `nul`, `true `, `-0`, `-`, `01`, `1.`, `1.5e+`, `1e400`, `{"a":1,"a":2}`, `{"a":{"b":1,"\u0062":2}}`,
		`{"a":1}{}`, "\ufeff{}", "{\"a\":\"\xff\"}", `"\ud800"`, `"\ud83d\ude00"`, `"\udc00"`, `"\ud800\u0041"`, `"\x"`, `"\u12"`,
		"\"12345678\x1f\"", "\"1234567\u00e9\"", "\"1234567\xc3\"", "\"\xed\xa0\x80 and more\"", `[1,]`, `[,1]`, `{,}`, `{"a"}`, `{"a":}`,
		`{"a":1,}`, `{"a":1 "b":2}`, `[1 2]`, `{1:2}`, nested("[", "", "]", 64), nested("[", "", "]", 65), strings.Repeat("[", 65),
		many(15, `"a0"`), many(16, `"a0"`), many(17, `"a0"`), many(40, `"\u00610"`), many(40, `"b"`), `[` + many(20, `"b"`) + `,` + many(20, `"a3"`) + `]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		reader := strictjson.NewReader(text, 64)
		value, err := reader.Value()
		if err == nil {
			err = reader.End()
		}
		deep := depthOf(text) > 64
		strict := jsontext.Value(text).IsValid()
		loose := jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true))
		switch {
		case err == nil:
			if !strict || deep {
				t.Fatalf("accepted; jsontext: %t, too deep: %t", strict, deep)
			}
			if !bytes.Equal(value, bytes.Trim(text, " \t\r\n")) {
				t.Fatalf("value is %q", value)
			}
			if value[0] == '"' {
				var want string
				got, err := strictjson.Unquote(value)
				if json.Unmarshal(value, &want) != nil || err != nil || got != want {
					t.Fatalf("Unquote = %q, %v; want %q", got, err, want)
				}
			}
		case errors.Is(err, strictjson.ErrSyntax):
			if loose {
				t.Fatal("jsontext finds the syntax in order")
			}
		case errors.Is(err, strictjson.ErrDuplicate):
			if strict || !loose {
				t.Fatalf("twice; jsontext: %t, with duplicates %t", strict, loose)
			}
		case errors.Is(err, strictjson.ErrDepth):
			if loose && !deep {
				t.Fatal("not too deep")
			}
		default:
			t.Fatal(err)
		}
	})
}

// FuzzFoldedMembers: of two names, exactly those that strings.EqualFold finds
// equal are duplicates, in a small object and in a large one.
func FuzzFoldedMembers(f *testing.F) {
	for _, pair := range [][2]string{{"name", "name"}, {"name", "Name"}, {"uris", "uri\u017f"}, {"k", "\u212a"}, {"é", "É"}, {"name", "nam"}, {"", "a"}, {"σ", "ς"}, {"ß", "ẞ"}, {"i", "İ"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		a, b = strings.ToValidUTF8(a, ""), strings.ToValidUTF8(b, "")
		first, _ := json.Marshal(a)
		second, _ := json.Marshal(b)
		for _, between := range []string{"", strings.Trim(many(40, `"=40"`), "{}") + ","} {
			if between != "" && (strings.HasPrefix(a, "a") || strings.HasPrefix(b, "a") || strings.HasPrefix(a, "A") || strings.HasPrefix(b, "A") || a == "=40" || b == "=40") {
				continue
			}
			reader := strictjson.NewReader([]byte("{"+string(first)+":1,"+between+string(second)+":2}"), 1)
			object, err := reader.FoldedMembers()
			for more := true; more && err == nil; {
				if _, more, err = object.Next(); more && err == nil {
					_, err = reader.Value()
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, want := errors.Is(reader.End(), strictjson.ErrDuplicate), strings.EqualFold(a, b); got != want {
				t.Errorf("%q and %q, %d bytes between: duplicate %t, want %t", a, b, len(between), got, want)
			}
		}
	})
}

// many is an object with n names a0, a1, ... and one more.
func many(n int, last string) string {
	var text strings.Builder
	text.WriteString("{")
	for i := range n {
		name, _ := json.Marshal("a" + string(rune('0'+i)))
		text.Write(name)
		text.WriteString(":1,")
	}
	return text.String() + last + ":2}"
}
