package strictjson_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

func nested(open, inside, end string, depth int) string {
	return strings.Repeat(open, depth) + inside + strings.Repeat(end, depth)
}

func utf16le(text string) string {
	var out bytes.Buffer
	for _, unit := range utf16.Encode([]rune(text)) {
		out.Write([]byte{byte(unit), byte(unit >> 8)})
	}
	return out.String()
}

// targets decode the same text into what the module decodes into: the strictness
// must not depend on that.
func targets() map[string]any {
	return map[string]any{
		"any":           new(any),
		"map":           new(map[string]any),
		"map of values": new(map[string]strictjson.Value),
		"value":         new(strictjson.Value),
		"struct": new(struct {
			A any `json:"a"`
		}),
		"empty struct": new(struct{}),
		"struct of text": new(struct {
			A strictjson.Value `json:"a"`
		}),
	}
}

// None of these is about types, so that Valid must be false: a token with them is
// malformed, not one with a wrong claim.
func TestUnmarshal_refuses_what_parsers_read_differently(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                                    ``,
		"blanks":                                     " \t\r\n",
		"TS-26 a name twice":                         `{"a":1,"a":2}`,
		"TS-26 a name twice with the same value":     `{"a":1,"a":1}`,
		"TS-26 a name twice, apart":                  `{"a":1,"b":2,"c":{},"a":2}`,
		"TS-26 an unknown name twice":                `{"z":1,"z":2}`,
		"TS-26 the empty name twice":                 `{"":1,"":2}`,
		"TS-26 null twice":                           `{"a":null,"a":null}`,
		"TS-31 twice by an escape":                   `{"a":1,"\u0061":2}`,
		"TS-31 twice by two escapes":                 `{"\u0061":1,"\u0061":2}`,
		"TS-31 twice by a surrogate pair":            `{"` + "\U0001f600" + `":1,"\ud83d\ude00":2}`,
		"TS-31 twice by an escaped slash":            `{"/":1,"\/":2}`,
		"TS-35 twice with NUL":                       `{"a\u0000":1,"a\u0000":2}`,
		"TS-30 twice in a nested object":             `{"a":{"b":1,"b":2}}`,
		"TS-30 twice in a nested unknown object":     `{"z":{"b":1,"b":2}}`,
		"TS-30 twice in an object in an array":       `{"z":[1,{"b":1,"\u0062":2}]}`,
		"TS-30 twice three levels down":              `{"z":{"y":{"x":{"w":1,"w":2}}}}`,
		"TS-36 two values":                           `{} {}`,
		"TS-38 an object behind":                     `{"a":1}{"a":2}`,
		"TS-38 garbage behind":                       `{"a":1} garbage`,
		"TS-38 a bracket behind":                     `{"a":1}}`,
		"TS-38 a comma behind":                       `{"a":1},`,
		"TS-38 a NUL behind":                         "{\"a\":1}\x00",
		"TS-40 byte order mark":                      "\ufeff{}",
		"TS-40 byte order mark behind":               "{}\ufeff",
		"TS-40 UTF-16LE":                             utf16le(`{"a":1}`),
		"TS-40 UTF-16LE with a byte order mark":      "\xff\xfe" + utf16le(`{"a":1}`),
		"TS-40 UTF-16BE":                             "\x00{\x00}",
		"TS-41 invalid UTF-8 in a value":             "{\"a\":\"u\xff\"}",
		"TS-41 invalid UTF-8 in a name":              "{\"\xff\":1}",
		"TS-41 invalid UTF-8 in an unknown value":    "{\"z\":[\"\x80\"]}",
		"TS-41 overlong NUL":                         "{\"a\":\"\xc0\x80\"}",
		"TS-41 overlong quotation mark":              "{\"a\":\"\xc0\xa2\"}",
		"TS-41 a surrogate in UTF-8":                 "{\"a\":\"\xed\xa0\x80\"}",
		"TS-41 beyond U+10FFFF":                      "{\"a\":\"\xf4\x90\x80\x80\"}",
		"TS-41 cut UTF-8":                            "{\"a\":\"\xe2\x82\"}",
		"lone high surrogate":                        `{"a":"\ud800"}`,
		"lone low surrogate":                         `{"a":"\udc00"}`,
		"surrogates in the wrong order":              `{"a":"\udc00\ud800"}`,
		"high surrogate before a letter":             `{"a":"\ud800x"}`,
		"high surrogate before an escape":            `{"a":"\ud800\n"}`,
		"lone surrogate in a name":                   `{"\ud800":1}`,
		"lone surrogate in an unknown value":         `{"z":{"y":["\udfff"]}}`,
		"TS-44 comment":                              `{/**/"a":1}`,
		"TS-44 line comment":                         "{\"a\":1}//\n",
		"TS-44 hash comment":                         "#\n{}",
		"TS-44 trailing comma in an object":          `{"a":1,}`,
		"TS-44 trailing comma in an array":           `{"a":[1,]}`,
		"TS-44 leading comma":                        `{,"a":1}`,
		"TS-44 two commas":                           `{"a":[1,,2]}`,
		"TS-44 single quotes":                        `{'a':1}`,
		"TS-44 unquoted name":                        `{a:1}`,
		"TS-44 NaN":                                  `{"a":NaN}`,
		"TS-44 Infinity":                             `{"a":Infinity}`,
		"TS-44 negative Infinity":                    `{"a":-Infinity}`,
		"TS-44 hexadecimal":                          `{"a":0x10}`,
		"TS-44 leading zero":                         `{"a":01}`,
		"TS-44 negative leading zero":                `{"a":-01}`,
		"TS-44 plus sign":                            `{"a":+1}`,
		"TS-44 no digit before the point":            `{"a":.5}`,
		"TS-44 no digit behind the point":            `{"a":5.}`,
		"TS-44 no digit in the exponent":             `{"a":1e}`,
		"TS-44 a minus alone":                        `{"a":-}`,
		"TS-44 a literal in another case":            `{"a":TRUE}`,
		"TS-44 a literal that goes on":               `{"a":nullx}`,
		"TS-44 undefined":                            `{"a":undefined}`,
		"TS-44 raw line break in a string":           "{\"a\":\"\n\"}",
		"TS-44 raw NUL in a string":                  "{\"a\":\"\x00\"}",
		"TS-44 unknown escape":                       `{"a":"\x41"}`,
		"TS-44 cut escape":                           `{"a":"\u00"}`,
		"TS-44 backslash at the end":                 `{"a":"\`,
		"TS-44 no-break space":                       "{\u00a0\"a\":1}",
		"TS-44 vertical tab":                         "{\v}",
		"TS-44 cut short":                            `{"a":1`,
		"TS-44 brackets that do not fit":             `{"a":[1}]`,
		"TS-44 a number as a name":                   `{1:1}`,
		"TS-44 a name without a value":               `{"a"}`,
		"TS-44 no comma":                             `{"a":1 "b":2}`,
		"TS-44 two colons":                           `{"a"::1}`,
		"closing brackets first, then deep":          strings.Repeat("]", 50) + nested("[", "", "]", 40),
		"an open string that hides brackets":         `{"a":"` + strings.Repeat("[", 50),
		"TS-24 deep but never closed, at the limit":  strings.Repeat("[", strictjson.MaxDepth),
		"TS-24 a quotation mark outside of a string": `{"a":1"` + strings.Repeat("[", 50) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for kind, target := range targets() {
				err := strictjson.Unmarshal([]byte(text), target)
				if err == nil {
					t.Errorf("into %s: accepted as %v", kind, reflect.ValueOf(target).Elem())
				}
				// A top-level value of another type may be seen before what is behind it.
				if kind == "any" && strictjson.Valid(err) {
					t.Errorf("into %s: a matter of types: %v", kind, err)
				}
			}
		})
	}
}

