package scopes_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// FuzzParse: what Parse reads and String writes is the same set, and equals the
// pieces between spaces.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", " ", "a", "b a", "a  a ", "read\twrite", "a\u00a0b", `q"`, "é", "files:read openid"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		set, err := scopes.Parse(s)
		if err != nil {
			if set.Len() != 0 {
				t.Fatalf("error and %q", set)
			}
			return
		}
		again, err := scopes.Parse(set.String())
		if err != nil || !again.Equal(set) {
			t.Fatalf("Parse(%q) = %q, %v", set.String(), again, err)
		}
		pieces := map[string]bool{}
		for piece := range strings.SplitSeq(s, " ") {
			if piece != "" {
				pieces[piece] = true
				if !set.Has(piece) {
					t.Fatalf("%q lost", piece)
				}
			}
		}
		if len(pieces) != set.Len() {
			t.Fatalf("%d pieces, %d scopes", len(pieces), set.Len())
		}
		of, err := scopes.Of(set.Slice()...)
		if err != nil || !of.Equal(set) {
			t.Fatalf("Of = %q, %v", of, err)
		}
	})
}

// FuzzRequirement reads alternatives separated by "|". More scopes never turn
// allow into deny; what is needed is enough; what is missing is not granted.
func FuzzRequirement(f *testing.F) {
	f.Add("a b|c", "a", "b")
	f.Add("a|b|a", "", "b")
	f.Add("a b|bad\"", "a b", "")
	f.Add("", "a", "")
	f.Add("offline_access|a", "a", "a")
	f.Fuzz(func(t *testing.T, alternatives, granted, more string) {
		var list []scopes.Requirement
		for one := range strings.SplitSeq(alternatives, "|") {
			list = append(list, scopes.All(strings.Fields(one)...))
		}
		r := list[0]
		if len(list) > 1 {
			r = scopes.Any(list...)
		}
		have, err := scopes.Parse(granted)
		if err != nil {
			return
		}
		extra, err := scopes.Parse(more)
		if err != nil {
			return
		}
		if r.Allows(have) && !r.Allows(have.Union(extra)) {
			t.Fatalf("%q allowed, with %q denied", have, extra)
		}
		if r.Validate() != nil {
			if r.Allows(have) || r.IsPublic() {
				t.Fatal("a mistake allows")
			}
			return
		}
		if !r.Allows(r.Needed(have).Union(have)) {
			t.Fatalf("needed %q is not enough for %q", r.Needed(have), have)
		}
		if !r.Scopes().Contains(r.Needed(have)) {
			t.Fatalf("needed %q was never named", r.Needed(have))
		}
		missing := r.Missing(have)
		if missing.Intersect(have).Len() != 0 || r.Allows(have) != (missing.Len() == 0) {
			t.Fatalf("missing %q from %q, allowed %t", missing, have, r.Allows(have))
		}
	})
}

// FuzzExpand reads edges "from>to" separated by spaces. Expanding never loses a
// scope, is done after once, and more scopes never imply less.
func FuzzExpand(f *testing.F) {
	f.Add("a>b b>c", "a", "x")
	f.Add("a>b b>a", "b", "a")
	f.Add("a>a >b", "a", "")
	f.Fuzz(func(t *testing.T, edges, granted, more string) {
		h := scopes.Hierarchy{}
		for edge := range strings.SplitSeq(edges, " ") {
			from, to, _ := strings.Cut(edge, ">")
			h[from] = append(h[from], to)
		}
		implied, err := h.Compile()
		if err != nil {
			return
		}
		have, err := scopes.Parse(granted)
		if err != nil {
			return
		}
		extra, err := scopes.Parse(more)
		if err != nil {
			return
		}
		once := implied.Expand(have)
		if !once.Contains(have) {
			t.Fatalf("%q became %q", have, once)
		}
		if twice := implied.Expand(once); !twice.Equal(once) {
			t.Fatalf("%q became %q", once, twice)
		}
		if with := implied.Expand(have.Union(extra)); !with.Contains(once) {
			t.Fatalf("%q implies %q, with %q only %q", have, once, extra, with)
		}
	})
}
