// Package jsonrpc reads of an MCP message over HTTP what authorization depends
// on: which method it calls, and on which tool, prompt, resource or task.
//
// It refuses every body that two decoders could read differently, so that what is
// judged is what any server behind it executes: members that come twice or that
// differ from a known one in case only, text that is not UTF-8, a second document
// behind the first. Accepted bodies are to be handed on as they are.
package jsonrpc

// The codes of JSON-RPC 2.0 §5.1 that Parse returns.
const (
	CodeParse          = -32700 // not JSON
	CodeInvalidRequest = -32600 // JSON, but no legal message
	CodeInvalidParams  = -32602 // a message, but without what its method needs
)

// Limits bound what Parse reads. Zero means the default.
type Limits struct {
	Depth int // of arrays and objects, the message itself included; 64
	Batch int // messages in a batch; 100
}

// A Kind says what a message is.
type Kind int

// The kinds of JSON-RPC messages. Zero is none.
const (
	Request Kind = iota + 1
	Notification
	Response
)

// A Body is one HTTP request body. It refers to the bytes it was read from.
type Body struct {
	Batch    bool      // an array (MCP 2025-03-26 only)
	Messages []Message // at least one; without Batch exactly one
}

// A Message is one message of a body. Fields that its method does not have are
// zero; those that it has are never empty.
type Message struct {
	Kind            Kind
	Method          string // empty in a Response
	ID              []byte // JSON: an integer or a string; nil in a Notification
	ProtocolVersion string // params._meta["io.modelcontextprotocol/protocolVersion"], if given

	Name      string   // tools/call, prompts/get; completion/complete of a ref/prompt
	URI       string   // resources/read, subscribe, unsubscribe; completion/complete of a ref/resource
	Ref       string   // completion/complete: "ref/prompt" or "ref/resource"
	Arguments []byte   // tools/call, prompts/get: JSON object, if given
	TaskID    string   // tasks/get, result, update, cancel
	URIs      []string // subscriptions/listen: resources to hear of, if any
	TaskIDs   []string // subscriptions/listen: tasks to hear of, if any
}

// An Error says why a body was refused. Its text repeats nothing of the body.
type Error struct {
	Code int    // one of the Code constants
	ID   []byte // JSON of the id to answer to; nil (write null) where it is not certain
	text string
}

// Error returns a text that is fit for the answer.
func (e *Error) Error() string { return e.text }