func TestUnmarshal_depth_limit_is_exact(t *testing.T) {
	const limit = strictjson.MaxDepth
	if limit != 32 {
		t.Fatalf("the limit is %d", limit)
	}
	for name, form := range map[string]struct{ open, inside, end string }{
		"arrays":                        {"[", "", "]"},
		"arrays around a number":        {"[", "1", "]"},
		"objects":                       {`{"a":`, "1", "}"},
		"objects with blanks":           {"{ \"z\" :\n", "null", " }"},
		"objects with brackets in name": {`{"[{\"[":`, `"}]"`, "}"},
		"objects with a sibling before": {`{"b":[[]],"a":`, "1", "}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// "[[]]" beside the last object is two levels deeper than that.
			extra := 0
			if strings.Contains(form.open, "[[]]") {
				extra = 2
			}
			for kind, target := range map[string]any{"any": new(any), "value": new(strictjson.Value)} {
				if err := strictjson.Unmarshal([]byte(nested(form.open, form.inside, form.end, limit-extra)), target); err != nil {
					t.Errorf("into %s, %d deep: %v", kind, limit, err)
				}
				for _, depth := range []int{limit - extra + 1, 65, 9_999, 10_001, 100_000} {
					text := nested(form.open, form.inside, form.end, depth)
					if err := strictjson.Unmarshal([]byte(text), target); err != strictjson.ErrDepth || strictjson.Valid(err) {
						t.Errorf("into %s, %d deep: %v", kind, depth, err)
					}
					// Never closed: the cheapest attack.
					if err := strictjson.Unmarshal([]byte(text[:len(form.open)*depth]), target); err != strictjson.ErrDepth {
						t.Errorf("into %s, %d deep and open: %v", kind, depth, err)
					}
				}
			}
		})
	}
	unknown := `{"z":` + nested("[", "", "]", limit) + `}`
	if err := strictjson.Unmarshal([]byte(unknown), new(struct{})); err != strictjson.ErrDepth {
		t.Errorf("in an unknown member: %v", err)
	}
}

