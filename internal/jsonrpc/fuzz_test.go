package jsonrpc_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	sdkrpc "github.com/modelcontextprotocol/go-sdk/jsonrpc"

	"github.com/gatehouse-mcp/gatehouse/internal/jsonrpc"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
)

// seen is what a decoder takes a message for.
type seen struct {
	Method string `json:"method"`
	Params struct {
		Name      string          `json:"name"`
		URI       string          `json:"uri"`
		TaskID    string          `json:"taskId"`
		Arguments json.RawMessage `json:"arguments"`
		Ref       struct {
			Type string `json:"type"`
			Name string `json:"name"`
			URI  string `json:"uri"`
		} `json:"ref"`
		Notifications struct {
			URIs    []string `json:"resourceSubscriptions"`
			TaskIDs []string `json:"taskIds"`
		} `json:"notifications"`
		Meta struct {
			Version string `json:"io.modelcontextprotocol/protocolVersion"`
		} `json:"_meta"`
	} `json:"params"`
}

// asStruct decodes as most Go servers do: last wins, and case is folded. It
// ignores types that do not fit, as a lax decoder would.
func asStruct(text []byte) (s seen, ok bool) {
	err := json.Unmarshal(text, &s)
	_, isType := errors.AsType[*json.UnmarshalTypeError](err)
	return s, err == nil || isType
}

// decode keeps numbers as they are: whether 1e400 fits depends on the type.
func decode(text []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(v)
}

// asMap decodes in exact case: last wins.
func asMap(text []byte) (s seen, ok bool) {
	var message map[string]any
	if decode(text, &message) != nil {
		return s, false
	}
	s.Method, _ = message["method"].(string)
	params, _ := message["params"].(map[string]any)
	s.Params.Name, _ = params["name"].(string)
	s.Params.URI, _ = params["uri"].(string)
	s.Params.TaskID, _ = params["taskId"].(string)
	ref, _ := params["ref"].(map[string]any)
	s.Params.Ref.Type, _ = ref["type"].(string)
	s.Params.Ref.Name, _ = ref["name"].(string)
	s.Params.Ref.URI, _ = ref["uri"].(string)
	filter, _ := params["notifications"].(map[string]any)
	for _, uri := range anyList(filter["resourceSubscriptions"]) {
		text, _ := uri.(string)
		s.Params.Notifications.URIs = append(s.Params.Notifications.URIs, text)
	}
	for _, id := range anyList(filter["taskIds"]) {
		text, _ := id.(string)
		s.Params.Notifications.TaskIDs = append(s.Params.Notifications.TaskIDs, text)
	}
	meta, _ := params["_meta"].(map[string]any)
	s.Params.Meta.Version, _ = meta["io.modelcontextprotocol/protocolVersion"].(string)
	if arguments, found := params["arguments"]; found && arguments != nil {
		s.Params.Arguments, _ = json.Marshal(arguments)
	}
	return s, true
}

func anyList(v any) []any {
	list, _ := v.([]any)
	return list
}

// asSDK decodes the envelope with the official SDK, and params in exact case.
func asSDK(text []byte) (s seen, ok bool) {
	message, err := sdkrpc.DecodeMessage(text)
	if err != nil {
		return s, false
	}
	request, isRequest := message.(*sdkrpc.Request)
	if !isRequest {
		return s, true
	}
	whole, err := json.Marshal(map[string]any{"method": request.Method, "params": request.Params})
	if err != nil {
		return s, false
	}
	return asMap(whole)
}

// asFirst decodes with the first of several documents, and skips a mark: as a
// streaming decoder does.
func asFirst(text []byte) (s seen, ok bool) {
	var first json.RawMessage
	if json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff")))).Decode(&first) != nil {
		return s, false
	}
	return asStruct(first)
}

// split is a naive splitter of batches.
func split(text []byte) []json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(text, &list) != nil {
		return []json.RawMessage{text}
	}
	return list
}

// agree compares what was read with what a decoder would execute.
func agree(t *testing.T, decoder string, m jsonrpc.Message, s seen) {
	t.Helper()
	p := s.Params
	if m.Method != s.Method || m.ProtocolVersion != p.Meta.Version {
		t.Fatalf("%s executes %q of %q, not %q of %q", decoder, s.Method, p.Meta.Version, m.Method, m.ProtocolVersion)
	}
	var same bool
	switch m.Method {
	case "tools/call", "prompts/get":
		same = m.Name == p.Name && m.Name != "" && sameJSON(m.Arguments, p.Arguments)
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		same = m.URI == p.URI && m.URI != ""
	case "tasks/get", "tasks/result", "tasks/update", "tasks/cancel":
		same = m.TaskID == p.TaskID && m.TaskID != ""
	case "completion/complete":
		same = m.Ref == p.Ref.Type && m.Name == p.Ref.Name && m.URI == p.Ref.URI && m.Name+m.URI != "" && (m.Name == "" || m.URI == "")
	case "subscriptions/listen":
		n := p.Notifications
		same = strings.Join(m.URIs, " \n") == strings.Join(n.URIs, " \n") && strings.Join(m.TaskIDs, " \n") == strings.Join(n.TaskIDs, " \n")
	default:
		same = m.Name+m.URI+m.TaskID+m.Ref == "" && m.URIs == nil && m.Arguments == nil
	}
	if !same {
		t.Fatalf("%s executes %+v, not %+v", decoder, s, m)
	}
}

