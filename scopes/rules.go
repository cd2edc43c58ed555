package scopes

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Rules are a compiled [Policy]. They are immutable, share no map with the
// policy, and are safe for concurrent use. The zero value denies everything.
type Rules struct {
	base      Requirement
	transport Requirement
	methods   map[string]*method
	others    *method // methods that are neither in the table nor in the policy; nil: not compiled
	all       []Requirement
	scopes    Set
	body      bool
	decide    func(context.Context, Operation) (Requirement, error)
	named     map[string]bool // the keys of Methods
}

// A method is what operations of one method need.
type method struct {
	class     class
	plain     verdict // of an operation that names nothing, or where names do not matter
	names     *names  // nil: names do not matter
	prompts   *method // byReference
	resources *method // byReference
}

// A verdict is a Requirement, or denial. Zero is denial.
type verdict struct {
	needs   Requirement
	allowed bool
}

// Base returns what responses need, and every operation without rules.
func (r *Rules) Base() Requirement {
	if r == nil || r.others == nil {
		return Any()
	}
	return r.base
}

// Transport returns what GET and DELETE of the transport need.
func (r *Rules) Transport() Requirement {
	if r == nil || r.others == nil {
		return Any()
	}
	return r.transport
}

// NeedsBody reports whether the decision depends on the message. If not, Base is
// all that any request needs.
func (r *Rules) NeedsBody() bool { return r != nil && r.body }

// Judge returns what an operation needs, and false if it is denied to everyone.
// It costs the same whatever the number of rules, and does not allocate. Decide
// may add to the result.
func (r *Rules) Judge(op Operation) (Requirement, bool) {
	if r == nil || r.others == nil {
		return Requirement{}, false
	}
	if op.Method == "" {
		return r.base, true
	}
	m, found := r.methods[op.Method]
	if !found {
		m = r.others
	}
	if m.class == byReference {
		switch op.Ref {
		case "ref/prompt":
			m = m.prompts
		case "ref/resource":
			if m = m.resources; m.names.spans(op.Name) {
				return Requirement{}, false
			}
		default:
			return Requirement{}, false
		}
	}
	v := m.plain
	if m.names != nil && (m.class != bySubject || op.Name != "") {
		v = m.names.find(op.Name)
	}
	return v.needs, v.allowed
}

// Key returns the key by which the policy names the operation: that of the tool,
// prompt or resource, else that of the method. Empty: it does not, or by "*".
// Nobody but the author of the policy chooses what it returns.
func (r *Rules) Key(op Operation) string {
	if r == nil {
		return ""
	}
	m, found := r.methods[op.Method]
	if !found {
		return ""
	}
	switch {
	case m.class == byReference && op.Ref == "ref/prompt":
		m = m.prompts
	case m.class == byReference && op.Ref == "ref/resource":
		m = m.resources
	}
	if m.names != nil {
		if key := m.names.key(op.Name); key != "" {
			return key
		}
	}
	if r.named[op.Method] {
		return op.Method
	}
	return ""
}

// Decides reports whether there is a Policy.Decide to ask.
func (r *Rules) Decides() bool { return r != nil && r.decide != nil }

// Decide asks Policy.Decide, if there is one, about an operation that Judge found
// to need needed, and returns what it needs in all. The error is that of
// Policy.Decide, or says that it answered with a mistake; it denies.
func (r *Rules) Decide(ctx context.Context, op Operation, needed Requirement) (Requirement, error) {
	if r == nil || r.decide == nil {
		return needed, nil
	}
	more, err := r.decide(ctx, op)
	if err != nil {
		return Any(), fmt.Errorf("scopes: Policy.Decide: %w", err)
	}
	switch {
	case more.errs == nil && (more.public || more.isZero()):
		return needed, nil
	case needed.IsPublic():
		needed = r.base
	}
	all := both(needed, more)
	if err := joinPrefixed("scopes: Policy.Decide: ", all.errs); err != nil {
		return Any(), err
	}
	return all, nil
}

// Scopes returns every scope that the policy names; not those that Decide adds.
func (r *Rules) Scopes() Set {
	if r == nil {
		return Set{}
	}
	return r.scopes
}

// AnyPublic reports whether any operation needs no token.
func (r *Rules) AnyPublic() bool {
	return r != nil && slices.ContainsFunc(r.all, Requirement.IsPublic)
}

// Requirements iterates over all that Judge, Base and Transport may return, with
// repetitions.
func (r *Rules) Requirements() iter.Seq[Requirement] {
	if r == nil {
		return slices.Values[[]Requirement](nil)
	}
	return slices.Values(r.all)
}

// Compile checks the policy and works out what every operation needs. It copies
// the maps. The error names every mistake by field and key.
func (p Policy) Compile() (*Rules, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	c := compiler{policy: p, tables: make(map[tableKey]*names)}
	rules := &Rules{
		base:      p.Base,
		transport: c.verdict("Discovery", c.discoveryRule("")).needs,
		methods:   make(map[string]*method, len(methods)+len(p.Methods)),
		others:    c.method("", byNothing, ""),
		body:      p.named() || p.Methods != nil || p.Decide != nil || !p.Discovery.isZero(),
		decide:    p.Decide,
		named:     make(map[string]bool, len(p.Methods)),
	}
	for name := range p.Methods {
		rules.named[name] = name != wildcard
		if name != wildcard {
			rules.methods[name] = c.method(name, byNothing, "")
		}
	}
	for _, m := range methods {
		rules.methods[m.name] = c.method(m.name, m.class, m.like)
	}
	if c.errs != nil {
		slices.SortFunc(c.errs, compareText)
		distinct := slices.CompactFunc(c.errs, func(a, b error) bool { return compareText(a, b) == 0 })
		return nil, errors.Join(distinct...)
	}
	rules.all = append(c.all, p.Base)
	rules.scopes = p.scopes()
	return rules, nil
}

func (p Policy) scopes() Set {
	tokens := append(p.Base.Scopes().tokens, p.Discovery.Scopes().tokens...)
	for _, table := range []map[string]Requirement{p.Methods, p.Tools, p.Prompts, p.Resources} {
		for requirement := range maps.Values(table) {
			tokens = append(tokens, requirement.Scopes().tokens...)
		}
	}
	return newSet(tokens)
}
