package middleware_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// Bodies that two readers could read differently are refused before the handler,
// with exactly these errors. Where both readings are the same, the decoded value
// is judged.
func TestMBAmbiguousBodies(t *testing.T) {
	const (
		twice   = "400 -32600 id=1: a member comes twice"
		syntax  = "400 -32700: not JSON in UTF-8"
		control = "400 -32600 id=1: a control character in the name of a member"
		badID   = "400 -32600: id is neither an integer nor a short string"
		params  = "400 -32602 id=1: params is not an object"
		name    = "400 -32602 id=1: params.name is not a string with text"
		method  = "400 -32600 id=1: method is not a string with text"
		danger  = "403 insufficient base danger:run"
	)
	folded := func(of string) string { return "400 -32600 id=1: a member that differs from " + of + " in case only" }
	message := func(members string) string { return `{"jsonrpc":"2.0","id":1,` + members + `}` }
	id := func(value string) string {
		return `{"jsonrpc":"2.0","id":` + value + `,"method":"tools/call","params":{"name":"safe"}}`
	}
	newOperations(t, operationsPolicy()).run(t, []row{
		{"MB-01 method twice", message(`"method":"tools/list","method":"tools/call","params":{"name":"danger"}`), twice},
		{"MB-01 method twice, the call first", message(`"method":"tools/call","method":"tools/list","params":{"name":"danger"}`), twice},
		{"MB-01 method twice with the same value", message(`"method":"tools/list","method":"tools/list"`), twice},
		{"MB-01 params twice", message(`"method":"tools/call","params":{"name":"safe"},"params":{"name":"danger"}`), twice},
		{"MB-01 jsonrpc twice", `{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}`, twice},
		{"MB-01 id twice", `{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, "400 -32600: a member comes twice"},
		{"MB-01 an unknown member twice", message(`"method":"ping","x":1,"x":2`), twice},

		{"MB-02 Method", message(`"method":"tools/list","Method":"tools/call","params":{"name":"danger"}`), twice},
		{"MB-02 Method first", message(`"Method":"tools/call","method":"tools/list","params":{"name":"danger"}`), twice},
		{"MB-02 Method alone", message(`"Method":"tools/call","params":{"name":"danger"}`), folded("method")},
		{"MB-02 METHOD", message(`"method":"tools/list","METHOD":"tools/call","params":{"name":"danger"}`), twice},
		{"MB-02 Params", message(`"method":"tools/call","params":{"name":"safe"},"Params":{"name":"danger"}`), twice},
		{"MB-02 a long s folds too", message(`"method":"tools/call","params":{"name":"safe"},"paramſ":{"name":"danger"}`), twice},
		{"MB-02 a long s as an escape", message(`"method":"tools/call","params":{"name":"safe"},"param\u017f":{"name":"danger"}`), twice},
		{"MB-02 JsonRpc", `{"JsonRpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}`, twice},
		{"MB-02 ID", `{"jsonrpc":"2.0","id":1,"ID":2,"method":"ping"}`, "400 -32600: a member comes twice"},
		{"MB-02 Result beside a call", message(`"method":"ping","Result":{}`), folded("result")},
		{"MB-02 case variants of unknown members", message(`"method":"ping","trace":1,"Trace":2`), "400 -32600 id=1: a member comes twice"},

		{"MB-05 name twice", message(`"method":"tools/call","params":{"name":"safe","name":"danger"}`), twice},
		{"MB-05 Name", message(`"method":"tools/call","params":{"name":"safe","Name":"danger"}`), twice},
		{"MB-05 NAME first", message(`"method":"tools/call","params":{"NAME":"danger","name":"safe"}`), twice},
		{"MB-05 Name alone", message(`"method":"tools/call","params":{"Name":"danger"}`), folded("name")},
		{"MB-05 URI", message(`"method":"resources/read","params":{"uri":"note://one","URI":"file:///secret/a"}`), twice},
		{"MB-05 Arguments", message(`"method":"tools/call","params":{"name":"safe","arguments":{},"Arguments":{}}`), twice},
		{"MB-05 Ref", message(`"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"greet"},"Ref":{"type":"ref/prompt","name":"secret"}}`), twice},
		{"MB-05 Name in ref", message(`"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"greet","Name":"secret"}}`), twice},
		{"MB-02 Params alone", message(`"method":"tools/call","Params":{"name":"safe"}`), folded("params")},
		{"MB-05 TaskIds", message(`"method":"subscriptions/listen","params":{"notifications":{"TaskIds":["t"]}}`), folded("taskIds")},
		{"MB-05 an argument twice (P: refused)", message(`"method":"tools/call","params":{"name":"safe","arguments":{"a":1,"a":2}}`), twice},
		{"MB-05 an argument in two cases (P: refused)", message(`"method":"tools/call","params":{"name":"safe","arguments":{"path":1,"Path":2}}`), twice},
		{"MB-05 deep in the arguments (P: refused)", message(`"method":"tools/call","params":{"name":"safe","arguments":{"x":[{"a":{"b":1,"b":2}}]}}`), twice},
		{"MB-05 the same member in two objects", message(`"method":"tools/call","params":{"name":"safe","arguments":{"x":[{"a":1},{"a":1}]}}`), "200"},

		{"MB-06 method NUL", message(`"method":"tools/list","method\u0000":"tools/call","params":{"name":"danger"}`), control},
		{"MB-06 method NUL alone", message(`"method\u0000":"tools/call","params":{"name":"danger"}`), control},
		{"MB-06 name NUL", message(`"method":"tools/call","params":{"name":"safe","name\u0000":"danger"}`), control},
		{"MB-06 DEL", message(`"method":"ping","x\u007f":1`), control},
		{"MB-06 a name that ends in NUL is another name", message(`"method":"tools/call","params":{"name":"safe\u0000"}`), "403"},
		{"MB-06 a method that ends in NUL is another method", message(`"method":"tools/list\u0000"`), "403"},

		{"MB-07 escapes", message(`"\u006dethod":"tools\/c\u0061ll","params":{"\u006eame":"d\u0061nger"}`), danger},
		{"MB-07 escapes of what is allowed", message(`"\u006dethod":"tools\/c\u0061ll","params":{"\u006eame":"s\u0061fe"}`), "200"},
		{"MB-07 a duplicate behind escapes", message(`"method":"tools/list","\u006dethod":"tools/call","params":{"name":"danger"}`), twice},
		{"MB-07 a duplicate name behind escapes", message(`"method":"tools/call","params":{"name":"safe","n\u0061me":"danger"}`), twice},
		{"MB-07 a folded name behind escapes", message(`"method":"tools/call","params":{"name":"safe","\u004eame":"danger"}`), twice},

		{"MB-10 not UTF-8", message("\"method\":\"tools/call\",\"params\":{\"name\":\"safe\xff\"}"), syntax},
		{"MB-10 an overlong slash", message("\"method\":\"tools\xc0\xafcall\",\"params\":{\"name\":\"danger\"}"), syntax},
		{"MB-10 a surrogate in UTF-8", message("\"method\":\"tools/call\",\"params\":{\"name\":\"\xed\xa0\x80\"}"), syntax},
		{"MB-10 half a surrogate pair", message(`"method":"tools/call","params":{"name":"safe\ud800"}`), syntax},
		{"MB-10 half a pair in a member name", message(`"method":"tools/call","params":{"name":"safe","\udc00":1}`), syntax},
		{"MB-10 not UTF-8 in the arguments", message("\"method\":\"tools/call\",\"params\":{\"name\":\"safe\",\"arguments\":{\"a\":\"\xff\"}}"), syntax},

		{"MB-12 two documents", call("safe") + call("danger"), syntax},
		{"MB-12 two lines", call("safe") + "\n" + call("danger"), syntax},
		{"MB-12 garbage behind", call("safe") + "x", syntax},
		{"MB-12 a comma behind", call("safe") + ",", syntax},
		{"MB-12 NUL behind", call("safe") + "\x00", syntax},
		{"MB-12 garbage before", "x" + call("safe"), syntax},
		{"MB-12 blanks around are legal", " \t\r\n" + call("safe") + "\r\n\t ", "200"},
		{"MB-12 a form feed is no blank", "\f" + call("safe"), syntax},
		{"MB-12 a comment", "/**/" + call("safe"), syntax},
		{"MB-12 nothing", "", syntax},
		{"MB-12 blanks only", "  \n", syntax},
		{"MB-12 cut off", call("safe")[:40], syntax},
		{"MB-12 a trailing comma", message(`"method":"ping",`), syntax},
		{"MB-12 single quotes", `{'jsonrpc':'2.0','id':1,'method':'ping'}`, syntax},
		{"MB-12 null", "null", "400 -32600: neither a message nor a batch"},
		{"MB-12 a string", `"tools/call"`, "400 -32600: neither a message nor a batch"},
		{"MB-13 a byte order mark", "\ufeff" + call("safe"), syntax},
		{"MB-13 UTF-16, little end first", utf16(call("safe"), false), syntax},
		{"MB-13 UTF-16, big end first, with mark", "\xfe\xff" + utf16(call("safe"), true), syntax},

		{"MB-14 method null", message(`"method":null,"params":{"name":"danger"}`), method},
		{"MB-14 method empty", message(`"method":"","params":{"name":"danger"}`), method},
		{"MB-14 method number", message(`"method":1`), method},
		{"MB-14 method array", message(`"method":["tools/call"],"params":{"name":"danger"}`), method},
		{"MB-14 method object", message(`"method":{}`), method},
		{"MB-14 method true", message(`"method":true`), method},
		{"MB-14 no method", message(`"params":{"name":"danger"}`), "400 -32600 id=1: neither a call nor a response"},
		{"MB-14 call and response", message(`"method":"tools/call","params":{"name":"safe"},"result":{}`), "400 -32600 id=1: both a call and a response"},
		{"MB-14 response with params", message(`"result":{},"params":{"name":"danger"}`), "400 -32600 id=1: a response with params"},
		{"MB-14 result and error", message(`"result":{},"error":{}`), "400 -32600 id=1: neither a call nor a response"},
		{"MB-14 no version", `{"id":1,"method":"ping"}`, `400 -32600 id=1: jsonrpc is not "2.0"`},
		{"MB-14 another version", `{"jsonrpc":"1.0","id":1,"method":"ping"}`, `400 -32600 id=1: jsonrpc is not "2.0"`},
		{"MB-14 the version as a number", `{"jsonrpc":2.0,"id":1,"method":"ping"}`, `400 -32600 id=1: jsonrpc is not "2.0"`},

		{"MB-15 params by position", message(`"method":"tools/call","params":["danger"]`), params},
		{"MB-15 params string", message(`"method":"tools/call","params":"danger"`), params},
		{"MB-15 params number", message(`"method":"tools/call","params":1`), params},
		{"MB-15 params null", message(`"method":"tools/call","params":null`), params},
		{"MB-15 no params", message(`"method":"tools/call"`), params},
		{"MB-15 params by position where none are needed", message(`"method":"tools/list","params":[]`), params},
		{"MB-15 arguments by position", message(`"method":"tools/call","params":{"name":"safe","arguments":[1]}`), "400 -32602 id=1: params.arguments is not an object"},
		{"MB-15 arguments string", message(`"method":"tools/call","params":{"name":"safe","arguments":"{}"}`), "400 -32602 id=1: params.arguments is not an object"},
		{"MB-15 arguments null", message(`"method":"tools/call","params":{"name":"safe","arguments":null}`), "200"},

		{"MB-16 name array", message(`"method":"tools/call","params":{"name":["danger"]}`), name},
		{"MB-16 name object", message(`"method":"tools/call","params":{"name":{}}`), name},
		{"MB-16 name number", message(`"method":"tools/call","params":{"name":1}`), name},
		{"MB-16 name null", message(`"method":"tools/call","params":{"name":null}`), name},
		{"MB-16 name false", message(`"method":"tools/call","params":{"name":false}`), name},
		{"MB-16 no name", message(`"method":"tools/call","params":{}`), name},
		{"MB-16 name empty", message(`"method":"tools/call","params":{"name":""}`), name},

		{"MB-17 id null", id("null"), badID},
		{"MB-17 id 1.5", id("1.5"), badID},
		{"MB-17 id 1.0", id("1.0"), badID},
		{"MB-17 id 1e0", id("1e0"), badID},
		{"MB-17 id 1e400", id("1e400"), badID},
		{"MB-17 id beyond 64 bits", id("9223372036854775808"), badID},
		{"MB-17 id object", id("{}"), badID},
		{"MB-17 id array", id("[1]"), badID},
		{"MB-17 id true", id("true"), badID},
		{"MB-17 id of 1 MiB", id(`"` + strings.Repeat("i", 1<<20) + `"`), badID},
		{"MB-17 the largest id", id("9223372036854775807"), "200"},
		{"MB-17 a negative id", id("-1"), "200"},
		{"MB-17 an id of text", id(`"a"`), "200"},
		{"MB-17 an id of text comes back as it was", `{"jsonrpc":"2.0","id":"\u0061<\"","method":""}`, `400 -32600 id="\u0061<\"": method is not a string with text`},
		{"MB-18 a call without an id", `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"safe"}}`, "400 -32600: a request without an id"},
		{"MB-18 a list without an id", `{"jsonrpc":"2.0","method":"tools/list"}`, "400 -32600: a request without an id"},
		{"MB-19 a notification with an id", message(`"method":"notifications/cancelled"`), "400 -32600 id=1: a notification with an id"},

		{"65 levels", message(`"method":"ping","x":` + strings.Repeat("[", 64) + strings.Repeat("]", 64)), "400 -32600: nested too deeply"},
		{"64 levels", message(`"method":"ping","x":` + strings.Repeat("[", 63) + strings.Repeat("]", 63)), "200"},
		{"a million levels", `{"x":` + strings.Repeat("[", 1<<20), "400 -32600: nested too deeply"},
		{"a million batches", strings.Repeat("[", 1<<20), "400 -32600: a batch of something other than messages"},
	})
}

func utf16(text string, bigEnd bool) string {
	var b strings.Builder
	for i := range len(text) {
		if bigEnd {
			b.WriteByte(0)
		}
		b.WriteByte(text[i])
		if !bigEnd {
			b.WriteByte(0)
		}
	}
	return b.String()
}

// MB-22: batches exist in 2025-03-26 only, which a request without a version is
// taken for. All elements are judged before any of them runs.
func TestMB22Batches(t *testing.T) {
	list, safe, danger := ask("tools/list", ""), call("safe"), call("danger")
	secret := ask("prompts/get", `{"name":"secret"}`)
	batch := func(elements ...string) string { return "[" + strings.Join(elements, ",") + "]" }
	rows := []row{
		{"all allowed", batch(list, safe), "200"},
		{"one that lacks a scope comes last", batch(list, danger), "403 insufficient base danger:run"},
		{"one that lacks a scope comes first", batch(danger, list), "403 insufficient base danger:run"},
		{"the challenge names the scopes of all", batch(danger, safe, secret), "403 insufficient base danger:run secret:read"},
		{"one that nobody may do", batch(safe, call("later"), danger), "403"},
		{"one that nobody may do comes last", batch(danger, safe, call("later")), "403"},
		{"of one", batch(danger), "403 insufficient base danger:run"},
		{"of one that is allowed", batch(safe), "200"},
		{"blanks before", " \n\t" + batch(danger), "403 insufficient base danger:run"},
		{"with notification and response", batch(safe, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, `{"jsonrpc":"2.0","id":1,"result":{}}`), "200"},
		{"of 100", batch(strings.Split(strings.Repeat(safe+"\n", 99)+danger, "\n")...), "403 insufficient base danger:run"},
		{"of 101", batch(strings.Split(strings.Repeat(safe+"\n", 100)+safe, "\n")...), "400 -32600: more than 100 messages in a batch"},
		{"of 10 000", batch(strings.Split(strings.Repeat(safe+"\n", 9999)+danger, "\n")...), "400 -32600: more than 100 messages in a batch"},
		{"empty", "[]", "400 -32600: an empty batch"},
		{"nested", batch(batch(danger)), "400 -32600: a batch of something other than messages"},
		{"of null", "[null]", "400 -32600: a batch of something other than messages"},
		{"of text", batch(safe, `"x"`), "400 -32600: a batch of something other than messages"},
		{"a flaw in the second", batch(safe, ask("tools/call", "{}")), "400 -32602: params.name is not a string with text"},
		{"a duplicate in the second", batch(safe, `{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}`), "400 -32600: a member comes twice"},
		{"a trailing comma", "[" + safe + ",]", "400 -32700: not JSON in UTF-8"},
		{"a second batch behind", batch(safe) + batch(danger), "400 -32700: not JSON in UTF-8"},
		{"cut off", "[" + safe, "400 -32700: not JSON in UTF-8"},
	}
	t.Run("without a version", func(t *testing.T) { newOperations(t, operationsPolicy()).run(t, rows) })
	t.Run("2025-03-26", func(t *testing.T) {
		newOperations(t, operationsPolicy()).run(t, rows, "Mcp-Protocol-Version: 2025-03-26")
	})
	o := newOperations(t, operationsPolicy())
	const refused = "400 -32600: This protocol version has no batches."
	for _, version := range []string{"2024-11-05", "2025-06-18", "2025-11-25", "2026-07-28", "2025-03-26 ", "x", "9999-99-99"} {
		for _, fields := range [][]string{{"Mcp-Method: tools/call", "Mcp-Name: safe"}, nil} {
			if got := o.send(batch(safe), append(fields, "Mcp-Protocol-Version: "+version)...); got != refused {
				t.Errorf("version %q: %s", version, got)
			}
		}
	}
	// An id belongs to one request, and the error to all.
	if got := o.send(batch(safe, list), "Mcp-Protocol-Version: 2025-03-26", "Mcp-Protocol-Version: 2025-03-26"); got != strings.Replace(severalOf, " id=1", "", 1) {
		t.Errorf("two versions: %s", got)
	}
	modern := ask("tools/call", `{"name":"safe","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`)
	if got := o.send(batch(safe, modern)); got != refused {
		t.Errorf("the version in an element: %s", got)
	}
}

// A challenge of more than 4 KiB does not reach every client. No rule alone may
// need one, and no batch or subscription may put one together.
func TestMB22TheChallengeOfManyOperationsIsBounded(t *testing.T) {
	policy := scopes.Policy{Tools: map[string]scopes.Requirement{}, Resources: map[string]scopes.Requirement{}}
	var calls, uris []string
	for i := range 100 {
		name := fmt.Sprintf("tool-%d", i)
		policy.Tools[name] = scopes.All(fmt.Sprintf("https://mcp.example.com/scopes/of/every/tool/%d", i))
		policy.Resources["note://"+name] = scopes.All(fmt.Sprintf("https://mcp.example.com/scopes/of/every/note/%d", i))
		calls, uris = append(calls, call(name)), append(uris, "note://"+name)
	}
	list, err := json.Marshal(uris)
	if err != nil {
		t.Fatal(err)
	}
	o := newOperations(t, policy)
	for name, body := range map[string]string{
		"a batch":        "[" + strings.Join(calls, ",") + "]",
		"a subscription": ask("subscriptions/listen", `{"notifications":{"resourceSubscriptions":`+string(list)+`}}`),
	} {
		w := httptest.NewRecorder()
		o.door.ServeHTTP(w, message(body))
		if n := len(w.Header().Get("WWW-Authenticate")); w.Code != http.StatusForbidden || n > 4<<10 {
			t.Errorf("%s: %d with a challenge of %d bytes", name, w.Code, n)
		}
	}
}

// A few whole answers, octet by octet.
func TestMBGoldens(t *testing.T) {
	const head = "Cache-Control: no-store\nContent-Type: application/json\n"
	challenge := `WWW-Authenticate: Bearer error="insufficient_scope", error_description="The access token lacks a scope that this operation needs.", ` +
		`scope="base danger:run", resource_metadata="` + metadataURL + "\"\n"
	o := newOperations(t, operationsPolicy(), func(f *fixture) { f.config.MaxBody = 512 })
	for _, tt := range []struct {
		name, body string
		fields     []string
		want       string
	}{
		{"not JSON", "{", nil, "400\n" + head + "X-Content-Type-Options: nosniff\n\n" + `{"jsonrpc":"2.0","error":{"code":-32700,"message":"not JSON in UTF-8"}}`},
		{"twice", `{"jsonrpc":"2.0","id":"a","method":"ping","method":"ping"}`, nil, "400\n" + head + "X-Content-Type-Options: nosniff\n\n" + `{"jsonrpc":"2.0","id":"a","error":{"code":-32600,"message":"a member comes twice"}}`},
		{"no name", ask("tools/call", "{}"), nil, "400\n" + head + "X-Content-Type-Options: nosniff\n\n" + `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"params.name is not a string with text"}}`},
		{"headers", call("safe"), []string{"Mcp-Protocol-Version: 2026-07-28"}, "400\n" + head + "X-Content-Type-Options: nosniff\n\n" + `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"The protocol version in params._meta is missing."}}`},
		{"too large", call(strings.Repeat("x", 512)), nil, "413\n" + head + "X-Content-Type-Options: nosniff\n\n" + `{"jsonrpc":"2.0","error":{"code":-32600,"message":"The request body is too large."}}`},
		{"text", call("safe"), []string{"Content-Type: text/plain"}, "415\n" + head + "X-Content-Type-Options: nosniff\n\n" + `{"jsonrpc":"2.0","error":{"code":-32600,"message":"The Content-Type must be application/json, in UTF-8."}}`},
		{"a scope", call("danger"), nil, "403\n" + head + challenge + "X-Content-Type-Options: nosniff\n\n" + `{"error":"insufficient_scope","error_description":"The access token lacks a scope that this operation needs."}`},
		{"denied", call("later"), nil, "403\n" + head + "X-Content-Type-Options: nosniff\n\n" + `{"error":"forbidden","error_description":"This operation is not allowed."}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			o.door.ServeHTTP(w, message(tt.body, tt.fields...))
			if got := dump(w); !strings.EqualFold(got, tt.want+"\n") || w.Body.String() != tt.want[strings.Index(tt.want, "\n\n")+2:] {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
	// A browser reads the errors of the front door as it does the handler's.
	w := httptest.NewRecorder()
	o.door.ServeHTTP(w, message("{", "Origin: "+appOrigin))
	if w.Code != http.StatusBadRequest || w.Header().Get("Access-Control-Allow-Origin") != appOrigin {
		t.Errorf("to a browser: %s", dump(w))
	}
}

// A policy of Base alone reads nothing, so that it cannot break any handler.
func TestAPolicyThatNamesNothingReadsNoBody(t *testing.T) {
	o := newOperations(t, scopes.Policy{Base: scopes.All("base")})
	for _, body := range []string{"", "{", "\xff", call("danger") + call("danger")} {
		if got := o.send(body, "Content-Type: text/plain"); got != "200" {
			t.Errorf("%q: %s", body, got)
		}
	}
}
