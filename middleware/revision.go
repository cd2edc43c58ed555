package middleware

import (
	"encoding/base64"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/internal/jsonrpc"
)

const (
	// headerRevision is the first MCP revision whose headers must repeat the body
	// (SEP-2243). Revisions are dates, so text order is time order.
	headerRevision = "2026-07-28"
	// batchRevision is the only one with batches, and what a request without a
	// version means (MCP 2025-06-18 transports, Protocol Version Header).
	batchRevision = "2025-03-26"

	codeHeaderMismatch = -32020 // MCP 2026-07-28 transports, Server Validation
)

// checkRevision holds the headers against the body. They never decide: the body
// is what the handler executes. Before headerRevision nobody has to send them,
// and nobody compares them, so there they mean nothing.
func (ru *rules) checkRevision(h http.Header, body *jsonrpc.Body) *Refusal {
	versions := h["Mcp-Protocol-Version"]
	first := body.Messages[0]
	if body.Batch {
		first.ID = nil // an id is one request's, and the error is everybody's
	}
	mismatch := func(text string) *Refusal {
		return ru.unreadable(http.StatusBadRequest, codeHeaderMismatch, first.ID, text)
	}
	if len(versions) > 1 || len(versions) == 1 && strings.Contains(versions[0], ",") {
		return mismatch(severalVersions)
	}
	version := ""
	if len(versions) == 1 {
		version = versions[0]
	}
	if body.Batch {
		if version != "" && version != batchRevision {
			return ru.unreadable(http.StatusBadRequest, jsonrpc.CodeInvalidRequest, nil, batchNotAllowed)
		}
		for _, m := range body.Messages {
			if m.ProtocolVersion != "" {
				return ru.unreadable(http.StatusBadRequest, jsonrpc.CodeInvalidRequest, nil, batchNotAllowed)
			}
		}
		return nil
	}
	switch {
	case version < headerRevision && first.ProtocolVersion < headerRevision, first.Kind != jsonrpc.Request:
		return nil
	case first.ProtocolVersion == "":
		// MCP 2026-07-28 basic, _meta: a request without a version lacks a
		// parameter; -32020 is for two that differ.
		return ru.unreadable(http.StatusBadRequest, jsonrpc.CodeInvalidParams, first.ID, versionMissing)
	case version != first.ProtocolVersion:
		return mismatch(versionMismatch)
	}
	if methods := h["Mcp-Method"]; len(methods) != 1 || methods[0] != first.Method {
		return mismatch(methodMismatch)
	}
	if want := mirrored(first); want != "" {
		names := h["Mcp-Name"]
		if len(names) != 1 {
			return mismatch(nameMismatch)
		}
		if name, ok := decodeName(names[0]); !ok || name != want {
			return mismatch(nameMismatch)
		}
	}
	return nil
}

// mirrored returns what Mcp-Name must repeat; empty: nothing.
func mirrored(m jsonrpc.Message) string {
	switch m.Method {
	case "tools/call", "prompts/get":
		return m.Name
	case "resources/read":
		return m.URI
	case "tasks/get", "tasks/update", "tasks/cancel":
		return m.TaskID
	}
	return ""
}

// decodeName undoes the encoding for names that no field can hold. The marks are
// exact; what only resembles them is a name.
func decodeName(value string) (string, bool) {
	inner, ok := strings.CutPrefix(value, "=?base64?")
	if !ok {
		return value, true
	}
	if inner, ok = strings.CutSuffix(inner, "?="); !ok {
		return value, true
	}
	text, err := base64.StdEncoding.Strict().DecodeString(inner)
	if err != nil || strings.ContainsAny(inner, "\r\n") || !utf8.Valid(text) {
		return "", false
	}
	return string(text), true
}
