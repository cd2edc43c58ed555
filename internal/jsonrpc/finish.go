package jsonrpc

import (
	"bytes"
	"strconv"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// envelope is the text of a message's members; nil: absent.
type envelope struct {
	version, id, method, result, err []byte
	ids                              int // members that someone may take for the id
	params                           params
}

// finish judges the message as a whole and fills in m (JSON-RPC 2.0 §4, §5).
func (p *parser) finish(e *envelope, m *Message) {
	if string(e.version) != `"2.0"` { // as everybody writes it
		if version, err := strictjson.Unquote(e.version); err != nil || version != "2.0" {
			p.invalid("jsonrpc is not \"2.0\"")
		}
	}
	if e.id != nil && !legalID(e.id) {
		p.invalid("id is neither an integer nor a short string")
	}
	m.ID = e.id
	if e.method == nil {
		p.finishResponse(e, m)
		return
	}
	if e.result != nil || e.err != nil {
		p.invalid("both a call and a response")
	}
	if len(e.method) < 3 || e.method[0] != '"' {
		p.invalid("method is not a string with text")
		return
	}
	method, form := lookup(e.method)
	m.Method = method
	m.Kind = Request
	if e.id == nil {
		m.Kind = Notification
	}
	switch {
	case form == notification && m.Kind == Request:
		p.invalid("a notification with an id")
	case form < notification && m.Kind == Notification:
		p.invalid("a request without an id")
	}
	p.finishParams(form, &e.params, m)
}

func (p *parser) finishResponse(e *envelope, m *Message) {
	m.Kind = Response
	switch {
	case (e.result == nil) == (e.err == nil):
		p.invalid("neither a call nor a response")
	case e.id == nil:
		p.invalid("a response without an id")
	case e.params.object || e.params.other != nil:
		p.invalid("a response with params")
	}
}

// finishParams checks and keeps what the method is about, and forgets the rest.
func (p *parser) finishParams(form shape, from *params, m *Message) {
	isNull := bytes.Equal(from.other, []byte("null"))
	if from.other != nil && !isNull || !from.object && form > plain && form < notification {
		p.badParams("params is not an object")
		return
	}
	if form != byFilter {
		m.URIs, m.TaskIDs = nil, nil
	}
	switch form {
	case byName:
		m.Name = p.text(from.name, "params.name is not a string with text")
		p.arguments(from.arguments, m)
	case byURI:
		m.URI = p.text(from.uri, "params.uri is not a string with text")
	case byURIIfAny:
		if from.uri != nil {
			m.URI = p.text(from.uri, "params.uri is not a string with text")
		}
	case byTask:
		m.TaskID = p.text(from.taskID, "params.taskId is not a string with text")
	case byRef:
		p.reference(from.ref, m)
	case byFilter:
		if !from.filter {
			p.badParams("params.notifications is not an object")
		}
	case plain, notification, unlisted:
	}
}

func (p *parser) arguments(text []byte, m *Message) {
	switch {
	case text == nil || text[0] == 'n':
	case text[0] == '{':
		m.Arguments = text
	default:
		p.badParams("params.arguments is not an object")
	}
}

func (p *parser) reference(from *ref, m *Message) {
	if from == nil {
		p.badParams("params.ref is not an object")
		return
	}
	m.Ref = p.text(from.kind, "params.ref.type is not a string with text")
	switch {
	case m.Ref == "ref/prompt" && from.uri == nil:
		m.Name = p.text(from.name, "params.ref.name is not a string with text")
	case m.Ref == "ref/resource" && from.name == nil:
		m.URI = p.text(from.uri, "params.ref.uri is not a string with text")
	default:
		p.badParams("params.ref is to neither a prompt nor a resource")
	}
}

// text returns what a string says. Anything else, and the empty string, is a flaw.
func (p *parser) text(value []byte, problem string) string {
	switch string(value) {
	case `"2026-07-28"`:
		return "2026-07-28"
	case `""`:
		value = nil
	}
	text, err := strictjson.Unquote(value)
	if err != nil {
		p.badParams(problem)
	}
	return text
}

// legalID reports whether text is a string or an integer (MCP 2026-07-28 basic,
// Requests): 1.5 and 1e400 become another number in some decoders.
func legalID(text []byte) bool {
	if len(text) > 0 && text[0] == '"' {
		return len(text) <= maxID
	}
	if len(text) > 20 {
		return false
	}
	_, err := strconv.ParseInt(string(text), 10, 64)
	return err == nil
}
