package middleware_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// operationsPolicy names what the tests call. The caller holds base only: safe is
// allowed, danger and secret need more, open needs nobody.
func operationsPolicy() scopes.Policy {
	return scopes.Policy{
		Base: scopes.All("base"),
		Tools: map[string]scopes.Requirement{
			"safe":   {},
			"danger": scopes.All("danger:run"),
			"open":   scopes.Public(),
		},
		Prompts: map[string]scopes.Requirement{
			"greet":  {},
			"secret": scopes.All("secret:read"),
		},
		Resources: map[string]scopes.Requirement{
			"file:///shared/*": {},
			"file:///secret/*": scopes.All("secret:read"),
			"note://one":       {},
		},
	}
}

// operations is a fixture behind a policy, with the octets the handler got.
type operations struct {
	*fixture
	policy scopes.Policy
	door   http.Handler
	got    [][]byte
}

func newOperations(t *testing.T, policy scopes.Policy, change ...func(*fixture)) *operations {
	t.Helper()
	f := newFixture(t, append([]func(*fixture){func(f *fixture) { f.verifier.token = goodToken("base") }}, change...)...)
	o := &operations{fixture: f, policy: policy}
	f.next.bodies = func(r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			o.t.Errorf("the handler could not read: %v", err)
		}
		if err := r.Body.Close(); err != nil {
			o.t.Errorf("the handler could not close: %v", err)
		}
		o.got = append(o.got, text)
	}
	o.door = f.guard.Protect(policy)(f.next)
	return o
}

// closable is a request body that counts what became of it.
type closable struct {
	io.Reader
	read   int64
	closed int
}

func (c *closable) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	return n, err
}

func (c *closable) Close() error { c.closed++; return nil }

// message is a POST of a body with a good token, JSON, and the fields given as
// "Name: value"; one without a value is not sent.
func message(body string, fields ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
	r.Body, r.ContentLength = &closable{Reader: strings.NewReader(body)}, int64(len(body))
	r.Header.Set("Authorization", "Bearer "+good)
	r.Header.Set("Content-Type", "application/json")
	given := make(http.Header)
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ":")
		given.Add(name, strings.TrimPrefix(value, " "))
	}
	for name, values := range given {
		r.Header[name] = values
		if len(values) == 1 && values[0] == "" {
			delete(r.Header, name)
		}
	}
	return r
}

// send sends body and returns the answer in short: see summary.
func (o *operations) send(body string, fields ...string) string {
	o.t.Helper()
	return o.serve(message(body, fields...), body)
}

// serve checks what holds for every answer (oracles O1 to O4 and O8).
func (o *operations) serve(r *http.Request, body string) string {
	o.t.Helper()
	source, _ := r.Body.(*closable)
	events, ran := len(o.events), len(o.got)
	w := httptest.NewRecorder()
	o.door.ServeHTTP(w, r)
	if len(o.events) != events+1 {
		o.t.Fatalf("%d events for one request", len(o.events)-events)
	}
	checkEvent(o.t, o.last(), w.Code)
	switch {
	case w.Code != http.StatusOK && len(o.got) != ran:
		o.t.Fatalf("answered %d, and the handler ran", w.Code)
	case w.Code == http.StatusOK && len(o.got) != ran+1:
		o.t.Fatalf("answered 200, and the handler ran %d times", len(o.got)-ran)
	case w.Code == http.StatusOK && string(o.got[ran]) != body:
		o.t.Fatalf("the handler got %q", o.got[ran])
	}
	if admitted := o.next.requests; w.Code == http.StatusOK && admitted[len(admitted)-1].Header.Get("Authorization") != "" {
		o.t.Error("the handler got the token")
	}
	// The handler closes what it got, a server what it opened: both reach the body.
	if w.Code == http.StatusOK && source != nil && source.closed == 0 {
		o.t.Error("the handler could not close the body")
	}
	if err := r.Body.Close(); err != nil || source != nil && source.closed == 0 {
		o.t.Errorf("the body is still open, %v", err)
	}
	o.checkSecrecy(w, body)
	return o.summary(w)
}

