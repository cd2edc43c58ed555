package middleware_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

const (
	modern  = "2026-07-28" // the first revision whose headers repeat the body
	version = "Mcp-Protocol-Version: " + modern

	modernMeta = `{"io.modelcontextprotocol/protocolVersion":"` + modern + `","io.modelcontextprotocol/clientCapabilities":{},` +
		`"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}`

	badVersion = "400 -32020 id=1: MCP-Protocol-Version is not the version in the body."
	noVersion  = "400 -32602 id=1: The protocol version in params._meta is missing."
	severalOf  = "400 -32020 id=1: There is more than one MCP-Protocol-Version."
	badMethod  = "400 -32020 id=1: Mcp-Method is not the method in the body."
	badName    = "400 -32020 id=1: Mcp-Name is not the name in the body."
)

// modernAsk is a request of 2026-07-28; members are those of params, besides _meta.
func modernAsk(method, members string) string {
	if members != "" {
		members += ","
	}
	return ask(method, `{`+members+`"_meta":`+modernMeta+`}`)
}

func modernCall(tool string) string { return modernAsk("tools/call", `"name":"`+tool+`"`) }

// The body decides. Where the revision requires the headers they must say the
// same; where it does not, they say nothing.
func TestMBHeaders(t *testing.T) {
	const danger = "403 insufficient base danger:run"
	type fields = []string
	o := newOperations(t, operationsPolicy())
	for _, tt := range []struct {
		name   string
		body   string
		fields fields
		want   string
	}{
		{"all agree", modernCall("safe"), fields{version, "Mcp-Method: tools/call", "Mcp-Name: safe"}, "200"},
		{"all agree on what is not allowed", modernCall("danger"), fields{version, "Mcp-Method: tools/call", "Mcp-Name: danger"}, danger},
		{"all agree on what nobody may do", modernCall("later"), fields{version, "Mcp-Method: tools/call", "Mcp-Name: later"}, "403"},

		{"MB-23 no header, the body has a version", modernCall("safe"), fields{"Mcp-Method: tools/call", "Mcp-Name: safe"}, badVersion},
		{"MB-23 a header, the body has none", call("safe"), fields{version, "Mcp-Method: tools/call", "Mcp-Name: safe"}, noVersion},
		{"MB-23 an older header", modernCall("safe"), fields{"Mcp-Protocol-Version: 2025-11-25", "Mcp-Method: tools/call", "Mcp-Name: safe"}, badVersion},
		{"MB-23 a later header", modernCall("safe"), fields{"Mcp-Protocol-Version: 2026-07-29", "Mcp-Method: tools/call", "Mcp-Name: safe"}, badVersion},
		{"MB-23 an older one in the body", strings.ReplaceAll(modernCall("safe"), modern, "2025-11-25"), fields{version, "Mcp-Method: tools/call", "Mcp-Name: safe"}, badVersion},
		{"MB-23 two fields", modernCall("safe"), fields{version, version, "Mcp-Method: tools/call", "Mcp-Name: safe"}, severalOf},
		{"MB-23 two fields, both old", call("safe"), fields{"Mcp-Protocol-Version: 2025-06-18", "Mcp-Protocol-Version: 2025-03-26"}, severalOf},
		{"MB-23 a list", modernCall("safe"), fields{version + ", 2025-11-25", "Mcp-Method: tools/call", "Mcp-Name: safe"}, severalOf},
		{"MB-23 an old list", call("safe"), fields{"Mcp-Protocol-Version: 2025-11-25,2025-03-26"}, severalOf},
		{"MB-23 a revision nobody knows yet is held to its headers", strings.ReplaceAll(modernCall("safe"), modern, "2027-01-01"), fields{"Mcp-Protocol-Version: 2027-01-01"}, badMethod},
		{"MB-23 a revision nobody knows yet, all agree (P: the server answers -32022)", strings.ReplaceAll(modernCall("safe"), modern, "2027-01-01"), fields{"Mcp-Protocol-Version: 2027-01-01", "Mcp-Method: tools/call", "Mcp-Name: safe"}, "200"},
		{"MB-23 no revision at all", call("safe"), fields{"Mcp-Protocol-Version: latest"}, noVersion},
		{"MB-23 the version in the body is no string", ask("tools/call", `{"name":"safe","_meta":{"io.modelcontextprotocol/protocolVersion":1}}`), nil, "400 -32602 id=1: the protocol version in params._meta is not a string"},
		{"MB-23 the version in the body twice", ask("tools/call", `{"name":"safe","_meta":{"io.modelcontextprotocol/protocolVersion":"2025-11-25","io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`), nil, "400 -32600 id=1: a member comes twice"},
		{"MB-23 the version in another case", ask("tools/call", `{"name":"safe","_meta":{"io.modelcontextprotocol/ProtocolVersion":"2026-07-28"}}`), nil, "400 -32600 id=1: a member that differs from io.modelcontextprotocol/protocolVersion in case only"},

		{"MB-24 another method", modernCall("safe"), fields{version, "Mcp-Method: tools/list", "Mcp-Name: safe"}, badMethod},
		{"MB-24 another method over a call that is not allowed", modernCall("danger"), fields{version, "Mcp-Method: tools/list"}, badMethod},
		{"MB-24 another method over a list", modernAsk("tools/list", ""), fields{version, "Mcp-Method: tools/call", "Mcp-Name: safe"}, badMethod},
		{"MB-24 no method", modernCall("safe"), fields{version, "Mcp-Name: safe"}, badMethod},
		{"MB-24 two methods", modernCall("safe"), fields{version, "Mcp-Method: tools/call", "Mcp-Method: tools/list", "Mcp-Name: safe"}, badMethod},
		{"MB-24 a list of methods", modernCall("safe"), fields{version, "Mcp-Method: tools/call, tools/list", "Mcp-Name: safe"}, badMethod},
		{"MB-29 another case", modernCall("safe"), fields{version, "Mcp-Method: TOOLS/CALL", "Mcp-Name: safe"}, badMethod},
		{"MB-29 the name in another case", modernCall("safe"), fields{version, "Mcp-Method: tools/call", "Mcp-Name: Safe"}, badName},
		{"MB-24 the method is never encoded", modernCall("safe"), fields{version, "Mcp-Method: " + sentinel("tools/call"), "Mcp-Name: safe"}, badMethod},

		{"MB-25 a name that is allowed over one that is not", modernCall("danger"), fields{version, "Mcp-Method: tools/call", "Mcp-Name: safe"}, badName},
		{"MB-25 the reverse", modernCall("safe"), fields{version, "Mcp-Method: tools/call", "Mcp-Name: danger"}, badName},
		{"MB-25 two names, the right one first", modernCall("safe"), fields{version, "Mcp-Method: tools/call", "Mcp-Name: safe", "Mcp-Name: danger"}, badName},
		{"MB-25 a list of names", modernCall("safe"), fields{version, "Mcp-Method: tools/call", "Mcp-Name: safe,danger"}, badName},
		{"MB-26 no name", modernCall("safe"), fields{version, "Mcp-Method: tools/call"}, badName},
		{"MB-26 an empty name", modernCall("safe"), fields{version, "Mcp-Method: tools/call", "Mcp-Name: ", "Mcp-Name: "}, badName},
		{"MB-26 a name where there is none (P: ignored)", modernAsk("tools/list", ""), fields{version, "Mcp-Method: tools/list", "Mcp-Name: safe"}, "200"},
		{"MB-25 a prompt", modernAsk("prompts/get", `"name":"greet"`), fields{version, "Mcp-Method: prompts/get", "Mcp-Name: greet"}, "200"},
		{"MB-25 another prompt", modernAsk("prompts/get", `"name":"secret"`), fields{version, "Mcp-Method: prompts/get", "Mcp-Name: greet"}, badName},
		{"MB-32 the URI", modernAsk("resources/read", `"uri":"note://one"`), fields{version, "Mcp-Method: resources/read", "Mcp-Name: note://one"}, "200"},
		{"MB-32 another URI", modernAsk("resources/read", `"uri":"file:///secret/a"`), fields{version, "Mcp-Method: resources/read", "Mcp-Name: note://one"}, badName},
		{"MB-32 another spelling of the URI", modernAsk("resources/read", `"uri":"note://one"`), fields{version, "Mcp-Method: resources/read", "Mcp-Name: NOTE://one"}, badName},
		{"MB-26 the name of a task", modernAsk("tasks/get", `"taskId":"t1"`), fields{version, "Mcp-Method: tasks/get", "Mcp-Name: t2"}, badName},
		{"MB-26 the name of a task, as it is", modernAsk("tasks/get", `"taskId":"t1"`), fields{version, "Mcp-Method: tasks/get", "Mcp-Name: t1"}, "403"},

		{"MB-30 an old version: forged headers are nothing", call("danger"), fields{"Mcp-Protocol-Version: 2025-11-25", "Mcp-Method: tools/list", "Mcp-Name: safe"}, danger},
		{"MB-30 an old version: wrong headers are nothing", call("safe"), fields{"Mcp-Protocol-Version: 2025-11-25", "Mcp-Method: tools/list", "Mcp-Name: danger"}, "200"},
		{"MB-30 no version: forged headers are nothing", call("danger"), fields{"Mcp-Method: tools/list", "Mcp-Name: safe"}, danger},
		{"MB-24 a notification: no header rules are defined for it", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`, fields{version, "Mcp-Method: tools/call", "Mcp-Name: safe"}, "200"},
		{"MB-24 a notification that nobody may send", `{"jsonrpc":"2.0","method":"notifications/x"}`, fields{version, "Mcp-Method: notifications/cancelled"}, "403"},
		{"MB-30 headers do not help out where the body has no name", ask("tools/call", `{}`), fields{"Mcp-Method: tools/call", "Mcp-Name: safe"}, "400 -32602 id=1: params.name is not a string with text"},
		{"MB-30 nor a public name without a token", call("safe"), fields{"Authorization:", "Mcp-Method: tools/call", "Mcp-Name: open"}, "401 base"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o.t = t
			if got := o.send(tt.body, tt.fields...); got != tt.want {
				t.Errorf("answer %q, want %q", got, tt.want)
			}
		})
	}
}

func sentinel(name string) string {
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?="
}

// MB-28: the encoding of names that no field can hold (SEP-2243). Each name is a
// tool of the policy; text is what the field says.
func TestMB28EncodedNames(t *testing.T) {
	names := []string{"Hello", "danger", "café", "日本語", " padded ", "a\nb", "=?base64?literal?=", "=?BASE64?SGVsbG8=?=", "?=", "=?base64?", "=?base64?=", "=?base64?SGVsbG8", "SGVsbG8=", "a?>"}
	policy := scopes.Policy{Tools: map[string]scopes.Requirement{}}
	for _, name := range names {
		policy.Tools[name] = scopes.Requirement{}
	}
	policy.Tools["danger"] = scopes.All("danger:run")
	o := newOperations(t, policy)
	for _, tt := range []struct{ what, name, text, want string }{
		{"plain", "Hello", "Hello", "200"},
		{"encoded without need", "Hello", "=?base64?SGVsbG8=?=", "200"},
		{"encoded, and not allowed", "danger", "=?base64?ZGFuZ2Vy?=", "403 insufficient danger:run"},
		{"encoded, of another tool", "danger", "=?base64?SGVsbG8=?=", badName},
		{"encoded, over one that is allowed", "Hello", "=?base64?ZGFuZ2Vy?=", badName},
		{"letters with accents", "café", sentinel("café"), "200"},
		{"letters with accents, not encoded", "café", "café", "200"},
		{"another script", "日本語", sentinel("日本語"), "200"},
		{"blanks around", " padded ", sentinel(" padded "), "200"},
		{"a line break", "a\\nb", sentinel("a\nb"), "200"},
		{"a name that looks encoded, encoded", "=?base64?literal?=", sentinel("=?base64?literal?="), "200"},
		{"a name that looks encoded, plain", "=?base64?literal?=", "=?base64?literal?=", badName},
		{"no padding", "Hello", "=?base64?SGVsbG8?=", badName},
		{"too much padding", "Hello", "=?base64?SGVsbG8==?=", badName},
		{"a character of no base64", "Hello", "=?base64?SGVs!G8=?=", badName},
		{"a blank inside", "Hello", "=?base64?SGVs bG8=?=", badName},
		{"a plus inside", "a?>", "=?base64?YT8+?=", "200"},
		{"the alphabet for URLs", "a?>", "=?base64?YT8-?=", badName},
		{"an empty field", "Hello", "", badName},
		{"a blank field", "Hello", " ", badName},
		{"bits that are not zero", "Hello", "=?base64?SGVsbG9=?=", badName},
		{"a line break inside", "Hello", "=?base64?SGVs\r\nbG8=?=", badName},
		{"nothing inside", "Hello", "=?base64??=", badName},
		{"encoded twice", "Hello", sentinel("=?base64?SGVsbG8=?="), badName},
		{"not UTF-8", "Hello", sentinel("\xff"), badName},
		{"a CRLF and a header", "Hello", sentinel("Hello\r\nAuthorization: x"), badName},
		{"the mark in capitals is text", "=?BASE64?SGVsbG8=?=", "=?BASE64?SGVsbG8=?=", "200"},
		{"the mark in capitals decodes to nothing", "Hello", "=?BASE64?SGVsbG8=?=", badName},
		{"the mark in mixed case decodes to nothing", "Hello", "=?Base64?SGVsbG8=?=", badName},
		{"no mark at the end is text", "=?base64?SGVsbG8", "=?base64?SGVsbG8", "200"},
		{"no mark at the end decodes to nothing", "Hello", "=?base64?SGVsbG8=", badName},
		{"no mark at the beginning", "Hello", "SGVsbG8=?=", badName},
		{"no marks", "SGVsbG8=", "SGVsbG8=", "200"},
		{"marks that overlap are text", "=?base64?=", "=?base64?=", "200"},
		{"text before the mark", "Hello", "x=?base64?SGVsbG8=?=", badName},
		{"RFC 2047", "Hello", "=?utf-8?B?SGVsbG8=?=", badName},
	} {
		t.Run(tt.what, func(t *testing.T) {
			o.t = t
			body := modernCall(tt.name)
			r := message(body, version, "Mcp-Method: tools/call")
			r.Header["Mcp-Name"] = []string{tt.text}
			if got := o.serve(r, body); got != tt.want {
				t.Errorf("answer %q, want %q", got, tt.want)
			}
		})
	}
}

// O6, MB-48: what else stands in headers is no business of the front door.
func TestMB48SessionIDsAreNotLookedAt(t *testing.T) {
	o := newOperations(t, operationsPolicy())
	for _, id := range []string{"\r\nX: y", strings.Repeat("s", 1<<20), "é", "\x00", "../../etc", ""} {
		r := message(call("safe"))
		r.Header["Mcp-Session-Id"] = []string{id, id}
		if got := o.serve(r, call("safe")); got != "200" {
			t.Errorf("%.20q: %s", id, got)
		}
		r = message(call("danger"))
		r.Header = http.Header{"Authorization": r.Header["Authorization"], "Content-Type": r.Header["Content-Type"], "Mcp-Session-Id": {id}}
		if got := o.serve(r, call("danger")); got != "403 insufficient base danger:run" {
			t.Errorf("%.20q: %s", id, got)
		}
	}
}
