package middleware

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"weak"

	"github.com/gatehouse-mcp/gatehouse/internal/jsonrpc"
)

// readMessage reads the JSON-RPC body of r and puts identical octets back, which d
// knows of. What another reader could take for something else is refused, before the
// handler. With keep, somebody may hold on to the message; else it ends with the new
// body.
func (ru *rules) readMessage(r *http.Request, d *decision, keep bool) (*jsonrpc.Body, *Refusal) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	if problem := checkMediaType(r.Header); problem != "" {
		return nil, ru.unreadable(http.StatusUnsupportedMediaType, jsonrpc.CodeInvalidRequest, nil, problem)
	}
	text, err := readBody(r.Body, r.ContentLength, ru.maxBody)
	switch {
	case errors.Is(err, errTooLarge):
		return nil, ru.unreadable(http.StatusRequestEntityTooLarge, jsonrpc.CodeInvalidRequest, nil, bodyTooLarge)
	case err != nil:
		return nil, ru.unreadable(http.StatusBadRequest, jsonrpc.CodeParse, nil, bodyIncomplete)
	}
	if keep {
		text.keep()
	}
	body, refusal := ru.parse(r.Header, text.octets)
	if refusal != nil {
		text.free()
		return nil, refusal
	}
	r.ContentLength = int64(len(text.octets))
	again := &replay{text: text, source: r.Body}
	if r.Body = again; text.pool != nil {
		d.body = weak.Make(again)
	}
	return body, nil
}

// parse reads text, which the message then refers to. The refusal does not.
func (ru *rules) parse(h http.Header, text []byte) (*jsonrpc.Body, *Refusal) {
	body, err := jsonrpc.Parse(text, jsonrpc.Limits{})
	if err != nil {
		flaw := &jsonrpc.Error{Code: jsonrpc.CodeParse}
		errors.As(err, &flaw)
		return nil, ru.unreadable(http.StatusBadRequest, flaw.Code, flaw.ID, flaw.Error())
	}
	if refusal := ru.checkRevision(h, body); refusal != nil {
		return nil, refusal
	}
	return body, nil
}

var errTooLarge = errors.New("over the limit")

// readBody reads a body of declared length, -1 for unknown, and one octet more than
// it may have at the most.
func readBody(body io.Reader, declared, limit int64) (buffer, error) {
	if declared > limit {
		return buffer{}, errTooLarge
	}
	// Memory for at most so many times what has come. Growing in smaller steps costs as
	// much as reading; of an unknown length, all of it may be what is held in the end.
	size, first, factor := declared, int64(believed), int64(16)
	if declared < 0 {
		size, first, factor = limit, 2<<10, 2
	}
	text := newBuffer(int(min(size, first)))
	for end := 0; int64(end) < size; {
		if end == len(text.octets) {
			more := newBuffer(int(min(size, factor*int64(end))))
			copy(more.octets, text.octets)
			text.free()
			text = more
		}
		n, err := body.Read(text.octets[end:])
		end += n
		if err == nil || int64(end) == size {
			continue
		}
		if err == io.EOF && declared < 0 {
			text.cut(end)
			return text, nil
		}
		text.free()
		return buffer{}, err
	}
	if err := readEnd(body, declared); err != nil {
		text.free()
		return buffer{}, err
	}
	return text, nil
}

// believed is how much memory a mere announcement gets.
const believed = 64 << 10

// readEnd checks that nothing follows. net/http ends a body at its declared length;
// others may not.
func readEnd(body io.Reader, declared int64) error {
	var more [1]byte
	if declared >= 0 {
		if extra, _ := body.Read(more[:]); extra > 0 {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	switch extra, err := io.ReadFull(body, more[:]); {
	case extra > 0:
		return errTooLarge
	case err != io.EOF:
		return err
	}
	return nil
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
