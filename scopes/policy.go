package scopes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Policy says what the operations of one route need. It is safe for concurrent
// use as long as nobody writes its fields.
//
// An operation needs Base, and the rule of its method, and the rule of the tool,
// prompt or resource that it names. The zero value needs a valid token for
// everything.
//
// A policy that sets Tools, Prompts or Resources denies whatever it does not
// name: a tool without a rule, and a method that is neither discovery nor named
// nor about one of the three that are set. So nothing that a server learns later
// is open by accident. The key "*" of a map is the rule for everything else.
//
// Public as the rule of a method, or of a name, or as Discovery, waives Base, so
// that no token is needed; unless another rule of the operation is not Public,
// in which case Base and that rule count.
type Policy struct {
	_ [0]func()

	// Base is what every request on the route needs. Zero value: a valid token,
	// no scope.
	Base Requirement

	// Discovery is what lifecycle and listing need besides: initialize,
	// server/discover, ping, the notifications of clients, all methods that list,
	// a subscription to changes of lists, and GET and DELETE of the transport.
	// Zero value: nothing but Base.
	Discovery Requirement

	// Methods are rules by exact method, such as "tools/call". Without one of its
	// own, a method that reveals what another does (completion/complete,
	// resources/subscribe and unsubscribe, subscriptions/listen) has the rule of
	// prompts/get or resources/read. "*" is for methods with neither, Discovery
	// included where that is zero.
	Methods map[string]Requirement

	// Tools are rules for tools/call, by exact name of the tool.
	Tools map[string]Requirement

	// Prompts are rules for prompts/get and for completion/complete of a prompt,
	// by exact name of the prompt.
	Prompts map[string]Requirement

	// Resources are rules for resources/read, subscribe, unsubscribe,
	// subscriptions/listen and for completion/complete of a resource. A key is an
	// exact URI, or the beginning of URIs followed by "*"; the longest that fits
	// counts. The text before "*" ends in one of / : ? & =. The template of a
	// completion is compared like a URI, but is denied if it could stand for
	// resources of another key, unless it is a key itself.
	//
	// URIs are compared as they are written. One that could be another spelling
	// of a different resource is denied, and no key can name it: with a dot
	// segment, an empty segment, a capital in scheme or host, user information, a
	// default port, a fragment, a backslash, blank or non-ASCII character, or an
	// escape of what needs none or of / \ % and controls; for file, anything but
	// file:/// and a path. So is one that differs from an exact key only by a query,
	// ";" parameters, or a slash, dot or blank at the end.
	Resources map[string]Requirement

	// Decide may add to what an operation needs, or deny it with an error. It is
	// called once for each operation that the rules do not deny, with the token,
	// if any, in ctx (verifier.FromContext). A request that carries no message is an
	// operation whose Method is that of HTTP: GET, HEAD or DELETE. The zero
	// Requirement, and Public, add nothing. It must be safe for concurrent use.
	Decide func(ctx context.Context, op Operation) (Requirement, error)
}

// An Operation is what one message asks for.
type Operation struct {
	Method string // empty: a response
	Name   string // of the tool, prompt or task, or URI of the resource; as written
	Ref    string // completion/complete only, what Name names: "ref/prompt" or "ref/resource"

	// Arguments are params.arguments: a JSON object of which no two members
	// differ in case only, or nil. Not to be written to.
	Arguments []byte
}

// Validate returns every mistake in the policy, joined, each with the name of
// its field and key; nil if there is none.
func (p Policy) Validate() error {
	var errs []error
	add := func(field string, found []error) {
		errs = append(errs, prefixed("scopes: Policy."+field+": ", found)...)
	}
	add("Base", p.Base.errs)
	add("Discovery", p.Discovery.errs)
	for _, table := range []struct {
		field string
		rules map[string]Requirement
		check func(key string) string
	}{
		{"Methods", p.Methods, methodProblem},
		{"Tools", p.Tools, nameProblem},
		{"Prompts", p.Prompts, nameProblem},
		{"Resources", p.Resources, resourceProblem},
	} {
		for _, key := range slices.Sorted(maps.Keys(table.rules)) {
			field := fmt.Sprintf("%s[%q]", table.field, key)
			if problem := table.check(key); key != wildcard && problem != "" {
				add(field, []error{problemError(problem)})
			}
			add(field, table.rules[key].errs)
		}
	}
	return errors.Join(errs...)
}

// wildcard is the key of the rule for everything without one.
const wildcard = "*"

type problemError string

func (e problemError) Error() string { return string(e) }

// named reports whether the policy denies what it does not name.
func (p Policy) named() bool { return p.Tools != nil || p.Prompts != nil || p.Resources != nil }

func nameProblem(key string) string {
	switch {
	case key == "":
		return "nothing has an empty name"
	case strings.Contains(key, wildcard):
		return `names match exactly; only "*" alone stands for others`
	}
	return ""
}

func methodProblem(key string) string {
	if problem := nameProblem(key); problem != "" {
		return problem
	}
	for _, m := range methods {
		if key != m.name && strings.EqualFold(key, m.name) {
			return fmt.Sprintf("methods match in exact case: %q", m.name)
		}
	}
	return ""
}
