package jsonrpc

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"
)

// params is the text of what a message's params say; nil: absent.
type params struct {
	other     []byte // params that are not an object
	object    bool
	name      []byte
	uri       []byte
	arguments []byte
	taskID    []byte
	ref       *ref
	filter    bool // notifications is an object
}

// ref is a reference of completion/complete.
type ref struct{ kind, name, uri []byte }

const versionMember = "io.modelcontextprotocol/protocolVersion"

// maxSubscriptions is how many resources and tasks one stream may be about: each
// is one decision.
const maxSubscriptions = 1000

// params reads the member params. It does so in the same way for every method,
// because the method may come behind it.
func (p *parser) params(to *params, m *Message) (err error) {
	if p.Kind() != '{' {
		to.other, err = p.Value()
		return err
	}
	to.object = true
	members, err := p.FoldedMembers()
	for err == nil {
		var name []byte
		var more bool
		if name, more, err = members.Next(); err != nil || !more {
			break
		}
		switch string(name) {
		case "name":
			to.name, err = p.Value()
		case "uri":
			to.uri, err = p.Value()
		case "arguments":
			to.arguments, err = p.FoldedValue()
		case "taskId":
			to.taskID, err = p.Value()
		case "ref":
			to.ref, err = p.ref()
		case "notifications":
			to.filter, err = p.filter(m)
		case "_meta":
			err = p.meta(m)
		default:
			p.name(name, "name", "uri", "arguments", "taskId", "ref", "notifications", "_meta")
			_, err = p.Value()
		}
	}
	return err
}

func (p *parser) meta(m *Message) error {
	switch p.Kind() {
	case '{':
	case 'n':
		_, err := p.Value()
		return err
	default:
		p.badParams("params._meta is not an object")
		_, err := p.Value()
		return err
	}
	members, err := p.FoldedMembers()
	for err == nil {
		var name, value []byte
		var more bool
		if name, more, err = members.Next(); err != nil || !more {
			break
		}
		if string(name) != versionMember {
			p.name(name, versionMember)
			_, err = p.Value()
			continue
		}
		if value, err = p.Value(); err == nil {
			m.ProtocolVersion = p.text(value, "the protocol version in params._meta is not a string")
		}
	}
	return err
}

// ref returns nil for what is not an object.
func (p *parser) ref() (*ref, error) {
	if p.Kind() != '{' {
		_, err := p.Value()
		return nil, err
	}
	var to ref
	members, err := p.FoldedMembers()
	for err == nil {
		var name []byte
		var more bool
		if name, more, err = members.Next(); err != nil || !more {
			break
		}
		switch string(name) {
		case "type":
			to.kind, err = p.Value()
		case "name":
			to.name, err = p.Value()
		case "uri":
			to.uri, err = p.Value()
		default:
			p.name(name, "type", "name", "uri")
			_, err = p.Value()
		}
	}
	return &to, err
}

// filter reads the member notifications of subscriptions/listen (MCP 2026-07-28
// SubscriptionFilter; taskIds: SEP-2663). It reports whether it is an object.
func (p *parser) filter(m *Message) (isObject bool, err error) {
	if p.Kind() != '{' {
		_, err := p.Value()
		return false, err
	}
	members, err := p.FoldedMembers()
	for err == nil {
		var name []byte
		var more bool
		if name, more, err = members.Next(); err != nil || !more {
			break
		}
		switch string(name) {
		case "resourceSubscriptions":
			m.URIs, err = p.list("resourceSubscriptions is not a list of URIs")
		case "taskIds":
			m.TaskIDs, err = p.list("taskIds is not a list of ids")
		default:
			p.name(name, "resourceSubscriptions", "taskIds")
			_, err = p.Value()
		}
	}
	return true, err
}

// list reads an array of strings that are not empty, or null.
func (p *parser) list(problem string) ([]string, error) {
	switch p.Kind() {
	case '[':
	case 'n':
		_, err := p.Value()
		return nil, err
	default:
		p.badParams(problem)
		_, err := p.Value()
		return nil, err
	}
	var list []string
	elements, err := p.Elements()
	for err == nil {
		var more bool
		var value []byte
		if more, err = elements.Next(); err != nil || !more {
			break
		}
		if value, err = p.Value(); err != nil {
			break
		}
		if len(list) == maxSubscriptions {
			p.badParams("too many subscriptions")
			continue
		}
		list = append(list, p.text(value, problem))
	}
	return list, err
}

// name judges a member name that is none of known: one that a lax decoder takes
// for known, by folding case or by stopping at a NUL, is a flaw. It returns the
// name that it was mistaken for.
func (p *parser) name(name []byte, known ...string) string {
	ascii := true
	for i, c := range name {
		switch {
		case c < ' ' || c == 0x7f:
			p.invalid(controlInName)
		case c >= utf8.RuneSelf && ascii:
			ascii = false
			if bytes.ContainsFunc(name[i:], unicode.IsControl) {
				p.invalid(controlInName)
			}
		}
	}
	for _, exact := range known {
		if mayFold(name, exact, ascii) && strings.EqualFold(string(name), exact) {
			p.invalid("a member that differs from " + exact + " in case only")
			return exact
		}
	}
	return ""
}

const controlInName = "a control character in the name of a member"

// mayFold is false where the lengths exclude that a name is exact in another case:
// the forms of a letter have one byte in ASCII, and three at the most.
func mayFold(name []byte, exact string, ascii bool) bool {
	return len(name) == len(exact) || !ascii && len(name) > len(exact) && len(name) <= 3*len(exact)
}