func TestUnmarshal_accepts(t *testing.T) {
	type object = map[string]any
	for name, test := range map[string]struct {
		text string
		want any
	}{
		"an empty object":                  {`{}`, object{}},
		"null":                             {`null`, nil},
		"a string":                         {`"a"`, "a"},
		"white space around tokens":        {" \t\r\n{ \"a\" :\n[ 1 , 2 ] } \r\n", object{"a": []any{1.0, 2.0}}},
		"equal names in different objects": {`{"a":{"a":1},"b":{"a":2}}`, object{"a": object{"a": 1.0}, "b": object{"a": 2.0}}},
		"TS-33 names that differ in case":  {`{"a":1,"A":2}`, object{"a": 1.0, "A": 2.0}},
		"TS-35 a name with NUL behind":     {`{"iss\u0000":1,"iss":2}`, object{"iss\x00": 1.0, "iss": 2.0}},
		"names that differ by a form":      {"{\"\u00e9\":1,\"e\u0301\":2}", object{"\u00e9": 1.0, "e\u0301": 2.0}},
		"escapes":                          {`"\"\\\/\b\f\n\r\t\u00e9"`, "\"\\/\b\f\n\r\té"},
		"a surrogate pair":                 {`"\ud83d\ude00"`, "\U0001f600"},
		"U+FFFD itself":                    {`"` + "\ufffd" + `"`, "\ufffd"},
		"controls that are escaped":        {`"\u0000\u001f\u2028"`, "\x00\x1f\u2028"},
		"raw DEL and U+2028":               {"\"\x7f\u2028\"", "\x7f\u2028"},
		"many brackets in a string":        {`"` + strings.Repeat("[{", 100) + `"`, strings.Repeat("[{", 100)},
		"brackets behind an escaped quote": {`"\"` + strings.Repeat("[", 50) + `"`, `"` + strings.Repeat("[", 50)},
		"brackets behind a backslash":      {`["\\",` + nested("[", "", "]", 2) + `]`, []any{`\`, []any{[]any{}}}},
		"many shallow arrays":              {"[" + strings.Repeat("[],", 99) + "[]]", repeat(100)},
		"TS-50 numbers":                    {`[0,-0.5,1.9e9,1E+2,1e-2]`, []any{0.0, -0.5, 1.9e9, 100.0, 0.01}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got any
			if err := strictjson.Unmarshal([]byte(test.text), &got); err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%#v, %v; want %#v", got, err, test.want)
			}
			var text strictjson.Value
			if err := strictjson.Unmarshal([]byte(test.text), &text); err != nil || string(text) != strings.Trim(test.text, " \t\r\n") {
				t.Errorf("as text: %q, %v", text, err)
			}
		})
	}
}

func repeat(n int) (out []any) {
	for range n {
		out = append(out, []any{})
	}
	return out
}

func TestUnmarshal_TS_33_names_match_in_exact_case(t *testing.T) {
	type target struct {
		Exp int    `json:"exp"`
		Iss string `json:"iss"`
	}
	for text, want := range map[string]target{
		`{"exp":1,"Exp":2}`:                     {Exp: 1},
		`{"Exp":2,"exp":1}`:                     {Exp: 1},
		`{"EXP":2}`:                             {},
		`{"Exp":2,"eXp":3}`:                     {},
		`{"iss":"a","ISS":"b"}`:                 {Iss: "a"},
		`{"i\u0073s":"a"}`:                      {Iss: "a"},
		`{"iſs":"b"}`:                           {}, // U+017F folds to s
		`{"is_s":"b","i-s-s":"b","Iss":"b"}`:    {},
		`{"iss\u0000":"b"," iss":"b","":"b"}`:   {},
		`{"Exp":"not a number","Iss":{"x":[]}}`: {},
	} {
		var got target
		if err := strictjson.Unmarshal([]byte(text), &got); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

func TestUnmarshal_TS_36_TS_53_wrong_types(t *testing.T) {
	type target struct {
		Text   string             `json:"text"`
		List   []strictjson.Value `json:"list"`
		Number int                `json:"number"`
	}
	for _, text := range []string{
		`[]`, `"x"`, `1`, `true`, `{"text":1}`, `{"text":["x"]}`, `{"text":{}}`, `{"text":true}`, `{"list":{}}`, `{"list":"x"}`,
		`{"number":"1"}`, `{"number":1.5}`, `{"number":1e400}`, `{"number":18446744073709551616}`,
	} {
		var got target
		err := strictjson.Unmarshal([]byte(text), &got)
		if err == nil || !strictjson.Valid(err) {
			t.Errorf("%s: %v", text, err)
		}
	}
	// TS-55: as text, a number of any size costs its length.
	var numbers struct{ A, B, C strictjson.Value }
	text := `{"A":1e999999999,"B":1e-999999999,"C":` + strings.Repeat("9", 7000) + `}`
	if err := strictjson.Unmarshal([]byte(text), &numbers); err != nil || len(numbers.C) != 7000 || string(numbers.A) != "1e999999999" {
		t.Errorf("numbers as text: %v", err)
	}
}

func TestValid_is_false_for_other_errors(t *testing.T) {
	for _, err := range []error{nil, errors.New("x"), strictjson.ErrDepth} {
		if strictjson.Valid(err) {
			t.Errorf("%v", err)
		}
	}
}

func TestObject_TS_36_wants_an_object(t *testing.T) {
	for _, text := range []string{``, ` `, `null`, ` null`, `[]`, `[{}]`, `"{}"`, `1`, `true`, "\ufeff{}", `{`, `}`, `{"a":1,"a":2}`, `{}{}`, `{} x`} {
		value := map[string]any{"kept": true}
		if err := strictjson.Object([]byte(text), &value); err == nil {
			t.Errorf("%q is accepted", text)
		}
		if value["kept"] != true {
			t.Errorf("%q replaced the value", text)
		}
	}
	for _, text := range []string{`{}`, " \r\n\t{} \n", `{"a":{"b":[]}}`} {
		var value map[string]any
		if err := strictjson.Object([]byte(text), &value); err != nil || value == nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
