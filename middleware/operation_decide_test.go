package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// decider is a Decide that records what it is asked.
type decider struct {
	asked  []string
	answer func(ctx context.Context, op scopes.Operation) (scopes.Requirement, error)
}

func (d *decider) decide(ctx context.Context, op scopes.Operation) (scopes.Requirement, error) {
	caller := "nobody"
	if token, ok := verifier.FromContext(ctx); ok {
		caller = token.Subject
	}
	text := caller + " " + op.Method
	for _, part := range []string{op.Name, op.Ref, string(op.Arguments)} {
		if part != "" {
			text += " " + part
		}
	}
	d.asked = append(d.asked, text)
	if d.answer == nil {
		return scopes.Requirement{}, nil
	}
	return d.answer(ctx, op)
}

func TestDecideIsAskedAboutEachOperation(t *testing.T) {
	for _, tt := range []struct {
		name, body string
		anonymous  bool
		asked      string
		want       string
	}{
		{"a call", ask("tools/call", `{"name":"safe","arguments":{"path":"\u0061", "n": 1.0}}`), false, `alice tools/call safe {"path":"\u0061", "n": 1.0}`, "200"},
		{"a call without arguments", ask("tools/call", `{"name":"safe"}`), false, "alice tools/call safe", "200"},
		{"a call with null arguments", ask("tools/call", `{"name":"safe","arguments":null}`), false, "alice tools/call safe", "200"},
		{"a name in escapes", ask("tools/call", `{"name":"s\u0061fe"}`), false, "alice tools/call safe", "200"},
		{"a prompt", ask("prompts/get", `{"name":"greet","arguments":{"a":"b"}}`), false, `alice prompts/get greet {"a":"b"}`, "200"},
		{"a resource", ask("resources/read", `{"uri":"note://one"}`), false, "alice resources/read note://one", "200"},
		{"a completion", ask("completion/complete", `{"ref":{"type":"ref/prompt","name":"greet"}}`), false, "alice completion/complete greet ref/prompt", "200"},
		{"a list", ask("tools/list", ""), false, "alice tools/list", "200"},
		{"a response", `{"jsonrpc":"2.0","id":1,"result":{}}`, false, "alice ", "200"},
		{"a batch", "[" + call("safe") + "," + ask("ping", "") + "]", false, "alice tools/call safe {}, alice ping", "200"},
		{"a listener", ask("subscriptions/listen", `{"notifications":{"resourceSubscriptions":["note://one","file:///shared/a"]}}`), false,
			"alice subscriptions/listen note://one, alice subscriptions/listen file:///shared/a, alice subscriptions/listen", "200"},
		{"nobody, where the tool is for everybody", call("open"), true, "nobody tools/call open {}", "200"},
		{"a caller, where the tool is for everybody", call("open"), false, "alice tools/call open {}", "200"},
		{"not without the token that is needed", call("safe"), true, "", "401 base"},
		{"not where the policy denies", call("later"), false, "", "403"},
		{"not for a body that is refused", "{", false, "", "400 -32700: not JSON in UTF-8"},
		{"not about arguments that read differently", ask("tools/call", `{"name":"safe","arguments":{"path":1,"PATH":2}}`), false, "", "400 -32600 id=1: a member comes twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d decider
			policy := operationsPolicy()
			policy.Decide = d.decide
			var fields []string
			if tt.anonymous {
				fields = []string{"Authorization:"}
			}
			if got := newOperations(t, policy).send(tt.body, fields...); got != tt.want {
				t.Errorf("answer %s, want %s", got, tt.want)
			}
			if got := strings.Join(d.asked, ", "); got != tt.asked {
				t.Errorf("asked %q, want %q", got, tt.asked)
			}
		})
	}
}

func TestDecideAnswers(t *testing.T) {
	secret := errors.New("the account 8f14e45fceea is frozen")
	for _, tt := range []struct {
		name   string
		answer scopes.Requirement
		err    error
		body   string
		fields []string
		want   string
	}{
		{"nothing more", scopes.Requirement{}, nil, call("safe"), nil, "200"},
		{"public adds nothing", scopes.Public(), nil, call("safe"), nil, "200"},
		{"public takes nothing away", scopes.Public(), nil, call("danger"), nil, "403 insufficient base danger:run"},
		{"public is no way in", scopes.Public(), nil, call("safe"), []string{"Authorization:"}, "401 base"},
		{"a scope that is held", scopes.All("base"), nil, call("safe"), nil, "200"},
		{"a scope that is lacking", scopes.All("extra"), nil, call("safe"), nil, "403 insufficient base extra"},
		{"with what is lacking anyhow", scopes.All("extra"), nil, call("danger"), nil, "403 insufficient base danger:run extra"},
		{"alternatives, one is held", scopes.Any(scopes.All("extra"), scopes.All("base")), nil, call("safe"), nil, "200"},
		{"alternatives, the nearest", scopes.Any(scopes.All("x", "y"), scopes.All("extra")), nil, call("safe"), nil, "403 insufficient base extra"},
		{"for everybody no longer", scopes.All("extra"), nil, call("open"), []string{"Authorization:"}, "401 base extra"},
		{"for everybody no longer, with a token", scopes.All("extra"), nil, call("open"), nil, "403 insufficient base extra"},
		{"an error", scopes.Requirement{}, secret, call("safe"), nil, "403"},
		{"an error beside a Requirement", scopes.Public(), secret, call("safe"), nil, "403"},
		{"an error about nobody", scopes.Requirement{}, secret, call("open"), []string{"Authorization:"}, "403"},
		{"an error about a batch", scopes.Requirement{}, secret, "[" + call("safe") + "]", nil, "403"},
		{"a mistake", scopes.All("not a scope"), nil, call("safe"), nil, "403"},
		{"a mistake: no alternative", scopes.Any(), nil, call("safe"), nil, "403"},
		{"a mistake with a quote", scopes.All(`"`), nil, call("open"), nil, "403"},
		{"offline_access", scopes.All("offline_access"), nil, call("safe"), nil, "403"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			policy := operationsPolicy()
			policy.Decide = func(context.Context, scopes.Operation) (scopes.Requirement, error) { return tt.answer, tt.err }
			o := newOperations(t, policy)
			if got := o.send(tt.body, tt.fields...); got != tt.want {
				t.Errorf("answer %s, want %s", got, tt.want)
			}
			if tt.err == nil {
				return
			}
			event := o.last()
			if event.Outcome != middleware.OutcomeDenied || !errors.Is(event.Err, secret) || strings.Contains(event.Err.Error(), "8f14e45f") {
				t.Errorf("outcome %s, error %v", event.Outcome, event.Err)
			}
		})
	}
}

