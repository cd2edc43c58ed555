package verifier_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestActor(t *testing.T) {
	w := newWorld(t).warm()
	for name, c := range map[string]struct {
		act  string
		want *verifier.Actor
	}{
		"none":                    {"", nil},
		"a server":                {`{"sub":"mcp-server"}`, &verifier.Actor{Subject: "mcp-server"}},
		"of another issuer":       {`{"iss":"https://other.example","sub":"a"}`, &verifier.Actor{Issuer: "https://other.example", Subject: "a"}},
		"by its client id alone":  {`{"client_id":"c"}`, &verifier.Actor{ClientID: "c"}},
		"with members of its own": {`{"sub":"a","sub_profile":"ai_agent","exp":"never"}`, &verifier.Actor{Subject: "a"}},
		"a chain": {`{"sub":"c","act":{"sub":"b","act":{"sub":"a"}}}`, &verifier.Actor{Subject: "c", Earlier: []verifier.Actor{
			{Subject: "b"}, {Subject: "a"},
		}}},
	} {
		for range 2 { // remembered the second time
			token := w.accept(w.token(raw{"act": c.act}))
			if !reflect.DeepEqual(token.Actor, c.want) {
				t.Errorf("%s: the actor is not the expected one", name)
			}
		}
	}
}

func TestAnActorThatCannotBeReadIsNoUser(t *testing.T) {
	w := newWorld(t).warm()
	for _, act := range []string{
		`null`, `1`, `"mcp-server"`, `[]`, `[{"sub":"a"}]`, `{}`, `{"sub":""}`, `{"sub":1}`, `{"sub":null}`, `{"SUB":"a"}`,
		`{"sub":"a\u0000b"}`, `{"sub":"a","client_id":"\n"}`, `{"sub":"a","iss":["https://other.example"]}`,
		`{"sub":"a","act":null}`, `{"sub":"a","act":"b"}`, `{"sub":"a","act":{}}`,
	} {
		if _, err := w.verify(w.token(raw{"act": act})); err == nil {
			t.Errorf("accepted: %s", act)
			continue
		}
		w.refuse(w.token(raw{"act": act}), verifier.ReasonClaims)
	}
}

func TestMayAct(t *testing.T) {
	w := newWorld(t).warm()
	named, ok := w.accept(w.token(raw{"may_act": `{"sub":"mcp-server"}`})).MayAct()
	if !ok || named.Subject != "mcp-server" {
		t.Errorf("%v", ok)
	}
	for _, mayAct := range []string{"", `"mcp-server"`, `{}`, `[]`, `null`} {
		token := w.accept(w.token(raw{"may_act": mayAct}))
		if _, ok := token.MayAct(); ok || token.Actor != nil {
			t.Errorf("may_act %s names somebody", mayAct)
		}
	}
	for _, token := range []*verifier.Token{nil, {}} {
		if _, ok := token.MayAct(); ok {
			t.Error("a token without claims names somebody")
		}
	}
}

func TestActorPrintsNothing(t *testing.T) {
	actor := verifier.Actor{Issuer: "secret-issuer", Subject: "secret-subject", ClientID: "secret-client", Earlier: []verifier.Actor{{Subject: "secret-earlier"}}}
	encoded, err := json.Marshal(map[string]any{"a": actor, "b": &actor})
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %+v %#v %s %q %v %v", actor, actor, actor, actor, actor, &actor, []any{actor}) + string(encoded) + actor.LogValue().String()
	if strings.Contains(text, "secret") {
		t.Errorf("printed: %s", text)
	}
}
