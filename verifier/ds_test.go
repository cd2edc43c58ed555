package verifier_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// DS-03: a token without kid costs no more where the issuer has many keys.
func TestKidlessTokensAreNotTriedKeyByKey(t *testing.T) {
	cost := func(keys int) time.Duration {
		w := newWorld(t, uncached)
		var all []authtest.Key
		for i := range keys {
			all = append(all, newKey(t, "ES256", fmt.Sprint("k", i)))
		}
		w.issuer.SetKeys(all...)
		w.warm()
		token := signWith(t, all[keys-1], raw{"kid": ""}, w.payload(nil))
		if keys > 1 {
			w.refuse(token, verifier.ReasonUnknownKey)
		} else {
			w.accept(token)
		}
		var rounds []time.Duration
		for range 15 {
			start := time.Now()
			for range 20 {
				_, _ = w.jwt.Verify(context.Background(), token)
			}
			rounds = append(rounds, time.Since(start)/20)
		}
		return slices.Min(rounds)
	}
	// One signature check costs several times what all else does: of sixty keys,
	// even two tries would show.
	if one, many := cost(1), cost(60); many > 2*one {
		t.Errorf("DS-03 %v with one key, %v with sixty", one, many)
	}
}

// FuzzIntrospectionAnswer: what is accepted is an object whose active is true,
// by the reading of another parser, too.
func FuzzIntrospectionAnswer(f *testing.F) {
	f.Add(about(nil))
	for _, seed := range []string{`{"active":false}`, `{"active":"true"}`, `{"active":true,"active":false}`, `{"Active":true}`, `[]`, ``,
		about(raw{"aud": `["a",1]`}), about(raw{"exp": "1e400"}), about(raw{"scope": `["a"]`})} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		i := newInspector(t)
		i.endpoint.set(opaque, body)
		token, err := i.v.Verify(t.Context(), opaque)
		if (token == nil) == (err == nil) {
			t.Fatalf("token %v, error %v", token, err)
		}
		if explained := newInspectorFor(t, body).Explain(t.Context(), opaque); explained.Accepted != (err == nil) {
			t.Errorf("Verify says %v, Explain says\n%s", err, explained)
		}
		if err != nil {
			return
		}
		var answer struct {
			Active bool `json:"active"`
			Aud    any  `json:"aud"`
		}
		if json.Unmarshal([]byte(body), &answer) != nil || !answer.Active || answer.Aud == nil {
			t.Errorf("accepted %q", body)
		}
	})
}

func newInspectorFor(t *testing.T, body string) *verifier.Introspection {
	i := newInspector(t)
	i.endpoint.set(opaque, body)
	return i.v
}

// FuzzExplain: Explain and Verify never disagree.
func FuzzExplain(f *testing.F) {
	w := newWorld(f, uncached).warm()
	for _, tokens := range []string{w.token(nil), w.token(raw{"aud": `"api://x"`}), w.stranger("k"), "a.b.c", ""} {
		f.Add(tokens, "")
	}
	f.Add("", w.payload(raw{"exp": "1"}))
	f.Add("", w.payload(raw{"nonce": `"n"`, "cnf": "{}"}))
	f.Fuzz(func(t *testing.T, token, payload string) {
		if payload != "" {
			token = signWith(t, w.issuer.Key(), nil, payload)
		}
		_, err := w.jwt.Verify(t.Context(), token)
		explained := w.jwt.Explain(t.Context(), token)
		decisive, failed := explained.Decisive()
		if explained.Accepted != (err == nil) || failed != (err != nil) {
			t.Fatalf("Verify says %v, Explain says\n%s", err, explained)
		}
		if err != nil {
			isInvalid(t, err, decisive.Reason)
			if decisive.Name == "verifier" {
				t.Errorf("no check explains %v:\n%s", err, explained)
			}
		}
	})
}