// What Decide asks for is bounded too: a challenge reaches every client or is not
// sent.
func TestDecideCannotMakeAnEndlessChallenge(t *testing.T) {
	var names []string
	for i := range 2000 {
		names = append(names, fmt.Sprintf("scope:%d", i))
	}
	policy := operationsPolicy()
	policy.Decide = func(context.Context, scopes.Operation) (scopes.Requirement, error) { return scopes.All(names...), nil }
	o := newOperations(t, policy)
	for _, fields := range [][]string{nil, {"Authorization:"}} {
		w := httptest.NewRecorder()
		o.door.ServeHTTP(w, message(call("open"), fields...))
		if n := len(w.Header().Get("WWW-Authenticate")); w.Code == http.StatusOK || n > 4<<10 {
			t.Errorf("%d with a challenge of %d bytes", w.Code, n)
		}
	}
}

// A rule of one argument: the own account only.
func TestDecideByArgumentsAndClaims(t *testing.T) {
	policy := scopes.Policy{
		Tools: map[string]scopes.Requirement{"pay": {}},
		Decide: func(ctx context.Context, op scopes.Operation) (scopes.Requirement, error) {
			token, ok := verifier.FromContext(ctx)
			if !ok || op.Method == "tools/call" && !strings.Contains(string(op.Arguments), `"from":"`+token.Subject+`"`) {
				return scopes.Requirement{}, errBoom
			}
			return scopes.Requirement{}, nil
		},
	}
	newOperations(t, policy).run(t, []row{
		{"the own account", ask("tools/call", `{"name":"pay","arguments":{"from":"alice"}}`), "200"},
		{"another's", ask("tools/call", `{"name":"pay","arguments":{"from":"bob"}}`), "403"},
		{"another's in a batch", "[" + ask("tools/call", `{"name":"pay","arguments":{"from":"alice"}}`) + "," + ask("tools/call", `{"name":"pay","arguments":{"from":"bob"}}`) + "]", "403"},
		{"none", ask("tools/call", `{"name":"pay"}`), "403"},
	})
}

// O7: whatever is asked for, Event.Operation is a key of the policy or "other".
func TestEventOperation(t *testing.T) {
	policy := operationsPolicy()
	policy.Methods = map[string]scopes.Requirement{"ping": {}, "tasks/get": {}}
	for _, tt := range []struct{ name, body, want string }{
		{"a tool", call("safe"), "safe"},
		{"a tool that is refused", call("danger"), "danger"},
		{"a tool without a rule", call("later"), "other"},
		{"a prompt", ask("prompts/get", `{"name":"greet"}`), "greet"},
		{"a resource", ask("resources/read", `{"uri":"note://one"}`), "note://one"},
		{"a resource of a prefix, by the key", ask("resources/read", `{"uri":"file:///shared/a"}`), "file:///shared/*"},
		{"a resource that is spelled like a key", ask("resources/read", `{"uri":"file:///shared/*"}`), "file:///shared/*"},
		{"a method", ask("ping", ""), "ping"},
		{"a method without a rule", ask("tools/list", ""), "other"},
		{"a tool named like a method", call("ping/"), "other"},
		{"the wildcard", call("*"), "other"},
		{"a response", `{"jsonrpc":"2.0","id":1,"result":{}}`, "other"},
		{"the one that is refused in a batch", "[" + call("safe") + "," + call("later") + "]", "other"},
		{"no message", "{", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOperations(t, policy)
			o.send(tt.body)
			if got := o.last().Operation; got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	o := newOperations(t, policy)
	labels := map[string]bool{}
	for i := range 500 {
		for _, body := range []string{call(fmt.Sprint(i)), ask(fmt.Sprint("m", i), ""), ask("resources/read", fmt.Sprintf(`{"uri":"file:///shared/%d"}`, i)),
			ask("tasks/get", fmt.Sprintf(`{"taskId":"%d"}`, i)), "[" + call("safe") + "," + call(fmt.Sprint(i)) + "]"} {
			o.send(body)
			labels[o.last().Operation] = true
		}
	}
	if len(labels) > 4 {
		t.Errorf("%d labels: %v", len(labels), labels)
	}
	plain := newOperations(t, scopes.Policy{Base: scopes.All("base")})
	if plain.send(call("safe")); plain.last().Operation != "" {
		t.Errorf("a policy that names nothing: %q", plain.last().Operation)
	}
}
