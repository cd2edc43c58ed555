package policyfile_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/scopes/policyfile"
)

const inYAML = `# comment
base: mcp
discovery: public
methods:
  logging/setLevel: admin
tools:
  public_info: public
  whoami: ""
  read_file: files:read
  copy_file: files:read files:write
  write_file: [files:write, admin extra]
prompts:
  "*": prompts
resources:
  "file:///public/*": public
  file:///a:
    - x
    - y
`

const inJSON = `{
	"base": "mcp", "discovery": "public",
	"methods": {"logging/setLevel": "admin"},
	"tools": {"public_info": "public", "whoami": "", "read_file": "files:read", "copy_file": "files:read files:write",
		"write_file": ["files:write", "admin extra"]},
	"prompts": {"*": "prompts"},
	"resources": {"file:///public/*": "public", "file:///\u0061": ["x", "y"]}
}`

func TestParse(t *testing.T) {
	for name, text := range map[string]string{"YAML": inYAML, "JSON": inJSON, "JSON in a line": compact(t, inJSON)} {
		t.Run(name, func(t *testing.T) {
			policy, err := policyfile.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			rules, err := policy.Compile()
			if err != nil {
				t.Fatal(err)
			}
			call := func(tool string) scopes.Operation { return scopes.Operation{Method: "tools/call", Name: tool} }
			for _, test := range []struct {
				op      scopes.Operation
				granted string
				want    string
			}{
				{scopes.Operation{Method: "tools/list"}, "", "public"},
				{call("public_info"), "", "public"},
				{call("whoami"), "mcp", "allowed"},
				{call("whoami"), "", "refused"},
				{call("read_file"), "mcp files:read", "allowed"},
				{call("read_file"), "files:read", "refused"},
				{call("copy_file"), "mcp files:read", "refused"},
				{call("copy_file"), "mcp files:read files:write", "allowed"},
				{call("write_file"), "mcp files:write", "allowed"},
				{call("write_file"), "mcp admin", "refused"},
				{call("write_file"), "mcp admin extra", "allowed"},
				{call("other"), "mcp admin extra", "denied"},
				{scopes.Operation{Method: "logging/setLevel"}, "mcp admin", "allowed"},
				{scopes.Operation{Method: "tasks/list"}, "mcp admin", "denied"},
				{scopes.Operation{Method: "prompts/get", Name: "p"}, "mcp prompts", "allowed"},
				{scopes.Operation{Method: "resources/read", Name: "file:///public/x"}, "", "public"},
				{scopes.Operation{Method: "resources/read", Name: "file:///a"}, "mcp y", "allowed"},
				{scopes.Operation{Method: "resources/read", Name: "file:///b"}, "mcp y", "denied"},
			} {
				granted, err := scopes.Parse(test.granted)
				if err != nil {
					t.Fatal(err)
				}
				got := "refused"
				switch needs, ok := rules.Judge(test.op); {
				case !ok:
					got = "denied"
				case needs.IsPublic():
					got = "public"
				case needs.Allows(granted):
					got = "allowed"
				}
				if got != test.want {
					t.Errorf("%+v with %q: %s, want %s", test.op, test.granted, got, test.want)
				}
			}
		})
	}
}

