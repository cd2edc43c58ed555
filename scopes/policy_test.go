package scopes_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

type rules = map[string]scopes.Requirement

func compile(t testing.TB, p scopes.Policy) *scopes.Rules {
	t.Helper()
	compiled, err := p.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// equal compares by what is allowed: each needs what satisfies the other.
func equal(a, b scopes.Requirement) bool {
	return a.IsPublic() == b.IsPublic() && a.Allows(b.Needed(scopes.Set{})) && b.Allows(a.Needed(scopes.Set{})) && a.Scopes().Equal(b.Scopes())
}

var (
	all    = scopes.All
	public = scopes.Public()
	anyTok = scopes.All()
)

func TestJudge(t *testing.T) {
	type (
		op     = scopes.Operation
		policy = scopes.Policy
	)
	call := func(name string) op { return op{Method: "tools/call", Name: name} }
	read := func(uri string) op { return op{Method: "resources/read", Name: uri} }
	complete := func(ref, name string) op {
		return op{Method: "completion/complete", Ref: "ref/" + ref, Name: name}
	}
	tools := policy{Base: all("b"), Tools: rules{"info": public, "read": anyTok, "write": scopes.Any(all("w"), all("admin"))}}
	withDefault := policy{Base: all("b"), Tools: rules{"info": public, "*": all("t")}}
	files := policy{Base: all("b"), Resources: rules{
		"file:///a/secret": all("secret"), "file:///a/*": all("a"), "file:///a/b/*": all("a-b"), "https://h/*": public, "*": all("other"),
	}}
	for _, test := range []struct {
		name   string
		policy policy
		op     op
		want   string // alternatives separated by "|"; "-": denied, "public", "": any token
	}{
		{"the zero policy needs a token", policy{}, call("x"), ""},
		{"the zero policy, unknown method", policy{}, op{Method: "x/y"}, ""},
		{"Base alone counts for everything", policy{Base: all("b")}, call("x"), "b"},
		{"Base public", policy{Base: public}, call("x"), "public"},
		{"a response needs Base", tools, op{}, "b"},

		{"a tool's rule adds to Base", tools, call("write"), "admin b|b w"},
		{"MB-41 another tool has its own rule", tools, call("read"), "b"},
		{"a public tool waives Base", tools, call("info"), "public"},
		{"an unnamed tool is denied", tools, call("new"), "-"},
		{"MB-16 no name is denied", tools, call(""), "-"},
		{"names are case-sensitive", tools, call("Write"), "-"},
		{"a name with blanks behind is another", tools, call("info "), "-"},
		{"MB-06 a name with NUL is another", tools, call("info\x00"), "-"},
		{"the key * is no name", tools, call("*"), "-"},
		{"* is the default", withDefault, call("new"), "b t"},
		{"* does not override a name", withDefault, call("info"), "public"},
		{"MB-16 * is no rule for no name", withDefault, call(""), "-"},
		{"an empty map denies all tools", policy{Tools: rules{}}, call("x"), "-"},
		{"a tool that needs any token keeps it under a public Base", policy{Base: public, Tools: rules{"x": anyTok}}, call("x"), ""},
		{"a tool's scopes under a public Base", policy{Base: public, Tools: rules{"x": all("x")}}, call("x"), "x"},

		{"listing needs Base", tools, op{Method: "tools/list"}, "b"},
		{"templates are a listing", tools, op{Method: "resources/templates/list"}, "b"},
		{"lifecycle needs Base", tools, op{Method: "initialize"}, "b"},
		{"MB-19 a client's notification is discovery", tools, op{Method: "notifications/cancelled"}, "b"},
		{"MB-19 an unknown notification is denied", tools, op{Method: "notifications/tools/call", Name: "info"}, "-"},
		{"MB-19 a server's notification is denied", tools, op{Method: "notifications/message"}, "-"},
		{"MB-19 $/ is denied", tools, op{Method: "$/cancelRequest"}, "-"},
		{"MB-19 rpc. is denied", tools, op{Method: "rpc.discover"}, "-"},
		{"MB-29 a method in another case is denied", tools, op{Method: "Tools/Call", Name: "info"}, "-"},
		{"MB-44 logging/setLevel is denied", tools, op{Method: "logging/setLevel"}, "-"},
		{"MB-44 tasks are denied", tools, op{Method: "tasks/result", Name: "info"}, "-"},
		{"MB-44 sampling is denied", tools, op{Method: "sampling/createMessage"}, "-"},
		{"MB-44 prompts are denied where only tools are named", tools, op{Method: "prompts/get", Name: "info"}, "-"},
		{"MB-44 resources are denied where only tools are named", tools, read("file:///a"), "-"},
		{"MB-44 a subscription to changes of lists is discovery", tools, op{Method: "subscriptions/listen"}, "b"},
		{"MB-44 a subscription to a resource is not", tools, op{Method: "subscriptions/listen", Name: "file:///a"}, "-"},
		{"MB-44 completion is denied where only tools are named", tools, complete("prompt", "info"), "-"},

		{"Discovery adds to Base", policy{Base: all("b"), Discovery: all("d")}, op{Method: "tools/list"}, "b d"},
		{"Discovery is not for calls", policy{Base: all("b"), Discovery: public}, call("x"), "b"},
		{"Discovery public", policy{Base: all("b"), Discovery: public}, op{Method: "initialize"}, "public"},
		{"Discovery is not for responses", policy{Base: all("b"), Discovery: public}, op{}, "b"},
		{"Discovery is not for unknown methods", policy{Base: all("b"), Discovery: public}, op{Method: "x/list"}, "b"},
		{"Discovery for a subscription to lists", policy{Base: all("b"), Discovery: public}, op{Method: "subscriptions/listen"}, "public"},
		{"no Discovery for a subscription to a resource", policy{Base: all("b"), Discovery: public}, op{Method: "subscriptions/listen", Name: "a:b"}, "b"},
		{"a method's rule goes before Discovery", policy{Base: all("b"), Discovery: public, Methods: rules{"tools/list": all("l")}}, op{Method: "tools/list"}, "b l"},
		{"Discovery goes before *", policy{Base: all("b"), Discovery: public, Methods: rules{"*": all("x")}}, op{Method: "tools/list"}, "public"},
		{"* is for discovery without Discovery", policy{Base: all("b"), Methods: rules{"*": all("x")}}, op{Method: "tools/list"}, "b x"},

		{"a method's rule adds to Base", policy{Base: all("b"), Methods: rules{"tools/call": all("m")}}, call("x"), "b m"},
		{"Methods alone deny nothing", policy{Base: all("b"), Methods: rules{"tools/call": all("m")}}, op{Method: "x/y"}, "b"},
		{"* for unknown methods", policy{Base: all("b"), Methods: rules{"*": all("m")}}, op{Method: "x/y"}, "b m"},
		{"a method's rule opens it where tools are named", policy{Base: all("b"), Tools: rules{}, Methods: rules{"logging/setLevel": anyTok}}, op{Method: "logging/setLevel"}, "b"},
		{"a method's rule opens an unknown one", policy{Base: all("b"), Tools: rules{}, Methods: rules{"x/y": all("m")}}, op{Method: "x/y"}, "b m"},
		{"a method's rule opens prompts where tools are named", policy{Base: all("b"), Tools: rules{}, Methods: rules{"prompts/get": all("m")}}, op{Method: "prompts/get", Name: "p"}, "b m"},
		{"a method's rule does not name a tool", policy{Base: all("b"), Tools: rules{}, Methods: rules{"tools/call": public}}, call("x"), "-"},
		{"rules of method and tool add up", policy{Base: all("b"), Tools: rules{"x": all("t")}, Methods: rules{"tools/call": all("m")}}, call("x"), "b m t"},
		{"a public method with a tool that is not", policy{Base: all("b"), Tools: rules{"x": all("t")}, Methods: rules{"tools/call": public}}, call("x"), "b t"},
		{"a public tool of a method that is not", policy{Base: all("b"), Tools: rules{"x": public}, Methods: rules{"tools/call": all("m")}}, call("x"), "b m"},
		{"both public", policy{Base: all("b"), Tools: rules{"x": public}, Methods: rules{"tools/call": public}}, call("x"), "public"},
		{"a public method", policy{Base: all("b"), Methods: rules{"ping": public}}, op{Method: "ping"}, "public"},

		{"MB-44 completion is judged as its prompt", policy{Base: all("b"), Prompts: rules{"p": all("p")}}, complete("prompt", "p"), "b p"},
		{"MB-44 completion of an unnamed prompt", policy{Base: all("b"), Prompts: rules{"p": all("p")}}, complete("prompt", "q"), "-"},
		{"MB-44 completion of a resource where prompts are named", policy{Base: all("b"), Prompts: rules{"p": all("p")}}, complete("resource", "p"), "-"},
		{"MB-44 completion is judged as its resource", files, complete("resource", "file:///a/b/{path}"), "a-b b"},
		{"MB-44 completion of a template with two rules below", files, complete("resource", "file:///a/{path}"), "-"},
		{"MB-44 completion of a template with rules for all it means", files, complete("resource", "file:///{+path}"), "-"},
		{"MB-44 completion of a template with a query", files, complete("resource", "file:///a/{?q}"), "-"},
		{"MB-44 completion of a template that is a key", policy{Resources: rules{"file:///a/{path}": all("t"), "file:///a/*": all("a"), "file:///a/secret": all("s")}},
			complete("resource", "file:///a/{path}"), "t"},
		{"MB-44 completion of a template below no other key", files, complete("resource", "note:{id}"), "b other"},
		{"MB-44 completion of a template whose only key is its prefix", files, complete("resource", "https://h/{id}"), "public"},
		{"MB-44 completion of a template where a later key is longer", policy{Resources: rules{"a:/*": all("a"), "a:b/c": all("c")}}, complete("resource", "a:/{x}"), "a"},
		{"MB-44 completion of neither", policy{Base: all("b")}, op{Method: "completion/complete", Name: "p"}, "-"},
		{"MB-44 completion has the rule of prompts/get", policy{Base: all("b"), Methods: rules{"prompts/get": all("m")}}, complete("prompt", "p"), "b m"},
		{"MB-44 completion has the rule of resources/read", policy{Base: all("b"), Methods: rules{"resources/read": all("m")}}, complete("resource", "a:b"), "b m"},
		{"MB-44 completion with a rule of its own", policy{Base: all("b"), Methods: rules{"resources/read": all("m"), "completion/complete": all("c")}}, complete("resource", "a:b"), "b c"},
		{"MB-44 subscribe has the rule of resources/read", policy{Base: all("b"), Methods: rules{"resources/read": all("m")}}, op{Method: "resources/subscribe", Name: "a:b"}, "b m"},
		{"MB-44 listen has the rule of resources/read", policy{Base: all("b"), Methods: rules{"resources/read": all("m")}}, op{Method: "subscriptions/listen", Name: "a:b"}, "b m"},
		{"MB-44 subscribe is judged by URI", files, op{Method: "resources/subscribe", Name: "file:///a/secret"}, "b secret"},
		{"MB-44 unsubscribe is judged by URI", files, op{Method: "resources/unsubscribe", Name: "file:///a/secret"}, "b secret"},
		{"MB-44 listen is judged by URI", files, op{Method: "subscriptions/listen", Name: "file:///a/secret"}, "b secret"},

		{"MB-32 exact goes before prefix", files, read("file:///a/secret"), "b secret"},
		{"MB-32 a prefix", files, read("file:///a/x"), "a b"},
		{"MB-32 the longest prefix", files, read("file:///a/b/x"), "a-b b"},
		{"MB-32 a prefix itself", files, read("file:///a/b/"), "a-b b"},
		{"MB-32 not quite the prefix", files, read("file:///a/b"), "a b"},
		{"MB-32 a public prefix", files, read("https://h/x"), "public"},
		{"MB-32 another host", files, read("https://h.evil/x"), "b other"},
		{"MB-32 the default", files, read("file:///c"), "b other"},
		{"MB-32 dot segments", files, read("file:///a/../etc"), "-"},
		{"MB-32 encoded dot segments", files, read("file:///a/%2e%2e/etc"), "-"},
		{"MB-32 an encoded letter", files, read("file:///a/%73ecret"), "-"},
		{"MB-32 an encoded slash", files, read("file:///a%2Fsecret"), "-"},
		{"MB-32 an empty segment", files, read("file:///a//secret"), "-"},
		{"MB-32 case of the scheme", files, read("FILE:///a/secret"), "-"},
		{"MB-32 another form of file", files, read("file:/a/secret"), "-"},
		{"MB-32 file with a host", files, read("file://localhost/a/secret"), "-"},
		{"MB-32 a fragment", files, read("file:///a/secret#x"), "-"},
		{"MB-32 user information", files, read("https://h:1@evil/"), "-"},
		{"MB-32 a default port", files, read("https://h:443/x"), "-"},
		{"MB-32 missing", files, read(""), "-"},
		{"MB-32 without a default", policy{Resources: rules{"file:///a": anyTok}}, read("file:///b"), "-"},
	} {
		t.Run(test.name, func(t *testing.T) {
			compiled := compile(t, test.policy)
			needs, ok := compiled.Judge(test.op)
			if got := describe(needs, ok); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if ok {
				listed := false
				for one := range compiled.Requirements() {
					listed = listed || describe(one, true) == test.want
				}
				if !listed {
					t.Error("Requirements does not list it")
				}
			}
		})
	}
}

// describe writes the alternatives; Needed finds each through its own scopes.
func describe(r scopes.Requirement, ok bool) string {
	switch {
	case !ok:
		return "-"
	case r.IsPublic():
		return "public"
	}
	first := r.Needed(scopes.Set{})
	text := first.String()
	for scope := range r.Scopes().All() {
		one, _ := scopes.Of(scope)
		if other := r.Needed(one); !other.Equal(first) {
			return other.String() + "|" + text
		}
	}
	return text
}

func TestRules_summaries(t *testing.T) {
	for _, test := range []struct {
		name                   string
		policy                 scopes.Policy
		body, public           bool
		base, transport, named string
	}{
		{"zero", scopes.Policy{}, false, false, "", "", ""},
		{"Base", scopes.Policy{Base: all("b")}, false, false, "b", "b", "b"},
		{"public Base", scopes.Policy{Base: public}, false, true, "public", "public", ""},
		{"public Discovery", scopes.Policy{Base: all("b"), Discovery: public}, true, true, "b", "public", "b"},
		{"* is not for the transport", scopes.Policy{Base: all("b"), Methods: rules{"*": all("x")}}, true, false, "b", "b", "b x"},
		{"a public tool", scopes.Policy{Tools: rules{"x": public, "y": all("y")}}, true, true, "", "", "y"},
		{"no tools", scopes.Policy{Tools: rules{}}, true, false, "", "", ""},
		{"everything", scopes.Policy{Base: all("b"), Discovery: all("d"), Methods: rules{"ping": all("m")}, Tools: rules{"x": all("t")}, Prompts: rules{"x": all("p")}, Resources: rules{"a:b": scopes.Any(all("r"), all("q"))}},
			true, false, "b", "b d", "b d m p q r t"},
		{"a public tool of a method that is not", scopes.Policy{Tools: rules{"x": public}, Methods: rules{"tools/call": all("m")}}, true, false, "", "", "m"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := compile(t, test.policy)
			if r.NeedsBody() != test.body || r.AnyPublic() != test.public {
				t.Errorf("NeedsBody %t, AnyPublic %t", r.NeedsBody(), r.AnyPublic())
			}
			if got := describe(r.Base(), true); got != test.base {
				t.Errorf("Base %q, want %q", got, test.base)
			}
			if got := describe(r.Transport(), true); got != test.transport {
				t.Errorf("Transport %q, want %q", got, test.transport)
			}
			if got := r.Scopes().String(); got != test.named {
				t.Errorf("Scopes %q, want %q", got, test.named)
			}
		})
	}
	decides := scopes.Policy{Decide: func(context.Context, scopes.Operation) (scopes.Requirement, error) { return all("x"), nil }}
	if !compile(t, decides).NeedsBody() {
		t.Error("Decide needs no body")
	}
}

