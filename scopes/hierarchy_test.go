package scopes_test

import (
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

func TestHierarchy(t *testing.T) {
	for _, test := range []struct {
		name      string
		hierarchy scopes.Hierarchy
		in, want  string
	}{
		{"nil implies nothing", nil, "a b", "a b"},
		{"CL-33 a broader scope implies narrower ones", scopes.Hierarchy{"admin": {"read", "write"}}, "admin", "admin read write"},
		{"a narrower scope does not imply a broader one", scopes.Hierarchy{"admin": {"read", "write"}}, "read write", "read write"},
		{"what is implied implies in turn", scopes.Hierarchy{"a": {"b"}, "b": {"c"}, "c": {"d"}}, "a", "a b c d"},
		{"from the middle only downward", scopes.Hierarchy{"a": {"b"}, "b": {"c"}, "c": {"d"}}, "c", "c d"},
		{"a cycle makes scopes equivalent", scopes.Hierarchy{"a": {"b"}, "b": {"c"}, "c": {"a"}}, "b", "a b c"},
		{"a scope may imply itself", scopes.Hierarchy{"a": {"a"}}, "a", "a"},
		{"a key may imply nothing", scopes.Hierarchy{"a": nil}, "a", "a"},
		{"several keys add up", scopes.Hierarchy{"a": {"x"}, "b": {"y"}}, "a b c", "a b c x y"},
		{"the empty set stays empty", scopes.Hierarchy{"a": {"x"}}, "", ""},
		{"case matters", scopes.Hierarchy{"Admin": {"read"}}, "admin", "admin"},
	} {
		t.Run(test.name, func(t *testing.T) {
			implied, err := test.hierarchy.Compile()
			if err != nil {
				t.Fatal(err)
			}
			granted := mustParse(t, test.in)
			if got := implied.Expand(granted).String(); got != test.want {
				t.Errorf("Expand(%q) = %q, want %q", test.in, got, test.want)
			}
			if granted.String() != mustParse(t, test.in).String() {
				t.Errorf("argument changed to %q", granted)
			}
		})
	}
}

func TestHierarchyMistakes(t *testing.T) {
	h := scopes.Hierarchy{"b": {"ok", "bad scope"}, "a key": {"x"}, "c": {""}}
	want := `scopes: Hierarchy: "a key" is not a scope token (RFC 6749 §3.3)
scopes: Hierarchy: "b" implies "bad scope", which is not a scope token (RFC 6749 §3.3)
scopes: Hierarchy: "c" implies "", which is not a scope token (RFC 6749 §3.3)`
	if err := h.Validate(); err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %v", err, want)
	}
	implied, err := h.Compile()
	if err == nil {
		t.Error("Compile took a mistake")
	}
	if got := implied.Expand(mustParse(t, "b")).String(); got != "b" {
		t.Errorf("Expand after a mistake = %q, want %q", got, "b")
	}
}

func TestCompileCopies(t *testing.T) {
	h := scopes.Hierarchy{"a": {"b"}}
	implied, err := h.Compile()
	if err != nil {
		t.Fatal(err)
	}
	h["a"][0] = "admin"
	h["b"] = []string{"admin"}
	if got := implied.Expand(mustParse(t, "a")).String(); got != "a b" {
		t.Errorf("Expand = %q, want %q", got, "a b")
	}
}