// checkSecrecy: no piece of the token, and none of the body but its id, is in
// the answer or in what operators get.
func (o *operations) checkSecrecy(w *httptest.ResponseRecorder, body string) {
	o.t.Helper()
	var parsed struct {
		Error struct{ Message string } `json:"error"`
	}
	_ = json.Unmarshal(w.Body.Bytes(), &parsed)
	event := fmt.Sprint(o.last().Err, o.last().Outcome, o.last().Status)
	for start := 0; start+16 <= len(good); start++ {
		if piece := good[start : start+16]; strings.Contains(dump(w)+event, piece) {
			o.t.Fatalf("a piece of the token is in\n%s\n%s", dump(w), event)
		}
	}
	// What a member should be called is a constant, and may be what it is called.
	body = strings.ReplaceAll(body, "io.modelcontextprotocol/", "")
	texts := parsed.Error.Message + "\n" + w.Header().Get("WWW-Authenticate") + "\n" + event
	for start := 0; start+16 <= min(len(body), 4<<10); start++ {
		if piece := body[start : start+16]; strings.Contains(texts, piece) {
			o.t.Fatalf("%q of the body is in %s", piece, texts)
		}
	}
}

// summary says an answer in one line: the status, and
//
//	400 -32600 id=1: text      a JSON-RPC error, of which all octets are checked
//	401 base                   a challenge without an error, with its scopes
//	403 insufficient base x    a challenge that names base and x
//	403                        no challenge
func (o *operations) summary(w *httptest.ResponseRecorder) string {
	o.t.Helper()
	if w.Code == http.StatusOK {
		return "200"
	}
	if o.last().Outcome == middleware.OutcomeInvalidMessage {
		return o.rpcSummary(w)
	}
	checkAnswer(o.t, w.Code, w.Header(), metadataURL)
	text := fmt.Sprint(w.Code)
	switch w.Code {
	case http.StatusForbidden:
		if w.Header().Get("WWW-Authenticate") == "" {
			check(o.t, w, forbidden)
			return text
		}
		check(o.t, w, insufficientScope)
		return strings.TrimRight(text+" insufficient "+param(o.t, w.Header(), "scope"), " ")
	case http.StatusUnauthorized:
		if param(o.t, w.Header(), "error") != "" {
			return text + " " + param(o.t, w.Header(), "error")
		}
		check(o.t, w, unauthenticated)
		return strings.TrimRight(text+" "+param(o.t, w.Header(), "scope"), " ")
	}
	return text
}

func (o *operations) rpcSummary(w *httptest.ResponseRecorder) string {
	o.t.Helper()
	headers := http.Header{
		"Cache-Control": {"no-store"}, "Content-Type": {"application/json"},
		"X-Content-Type-Options": {"nosniff"},
	}
	if !maps.EqualFunc(w.Header(), headers, slices.Equal) {
		o.t.Errorf("headers %v, want exactly %v", w.Header(), headers)
	}
	var answer struct {
		ID    json.RawMessage `json:"id"`
		Error struct {
			Code    int    `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		o.t.Fatalf("%v in %s", err, w.Body)
	}
	id, short := "", ""
	if answer.ID != nil {
		id, short = `"id":`+string(answer.ID)+`,`, " id="+string(answer.ID)
	}
	text, err := json.Marshal(answer.Error.Message)
	if err != nil {
		o.t.Fatal(err)
	}
	whole := fmt.Sprintf(`{"jsonrpc":"2.0",%s"error":{"code":%d,"message":%s}}`, id, answer.Error.Code, text)
	if !bytes.Equal(w.Body.Bytes(), []byte(whole)) {
		o.t.Errorf("body  %s\nshould be %s", w.Body, whole)
	}
	return fmt.Sprintf("%d %d%s: %s", w.Code, answer.Error.Code, short, answer.Error.Message)
}

// call is a tools/call with id 1.
func call(tool string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"` + tool + `","arguments":{}}}`
}

// ask is a request with id 1 of any method; params is JSON, empty for none.
func ask(method, params string) string {
	if params != "" {
		params = `,"params":` + params
	}
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `"` + params + `}`
}

// row is one input and the answer to it, in short.
type row struct{ name, body, want string }

func (o *operations) run(t *testing.T, rows []row, fields ...string) {
	t.Helper()
	defer func() { o.t = t }()
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			o.t = t
			if got := o.send(r.body, fields...); got != r.want {
				t.Errorf("answer %q, want %q\nbody %.300s", got, r.want, r.body)
			}
		})
	}
}