func TestRules_zero_value_denies(t *testing.T) {
	granted := mustParse(t, "a b")
	for _, r := range []*scopes.Rules{nil, {}} {
		for _, op := range []scopes.Operation{{}, {Method: "ping"}, {Method: "tools/call", Name: "x"}} {
			if _, ok := r.Judge(op); ok {
				t.Errorf("%+v is allowed", op)
			}
		}
		if r.Base().Allows(granted) || r.Transport().Allows(granted) || r.AnyPublic() || r.Scopes().Len() != 0 {
			t.Error("not denied")
		}
		for range r.Requirements() {
			t.Error("a requirement")
		}
	}
}

func TestCompile_copies(t *testing.T) {
	tools := rules{"x": all("x")}
	r := compile(t, scopes.Policy{Tools: tools})
	tools["y"] = public
	delete(tools, "x")
	if _, ok := r.Judge(scopes.Operation{Method: "tools/call", Name: "y"}); ok {
		t.Error("rules changed with the caller's map")
	}
	if _, ok := r.Judge(scopes.Operation{Method: "tools/call", Name: "x"}); !ok {
		t.Error("rules changed with the caller's map")
	}
}

func TestPolicy_mistakes_name_field_and_key(t *testing.T) {
	p := scopes.Policy{
		Base:      all("a b"),
		Discovery: scopes.Any(),
		Methods:   rules{"Tools/Call": all("m"), "tasks/*": all("m"), "": all("m"), "ping": all("c d"), "*": all("ok")},
		Tools:     rules{"read_*": all("m"), "": public, "write": scopes.Any(public)},
		Prompts:   rules{"p*": all("m")},
		Resources: rules{"file:///a/../b": all("m"), "https://h*": all("m"), "a:*b*": all("m"), "": all("m"), "*": all("e f"), "x/y": all("m"), "file:///ok/*": all("m")},
	}
	want := []string{
		`Base: "a b" is not a scope token`,
		`Discovery: Any without alternatives`,
		`Methods[""]: nothing has an empty name`,
		`Methods["Tools/Call"]: methods match in exact case: "tools/call"`,
		`Methods["ping"]: "c d" is not`,
		`Methods["tasks/*"]: names match exactly`,
		`Tools[""]: nothing has an empty name`,
		`Tools["read_*"]: names match exactly`,
		`Tools["write"]: Any, alternative 1: Public`,
		`Prompts["p*"]: names match exactly`,
		`Resources["*"]: "e f" is not`,
		`Resources[""]: is empty`,
		`Resources["a:*b*"]: "*" stands only at the end`,
		`Resources["file:///a/../b"]: has a dot segment`,
		`Resources["https://h*"]: before "*" stands`,
		`Resources["x/y"]: does not begin with a scheme`,
	}
	_, err := p.Compile()
	if err == nil || p.Validate() == nil {
		t.Fatal("found nothing")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Errorf("%d mistakes, want %d:\n%v", len(lines), len(want), err)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), "scopes: Policy."+text) {
			t.Errorf("missing %s in\n%v", text, err)
		}
	}
}

