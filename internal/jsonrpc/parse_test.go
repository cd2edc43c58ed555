package jsonrpc_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/jsonrpc"
)

func TestParse_accepts(t *testing.T) {
	type message = jsonrpc.Message
	id := []byte("7")
	for _, test := range []struct {
		name, body string
		want       message
	}{
		{"a call", params(`{"name":"read","arguments":{"path":"/a"}}`),
			message{Kind: jsonrpc.Request, Method: "tools/call", ID: id, Name: "read", Arguments: []byte(`{"path":"/a"}`)}},
		{"members in any order", `{"params":{"arguments":{},"name":"read"},"method":"tools/call","id":7,"jsonrpc":"2.0"}`,
			message{Kind: jsonrpc.Request, Method: "tools/call", ID: id, Name: "read", Arguments: []byte(`{}`)}},
		{"white space", " \t\r\n" + `{ "jsonrpc" : "2.0" , "id" : 7 , "method" : "tools/call" , "params" : { "name" : "read" } }` + "\n",
			message{Kind: jsonrpc.Request, Method: "tools/call", ID: id, Name: "read"}},
		{"arguments null are none", params(`{"name":"read","arguments":null}`),
			message{Kind: jsonrpc.Request, Method: "tools/call", ID: id, Name: "read"}},
		{"MB-05 nested names may differ in case only", params(`{"name":"read","arguments":{"env":{"PATH":1,"Path":2}}}`),
			message{Kind: jsonrpc.Request, Method: "tools/call", ID: id, Name: "read", Arguments: []byte(`{"env":{"PATH":1,"Path":2}}`)}},
		{"MB-05 names in arguments may be those of an envelope", params(`{"name":"read","arguments":{"Name":"x","Method":"y","id":[]}}`),
			message{Kind: jsonrpc.Request, Method: "tools/call", ID: id, Name: "read", Arguments: []byte(`{"Name":"x","Method":"y","id":[]}`)}},
		{"MB-07 escapes are read", `{"jsonrpc":"2\u002e0","id":7,"\u006dethod":"tools\/c\u0061ll","params":{"n\u0061me":"d\u0061nger"}}`,
			message{Kind: jsonrpc.Request, Method: "tools/call", ID: id, Name: "danger"}},
		{"MB-29 a method in another case is another method", call(`"method":"TOOLS/CALL","params":{"name":"x"}`),
			message{Kind: jsonrpc.Request, Method: "TOOLS/CALL", ID: id}},
		{"MB-45 claims in _meta are no part of it", params(`{"name":"read","_meta":{"sub":"admin","io.modelcontextprotocol/clientInfo":{"name":"x"}}}`),
			message{Kind: jsonrpc.Request, Method: "tools/call", ID: id, Name: "read"}},
		{"MB-23 the version in _meta", params(`{"name":"read","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`),
			message{Kind: jsonrpc.Request, Method: "tools/call", ID: id, Name: "read", ProtocolVersion: "2026-07-28"}},
		{"_meta null", params(`{"name":"read","_meta":null}`), message{Kind: jsonrpc.Request, Method: "tools/call", ID: id, Name: "read"}},
		{"a prompt", call(`"method":"prompts/get","params":{"name":"p","arguments":{"a":"b"}}`),
			message{Kind: jsonrpc.Request, Method: "prompts/get", ID: id, Name: "p", Arguments: []byte(`{"a":"b"}`)}},
		{"a resource", call(`"method":"resources/read","params":{"uri":"file:///a/../b","name":"x"}`),
			message{Kind: jsonrpc.Request, Method: "resources/read", ID: id, URI: "file:///a/../b"}},
		{"MB-44 subscribe", call(`"method":"resources/subscribe","params":{"uri":"a:b"}`),
			message{Kind: jsonrpc.Request, Method: "resources/subscribe", ID: id, URI: "a:b"}},
		{"MB-44 unsubscribe", call(`"method":"resources/unsubscribe","params":{"uri":"a:b"}`),
			message{Kind: jsonrpc.Request, Method: "resources/unsubscribe", ID: id, URI: "a:b"}},
		{"MB-44 completion of a prompt", call(`"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p","title":"x"},"argument":{"name":"a","value":"b"}}`),
			message{Kind: jsonrpc.Request, Method: "completion/complete", ID: id, Ref: "ref/prompt", Name: "p"}},
		{"MB-44 completion of a resource", call(`"method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"file:///{path}"}}`),
			message{Kind: jsonrpc.Request, Method: "completion/complete", ID: id, Ref: "ref/resource", URI: "file:///{path}"}},
		{"MB-44 listen", call(`"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a:b","a:c"],"taskIds":["t"]}}`),
			message{Kind: jsonrpc.Request, Method: "subscriptions/listen", ID: id, URIs: []string{"a:b", "a:c"}, TaskIDs: []string{"t"}}},
		{"MB-44 listen to no resource", call(`"method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":null}}`),
			message{Kind: jsonrpc.Request, Method: "subscriptions/listen", ID: id}},
		{"MB-44 a task", call(`"method":"tasks/cancel","params":{"taskId":"t"}`),
			message{Kind: jsonrpc.Request, Method: "tasks/cancel", ID: id, TaskID: "t"}},
		{"MB-44 the level of logging", call(`"method":"logging/setLevel","params":{"level":"debug"}`),
			message{Kind: jsonrpc.Request, Method: "logging/setLevel", ID: id}},
		{"what another method's params mean is not kept", call(`"method":"tools/list","params":{"name":"x","uri":"y","taskId":"z","notifications":{"resourceSubscriptions":["a:b"]}}`),
			message{Kind: jsonrpc.Request, Method: "tools/list", ID: id}},
		{"params null where none are needed", call(`"method":"ping","params":null`), message{Kind: jsonrpc.Request, Method: "ping", ID: id}},
		{"an unknown method", call(`"method":"x/y","params":{"name":"z"}`), message{Kind: jsonrpc.Request, Method: "x/y", ID: id}},
		{"MB-19 an unknown method without an id", `{"jsonrpc":"2.0","method":"$/x"}`, message{Kind: jsonrpc.Notification, Method: "$/x"}},
		{"MB-19 cancelled names a request, and is a notification", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`,
			message{Kind: jsonrpc.Notification, Method: "notifications/cancelled"}},
		{"a notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, message{Kind: jsonrpc.Notification, Method: "notifications/initialized"}},
		{"a result", call(`"result":{"Name":1}`), message{Kind: jsonrpc.Response, ID: id}},
		{"an error", call(`"error":{"code":-1,"message":""}`), message{Kind: jsonrpc.Response, ID: id}},
		{"MB-17 a negative id", `{"jsonrpc":"2.0","id":-9223372036854775808,"method":"ping"}`, message{Kind: jsonrpc.Request, Method: "ping", ID: []byte("-9223372036854775808")}},
		{"MB-17 a string id", `{"jsonrpc":"2.0","id":"\u0061","method":"ping"}`, message{Kind: jsonrpc.Request, Method: "ping", ID: []byte(`"\u0061"`)}},
		{"MB-17 an empty id", `{"jsonrpc":"2.0","id":"","method":"ping"}`, message{Kind: jsonrpc.Request, Method: "ping", ID: []byte(`""`)}},
		{"unknown members", call(`"method":"ping","trace":{"a":[1,2]}`), message{Kind: jsonrpc.Request, Method: "ping", ID: id}},
	} {
		t.Run(test.name, func(t *testing.T) {
			body, err := jsonrpc.Parse([]byte(test.body), jsonrpc.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if body.Batch || len(body.Messages) != 1 || !reflect.DeepEqual(body.Messages[0], test.want) {
				t.Errorf("got  %+v\nwant %+v", body.Messages, test.want)
			}
			body, err = jsonrpc.Parse([]byte(" [ "+test.body+" ] "), jsonrpc.Limits{})
			if err != nil || !body.Batch || len(body.Messages) != 1 || !reflect.DeepEqual(body.Messages[0], test.want) {
				t.Errorf("MB-22 in a batch of one: %+v, %v", body, err)
			}
		})
	}
}

func TestParse_MB_22_reads_every_message_of_a_batch(t *testing.T) {
	text := "\n[" + call(`"method":"tools/list"`) + "," + params(`{"name":"danger"}`) + `,{"jsonrpc":"2.0","method":"notifications/initialized"}]`
	body, err := jsonrpc.Parse([]byte(text), jsonrpc.Limits{})
	if err != nil || !body.Batch || len(body.Messages) != 3 {
		t.Fatalf("%+v, %v", body, err)
	}
	got := fmt.Sprint(body.Messages[0].Method, body.Messages[1].Method, body.Messages[1].Name, body.Messages[2].Kind)
	if want := fmt.Sprint("tools/list", "tools/call", "danger", jsonrpc.Notification); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParse_copies_no_arguments(t *testing.T) {
	body := []byte(params(`{"name":"a","arguments":{"x":"` + strings.Repeat("a", 1<<20) + `"}}`))
	parsed, err := jsonrpc.Parse(body, jsonrpc.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	arguments := parsed.Messages[0].Arguments
	if &arguments[0] != &body[strings.Index(string(body), `{"x"`)] || cap(arguments) != len(arguments) {
		t.Error("arguments are a copy, or can grow into the body")
	}
	if n := testing.AllocsPerRun(20, func() { _, _ = jsonrpc.Parse(body, jsonrpc.Limits{}) }); n > 6 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"x","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
	source := `\tif err := f(\"x\"); err != nil {\n\t\treturn err\n\t}\n`
	for _, bb := range []struct{ name, body string }{
		{"2 KiB call", params(`{` + meta + `,"name":"write_file","arguments":{"path":"/a/b","content":"` + strings.Repeat(source, 30) + `","options":{"mode":420,"tags":["a","b"],"sync":true}}}`)},
		{"initialize", call(`"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}`)},
		{"1 MiB of source", params(`{` + meta + `,"name":"write_file","arguments":{"content":"` + strings.Repeat(source, 1<<20/len(source)) + `"}}`)},
		{"1 MiB of text", params(`{` + meta + `,"name":"write_file","arguments":{"content":"` + strings.Repeat("A line of plain text. ", 1<<20/22) + `"}}`)},
		{"batch of 100", "[" + strings.Repeat(params(`{"name":"a"}`)+",", 99) + params(`{"name":"a"}`) + "]"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			body := []byte(bb.body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := jsonrpc.Parse(body, jsonrpc.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