func TestOperations(t *testing.T) {
	const more = "403 insufficient base "
	newOperations(t, operationsPolicy()).run(t, []row{
		{"a tool without a scope of its own", call("safe"), "200"},
		{"MB-41 another tool than the scope is for", call("danger"), more + "danger:run"},
		{"a tool for everybody", call("open"), "200"},
		{"a tool that the policy does not name", call("later"), "403"},
		{"a tool in another case", call("SAFE"), "403"},
		{"a tool with a blank", call("safe "), "403"},
		{"the wildcard is no name", call("*"), "403"},
		{"MB-43 a list needs base (P: the server filters)", ask("tools/list", ""), "200"},
		{"initialize", ask("initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}`), "200"},
		{"a prompt", ask("prompts/get", `{"name":"greet"}`), "200"},
		{"a prompt that needs more", ask("prompts/get", `{"name":"secret"}`), more + "secret:read"},
		{"a prompt with the name of a tool", ask("prompts/get", `{"name":"safe"}`), "403"},
		{"a tool with the name of a prompt", call("greet"), "403"},
		{"a response", `{"jsonrpc":"2.0","id":1,"result":{}}`, "200"},
		{"an error response", `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}`, "200"},
		{"an unknown method", ask("danger", `{"name":"danger"}`), "403"},
		{"an unknown method in capitals", ask("TOOLS/CALL", `{"name":"danger"}`), "403"},
		{"a method with a blank", ask("tools/call ", `{"name":"danger"}`), "403"},

		{"MB-19 a call dressed as a notification", `{"jsonrpc":"2.0","method":"notifications/tools/call","params":{"name":"danger"}}`, "403"},
		{"MB-19 a notification nobody knows", `{"jsonrpc":"2.0","method":"notifications/x"}`, "403"},
		{"MB-19 $/", ask("$/cancelRequest", ""), "403"},
		{"MB-19 rpc.", ask("rpc.discover", ""), "403"},
		{"MB-19 a cancellation needs base; whose request it was, the session knows", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}`, "200"},

		{"MB-32 a resource below a prefix", ask("resources/read", `{"uri":"file:///shared/a"}`), "200"},
		{"MB-32 a resource that needs more", ask("resources/read", `{"uri":"file:///secret/a"}`), more + "secret:read"},
		{"MB-32 an exact resource", ask("resources/read", `{"uri":"note://one"}`), "200"},
		{"MB-32 the exact resource and more", ask("resources/read", `{"uri":"note://one/x"}`), "403"},
		{"MB-32 scheme in capitals", ask("resources/read", `{"uri":"FILE:///shared/a"}`), "403"},
		{"MB-32 host in capitals", ask("resources/read", `{"uri":"note://ONE"}`), "403"},
		{"MB-32 a dot segment", ask("resources/read", `{"uri":"file:///shared/../secret/a"}`), "403"},
		{"MB-32 an escaped dot segment", ask("resources/read", `{"uri":"file:///shared/%2e%2e/secret/a"}`), "403"},
		{"MB-32 a dot segment behind JSON escapes", ask("resources/read", `{"uri":"file:\/\/\/shared\/\u002e\u002e/secret/a"}`), "403"},
		{"MB-32 an escaped letter", ask("resources/read", `{"uri":"file:///%73ecret/a"}`), "403"},
		{"MB-32 a backslash", ask("resources/read", `{"uri":"file:///shared/..\\secret/a"}`), "403"},
		{"MB-32 two slashes", ask("resources/read", `{"uri":"file:///shared//a"}`), "403"},
		{"MB-32 a host in a file URI", ask("resources/read", `{"uri":"file://localhost/shared/a"}`), "403"},
		{"MB-32 a fragment", ask("resources/read", `{"uri":"file:///shared/a#b"}`), "403"},
		{"MB-32 no uri", ask("resources/read", `{}`), "400 -32602 id=1: params.uri is not a string with text"},

		{"MB-44 completion of a prompt", ask("completion/complete", `{"ref":{"type":"ref/prompt","name":"greet"},"argument":{"name":"a","value":""}}`), "200"},
		{"MB-44 completion of a secret prompt", ask("completion/complete", `{"ref":{"type":"ref/prompt","name":"secret"},"argument":{"name":"a","value":""}}`), more + "secret:read"},
		{"MB-44 completion of a secret resource", ask("completion/complete", `{"ref":{"type":"ref/resource","uri":"file:///secret/{x}"},"argument":{"name":"a","value":""}}`), more + "secret:read"},
		{"MB-44 completion with a name that is not meant", ask("completion/complete", `{"name":"greet","ref":{"type":"ref/prompt","name":"secret"},"argument":{"name":"a","value":""}}`), more + "secret:read"},
		{"MB-44 completion of neither", ask("completion/complete", `{"ref":{"type":"ref/tool","name":"safe"}}`), "400 -32602 id=1: params.ref is to neither a prompt nor a resource"},
		{"MB-44 completion of both", ask("completion/complete", `{"ref":{"type":"ref/prompt","name":"greet","uri":"file:///secret/a"}}`), "400 -32602 id=1: params.ref is to neither a prompt nor a resource"},
		{"MB-44 subscribe", ask("resources/subscribe", `{"uri":"file:///secret/a"}`), more + "secret:read"},
		{"MB-44 unsubscribe", ask("resources/unsubscribe", `{"uri":"file:///secret/a"}`), more + "secret:read"},
		{"MB-44 listen to lists", ask("subscriptions/listen", `{"notifications":{"toolsListChanged":true}}`), "200"},
		{"MB-44 listen to a resource", ask("subscriptions/listen", `{"notifications":{"resourceSubscriptions":["note://one"]}}`), "200"},
		{"MB-44 listen to one that needs more, behind another", ask("subscriptions/listen", `{"notifications":{"resourceSubscriptions":["note://one","file:///secret/a"]}}`), more + "secret:read"},
		{"MB-44 listen to one that nobody may have", ask("subscriptions/listen", `{"notifications":{"resourceSubscriptions":["note://one","note://two"]}}`), "403"},
		{"MB-44 listen to a task", ask("subscriptions/listen", `{"notifications":{"taskIds":["t1"]}}`), "403"},
		{"MB-44 listen to neither list nor object", ask("subscriptions/listen", `{"notifications":["file:///secret/a"]}`), "400 -32602 id=1: params.notifications is not an object"},
		{"MB-44 logging", ask("logging/setLevel", `{"level":"debug"}`), "403"},
		{"MB-44 sampling", ask("sampling/createMessage", `{}`), "403"},
		{"MB-44 elicitation", ask("elicitation/create", `{}`), "403"},
		{"MB-44 tasks/get", ask("tasks/get", `{"taskId":"t1"}`), "403"},
		{"MB-44 tasks/list", ask("tasks/list", ``), "403"},
		{"MB-44 tasks/result", ask("tasks/result", `{"taskId":"t1"}`), "403"},
		{"MB-44 tasks/update", ask("tasks/update", `{"taskId":"t1"}`), "403"},
		{"MB-44 tasks/cancel", ask("tasks/cancel", `{"taskId":"t1"}`), "403"},
		{"MB-44 a call that asks to run as a task", ask("tools/call", `{"name":"danger","task":{"ttl":1},"taskId":"safe"}`), more + "danger:run"},

		{"MB-45 an identity in _meta", ask("tools/call", `{"name":"danger","_meta":{"io.modelcontextprotocol/clientInfo":{"name":"admin"},"sub":"root","scope":"danger:run base","authorization":"Bearer x"}}`), more + "danger:run"},
		{"MB-45 an identity in arguments", ask("tools/call", `{"name":"danger","arguments":{"scope":"danger:run","sub":"root"}}`), more + "danger:run"},
		{"MB-45 an identity beside params", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"danger"},"auth":{"scope":"danger:run"}}`, more + "danger:run"},
		{"MB-54 a retry is judged like the first", ask("tools/call", `{"name":"danger","requestState":"s","inputResponses":{"a":{"result":{}}}}`), more + "danger:run"},
	})
}

func TestMB41TheScopeOfTheCalledToolIsEnough(t *testing.T) {
	o := newOperations(t, operationsPolicy(), func(f *fixture) { f.verifier.token = goodToken("base", "danger:run", "foreign") })
	o.run(t, []row{
		{"granted", call("danger"), "200"},
		{"another one: needed and held, but nothing of other resources", ask("prompts/get", `{"name":"secret"}`), "403 insufficient base danger:run secret:read"},
	})
}

// A client of the 2025 revisions replaces its scopes by those of the challenge: what
// one element needs must not get lost because another scope stands in for it now.
func TestMB22TheChallengeOfABatchNamesWhatIsImpliedToo(t *testing.T) {
	o := newOperations(t, operationsPolicy(), func(f *fixture) {
		f.config.Hierarchy = scopes.Hierarchy{"root": {"danger:run"}}
		f.verifier.token = goodToken("base", "root")
	})
	o.run(t, []row{
		{"alone", call("danger"), "200"},
		{"with one that lacks a scope", "[" + call("danger") + "," + ask("prompts/get", `{"name":"secret"}`) + "]", "403 insufficient base danger:run root secret:read"},
		{"behind one that lacks a scope", "[" + ask("prompts/get", `{"name":"secret"}`) + "," + call("danger") + "]", "403 insufficient base danger:run root secret:read"},
	})
}
