package scopes_test

import (
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// policyFrom reads a policy from lines "field key requirement": alternatives are
// separated by "|" and their scopes by ",".
func policyFrom(text string) scopes.Policy {
	var p scopes.Policy
	for line := range strings.SplitSeq(text, "\n") {
		parts := strings.SplitN(line, " ", 3)
		if len(parts) != 3 {
			continue
		}
		needs := requirementFrom(parts[2])
		var table *rules
		switch parts[0] {
		case "base":
			p.Base = needs
		case "discovery":
			p.Discovery = needs
		case "methods":
			table = &p.Methods
		case "tools":
			table = &p.Tools
		case "prompts":
			table = &p.Prompts
		case "resources":
			table = &p.Resources
		}
		if table != nil {
			if *table == nil {
				*table = rules{}
			}
			(*table)[parts[1]] = needs
		}
	}
	return p
}

func requirementFrom(text string) scopes.Requirement {
	switch text {
	case "public":
		return scopes.Public()
	case "token":
		return scopes.All()
	}
	var list []scopes.Requirement
	for one := range strings.SplitSeq(text, "|") {
		list = append(list, scopes.All(strings.Split(one, ",")...))
	}
	if len(list) == 1 {
		return list[0]
	}
	return scopes.Any(list...)
}

// permits is the decision of the front door about a caller; nil scopes: anonymous.
func permits(r *scopes.Rules, op scopes.Operation, granted *scopes.Set) bool {
	needs, ok := r.Judge(op)
	return ok && (needs.IsPublic() || granted != nil && needs.Allows(*granted))
}

// FuzzPolicy: more scopes never deny; a token never has less than nobody; what is
// allowed satisfies Base and every rule that is not public; a rule more for some
// other name changes nothing for a name that has its own.
func FuzzPolicy(f *testing.F) {
	f.Add("base - b\ntools x t|u\ntools * public\nmethods tools/call m", "tools/call", "x", "", "b m", "t")
	f.Add("discovery - public\nresources file:///a/* r\nresources * s", "resources/read", "file:///a/b", "", "r", "s")
	f.Add("prompts p public\nresources a:b q,r", "completion/complete", "a:b", "ref/resource", "", "q r")
	f.Add("base - public\ntools x token", "tools/call", "x", "", "", "")
	f.Fuzz(func(t *testing.T, text, methodName, name, ref, granted, more string) {
		p := policyFrom(text)
		r, err := p.Compile()
		if err != nil {
			if p.Validate() == nil && !strings.Contains(err.Error(), "combinations") {
				t.Fatalf("Validate finds nothing, Compile %v", err)
			}
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
		op := scopes.Operation{Method: methodName, Name: name, Ref: ref}
		both := have.Union(extra)
		allowed := permits(r, op, &have)
		if allowed && !permits(r, op, &both) {
			t.Fatalf("%q allowed, with %q denied", have, extra)
		}
		if permits(r, op, nil) && !allowed {
			t.Fatalf("allowed to anyone, but not with %q", have)
		}
		needs, ok := r.Judge(op)
		if !ok {
			return
		}
		if !r.Scopes().Contains(needs.Scopes()) {
			t.Fatalf("needs %q, of which the policy names %q", needs.Scopes(), r.Scopes())
		}
		if !needs.IsPublic() {
			for _, own := range []scopes.Requirement{p.Base, p.Tools[name], p.Methods[methodName]} {
				isTool := methodName == "tools/call"
				if own.Scopes().Len() > 0 && (isTool || own.Scopes().Equal(p.Base.Scopes())) && needs.Allows(have) && !own.Allows(have) && !own.IsPublic() {
					t.Fatalf("%q allowed without %q", have, own.Scopes())
				}
			}
		} else if !r.AnyPublic() {
			t.Fatal("AnyPublic is false")
		}
		if _, named := p.Tools[name]; named && methodName == "tools/call" {
			p.Tools["another "+name] = scopes.Public()
			changed, err := p.Compile()
			if err != nil {
				return
			}
			if after, ok := changed.Judge(op); !ok || !equal(after, needs) {
				t.Fatal("another tool's rule counts")
			}
		}
	})
}
