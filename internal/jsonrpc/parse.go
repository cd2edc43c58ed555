package jsonrpc

import (
	"errors"
	"strconv"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

const (
	defaultDepth = 64
	defaultBatch = 100
	maxID        = 1 << 10 // bytes of JSON: an id comes back in the answer
)

// Parse reads a body and refuses an ambiguous one with an *Error. ID and
// Arguments are parts of body; strings are not.
func Parse(body []byte, limits Limits) (*Body, error) {
	if limits.Depth == 0 {
		limits.Depth = defaultDepth
	}
	if limits.Batch == 0 {
		limits.Batch = defaultBatch
	}
	p := parser{Reader: strictjson.NewReader(body, limits.Depth)}
	var (
		parsed Body
		id     []byte
		err    error
	)
	switch p.Kind() {
	case '{':
		parsed.Messages = make([]Message, 1)
		id, err = p.message(&parsed.Messages[0])
	case '[':
		parsed.Batch = true
		parsed.Messages, err = p.batch(limits.Batch)
	default:
		p.invalid("neither a message nor a batch")
		_, err = p.Value()
	}
	if err == nil && p.flaw.code == 0 {
		err = p.End()
	}
	if err != nil || p.flaw.code != 0 {
		return nil, p.refusal(err, id)
	}
	return &parsed, nil
}

// A parser walks over a body to its end even when it knows that it will be
// refused: the id to answer to may come last.
type parser struct {
	strictjson.Reader

	flaw struct { // the first one
		code int
		text string
	}
}

func (p *parser) invalid(text string) { p.note(CodeInvalidRequest, text) }

func (p *parser) badParams(text string) { p.note(CodeInvalidParams, text) }

func (p *parser) note(code int, text string) {
	if p.flaw.code == 0 {
		p.flaw.code, p.flaw.text = code, text
	}
}

// refusal combines what ended the walk, if anything did, with the flaw.
func (p *parser) refusal(err error, id []byte) *Error {
	if err == nil {
		err = p.End()
	}
	switch {
	case errors.Is(err, strictjson.ErrSyntax):
		return &Error{Code: CodeParse, text: "not JSON in UTF-8"}
	case errors.Is(err, strictjson.ErrDepth):
		return &Error{Code: CodeInvalidRequest, text: "nested too deeply"}
	case p.Duplicate(): // before any other flaw: which of the two has it?
		return &Error{Code: CodeInvalidRequest, ID: id, text: "a member comes twice"}
	}
	return &Error{Code: p.flaw.code, ID: id, text: p.flaw.text}
}

// errBatchStopped ends the walk over a batch that will be refused. It has no id
// to look for.
var errBatchStopped = errors.New("jsonrpc: flaw in a batch")

// batch reads an array of messages (MCP 2025-03-26, JSON-RPC 2.0 §6).
func (p *parser) batch(limit int) ([]Message, error) {
	var messages []Message
	elements, err := p.Elements()
	for err == nil {
		var more bool
		if more, err = elements.Next(); err != nil || !more {
			break
		}
		switch {
		case len(messages) == limit:
			p.invalid("more than " + strconv.Itoa(limit) + " messages in a batch")
		case p.Kind() == '{':
			messages = append(messages, Message{})
			_, err = p.message(&messages[len(messages)-1])
		case p.Kind() == 0:
			err = strictjson.ErrSyntax
		default:
			p.invalid("a batch of something other than messages")
		}
		if err == nil && p.flaw.code != 0 {
			err = errBatchStopped
		}
	}
	if err == nil && len(messages) == 0 {
		p.invalid("an empty batch")
	}
	return messages, err
}

// message reads one message into m. It returns its id where that is certain,
// also if the message has a flaw.
func (p *parser) message(m *Message) (id []byte, err error) {
	var e envelope
	members, err := p.FoldedMembers()
	for err == nil {
		var name []byte
		var more bool
		if name, more, err = members.Next(); err != nil || !more {
			break
		}
		switch string(name) {
		case "jsonrpc":
			e.version, err = p.Value()
		case "id":
			e.ids++
			e.id, err = p.Value()
		case "method":
			e.method, err = p.Value()
		case "params":
			err = p.params(&e.params, m)
		case "result":
			e.result, err = p.Value()
		case "error":
			e.err, err = p.Value()
		default:
			if p.name(name, "jsonrpc", "id", "method", "params", "result", "error") == "id" {
				e.ids++
			}
			_, err = p.Value()
		}
	}
	if err != nil {
		return nil, err
	}
	p.finish(&e, m)
	if e.ids == 1 && legalID(e.id) {
		return e.id, nil
	}
	return nil, nil
}
