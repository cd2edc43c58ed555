package middleware

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/jsonrpc"
)

// readMessage reads the JSON-RPC body of r and puts identical octets back. What
// another reader could take for something else is refused, before the handler.
func (ru *rules) readMessage(r *http.Request) (*jsonrpc.Body, *Refusal) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	if problem := checkMediaType(r.Header); problem != "" {
		return nil, ru.unreadable(http.StatusUnsupportedMediaType, jsonrpc.CodeInvalidRequest, nil, problem)
	}
	text, err := readAtMost(r.Body, r.ContentLength, ru.maxBody)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, ru.unreadable(http.StatusRequestEntityTooLarge, jsonrpc.CodeInvalidRequest, nil, bodyTooLarge)
	case err != nil:
		return nil, ru.unreadable(http.StatusBadRequest, jsonrpc.CodeParse, nil, bodyIncomplete)
	}
	body, err := jsonrpc.Parse(text, jsonrpc.Limits{})
	if err != nil {
		flaw := &jsonrpc.Error{Code: jsonrpc.CodeParse}
		errors.As(err, &flaw)
		return nil, ru.unreadable(http.StatusBadRequest, flaw.Code, flaw.ID, flaw.Error())
	}
	if refusal := ru.checkRevision(r.Header, body); refusal != nil {
		return nil, refusal
	}
	r.Body = &replayed{Reader: *bytes.NewReader(text), closer: r.Body}
	r.ContentLength = int64(len(text))
	return body, nil
}

// replayed gives the octets that were read, and closes what they came from.
type replayed struct {
	bytes.Reader
	closer io.Closer
}

func (b *replayed) Close() error { return b.closer.Close() }

var errTooLarge = errors.New("over the limit")

// readAtMost reads a body of declared length, -1 for unknown, and one octet more
// than limit at the most.
func readAtMost(body io.Reader, declared, limit int64) ([]byte, error) {
	if declared > limit {
		return nil, errTooLarge
	}
	if declared >= 0 {
		return readExactly(body, int(declared))
	}
	text, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = errTooLarge
	}
	return text, err
}

// believed is how much memory a mere announcement gets.
const believed = 64 << 10

// readExactly reads a body of n octets.
func readExactly(body io.Reader, n int) ([]byte, error) {
	text := make([]byte, min(n, believed))
	for start := 0; ; {
		if _, err := io.ReadFull(body, text[start:]); err != nil {
			return nil, err
		}
		if start = len(text); start == n {
			break
		}
		// Memory for at most sixteen times what has come: growing in smaller steps
		// costs as much as reading.
		text = append(make([]byte, 0, min(n, 16*start)), text...)
		text = text[:cap(text)]
	}
	// net/http ends a body at its declared length; others may not.
	var more [1]byte
	if extra, _ := body.Read(more[:]); extra > 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return text, nil
}

// checkMediaType takes JSON in UTF-8 only: the handler may go by what the header
// says, and would read another text than we do (RFC 8259 §8.1).
func checkMediaType(h http.Header) (problem string) {
	if encodings := h["Content-Encoding"]; len(encodings) > 0 && !strings.EqualFold(strings.Join(encodings, ","), "identity") {
		return bodyEncoded
	}
	types := h["Content-Type"]
	switch {
	case len(types) != 1:
		return bodyNotJSON
	case types[0] == "application/json":
		return ""
	case strings.Contains(types[0], "*"):
		// RFC 2231 has further ways to write a parameter, which not every reader knows.
		return bodyNotJSON
	}
	name, parameters, err := mime.ParseMediaType(types[0])
	if err != nil || name != "application/json" {
		return bodyNotJSON
	}
	for parameter, value := range parameters {
		if parameter != "charset" || !strings.EqualFold(value, "utf-8") {
			return bodyNotJSON
		}
	}
	return ""
}

// unreadable is a JSON-RPC error (MCP transports, Streamable HTTP). The text comes
// from a closed list; id is the request's own, where it was legible.
func (ru *rules) unreadable(status, code int, id []byte, text string) *Refusal {
	var body bytes.Buffer
	body.WriteString(`{"jsonrpc":"2.0",`)
	if id != nil {
		body.WriteString(`"id":`)
		body.Write(id)
		body.WriteByte(',')
	}
	body.WriteString(`"error":{"code":` + strconv.Itoa(code) + `,"message":`)
	body.WriteString(strconv.Quote(text))
	body.WriteString(`}}`)
	return &Refusal{
		Status: status, Outcome: OutcomeInvalidMessage,
		code: "jsonrpc", description: text, body: body.Bytes(), rules: ru,
	}
}
