package strictjson_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

func TestReader_walks(t *testing.T) {
	text := []byte(` {"a": 1, "\u0062" : [ "x\n", {} , [] ], "c":{"d":null}, "e":-1.5e+3 } `)
	reader := strictjson.NewReader(text, 3)
	object, err := reader.Members()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for {
		name, more, err := object.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
		kind := reader.Kind()
		if kind != '[' {
			value, err := reader.Value()
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s%c%s", name, kind, value))
			continue
		}
		array, err := reader.Elements()
		for more := true; more && err == nil; {
			if more, err = array.Next(); more && err == nil {
				var value []byte
				value, err = reader.Value()
				got = append(got, string(name)+string(value))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"a01", `b"x\n"`, "b{}", "b[]", `c{{"d":null}`, "e0-1.5e+3"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := reader.End(); err != nil || reader.Duplicate() {
		t.Errorf("End = %v", err)
	}
}

func TestReader_reads_on_behind_a_duplicate(t *testing.T) {
	reader := strictjson.NewReader([]byte(`{"a":{"b":1,"b":2},"id":7}`), 8)
	object, err := reader.Members()
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for {
		name, more, err := object.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
		value, err := reader.Value()
		if err != nil {
			t.Fatal(err)
		}
		last = string(name) + string(value)
	}
	if last != "id7" || !reader.Duplicate() || !errors.Is(reader.End(), strictjson.ErrDuplicate) {
		t.Errorf("last %q, duplicate %t, End %v", last, reader.Duplicate(), reader.End())
	}
}

func TestReader_knows_names_in_objects_of_any_size(t *testing.T) {
	accepted := func(names []string, fold bool) bool {
		text := `{"` + strings.Join(names, `":[{"k0":1}],"`) + `":0}`
		reader := strictjson.NewReader([]byte(text), 3)
		read := reader.Value
		if fold {
			read = reader.FoldedValue
		}
		if value, err := read(); err != nil || string(value) != text {
			t.Fatalf("%d names: %v", len(names), err)
		}
		return reader.End() == nil
	}
	var names []string
	for n := range 2000 {
		names = append(names, "k"+strconv.Itoa(n))
		if n > 20 && n%97 != 0 {
			continue
		}
		for _, fold := range []bool{false, true} {
			if !accepted(names, fold) {
				t.Fatalf("%d names, fold %t: refused", len(names), fold)
			}
			for _, twice := range []int{0, n / 2, n} {
				if accepted(append(names, names[twice]), fold) {
					t.Errorf("%d names, fold %t: number %d twice is accepted", len(names), fold, twice)
				}
				other := strings.ToUpper(names[twice])
				if accepted(append(names, other), fold) == fold {
					t.Errorf("%d names, fold %t: %s", len(names), fold, other)
				}
			}
		}
	}
}

// Strings are read in words and blocks of words: none may hide a byte.
func TestReader_sees_every_byte_wherever_it_is(t *testing.T) {
	for _, size := range []int{7, 9, 40, 100} {
		for _, plain := range []string{" ", "!", "]", "~"} {
			text := []byte(`["` + strings.Repeat(plain, size) + `"]`)
			for at := 2; at < 2+size; at++ {
				for c := range 256 {
					text[at] = byte(c)
					reader := strictjson.NewReader(text, 1)
					_, err := reader.Value()
					if err == nil {
						err = reader.End()
					}
					if valid := jsontext.Value(text).IsValid(); valid != (err == nil) {
						t.Fatalf("%q at %d of %d in %q: %v; jsontext: %t", byte(c), at, size, plain, err, valid)
					}
				}
				text[at] = plain[0]
			}
		}
	}
}

// What one object has used is not what another still uses.
func TestReader_keeps_the_names_of_nested_objects_apart(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	object := func(members int, value func() string) string {
		var text strings.Builder
		for i := range members {
			text.WriteString(`"k` + strconv.Itoa(i) + `":` + value() + `,`)
		}
		return `{` + text.String()
	}
	for range 50 {
		leaf := func() string { return object(random.IntN(150), func() string { return "0" }) + `"x":0}` }
		few := func() string { return `0` }
		if random.IntN(2) == 0 {
			few = func() string { return object(random.IntN(40), leaf) + `"x":0}` }
		}
		members := 1 + random.IntN(700)
		text := object(members, func() string {
			if random.IntN(20) == 0 {
				return few()
			}
			return leaf()
		})
		for end, want := range map[string]error{`"x":0}`: nil, `"k` + strconv.Itoa(random.IntN(members)) + `":0}`: strictjson.ErrDuplicate} {
			reader := strictjson.NewReader([]byte(text+end), 5)
			if _, err := reader.Value(); err != nil || !errors.Is(reader.End(), want) {
				t.Fatalf("%d members: %v, %v; want %v", members, err, reader.End(), want)
			}
		}
	}
}

func TestReader_is_exact_about_types(t *testing.T) {
	for _, text := range []string{``, `1`, `"x"`, `null`, `[]`} {
		reader := strictjson.NewReader([]byte(text), 8)
		if _, err := reader.Members(); !errors.Is(err, strictjson.ErrSyntax) {
			t.Errorf("%q as an object: %v", text, err)
		}
	}
	for _, text := range []string{``, `1`, `"x"`, `null`, `{}`} {
		reader := strictjson.NewReader([]byte(text), 8)
		if _, err := reader.Elements(); !errors.Is(err, strictjson.ErrSyntax) {
			t.Errorf("%q as an array: %v", text, err)
		}
	}
	for _, text := range []string{``, `1`, `"`, `null`} {
		if _, err := strictjson.Unquote([]byte(text)); err == nil {
			t.Errorf("Unquote(%q) succeeds", text)
		}
	}
}

// large returns texts of 1 MiB, of the kinds that cost a reader most and least.
func large() map[string]string {
	fill := func(piece string) string { return strings.Repeat(piece, 1<<20/len(piece)) }
	var names strings.Builder
	for i := 0; names.Len() < 1<<20; i++ {
		names.WriteString(`"k` + strconv.Itoa(i) + `":0,`)
	}
	return map[string]string{
		"text":    `{"a":"` + fill("A line of plain text without anything to escape. ") + `"}`,
		"source":  `{"a":"` + fill(`\tif err := f(\"x\"); err != nil {\n\t\treturn err\n\t}\n`) + `"}`,
		"UTF-8":   `{"a":"` + fill("Größe für Straßen, 日本語テキスト. ") + `"}`,
		"records": `{"a":[` + fill(`{"id":12345,"name":"someone","tags":["a","b"],"active":true,"score":1.25,"at":{"city":"Paris"}},`) + `0]}`,
		"names":   `{` + names.String() + `"a":0}`,
	}
}

// BenchmarkReader puts a Reader beside jsontext, and both beside what it costs to
// receive the same bytes over loopback HTTP.
func BenchmarkReader(b *testing.B) {
	for _, name := range []string{"text", "source", "UTF-8", "records", "names"} {
		text := []byte(large()[name])
		b.Run(name+"/Reader", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				reader := strictjson.NewReader(text, 64)
				if _, err := reader.Value(); err != nil || reader.End() != nil {
					b.Fatal("refused")
				}
			}
		})
		b.Run(name+"/jsontext", func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if !jsontext.Value(text).IsValid() {
					b.Fatal("refused")
				}
			}
		})
		for _, with := range []string{"HTTP", "HTTP and Reader", "HTTP and jsontext"} {
			b.Run(name+"/"+with, func(b *testing.B) {
				server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					var body bytes.Buffer
					body.Grow(int(r.ContentLength) + bytes.MinRead)
					if _, err := body.ReadFrom(r.Body); err != nil {
						b.Error(err)
					}
					switch with {
					case "HTTP and Reader":
						reader := strictjson.NewReader(body.Bytes(), 64)
						_, _ = reader.Value()
					case "HTTP and jsontext":
						jsontext.Value(body.Bytes()).IsValid()
					}
				}))
				defer server.Close()
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					response, err := server.Client().Post(server.URL, "application/json", bytes.NewReader(text))
					if err != nil {
						b.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
			})
		}
	}
}