func TestCompile_bounds_alternatives(t *testing.T) {
	alternatives := func(prefix string, n int) scopes.Requirement {
		var list []scopes.Requirement
		for i := range n {
			list = append(list, all(fmt.Sprint(prefix, i)))
		}
		return scopes.Any(list...)
	}
	p := scopes.Policy{Base: alternatives("b", 8), Tools: rules{"x": alternatives("t", 8)}}
	needs, ok := compile(t, p).Judge(scopes.Operation{Method: "tools/call", Name: "x"})
	if !ok || !needs.Allows(mustParse(t, "b7 t7")) || needs.Allows(mustParse(t, "b7 b6")) {
		t.Error("64 combinations are wrong")
	}
	p.Tools["x"] = alternatives("t", 9)
	_, err := p.Compile()
	if err == nil || err.Error() != `scopes: Policy.Tools["x"]: together with the other rules: more than 64 combinations of alternatives` {
		t.Errorf("72 combinations: %v", err)
	}
}

func TestDecide(t *testing.T) {
	failure := errors.New("outside office hours")
	type key struct{}
	policy := scopes.Policy{
		Base:  all("b"),
		Tools: rules{"info": public, "write": all("w")},
		Decide: func(ctx context.Context, op scopes.Operation) (scopes.Requirement, error) {
			if ctx.Value(key{}) != "token" {
				return scopes.Requirement{}, errors.New("no token")
			}
			switch string(op.Arguments) {
			case "more":
				return all("m"), nil
			case "public":
				return public, nil
			case "mistake":
				return all("a b"), nil
			case "error":
				return public, failure
			}
			return scopes.Requirement{}, nil
		},
	}
	r := compile(t, policy)
	ctx := context.WithValue(t.Context(), key{}, "token")
	for _, test := range []struct{ tool, arguments, want string }{
		{"write", "", "b w"},
		{"write", "public", "b w"},
		{"write", "more", "b m w"},
		{"info", "", "public"},
		{"info", "public", "public"},
		{"info", "more", "b m"},
		{"write", "mistake", "error"},
		{"write", "error", "error"},
		{"info", "error", "error"},
	} {
		t.Run(test.tool+" "+test.arguments, func(t *testing.T) {
			op := scopes.Operation{Method: "tools/call", Name: test.tool, Arguments: []byte(test.arguments)}
			needed, ok := r.Judge(op)
			if !ok {
				t.Fatal("denied")
			}
			needs, err := r.Decide(ctx, op, needed)
			got := describe(needs, true)
			if err != nil {
				got = "error"
				if needs.IsPublic() || needs.Allows(mustParse(t, "a b m w")) {
					t.Error("an error allows")
				}
			}
			if got != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
	if _, err := r.Decide(ctx, scopes.Operation{Arguments: []byte("error")}, anyTok); !errors.Is(err, failure) {
		t.Errorf("cause is lost: %v", err)
	}
	if needs, err := compile(t, scopes.Policy{}).Decide(ctx, scopes.Operation{}, all("x")); err != nil || !equal(needs, all("x")) {
		t.Errorf("without Decide: %v", err)
	}
}

func TestJudge_does_not_allocate(t *testing.T) {
	r := compile(t, scopes.Policy{Base: all("b"), Tools: rules{"x": scopes.Any(all("t"), all("u"))}, Resources: rules{"file:///a/*": all("r")}})
	for _, op := range []scopes.Operation{{Method: "tools/call", Name: "x"}, {Method: "resources/read", Name: "file:///a/b?"}, {Method: "resources/read", Name: "file:///a/b"}, {Method: "x"}} {
		if n := testing.AllocsPerRun(100, func() { r.Judge(op) }); n != 0 {
			t.Errorf("%+v: %v allocations", op, n)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	for _, count := range []int{10, 10_000} {
		p := scopes.Policy{Base: all("b"), Tools: rules{}, Resources: rules{}}
		for i := range count {
			p.Tools[fmt.Sprint("tool_", i)] = all(fmt.Sprint("s", i))
			p.Resources[fmt.Sprintf("file:///dir/%d/*", i)] = all(fmt.Sprint("s", i))
		}
		r := compile(b, p)
		for name, op := range map[string]scopes.Operation{
			"tool":     {Method: "tools/call", Name: "tool_7"},
			"resource": {Method: "resources/read", Name: "file:///dir/7/a/b.txt"},
		} {
			b.Run(fmt.Sprintf("%s of %d", name, count), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, ok := r.Judge(op); !ok {
						b.Fatal("denied")
					}
				}
			})
		}
	}
}
