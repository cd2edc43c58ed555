package scopes_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/jsonrpc"
	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// revisions are the methods that the schema of each MCP revision defines.
var revisions = map[string]string{
	"2024-11-05": `initialize ping notifications/initialized notifications/cancelled notifications/progress notifications/message
		notifications/resources/list_changed notifications/resources/updated notifications/prompts/list_changed notifications/tools/list_changed
		notifications/roots/list_changed resources/list resources/templates/list resources/read resources/subscribe resources/unsubscribe
		prompts/list prompts/get tools/list tools/call logging/setLevel sampling/createMessage completion/complete roots/list`,
	"2025-03-26": `initialize ping notifications/initialized notifications/cancelled notifications/progress notifications/message
		notifications/resources/list_changed notifications/resources/updated notifications/prompts/list_changed notifications/tools/list_changed
		notifications/roots/list_changed resources/list resources/templates/list resources/read resources/subscribe resources/unsubscribe
		prompts/list prompts/get tools/list tools/call logging/setLevel sampling/createMessage completion/complete roots/list`,
	"2025-06-18": `elicitation/create initialize ping notifications/initialized notifications/cancelled notifications/progress notifications/message
		notifications/resources/list_changed notifications/resources/updated notifications/prompts/list_changed notifications/tools/list_changed
		notifications/roots/list_changed resources/list resources/templates/list resources/read resources/subscribe resources/unsubscribe
		prompts/list prompts/get tools/list tools/call logging/setLevel sampling/createMessage completion/complete roots/list`,
	"2025-11-25": `elicitation/create initialize ping notifications/initialized notifications/cancelled notifications/progress notifications/message
		notifications/resources/list_changed notifications/resources/updated notifications/prompts/list_changed notifications/tools/list_changed
		notifications/roots/list_changed notifications/tasks/status notifications/elicitation/complete resources/list resources/templates/list
		resources/read resources/subscribe resources/unsubscribe prompts/list prompts/get tools/list tools/call tasks/get tasks/result tasks/cancel
		tasks/list logging/setLevel sampling/createMessage completion/complete roots/list`,
	"2026-07-28": `server/discover notifications/cancelled notifications/progress notifications/message notifications/resources/list_changed
		notifications/resources/updated notifications/prompts/list_changed notifications/tools/list_changed notifications/subscriptions/acknowledged
		resources/list resources/templates/list resources/read subscriptions/listen prompts/list prompts/get tools/list tools/call
		sampling/createMessage completion/complete roots/list elicitation/create`,
	"tasks extension": `tasks/get tasks/update tasks/cancel notifications/tasks`,
}

func TestMethods_MB_44_every_method_of_every_revision_has_a_class(t *testing.T) {
	table := scopes.Methods()
	if len(table) != scopes.MethodEntries() {
		t.Error("a method is there twice")
	}
	known := map[string]bool{}
	for revision, methods := range revisions {
		for method := range strings.FieldsSeq(methods) {
			known[method] = true
			if _, found := table[method]; !found {
				t.Errorf("%s of %s has no class", method, revision)
			}
		}
	}
	for method := range table {
		if !known[method] {
			t.Errorf("%s is in no revision", method)
		}
	}
}

// A policy that names one tool denies every method but discovery and tools/call,
// and one that names nothing needs Base for all.
func TestMethods_MB_44_side_doors_are_closed(t *testing.T) {
	named := compile(t, scopes.Policy{Base: scopes.All("base"), Tools: map[string]scopes.Requirement{"t": scopes.All("t")}})
	plain := compile(t, scopes.Policy{Base: scopes.All("base")})
	for method, class := range scopes.Methods() {
		for _, op := range []scopes.Operation{{Method: method}, {Method: method, Name: "x"}, {Method: method, Name: "a:b", Ref: "ref/resource"}, {Method: method, Name: "p", Ref: "ref/prompt"}} {
			needs, ok := named.Judge(op)
			open := class == scopes.ByDiscovery || method == "subscriptions/listen" && op.Name == ""
			if ok != open || ok && !equal(needs, scopes.All("base")) {
				t.Errorf("%+v: %t, %s", op, ok, needs.Scopes())
			}
			needs, ok = plain.Judge(op)
			if open := method != "completion/complete" || op.Ref != ""; ok != open || ok && !equal(needs, scopes.All("base")) {
				t.Errorf("nothing named, %+v: %t, %s", op, ok, needs.Scopes())
			}
		}
	}
}

// The reader of messages and the table must know the same methods: one that only
// the table knows could come without the name that it is judged by.
func TestMethods_agree_with_the_reader_of_messages(t *testing.T) {
	for method, class := range scopes.Methods() {
		isNotification := strings.HasPrefix(method, "notifications/")
		_, err := jsonrpc.Parse([]byte(`{"jsonrpc":"2.0","method":"`+method+`","params":{}}`), jsonrpc.Limits{})
		if (err == nil) != isNotification {
			t.Errorf("%s without an id: %v", method, err)
		}
		if isNotification {
			continue
		}
		_, err = jsonrpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"`+method+`"}`), jsonrpc.Limits{})
		refusal, refused := errors.AsType[*jsonrpc.Error](err)
		byName := class != scopes.ByNothing && class != scopes.ByDiscovery || strings.HasPrefix(method, "tasks/") && method != "tasks/list"
		if refused != byName || refused && refusal.Code != jsonrpc.CodeInvalidParams {
			t.Errorf("%s without params: %v", method, err)
		}
	}
}
