package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// What an anonymous caller may do, and how the others are asked to log in.
func TestOperationsWithoutAToken(t *testing.T) {
	policy := operationsPolicy()
	policy.Discovery = scopes.Public()
	o := newOperations(t, policy)
	o.run(t, []row{
		{"a tool for everybody", call("open"), "200"},
		{"discovery for everybody", ask("tools/list", ""), "200"},
		{"lifecycle for everybody", ask("initialize", "{}"), "200"},
		{"a tool", call("safe"), "401 base"},
		{"a tool with a scope", call("danger"), "401 base danger:run"},
		{"a response", `{"jsonrpc":"2.0","id":1,"result":{}}`, "401 base"},
		{"a batch with one for everybody", "[" + call("open") + "," + call("safe") + "]", "401 base"},
		{"a batch for everybody", "[" + call("open") + "," + ask("ping", "") + "]", "200"},
		{"no JSON", "{", "400 -32700: not JSON in UTF-8"},
	}, "Authorization:")
	for name, want := range map[string]string{"Bearer " + bad: "401 invalid_token", "Bearer": "400", "Basic dTpw": "200"} {
		if got := o.send(call("open"), "Authorization: "+name); got != want {
			t.Errorf("a public tool with %q: %s, want %s", name, got, want)
		}
	}
}

// Who has not shown a token does not learn from the challenge what there is: safe
// needs base only, later is denied to everyone.
func TestMB43AStrangerCannotTellWhatThePolicyNames(t *testing.T) {
	policy := operationsPolicy()
	o := newOperations(t, policy)
	want := o.send(call("safe"), "Authorization:")
	o.run(t, []row{
		{"a tool nobody named", call("later"), want},
		{"a method nobody named", ask("tasks/list", ""), want},
		{"a resource nobody named", ask("resources/read", `{"uri":"note://two"}`), want},
	}, "Authorization:")
}

// A policy without anything public asks for the token before it reads the body.
func TestAPrivatePolicyReadsNoBodyOfAStranger(t *testing.T) {
	policy := operationsPolicy()
	delete(policy.Tools, "open")
	o := newOperations(t, policy)
	for field, want := range map[string]string{"Authorization:": "401 base", "Authorization: Bearer " + bad: "401 invalid_token"} {
		r := message(call("safe"), field)
		source := r.Body.(*closable)
		if got := o.serve(r, call("safe")); got != want || source.read != 0 {
			t.Errorf("%s: %s after %d octets, want %s after none", field, got, source.read, want)
		}
	}
}

// GET and DELETE carry no message: Discovery is their rule. What else a server may
// take for a POST gets no further than that.
func TestTheTransportIsJudgedByDiscovery(t *testing.T) {
	policy := operationsPolicy()
	policy.Discovery = scopes.All("list")
	o := newOperations(t, policy)
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodHead} {
		r := message("", "X-HTTP-Method-Override: POST")
		r.Method = method
		w := httptest.NewRecorder()
		o.door.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || param(t, w.Header(), "scope") != "base list" || o.next.ran() {
			t.Errorf("%s: %s", method, dump(w))
		}
	}
	o.verifier.token = goodToken("base", "list")
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodHead, http.MethodPut, http.MethodPatch, "post", "Post", "QUERY", http.MethodOptions} {
		r := message(call("safe"), "X-HTTP-Method-Override: POST")
		r.Method = method
		w := httptest.NewRecorder()
		o.door.ServeHTTP(w, r)
		if w.Code != http.StatusForbidden || w.Header().Get("WWW-Authenticate") != "" || o.next.ran() {
			t.Errorf("%s with a message: %s", method, dump(w))
		}
	}
	o.verifier.token = goodToken("base", "list")
	r := message("", "Last-Event-ID: 1", "Mcp-Session-Id: s")
	r.Method = http.MethodGet
	if got := o.serve(r, ""); got != "200" {
		t.Errorf("GET with both scopes: %s", got)
	}
}
