package scopes_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

func mustParse(t testing.TB, s string) scopes.Set {
	t.Helper()
	set, err := scopes.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestRequirement(t *testing.T) {
	type check struct {
		granted         string
		allowed         bool
		needed, missing string
	}
	nested := scopes.Any(scopes.All("w"), scopes.Any(scopes.All("x", "y"), scopes.All("w")))
	for _, test := range []struct {
		name   string
		r      scopes.Requirement
		public bool
		scopes string
		checks []check
	}{
		{"the zero value needs a token and no scope", scopes.Requirement{}, false, "", []check{
			{"", true, "", ""}, {"a", true, "", ""},
		}},
		{"All without arguments is the zero value", scopes.All(), false, "", []check{
			{"", true, "", ""},
		}},
		{"Public needs nothing", scopes.Public(), true, "", []check{
			{"", true, "", ""}, {"a", true, "", ""},
		}},
		{"All needs every scope", scopes.All("b", "a", "b"), false, "a b", []check{
			{"", false, "a b", "a b"}, {"a", false, "a b", "b"}, {"a b", true, "a b", ""}, {"a b c", true, "a b", ""},
			{"A b", false, "a b", "a"},
		}},
		{"Any needs one alternative", scopes.Any(scopes.All("w"), scopes.All("x", "y")), false, "w x y", []check{
			{"", false, "w", "w"}, {"w", true, "w", ""}, {"x y", true, "x y", ""}, {"z", false, "w", "w"},
		}},
		{"the first alternative wins a tie", scopes.Any(scopes.All("w"), scopes.All("x", "y")), false, "w x y", []check{
			{"x", false, "w", "w"},
		}},
		{"fewest missing wins before first", scopes.Any(scopes.All("v", "w"), scopes.All("x", "y")), false, "v w x y", []check{
			{"y", false, "x y", "x"}, {"", false, "v w", "v w"},
		}},
		{"Any of Any is flat", nested, false, "w x y", []check{
			{"x", false, "w", "w"}, {"x y", true, "x y", ""}, {"w", true, "w", ""},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.r.Validate(); err != nil {
				t.Fatalf("Validate: %v", err)
			}
			if got := test.r.IsPublic(); got != test.public {
				t.Errorf("IsPublic = %t", got)
			}
			if got := test.r.Scopes().String(); got != test.scopes {
				t.Errorf("Scopes = %q, want %q", got, test.scopes)
			}
			for _, c := range test.checks {
				granted := mustParse(t, c.granted)
				if got := test.r.Allows(granted); got != c.allowed {
					t.Errorf("Allows(%q) = %t", c.granted, got)
				}
				if got := test.r.Needed(granted).String(); got != c.needed {
					t.Errorf("Needed(%q) = %q, want %q", c.granted, got, c.needed)
				}
				if got := test.r.Missing(granted).String(); got != c.missing {
					t.Errorf("Missing(%q) = %q, want %q", c.granted, got, c.missing)
				}
			}
		})
	}
}

func TestRequirementMistakesDeny(t *testing.T) {
	for _, test := range []struct {
		name string
		r    scopes.Requirement
		want []string
	}{
		{"HT-24 blank in a scope", scopes.All("ok", "bad scope"), []string{`"bad scope"`}},
		{"HT-24 quote in a scope", scopes.All(`q"`), []string{`"q\""`}},
		{"HT-24 control in a scope", scopes.All("a\n"), []string{`"a\n"`}},
		{"empty scope", scopes.All(""), []string{`""`}},
		{"every illegal scope is named", scopes.All("a b", "ok", "c\td"), []string{`"a b"`, `"c\td"`}},
		{"offline_access", scopes.All("a", "offline_access"), []string{"offline_access"}},
		{"Any without alternatives", scopes.Any(), []string{"without alternatives"}},
		{"Public in Any", scopes.Any(scopes.All("a"), scopes.Public()), []string{"alternative 2", "Public"}},
		{"Public first in Any", scopes.Any(scopes.Public(), scopes.All("a")), []string{"alternative 1", "Public"}},
		{"Public alone in Any", scopes.Any(scopes.Public()), []string{"Public"}},
		{"no scope in Any", scopes.Any(scopes.All("a"), scopes.All()), []string{"alternative 2", "needs no scope"}},
		{"a mistake in one alternative", scopes.Any(scopes.All("a"), scopes.All("bad scope")), []string{"alternative 2", `"bad scope"`}},
		{"a mistake deep down", scopes.Any(scopes.All("a"), scopes.Any(scopes.Any(), scopes.All("b c"))),
			[]string{"alternative 2: Any, alternative 1", "without alternatives", `"b c"`}},
		{"several mistakes of several kinds", scopes.Any(scopes.Public(), scopes.All("offline_access"), scopes.All("é")),
			[]string{"Public", "offline_access", `"é"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := test.r.Validate()
			if err == nil {
				t.Fatal("Validate found nothing")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not name %s: %v", want, err)
				}
			}
			for line := range strings.SplitSeq(err.Error(), "\n") {
				if !strings.HasPrefix(line, "scopes: ") {
					t.Errorf("line without prefix: %q", line)
				}
			}
			if test.r.IsPublic() {
				t.Error("is public")
			}
			for _, granted := range []string{"", "a", "a b c ok offline_access"} {
				set := mustParse(t, granted)
				if test.r.Allows(set) || test.r.Needed(set).Len() != 0 || test.r.Missing(set).Len() != 0 {
					t.Errorf("not refused for %q", granted)
				}
			}
			if got := test.r.Scopes(); got.Len() != 0 {
				t.Errorf("Scopes = %q", got)
			}
		})
	}
}

func TestAllCopiesItsArguments(t *testing.T) {
	names := []string{"b", "a"}
	r := scopes.All(names...)
	if names[0] != "b" {
		t.Errorf("All changed its arguments to %q", names)
	}
	names[0], names[1] = "x", "y"
	if !r.Allows(mustParse(t, "a b")) {
		t.Error("Requirement changed with the caller's slice")
	}
}

func TestPolicyValidate(t *testing.T) {
	if err := (scopes.Policy{}).Validate(); err != nil {
		t.Errorf("zero value: %v", err)
	}
	err := scopes.Policy{Base: scopes.All("a b", "c d")}.Validate()
	if err == nil {
		t.Fatal("found nothing")
	}
	want := "scopes: Policy.Base: \"a b\" is not a scope token (RFC 6749 §3.3)\n" +
		"scopes: Policy.Base: \"c d\" is not a scope token (RFC 6749 §3.3)"
	if err.Error() != want {
		t.Errorf("got  %v\nwant %v", err, want)
	}
}

func TestAllowsDoesNotAllocate(t *testing.T) {
	r := scopes.Any(scopes.All("files:write", "files:read"), scopes.All("admin"))
	granted := mustParse(t, "admin openid profile")
	implied, err := scopes.Hierarchy{"root": {"admin"}}.Compile()
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if !r.Allows(implied.Expand(granted)) {
			t.Error("denied")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkAllows(b *testing.B) {
	r := scopes.Any(scopes.All("files:write", "files:read"), scopes.All("admin"))
	granted := mustParse(b, "files:read openid profile")
	b.ReportAllocs()
	for b.Loop() {
		if r.Allows(granted) {
			b.Fatal("allowed")
		}
	}
}