func sameJSON(a, b []byte) bool {
	if len(a) == 0 || string(a) == "null" {
		return len(b) == 0 || string(b) == "null"
	}
	var left, right any
	return decode(a, &left) == nil && decode(b, &right) == nil && jsonText(left) == jsonText(right)
}

func jsonText(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// FuzzParse: of an accepted call, every decoder executes what was read, and
// nothing else; of a response none executes anything. A refused body has a legal
// code, and an id that decoders agree on.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		params(`{"name":"read","arguments":{"path":"/a"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`),
		params(`{"name":"safe","Name":"danger"}`), params(`{"name":"safe","n\u0061me":"danger"}`), params(`{"name":"safe","name\u0000":"danger"}`),
		call(`"method":"tools/list","Method":"tools/call","param\u017f":{"name":"x"}`), call(`"method":null`), params(`["x"]`), params(`null`),
		`{"params":{"name":"x"},"method":"tools/call","id":"s","jsonrpc":"2.0"}`, `{"jsonrpc":"2.0","id":1e400,"method":"ping"}`, params(`{"name":"a","arguments":{"x":1e700}}`), call(`"method":"ping","x":1e700`),
		"[" + params(`{"name":"a"}`) + "," + call(`"method":"ping"`) + "]", "[]", "[[]]", call(`"result":{}`), call(`"error":{"code":1,"message":"x"}`), call(`"error":{"code":1,"message":7}`),
		call(`"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"a:b"}}`),
		call(`"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["a:b"],"taskIds":["t"]}}`),
		call(`"method":"tasks/get","params":{"taskId":"t"}`), call(`"method":"resources/read","params":{"uri":"a:b"}`),
		params(`{"name":"a"}`) + params(`{"name":"b"}`), "\ufeff" + params(`{"name":"a"}`), params("{\"name\":\"\xff\"}"), params(`{"name":"\ud800"}`),
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, `{"jsonrpc":"2.0","method":"$/x","params":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		body, err := jsonrpc.Parse(text, jsonrpc.Limits{})
		if err != nil {
			checkRefusal(t, text, body, err)
			return
		}
		if first := bytes.TrimLeft(text, " \t\r\n")[0]; body.Batch != (first == '[') || len(body.Messages) == 0 {
			t.Fatalf("batch %t, %d messages", body.Batch, len(body.Messages))
		}
		var all any
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if err := decoder.Decode(&all); err != nil {
			t.Fatalf("encoding/json refuses: %v", err)
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			t.Fatalf("something follows: %v", err)
		}
		pieces := split(text)
		if len(pieces) != len(body.Messages) {
			t.Fatalf("%d messages, a splitter finds %d", len(body.Messages), len(pieces))
		}
		for i, m := range body.Messages {
			for name, decode := range map[string]func([]byte) (seen, bool){"a struct": asStruct, "a map": asMap, "the SDK": asSDK, "a stream": asFirst} {
				s, ok := decode(pieces[i])
				if !ok && m.Kind == jsonrpc.Response {
					continue // what stands in a result or an error is not looked at
				}
				if !ok {
					t.Fatalf("%s refuses %s", name, pieces[i])
				}
				agree(t, name, m, s)
			}
			checkID(t, m, pieces[i])
		}
	})
}

func checkID(t *testing.T, m jsonrpc.Message, text []byte) {
	t.Helper()
	message, err := sdkrpc.DecodeMessage(text)
	if err != nil && m.Kind == jsonrpc.Response {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	request, isRequest := message.(*sdkrpc.Request)
	switch {
	case isRequest == (m.Kind == jsonrpc.Response):
		t.Fatalf("kind %d; the SDK has %T", m.Kind, message)
	case isRequest && request.ID.IsValid() != (m.Kind == jsonrpc.Request), (m.ID == nil) != (m.Kind == jsonrpc.Notification):
		t.Fatalf("kind %d, id %s; the SDK has id %v", m.Kind, m.ID, request.ID)
	}
}

func checkRefusal(t *testing.T, text []byte, body *jsonrpc.Body, err error) {
	t.Helper()
	refusal, ok := errors.AsType[*jsonrpc.Error](err)
	if !ok || body != nil || refusal.Error() == "" {
		t.Fatalf("%v, %v", body, err)
	}
	reader := strictjson.NewReader(text, 1000)
	_, err = reader.Value()
	if err == nil {
		err = reader.End()
	}
	isSyntax := errors.Is(err, strictjson.ErrSyntax)
	switch refusal.Code {
	case jsonrpc.CodeParse:
		if !isSyntax || refusal.ID != nil {
			t.Fatalf("-32700 with id %q, but: %v", refusal.ID, err)
		}
	case jsonrpc.CodeInvalidRequest, jsonrpc.CodeInvalidParams:
		if refusal.ID != nil && isSyntax {
			t.Fatalf("%d with id %q, but: %v", refusal.Code, refusal.ID, err)
		}
	default:
		t.Fatalf("code %d", refusal.Code)
	}
	if refusal.ID != nil {
		var folded struct{ ID any }
		var exact map[string]any
		_ = json.Unmarshal(text, &folded)
		_ = json.Unmarshal(text, &exact)
		var want any
		if json.Unmarshal(refusal.ID, &want) != nil || want == nil || folded.ID != want || exact["id"] != want {
			t.Fatalf("id %s; encoding/json has %v and %v", refusal.ID, folded.ID, exact["id"])
		}
	}
}
