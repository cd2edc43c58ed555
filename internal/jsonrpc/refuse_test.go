package jsonrpc_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/gatehouse-mcp/gatehouse/internal/jsonrpc"
)

// call is a tools/call with these members in place of its own.
func call(members string) string { return `{"jsonrpc":"2.0","id":7,` + members + `}` }

// params is a tools/call with these params.
func params(text string) string { return call(`"method":"tools/call","params":` + text) }

func utf16le(text string) string {
	var out strings.Builder
	for _, unit := range utf16.Encode([]rune(text)) {
		out.WriteByte(byte(unit))
		out.WriteByte(byte(unit >> 8))
	}
	return out.String()
}

const (
	parse   = jsonrpc.CodeParse
	request = jsonrpc.CodeInvalidRequest
	bad     = jsonrpc.CodeInvalidParams
)

func TestParse_refuses(t *testing.T) {
	list := call(`"method":"tools/list"`)
	danger := params(`{"name":"danger"}`)
	for _, test := range []struct {
		name, body string
		code       int
		id         string // what to answer to; empty: null
	}{
		{"MB-01 method twice", call(`"method":"tools/list","method":"tools/call"`), request, "7"},
		{"MB-01 method twice, the same", call(`"method":"tools/list","method":"tools/list"`), request, "7"},
		{"MB-01 params twice", call(`"method":"tools/call","params":{"name":"safe"},"params":{"name":"danger"}`), request, "7"},
		{"MB-01 id twice", `{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, request, ""},
		{"MB-01 jsonrpc twice", `{"jsonrpc":"2.0","jsonrpc":"2.0","id":7,"method":"ping"}`, request, "7"},
		{"MB-01 an unknown member twice", call(`"method":"ping","x":1,"x":2`), request, "7"},
		{"MB-02 method and Method", call(`"method":"tools/list","Method":"tools/call"`), request, "7"},
		{"MB-02 Method and method", call(`"Method":"tools/call","method":"tools/list"`), request, "7"},
		{"MB-02 METHOD alone", call(`"METHOD":"tools/call"`), request, "7"},
		{"MB-02 Params beside params", call(`"method":"tools/call","params":{"name":"safe"},"Params":{"name":"danger"}`), request, "7"},
		{"MB-02 Kelvin-less: param\u017f", call(`"method":"tools/call","params":{"name":"safe"},"param\u017f":{"name":"danger"}`), request, "7"},
		{"MB-02 Id beside id", `{"jsonrpc":"2.0","id":7,"Id":8,"method":"ping"}`, request, ""},
		{"MB-02 ID alone", `{"jsonrpc":"2.0","ID":8,"method":"ping"}`, request, ""},
		{"MB-02 Result", call(`"method":"ping","Result":{}`), request, "7"},
		{"MB-02 unknown members that fold", call(`"method":"ping","x":1,"X":2`), request, "7"},
		{"MB-05 name twice", params(`{"name":"safe","name":"danger"}`), request, "7"},
		{"MB-05 name and Name", params(`{"name":"safe","Name":"danger"}`), request, "7"},
		{"MB-05 NAME and name", params(`{"NAME":"danger","name":"safe"}`), request, "7"},
		{"MB-05 Name alone", params(`{"Name":"danger"}`), request, "7"},
		{"MB-05 Arguments", params(`{"name":"a","Arguments":{}}`), request, "7"},
		{"MB-05 argument\u017f", params(`{"name":"a","argument\u017f":{}}`), request, "7"},
		{"MB-05 twice in arguments", params(`{"name":"a","arguments":{"path":"/a","path":"/b"}}`), request, "7"},
		{"MB-05 twice deep in arguments", params(`{"name":"a","arguments":{"x":[{"y":{"z":1,"\u007a":2}}]}}`), request, "7"},
		{"MB-05 arguments that fold", params(`{"name":"a","arguments":{"path":"/a","Path":"/b"}}`), request, "7"},
		{"MB-05 k and the Kelvin sign in arguments", params(`{"name":"a","arguments":{"key":"/a","\u212aey":"/b"}}`), request, "7"},
		{"MB-05 twice in _meta", params(`{"name":"a","_meta":{"x":1,"x":2}}`), request, "7"},
		{"MB-05 twice in ref", call(`"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","name":"b"}}`), request, "7"},
		{"MB-05 Name in ref", call(`"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","Name":"b"}}`), request, "7"},
		{"MB-05 URI in params", call(`"method":"resources/read","params":{"uri":"a:b","URI":"a:c"}`), request, "7"},
		{"MB-05 _Meta", params(`{"name":"a","_Meta":{}}`), request, "7"},
		{"MB-05 the version member in another case", params(`{"name":"a","_meta":{"io.modelcontextprotocol/ProtocolVersion":"2025-03-26"}}`), request, "7"},
		{"MB-05 Notifications", call(`"method":"subscriptions/listen","params":{"notifications":{},"Notifications":{}}`), request, "7"},
		{"MB-05 ResourceSubscriptions", call(`"method":"subscriptions/listen","params":{"notifications":{"ResourceSubscriptions":["a:b"]}}`), request, "7"},
		{"MB-05 taskID", call(`"method":"tasks/get","params":{"taskId":"1","taskID":"2"}`), request, "7"},
		{"MB-06 method with NUL", call(`"method":"tools/list","method\u0000":"tools/call"`), request, "7"},
		{"MB-06 name with NUL", params(`{"name":"safe","name\u0000":"danger"}`), request, "7"},
		{"MB-06 any name with DEL", call("\"method\":\"ping\",\"x\x7f\":1"), request, "7"},
		{"MB-06 any name with a C1 control", call("\"method\":\"ping\",\"x\u0085\":1"), request, "7"},
		{"MB-07 twice by an escape", call(`"method":"tools/list","\u006dethod":"tools/call"`), request, "7"},
		{"MB-07 twice by an escape in params", params(`{"name":"safe","n\u0061me":"danger"}`), request, "7"},
		{"MB-07 another case by an escape", call(`"method":"tools/list","\u004dethod":"tools/call"`), request, "7"},
		{"MB-10 invalid UTF-8 in the name", params("{\"name\":\"a\xff\"}"), parse, ""},
		{"MB-10 overlong UTF-8 in the name", params("{\"name\":\"a\xc0\x80\"}"), parse, ""},
		{"MB-10 lone high surrogate", params(`{"name":"a\ud800"}`), parse, ""},
		{"MB-10 lone low surrogate", params(`{"name":"a\udc00"}`), parse, ""},
		{"MB-10 invalid UTF-8 in arguments", params("{\"name\":\"a\",\"arguments\":{\"x\":\"\xff\"}}"), parse, ""},
		{"MB-10 invalid UTF-8 in a member name", call("\"method\":\"ping\",\"\xff\":1"), parse, ""},
		{"MB-12 a second document", danger + list, parse, ""},
		{"MB-12 NDJSON", danger + "\n" + list + "\n", parse, ""},
		{"MB-12 garbage behind", danger + " x", parse, ""},
		{"MB-12 NUL behind", danger + "\x00", parse, ""},
		{"MB-12 a bracket behind", danger + "}", parse, ""},
		{"MB-12 a batch behind", list + "[" + danger + "]", parse, ""},
		{"MB-13 byte order mark", "\ufeff" + list, parse, ""},
		{"MB-13 UTF-16LE", utf16le(list), parse, ""},
		{"MB-13 UTF-16LE with a mark", "\xff\xfe" + utf16le(list), parse, ""},
		{"MB-13 UTF-16BE", "\x00" + utf16le(list), parse, ""},
		{"nothing", "", parse, ""},
		{"blanks", " \r\n\t", parse, ""},
		{"cut short", list[:len(list)-1], parse, ""},
		{"comment", "/**/" + list, parse, ""},
		{"trailing comma", params(`{"name":"a",}`), parse, ""},
		{"NaN in arguments", params(`{"name":"a","arguments":{"x":NaN}}`), parse, ""},
		{"a number", "1", request, ""},
		{"a string", `"tools/call"`, request, ""},
		{"null", "null", request, ""},
		{"MB-14 method null", call(`"method":null`), request, "7"},
		{"MB-14 method empty", call(`"method":""`), request, "7"},
		{"MB-14 method a number", call(`"method":1`), request, "7"},
		{"MB-14 method an array", call(`"method":["tools/call"]`), request, "7"},
		{"MB-14 method an object", call(`"method":{}`), request, "7"},
		{"MB-14 no method", `{"jsonrpc":"2.0","id":7}`, request, "7"},
		{"MB-15 params an array", params(`["danger"]`), bad, "7"},
		{"MB-15 params a string", params(`"danger"`), bad, "7"},
		{"MB-15 params a number", params(`1`), bad, "7"},
		{"MB-15 params null", params(`null`), bad, "7"},
		{"MB-15 no params", call(`"method":"tools/call"`), bad, "7"},
		{"MB-15 params an array for any method", call(`"method":"tools/list","params":[]`), bad, "7"},
		{"MB-15 params a string for an unknown method", call(`"method":"x/y","params":"z"`), bad, "7"},
		{"MB-16 name an array", params(`{"name":["danger"]}`), bad, "7"},
		{"MB-16 name an object", params(`{"name":{}}`), bad, "7"},
		{"MB-16 name a number", params(`{"name":1}`), bad, "7"},
		{"MB-16 name null", params(`{"name":null}`), bad, "7"},
		{"MB-16 no name", params(`{}`), bad, "7"},
		{"MB-16 name empty", params(`{"name":""}`), bad, "7"},
		{"MB-16 prompts/get without a name", call(`"method":"prompts/get","params":{}`), bad, "7"},
		{"MB-16 arguments an array", params(`{"name":"a","arguments":["x"]}`), bad, "7"},
		{"MB-16 arguments a string", params(`{"name":"a","arguments":"{}"}`), bad, "7"},
		{"MB-16 uri missing", call(`"method":"resources/read","params":{}`), bad, "7"},
		{"MB-16 uri an array", call(`"method":"resources/subscribe","params":{"uri":["a:b"]}`), bad, "7"},
		{"MB-16 uri empty", call(`"method":"resources/unsubscribe","params":{"uri":""}`), bad, "7"},
		{"MB-16 taskId missing", call(`"method":"tasks/result","params":{}`), bad, "7"},
		{"MB-17 id null", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, request, ""},
		{"MB-17 id 1.5", `{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, request, ""},
		{"MB-17 id 1.0", `{"jsonrpc":"2.0","id":1.0,"method":"ping"}`, request, ""},
		{"MB-17 id 1e400", `{"jsonrpc":"2.0","id":1e400,"method":"ping"}`, request, ""},
		{"MB-17 id 1e2", `{"jsonrpc":"2.0","id":1e2,"method":"ping"}`, request, ""},
		{"MB-17 id of 65 bits", `{"jsonrpc":"2.0","id":18446744073709551616,"method":"ping"}`, request, ""},
		{"MB-17 id of many digits", `{"jsonrpc":"2.0","id":` + strings.Repeat("9", 1<<16) + `,"method":"ping"}`, request, ""},
		{"MB-17 id an object", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, request, ""},
		{"MB-17 id an array", `{"jsonrpc":"2.0","id":[1],"method":"ping"}`, request, ""},
		{"MB-17 id true", `{"jsonrpc":"2.0","id":true,"method":"ping"}`, request, ""},
		{"MB-17 id of 1 MiB", `{"jsonrpc":"2.0","id":"` + strings.Repeat("a", 1<<20) + `","method":"ping"}`, request, ""},
		{"MB-18 tools/call without an id", `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"danger"}}`, request, ""},
		{"MB-18 any request without an id", `{"jsonrpc":"2.0","method":"tools/list"}`, request, ""},
		{"MB-19 a notification with an id", call(`"method":"notifications/initialized"`), request, "7"},
		{"MB-19 a call in the name of a notification, with an id", call(`"method":"notifications/tools/call","params":{"name":"danger"}`), request, "7"},
		{"MB-22 an empty batch", "[]", request, ""},
		{"MB-22 a nested batch", "[[" + list + "]]", request, ""},
		{"MB-22 a batch with a number", "[1]", request, ""},
		{"MB-22 a batch with null", "[" + list + ",null]", request, ""},
		{"MB-22 101 messages", "[" + strings.Repeat(list+",", 100) + list + "]", request, ""},
		{"MB-22 10 000 messages", "[" + strings.Repeat(list+",", 9999) + list + "]", request, ""},
		{"MB-22 one bad message refuses all", "[" + list + "," + params(`{"name":"a","Name":"b"}`) + "]", request, ""},
		{"MB-22 one call without a name refuses all", "[" + list + "," + params(`{}`) + "]", bad, ""},
		{"MB-22 a batch that is cut", "[" + list, parse, ""},
		{"MB-22 a batch and a comma", "[" + list + ",]", parse, ""},
		{"MB-22 a document behind a batch", "[" + list + "]" + danger, parse, ""},
		{"MB-23 the version in _meta is not a string", params(`{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":1}}`), bad, "7"},
		{"MB-23 the version in _meta is empty", params(`{"name":"a","_meta":{"io.modelcontextprotocol/protocolVersion":""}}`), bad, "7"},
		{"_meta is an array", params(`{"name":"a","_meta":[]}`), bad, "7"},
		{"MB-44 completion without a ref", call(`"method":"completion/complete","params":{}`), bad, "7"},
		{"MB-44 ref a string", call(`"method":"completion/complete","params":{"ref":"ref/prompt"}`), bad, "7"},
		{"MB-44 ref of no type", call(`"method":"completion/complete","params":{"ref":{"name":"a"}}`), bad, "7"},
		{"MB-44 ref of another type", call(`"method":"completion/complete","params":{"ref":{"type":"ref/tool","name":"a"}}`), bad, "7"},
		{"MB-44 ref to a prompt and a resource", call(`"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"a","uri":"a:b"}}`), bad, "7"},
		{"MB-44 ref to a resource and a prompt", call(`"method":"completion/complete","params":{"ref":{"type":"ref/resource","name":"a","uri":"a:b"}}`), bad, "7"},
		{"MB-44 ref to a resource without a uri", call(`"method":"completion/complete","params":{"ref":{"type":"ref/resource"}}`), bad, "7"},
		{"MB-44 listen without notifications", call(`"method":"subscriptions/listen","params":{}`), bad, "7"},
		{"MB-44 listen to a string", call(`"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":"a:b"}}`), bad, "7"},
		{"MB-44 listen to a list with an array", call(`"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["a:b",["a:c"]]}}`), bad, "7"},
		{"MB-44 listen to a list with an empty URI", call(`"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[""]}}`), bad, "7"},
		{"MB-44 listen to tasks that are numbers", call(`"method":"subscriptions/listen","params":{"notifications":{"taskIds":[1]}}`), bad, "7"},
		{"MB-44 listen to too many", call(`"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":[` + strings.Repeat(`"a:b",`, 1000) + `"a:b"]}}`), bad, "7"},
		{"jsonrpc missing", `{"id":7,"method":"ping"}`, request, "7"},
		{"jsonrpc 1.0", `{"jsonrpc":"1.0","id":7,"method":"ping"}`, request, "7"},
		{"jsonrpc a number", `{"jsonrpc":2.0,"id":7,"method":"ping"}`, request, "7"},
		{"method and result", call(`"method":"ping","result":{}`), request, "7"},
		{"method and error", call(`"method":"ping","error":{}`), request, "7"},
		{"result and error", call(`"result":{},"error":{}`), request, "7"},
		{"a response without an id", `{"jsonrpc":"2.0","result":{}}`, request, ""},
		{"a response with id null", `{"jsonrpc":"2.0","id":null,"error":{}}`, request, ""},
		{"a response with params", call(`"result":{},"params":{"name":"danger"}`), request, "7"},
		{"DS 65 deep", params(`{"name":"a","arguments":{"x":` + strings.Repeat("[", 62) + strings.Repeat("]", 62) + `}}`), request, ""},
		{"DS a million brackets", params(`{"name":"a","arguments":{"x":` + strings.Repeat("[", 1<<20)), request, ""},
		{"the id comes last", `{"method":1,"jsonrpc":"2.0","id":"last"}`, request, `"last"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			body, err := jsonrpc.Parse([]byte(test.body), jsonrpc.Limits{})
			var refusal *jsonrpc.Error
			if body != nil || !errors.As(err, &refusal) {
				t.Fatalf("accepted: %+v, %v", body, err)
			}
			if refusal.Code != test.code || string(refusal.ID) != test.id {
				t.Errorf("code %d, id %q (%v); want %d, %q", refusal.Code, refusal.ID, err, test.code, test.id)
			}
			if refusal.Error() == "" || strings.Contains(refusal.Error(), "danger") {
				t.Errorf("text %q", refusal)
			}
		})
	}
}

func TestParse_limits_are_exact(t *testing.T) {
	deep := func(n int) string {
		return params(`{"name":"a","arguments":{"x":` + strings.Repeat("[", n-3) + strings.Repeat("]", n-3) + `}}`)
	}
	batch := func(n int) string {
		return "[" + strings.Repeat(`{"jsonrpc":"2.0","id":1,"method":"ping"},`, n-1) + `{"jsonrpc":"2.0","id":1,"method":"ping"}]`
	}
	for _, test := range []struct {
		limits   jsonrpc.Limits
		legal    string
		tooLarge string
	}{
		{jsonrpc.Limits{}, deep(64), deep(65)},
		{jsonrpc.Limits{Depth: 10}, deep(10), deep(11)},
		{jsonrpc.Limits{}, batch(100), batch(101)},
		{jsonrpc.Limits{Batch: 2}, batch(2), batch(3)},
	} {
		t.Run(fmt.Sprintf("%+v", test.limits), func(t *testing.T) {
			if _, err := jsonrpc.Parse([]byte(test.legal), test.limits); err != nil {
				t.Errorf("at the limit: %v", err)
			}
			if _, err := jsonrpc.Parse([]byte(test.tooLarge), test.limits); err == nil {
				t.Error("above the limit: accepted")
			}
		})
	}
}
