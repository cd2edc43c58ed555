package scopes_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, in, want string
	}{
		{"the empty string is the empty set", "", ""},
		{"only spaces are the empty set", "   ", ""},
		{"tokens come out sorted", "b a", "a b"},
		{"repetitions count once", "a b a", "a b"},
		{"surplus spaces are skipped", "  a   b ", "a b"},
		{"case matters", "Read read", "Read read"},
		{"CL-27 a comma does not separate", "read,admin", "read,admin"},
		{"CL-27 a plus does not separate", "read+admin", "read+admin"},
		{"CL-27 an escaped space does not separate", "read%20admin", "read%20admin"},
		{"a URL is a legal token", "https://h/files.read api://1/x", "api://1/x https://h/files.read"},
		{"the ends of the range are legal", "! # [ ] ~", "! # [ ] ~"},
		{"8 KiB are read", strings.Repeat("a", 8<<10), strings.Repeat("a", 8<<10)},
	} {
		t.Run(test.name, func(t *testing.T) {
			set, err := scopes.Parse(test.in)
			if err != nil || set.String() != test.want {
				t.Fatalf("Parse(%q) = %q, %v; want %q", test.in, set, err, test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct{ name, in string }{
		{"CL-27 tab", "read\tadmin"},
		{"CL-27 line feed", "read\nadmin"},
		{"CL-27 carriage return", "read\radmin"},
		{"CL-27 no-break space", "read\u00a0admin"},
		{"CL-27 ideographic space", "read\u3000admin"},
		{"CL-27 em space", "read\u2003admin"},
		{"quote", `read"admin`},
		{"backslash", `read\admin`},
		{"NUL", "read\x00admin"},
		{"DEL", "read\x7fadmin"},
		{"invalid UTF-8", "read\xffadmin"},
		{"more than 8 KiB", "readadmin" + strings.Repeat(" ", 8<<10)},
		{"more than 1000 tokens", strings.Repeat("admin ", 1001)},
	} {
		t.Run(test.name, func(t *testing.T) {
			set, err := scopes.Parse(test.in)
			if err == nil || set.Len() != 0 {
				t.Fatalf("Parse = %q, %v; want an error and the empty set", set, err)
			}
			if strings.Contains(err.Error(), "admin") {
				t.Errorf("error repeats the value: %v", err)
			}
		})
	}
}

func TestParseReadsAThousandTokens(t *testing.T) {
	var in strings.Builder
	for i := range 1000 {
		in.WriteString(strconv.Itoa(i) + " ")
	}
	set, err := scopes.Parse(in.String())
	if err != nil || set.Len() != 1000 {
		t.Fatalf("Len = %d, %v; want 1000", set.Len(), err)
	}
}

func TestOf(t *testing.T) {
	tokens := []string{"b", "a", "b"}
	set, err := scopes.Of(tokens...)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(tokens, []string{"b", "a", "b"}) {
		t.Errorf("Of changed its arguments to %q", tokens)
	}
	tokens[0] = "changed"
	if got := set.String(); got != "a b" {
		t.Errorf("Of = %q, want %q", got, "a b")
	}
	_, err = scopes.Of("ok", "secret value", "", `q"`)
	if err == nil {
		t.Fatal("Of took illegal tokens")
	}
	for _, want := range []string{"item 1 ", "item 2 ", "item 3 "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not name %q: %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("error repeats a value: %v", err)
	}
}

func TestSet(t *testing.T) {
	set := func(s string) scopes.Set {
		t.Helper()
		parsed, err := scopes.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for _, test := range []struct {
		a, b, union, intersect string
		contains, equal        bool
	}{
		{"", "", "", "", true, true},
		{"a", "", "a", "", true, false},
		{"", "a", "a", "", false, false},
		{"a b", "b c", "a b c", "b", false, false},
		{"a b c", "b", "a b c", "b", true, false},
		{"b", "a b c", "a b c", "b", false, false},
		{"a b", "b a", "a b", "a b", true, true},
		{"a b", "a c", "a b c", "a", false, false},
	} {
		t.Run(test.a+" and "+test.b, func(t *testing.T) {
			a, b := set(test.a), set(test.b)
			if got := a.Union(b).String(); got != test.union {
				t.Errorf("Union = %q, want %q", got, test.union)
			}
			if got := a.Intersect(b).String(); got != test.intersect {
				t.Errorf("Intersect = %q, want %q", got, test.intersect)
			}
			if got := a.Contains(b); got != test.contains {
				t.Errorf("Contains = %t, want %t", got, test.contains)
			}
			if got := a.Equal(b); got != test.equal {
				t.Errorf("Equal = %t, want %t", got, test.equal)
			}
			if a.String() != set(test.a).String() || b.String() != set(test.b).String() {
				t.Errorf("operands changed to %q and %q", a, b)
			}
		})
	}
	t.Run("what goes out is a copy", func(t *testing.T) {
		s := set("a b")
		s.Slice()[0] = "z"
		if s.String() != "a b" {
			t.Errorf("set changed to %q", s)
		}
		if got := slices.Collect(s.All()); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("All = %q", got)
		}
	})
	t.Run("the zero value is the empty set", func(t *testing.T) {
		var zero scopes.Set
		if zero.Len() != 0 || zero.Has("") || zero.String() != "" || zero.Slice() != nil {
			t.Errorf("zero value is %q", zero)
		}
	})
}
