// Package policyfile reads a [scopes.Policy] from YAML or JSON.
//
//	base: mcp                       # what everything needs
//	discovery: public               # lifecycle and listings: here without a token
//	methods:
//	  logging/setLevel: admin
//	tools:
//	  public_info: public           # no token
//	  whoami: ""                    # any valid token, no scope
//	  read_file: files:read
//	  copy_file: files:read files:write   # all of them
//	  write_file: [files:write, admin]    # any one of them
//	prompts:
//	  "*": prompts                  # the default
//	resources:
//	  "file:///public/*": public    # a prefix
//	  "*": files:read
//
// The members are those of the Policy, and mean the same; see there. All are
// optional, but one that is written has a value: "tools:" alone is a mistake, and
// "tools: {}" denies all tools. Policy.Decide has no counterpart: set it on the
// result.
//
// A file is one document without anchors. Its keys and scopes are strings, each
// key comes once, and no others exist. The word public is not a scope here. JSON
// is read as YAML, which knows neither the escape \/ nor pairs of surrogates.
package policyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

const maxBytes = 4 << 20

// Parse reads a policy. The error joins every mistake, each with its line and
// key; the Policy is then zero. Parse keeps no part of data.
func Parse(data []byte) (scopes.Policy, error) {
	if len(data) > maxBytes {
		return scopes.Policy{}, fmt.Errorf("policyfile: %d bytes, at most %d are read", len(data), maxBytes)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return scopes.Policy{}, errors.New("policyfile: empty: without a policy nothing is decided")
	} else if err != nil {
		return scopes.Policy{}, fmt.Errorf("policyfile: %w", err) // names the line
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		return scopes.Policy{}, errors.New("policyfile: more than one document")
	}
	var r reader
	r.policy(document.Content[0])
	if r.errs != nil {
		return scopes.Policy{}, errors.Join(r.errs...)
	}
	return r.result, nil
}

type reader struct {
	result scopes.Policy
	errs   []error
}

func (r *reader) fail(at *yaml.Node, format string, arguments ...any) {
	r.errs = append(r.errs, fmt.Errorf("policyfile: line %d: %s", at.Line, fmt.Sprintf(format, arguments...)))
}

func (r *reader) policy(document *yaml.Node) {
	p := &r.result
	for key, value := range r.members(document, "the policy") {
		switch key.Value {
		case "base":
			p.Base = r.requirement(value, "base")
			r.check(key, scopes.Policy{Base: p.Base})
		case "discovery":
			p.Discovery = r.requirement(value, "discovery")
			r.check(key, scopes.Policy{Discovery: p.Discovery})
		case "methods":
			p.Methods = r.table(key, value, func(one rules) scopes.Policy { return scopes.Policy{Methods: one} })
		case "tools":
			p.Tools = r.table(key, value, func(one rules) scopes.Policy { return scopes.Policy{Tools: one} })
		case "prompts":
			p.Prompts = r.table(key, value, func(one rules) scopes.Policy { return scopes.Policy{Prompts: one} })
		case "resources":
			p.Resources = r.table(key, value, func(one rules) scopes.Policy { return scopes.Policy{Resources: one} })
		default:
			r.fail(key, "unknown key %q", key.Value)
		}
	}
}

type rules = map[string]scopes.Requirement

func (r *reader) table(name, value *yaml.Node, alone func(rules) scopes.Policy) rules {
	table := rules{}
	for key, value := range r.members(value, name.Value) {
		needs := r.requirement(value, fmt.Sprintf("%s[%q]", name.Value, key.Value))
		r.check(key, alone(rules{key.Value: needs}))
		table[key.Value] = needs
	}
	return table
}

// check asks the policy itself about one rule of it, so that its line is known.
func (r *reader) check(at *yaml.Node, alone scopes.Policy) {
	if err := alone.Validate(); err != nil {
		r.fail(at, "%v", err)
	}
}

// requirement reads one requirement. Where it finds a mistake the result does not
// matter: Parse returns none.
func (r *reader) requirement(value *yaml.Node, where string) scopes.Requirement {
	switch {
	case isString(value) && value.Value == "public":
		return scopes.Public()
	case isString(value):
		return r.all(value, where)
	case value.Kind != yaml.SequenceNode || value.Anchor != "":
		r.fail(value, `%s: neither scopes, nor a list of alternatives, nor public; "" needs a token and no scope`, where)
		return scopes.Requirement{}
	}
	var alternatives []scopes.Requirement
	for _, one := range value.Content {
		if !isString(one) || one.Value == "public" || one.Value == "" {
			r.fail(one, "%s: an alternative is a string of scopes", where)
			return scopes.Requirement{}
		}
		alternatives = append(alternatives, r.all(one, where))
	}
	return scopes.Any(alternatives...)
}

func (r *reader) all(value *yaml.Node, where string) scopes.Requirement {
	set, err := scopes.Parse(value.Value)
	if err != nil {
		r.fail(value, "%s: %q: %v", where, value.Value, err)
	}
	return scopes.All(set.Slice()...)
}

// members iterates over a mapping whose keys are strings and differ.
func (r *reader) members(mapping *yaml.Node, where string) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if mapping.Kind != yaml.MappingNode || mapping.Anchor != "" {
			r.fail(mapping, "%s: not a map of its own", where)
			return
		}
		seen := make(map[string]int, len(mapping.Content)/2)
		for pair := range slices.Chunk(mapping.Content, 2) {
			key, value := pair[0], pair[1]
			line, twice := seen[key.Value]
			switch {
			case !isString(key):
				r.fail(key, "%s: the key %q is not a string; quote it", where, key.Value)
				continue
			case twice:
				r.fail(key, "%s: the key %q is in line %d too", where, key.Value, line)
				continue
			}
			seen[key.Value] = key.Line
			if !yield(key, value) {
				return
			}
		}
	}
}

// isString reports whether a node is a plain string. References to another part
// of the file are not read: what a rule says stands where the rule is.
func isString(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.Tag == "!!str" && node.Anchor == ""
}
