package jsonrpc

import (
	"bytes"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// A shape says which params a method must have for anyone to know what it does.
type shape int

const (
	plain        shape = iota // nothing
	byName                    // name, and arguments if it wants
	byURI                     // uri
	byURIIfAny                // uri, or none: 2026-07-28 has no such method, and its servers say so
	byRef                     // ref
	byFilter                  // notifications
	byTask                    // taskId
	notification              // nothing, and no id
	unlisted                  // nothing; with or without an id
)

// lookup returns a method, of which text is the JSON, and its shape. Common ones
// are constants, to save an allocation. Any method of any MCP revision that needs
// an id is here; the tests hold the list against the one in package scopes.
func lookup(text []byte) (string, shape) {
	method := text[1 : len(text)-1]
	if bytes.IndexByte(method, '\\') >= 0 {
		unquoted, err := strictjson.Unquote(text)
		if err != nil {
			return "", unlisted
		}
		method = []byte(unquoted)
	}
	switch string(method) {
	case "tools/call":
		return "tools/call", byName
	case "prompts/get":
		return "prompts/get", byName
	case "resources/read":
		return "resources/read", byURI
	case "resources/subscribe":
		return "resources/subscribe", byURIIfAny
	case "resources/unsubscribe":
		return "resources/unsubscribe", byURIIfAny
	case "completion/complete":
		return "completion/complete", byRef
	case "subscriptions/listen":
		return "subscriptions/listen", byFilter
	case "tasks/get":
		return "tasks/get", byTask
	case "tasks/result":
		return "tasks/result", byTask
	case "tasks/update":
		return "tasks/update", byTask
	case "tasks/cancel":
		return "tasks/cancel", byTask
	case "tools/list":
		return "tools/list", plain
	case "prompts/list":
		return "prompts/list", plain
	case "resources/list":
		return "resources/list", plain
	case "resources/templates/list":
		return "resources/templates/list", plain
	case "initialize":
		return "initialize", plain
	case "server/discover":
		return "server/discover", plain
	case "ping":
		return "ping", plain
	case "logging/setLevel", "tasks/list", "sampling/createMessage", "roots/list", "elicitation/create":
		return string(method), plain
	}
	name := string(method)
	if strings.HasPrefix(name, "notifications/") {
		return name, notification
	}
	return name, unlisted
}