func compact(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestParse_mistakes_name_line_and_key(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", []string{"empty"}},
		{"a comment", "# nothing\n", []string{"empty"}},
		{"null", "null", []string{"line 1: the policy: not a map"}},
		{"a list", "- base", []string{"line 1: the policy: not a map"}},
		{"two documents", "base: a\n---\nbase: b\n", []string{"more than one document"}},
		{"garbage behind", "{\"base\": \"a\"}\n}", []string{"policyfile: "}},
		{"not YAML", "base: [a", []string{"line 1"}},
		{"unknown keys", "base: a\ntool: {}\nBase: b\n", []string{`line 2: unknown key "tool"`, `line 3: unknown key "Base"`}},
		{"a key twice", "base: a\nbase: b\n", []string{`line 2: the policy: the key "base" is in line 1 too`}},
		{"a tool twice", "tools:\n  a: x\n  b: x\n  a: public\n", []string{`line 4: tools: the key "a" is in line 2 too`}},
		{"a tool twice in JSON", "{\"tools\":{\"a\":\"x\",\n\"\\u0061\":\"public\"}}", []string{`line 2: tools: the key "a" is in line 1 too`}},
		{"a key that is a number", "tools:\n  1: x\n", []string{`line 2: tools: the key "1" is not a string`}},
		{"no tools", "tools:\n", []string{"line 1: tools: not a map"}},
		{"a list of tools", "tools: [a]\n", []string{"line 1: tools: not a map"}},
		{"no requirement", "tools:\n  a:\n", []string{`line 2: tools["a"]: neither`}},
		{"null", "base: null\n", []string{"line 1: base: neither"}},
		{"a number", "base: 1\n", []string{"line 1: base: neither"}},
		{"true", "tools: {a: true}\n", []string{`line 1: tools["a"]: neither`}},
		{"a map as a requirement", "base: {any: [a]}\n", []string{"line 1: base: neither"}},
		{"an empty list", "base: []\n", []string{"line 1: ", "Any without alternatives"}},
		{"public in a list", "base:\n  - a\n  - public\n", []string{"line 3: base: an alternative"}},
		{"a list in a list", "base: [[a, b]]\n", []string{"line 1: base: an alternative"}},
		{"an illegal scope", "tools:\n  a: \"x\\ty\"\n", []string{`line 2: tools["a"]: "x\ty": `}},
		{"offline_access", "tools:\n  a: [x, offline_access]\n", []string{`line 2: scopes: Policy.Tools["a"]: Any, alternative 2: "offline_access"`}},
		{"a pattern for tools", "tools:\n\n  read_*: x\n", []string{`line 3: scopes: Policy.Tools["read_*"]: names match exactly`}},
		{"an ambiguous URI", "resources:\n  file:///a/../b: x\n", []string{`line 2: scopes: Policy.Resources["file:///a/../b"]: has a dot segment`}},
		{"a method in another case", "methods: {Ping: x}\n", []string{`line 1: scopes: Policy.Methods["Ping"]`}},
		{"an anchor", "base: &a x\ndiscovery: *a\n", []string{"line 1: base: neither", "line 2: discovery: neither"}},
		{"a merge", "tools: &t\n  a: x\nprompts:\n  <<: *t\n", []string{"line 1: tools: not a map of its own", `line 4: prompts: the key "<<" is not a string`}},
		{"several", "base: 1\ntools: 2\nx: 3\n", []string{"line 1: base", "line 2: tools", "line 3: unknown"}},
		{"too large", strings.Repeat("#", 5<<20), []string{"bytes"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			policy, err := policyfile.Parse([]byte(test.text))
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error does not say %q: %v", want, err)
				}
			}
			if policy.Tools != nil || policy.Base.IsPublic() || policy.Discovery.IsPublic() {
				t.Error("a policy beside the error")
			}
		})
	}
}

// FuzzParse: what is accepted is a valid policy; with a key more that nobody
// knows it is not accepted.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{inYAML, inJSON, "base: a\nbase: b", "tools: {a: &x b, c: *x}", "? [a]\n: b", "base: !!binary YQ==", "%YAML 1.1\n---\nbase: a", "base: |\n  a\n", "a: &a [*a]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		policy, err := policyfile.Parse([]byte(text))
		if err != nil {
			return
		}
		if err := policy.Validate(); err != nil {
			t.Fatal(err)
		}
		if _, err := policyfile.Parse([]byte(text + "\nunknown_key: x\n")); err == nil && !strings.Contains(text, "\n...") {
			t.Fatal("an unknown key is accepted")
		}
	})
}

func ExampleParse() {
	policy, err := policyfile.Parse([]byte(`
base: mcp
tools:
  public_info: public
  write_file: [files:write, admin]
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	rules, err := policy.Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	granted, _ := scopes.Of("mcp")
	needs, ok := rules.Judge(scopes.Operation{Method: "tools/call", Name: "write_file"})
	fmt.Println(ok, needs.Allows(granted), needs.Missing(granted))
	_, ok = rules.Judge(scopes.Operation{Method: "tools/call", Name: "delete_file"})
	fmt.Println(ok)

	_, err = policyfile.Parse([]byte("tools:\n  read_*: files:read\n"))
	fmt.Println(err)
	// Output:
	// true false files:write
	// false
	// policyfile: line 2: scopes: Policy.Tools["read_*"]: names match exactly; only "*" alone stands for others
}
