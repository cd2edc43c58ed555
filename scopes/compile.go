package scopes

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A compiler combines rules once, so that judging is looking up.
type compiler struct {
	policy Policy
	tables map[tableKey]*names
	all    []Requirement
	errs   []error
}

// A tableKey says which map was combined with the rule of which method: methods
// with equal ones share the result.
type tableKey struct{ field, rule string }

// A rule is one of the policy's; where is its field and key, empty if there is
// none.
type rule struct {
	where string
	needs Requirement
}

// method compiles what operations of a method need.
func (c *compiler) method(name string, of class, like string) *method {
	p := c.policy
	own := c.methodRule(name, like)
	m := &method{class: of}
	switch of {
	case byDiscovery:
		m.plain = c.verdict(name, c.discoveryRule(name))
	case byTool:
		m.names = c.names("Tools", p.Tools, own)
	case byPrompt:
		m.names = c.names("Prompts", p.Prompts, own)
	case byResource:
		m.names = c.names("Resources", p.Resources, own)
	case bySubject:
		m.plain = c.verdict(name, c.discoveryRule(name))
		if m.names = c.names("Resources", p.Resources, own); m.names == nil {
			m.names = &names{others: c.unnamed(name, own)}
		}
		return m
	case byReference:
		m.prompts = c.method(name, byPrompt, "prompts/get")
		m.resources = c.method(name, byResource, "resources/read")
		return m
	case byNothing:
	}
	if of != byDiscovery && m.names == nil {
		m.plain = c.unnamed(name, own)
	}
	return m
}

// unnamed is the verdict where no name matters: denied without a rule, if the
// policy names anything.
func (c *compiler) unnamed(name string, own rule) verdict {
	if own.where == "" && c.policy.named() {
		return verdict{}
	}
	return c.verdict(name, own)
}

// methodRule returns the rule of a method.
func (c *compiler) methodRule(name, like string) rule {
	for _, key := range []string{name, like, wildcard} {
		if needs, found := c.policy.Methods[key]; found {
			return rule{fmt.Sprintf("Methods[%q]", key), needs}
		}
	}
	return rule{}
}

// discoveryRule returns the rule of a method for which Discovery counts, unless
// it has a rule of its own. The empty name is the transport.
func (c *compiler) discoveryRule(name string) rule {
	if needs, found := c.policy.Methods[name]; found {
		return rule{fmt.Sprintf("Methods[%q]", name), needs}
	}
	if !c.policy.Discovery.isZero() {
		return rule{"Discovery", c.policy.Discovery}
	}
	if name == "" {
		return rule{}
	}
	return c.methodRule(name, "")
}

// verdict combines Base with the rules that there are. Public waives Base if no
// other rule remains.
func (c *compiler) verdict(what string, rules ...rule) verdict {
	needs := c.policy.Base
	var public, other bool
	for _, one := range rules {
		switch {
		case one.where == "":
		case one.needs.public:
			public = true
		default:
			other = true
			what = one.where
			needs = both(needs, one.needs)
		}
	}
	if public && !other {
		needs = Public()
	}
	c.errs = append(c.errs, prefixed("scopes: Policy."+what+": together with the other rules: ", needs.errs)...)
	c.all = append(c.all, needs)
	return verdict{needs: needs, allowed: true}
}

// names combines a map with the rule of a method; nil if the map is not set.
func (c *compiler) names(field string, rules map[string]Requirement, own rule) *names {
	if rules == nil {
		return nil
	}
	key := tableKey{field, own.where}
	if known, found := c.tables[key]; found {
		return known
	}
	n := &names{exact: make(map[string]Requirement, len(rules)), uris: field == "Resources"}
	for name, needs := range rules {
		v := c.verdict("", own, rule{fmt.Sprintf("%s[%q]", field, name), needs})
		prefix, isPrefix := strings.CutSuffix(name, wildcard)
		switch {
		case name == wildcard:
			n.others = v
		case n.uris && isPrefix:
			if n.prefixes == nil {
				n.prefixes = make(map[string]Requirement)
			}
			n.prefixes[prefix] = v.needs
		default:
			n.exact[name] = v.needs
		}
	}
	lengths := make(map[int]bool)
	for prefix := range n.prefixes {
		lengths[len(prefix)] = true
	}
	n.lengths = slices.Sorted(maps.Keys(lengths))
	slices.Reverse(n.lengths)
	n.sorted = slices.Sorted(maps.Keys(rules))
	c.tables[key] = n
	return n
}

// names are the compiled rules of one map, for one method.
type names struct {
	exact    map[string]Requirement
	prefixes map[string]Requirement
	lengths  []int    // of the prefixes, the longest first
	sorted   []string // keys
	others   verdict
	uris     bool
}

// find returns the verdict about a name. An empty one has no rule, not even "*".
func (n *names) find(name string) verdict {
	if name == "" || n.uris && ambiguity(name) != "" {
		return verdict{}
	}
	if needs, found := n.exact[name]; found {
		return verdict{needs, true}
	}
	// A prefix must not open what an exact rule closes, under a name that a lax
	// handler takes for the same.
	if n.uris {
		if short := bare(name); short != name {
			if _, closed := n.exact[short]; closed {
				return verdict{}
			}
		}
	}
	for _, length := range n.lengths {
		if length > len(name) {
			continue
		}
		if needs, found := n.prefixes[name[:length]]; found {
			return verdict{needs, true}
		}
	}
	return n.others
}

// key returns the key that find goes by, empty for none and for "*".
func (n *names) key(name string) string {
	if name == "" || n.uris && ambiguity(name) != "" {
		return ""
	}
	if _, found := n.exact[name]; found {
		return name
	}
	for _, length := range n.lengths {
		if length > len(name) {
			continue
		}
		if _, found := n.prefixes[name[:length]]; found {
			return name[:length] + wildcard
		}
	}
	return ""
}

// spans reports whether a template that has no rule of its own may stand for names
// of several rules: a key other than the one it goes by begins like it.
func (n *names) spans(template string) bool {
	literal, _, isTemplate := strings.Cut(template, "{")
	if n == nil || !isTemplate {
		return false
	}
	own := n.key(template)
	at, _ := slices.BinarySearch(n.sorted, literal)
	for _, key := range n.sorted[at:] {
		if !strings.HasPrefix(key, literal) || own == template {
			return false
		}
		if key != own {
			return true
		}
	}
	return false
}

func compareText(a, b error) int { return strings.Compare(a.Error(), b.Error()) }
