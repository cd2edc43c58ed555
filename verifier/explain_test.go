package verifier_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// refusedBy lists for each Reason of a JWT tokens that are refused with it.
func refusedBy(t *testing.T, w *world) map[verifier.Reason]map[string]string {
	past, future := number(time.Now().Add(-time.Hour)), number(time.Now().Add(time.Hour))
	stranger := newKey(t, "ES256", w.issuer.Key().KeyID())
	good := w.token(nil)
	return map[verifier.Reason]map[string]string{
		verifier.ReasonTooLarge: {
			"token":  strings.Repeat("a", 17<<10),
			"header": w.sign(raw{"x": quote(strings.Repeat("a", 3<<10))}, w.payload(nil)),
		},
		verifier.ReasonMalformed: {
			"opaque":    "opaque-0123456789",
			"encrypted": "eyJhbGciOiJkaXIifQ.a.b.c.d",
			"claims":    w.sign(nil, "[]"),
			"cut":       good[:len(good)-1] + "!",
		},
		verifier.ReasonHeader:     {"crit": w.sign(raw{"crit": `["x"]`}, w.payload(nil)), "kid": w.sign(raw{"kid": "1"}, w.payload(nil))},
		verifier.ReasonAlgorithm:  {"HS256": w.sign(raw{"alg": `"HS256"`}, w.payload(nil))},
		verifier.ReasonType:       {"typ": w.sign(raw{"typ": `"logout+jwt"`}, w.payload(nil)), "ID token": w.sign(raw{"typ": `"JWT"`}, w.payload(raw{"nonce": `"n"`}))},
		verifier.ReasonIssuer:     {"other": w.token(raw{"iss": quote(otherIssuer)}), "none": w.token(raw{"iss": ""})},
		verifier.ReasonUnknownKey: {"kid": w.stranger("nobody-knows-this-kid")},
		verifier.ReasonSignature:  {"other key": signWith(t, stranger, nil, w.payload(nil))},
		verifier.ReasonClaims: {
			"no exp": w.token(raw{"exp": ""}), "no sub": w.token(raw{"sub": ""}), "iss": w.token(raw{"iss": "1"}),
			"aud": w.token(raw{"aud": "1"}), "scope": w.token(raw{"scope": `"\"\""`}), "control": w.token(raw{"client_id": `"a\n"`}),
			"act": w.token(raw{"act": "1"}), "far exp": w.token(raw{"exp": number(time.Now().Add(5 * 366 * 24 * time.Hour))}),
		},
		verifier.ReasonExpired:      {"exp": w.token(raw{"exp": past}), "and aud": w.token(raw{"exp": past, "aud": `"api://x"`})},
		verifier.ReasonNotYetValid:  {"nbf": w.token(raw{"nbf": future}), "iat": w.token(raw{"iat": future})},
		verifier.ReasonAudience:     {"other": w.token(raw{"aud": `"api://x"`}), "none": w.token(raw{"aud": ""})},
		verifier.ReasonConfirmation: {"cnf": w.token(raw{"cnf": `{"jkt":"x"}`})},
		verifier.ReasonProvider:     {"rule": w.token(raw{"jti": `"refuse-me-0123456789"`})},
	}
}

func TestExplainFailsAtTheCheckThatVerifyFails(t *testing.T) {
	w := newWorld(t, of(func(i *verifier.Issuer) {
		i.Judge = func(token *verifier.Token) error {
			if token.ID == "refuse-me-0123456789" {
				return &verifier.InvalidTokenError{Reason: verifier.ReasonProvider, Hint: "allow this application at the provider"}
			}
			return nil
		}
	})).warm()
	all := refusedBy(t, w)
	for _, reason := range verifier.Reasons() {
		if reason == verifier.ReasonInactive || reason == verifier.ReasonUnspecified {
			continue // of other verifiers
		}
		if len(all[reason]) == 0 {
			t.Errorf("no token for Reason %s", reason)
		}
		for name, token := range all[reason] {
			t.Run(string(reason)+"/"+name, func(t *testing.T) {
				w.refuse(token, reason)
				checkRefused(t, w.jwt.Explain(t.Context(), token), reason, token)
			})
		}
	}
	t.Run("accepted", func(t *testing.T) {
		token := w.token(nil)
		e := w.jwt.Explain(t.Context(), token)
		if _, failed := e.Decisive(); failed || !e.Accepted || e.Reason != "" || e.Unavailable != "" {
			t.Errorf("explanation of a good token:\n%s", e)
		}
		for _, check := range e.Checks {
			if check.State != verifier.CheckPassed || check.Fix != "" {
				t.Errorf("check %s is %s", check.Name, check.State)
			}
		}
		noTokenIn(t, e, token)
	})
}

// checkRefused checks the decisive check, and that the last resort was not needed.
func checkRefused(t *testing.T, e verifier.Explanation, reason verifier.Reason, token string) {
	t.Helper()
	decisive, ok := e.Decisive()
	switch {
	case e.Accepted || e.Unavailable != "" || e.Reason != reason:
		t.Errorf("Reason %q, want %q", e.Reason, reason)
	case !ok || decisive.Reason != reason || decisive.Name == "verifier":
		t.Errorf("the check that decides is %+v, want one for %s", decisive, reason)
	case decisive.Fix == "":
		t.Errorf("check %s has no fix", decisive.Name)
	}
	names := map[string]bool{}
	for _, check := range e.Checks {
		if names[check.Name] {
			t.Errorf("check %s is there twice", check.Name)
		}
		names[check.Name] = true
	}
	noTokenIn(t, e, token)
}

// noTokenIn checks that neither the token nor what names a person is shown.
func noTokenIn(t *testing.T, e verifier.Explanation, token string) {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	shown := string(text) + e.String()
	for _, secret := range []string{"user-0123456789abcdef", "client-0123456789abcdef", "id-0123456789abcdef", "refuse-me"} {
		if strings.Contains(shown, secret) {
			t.Errorf("the explanation shows %q", secret)
		}
	}
	for i := 0; i+16 <= len(token); i++ {
		if piece := token[i : i+16]; strings.Contains(shown, piece) {
			t.Fatalf("the explanation shows a piece of the token: %q", piece)
		}
	}
}

func TestExplainNamesBothAudiences(t *testing.T) {
	w := newWorld(t).warm()
	e := w.jwt.Explain(t.Context(), w.token(raw{"aud": `"api://x"`}))
	decisive, _ := e.Decisive()
	if !strings.Contains(decisive.Found, `"api://x"`) || !strings.Contains(decisive.Expected, resource) || !strings.Contains(decisive.Fix, "Audiences") {
		t.Errorf("audience: %+v", decisive)
	}
}

func TestExplainFindsEveryMistakeAtOnce(t *testing.T) {
	w := newWorld(t).warm()
	e := w.jwt.Explain(t.Context(), w.token(raw{"aud": `"api://x"`, "exp": number(time.Now().Add(-time.Hour))}))
	failed := 0
	for _, check := range e.Checks {
		if check.State == verifier.CheckFailed {
			failed++
		}
	}
	if failed != 2 || e.Reason != verifier.ReasonExpired {
		t.Errorf("%d checks failed, Reason %s, want two and expired:\n%s", failed, e.Reason, e)
	}
}

func TestExplainBelievesNothingThatIsNotSigned(t *testing.T) {
	w := newWorld(t).warm()
	e := w.jwt.Explain(t.Context(), w.stranger("nobody-knows-this-kid"))
	after := false
	for _, check := range e.Checks {
		if after && check.State != verifier.CheckNotReached {
			t.Errorf("check %s is %s after an unknown key", check.Name, check.State)
		}
		after = after || check.Name == "key"
	}
}

func TestExplainShowsTheDiagnosisOfTheIssuer(t *testing.T) {
	const hint = "ask for the right scope"
	w := newWorld(t, of(func(i *verifier.Issuer) { i.Diagnose = func(verifier.Unverified) string { return hint } })).warm()
	decisive, _ := w.jwt.Explain(t.Context(), w.token(raw{"aud": `"api://x"`})).Decisive()
	if decisive.Fix != hint {
		t.Errorf("fix %q, want the issuer's diagnosis", decisive.Fix)
	}
}

func TestExplainInAnOutage(t *testing.T) {
	w := newWorld(t)
	w.issuer.SetFault(authtest.EndpointAll, authtest.Down())
	e := w.jwt.Explain(t.Context(), w.token(nil))
	if _, failed := e.Decisive(); e.Accepted || failed || e.Unavailable == "" || e.Reason != "" {
		t.Errorf("explanation in an outage:\n%s", e)
	}
}

func TestDS15ExplainEscapesAndCutsHostileText(t *testing.T) {
	w := newWorld(t).warm()
	hostile := "evil\r\n\x1b[31m\u202e\"" + strings.Repeat("x", 4000)
	text, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"iss": w.token(raw{"iss": string(text)}),
		"aud": w.token(raw{"aud": string(text)}),
		"kid": w.sign(raw{"kid": string(text[:300]) + `"`}, w.payload(nil)),
		"typ": w.sign(raw{"typ": string(text[:300]) + `"`}, w.payload(nil)),
		"alg": w.sign(raw{"alg": string(text[:300]) + `"`}, w.payload(nil)),
	} {
		for _, check := range w.jwt.Explain(t.Context(), token).Checks {
			for _, shown := range []string{check.Found, check.Expected, check.Fix} {
				if len(shown) > 1500 || strings.ContainsAny(shown, "\r\n\x1b\u202e") {
					t.Errorf("DS-15 %s: check %s shows %q", name, check.Name, shown)
				}
			}
		}
	}
}

func TestExplainIntrospection(t *testing.T) {
	past := number(time.Now().Add(-time.Hour))
	for _, test := range []struct {
		name, answer string
		want         verifier.Reason
	}{
		{"inactive", `{"active":false}`, verifier.ReasonInactive},
		{"claims", about(raw{"jti": "1"}), verifier.ReasonClaims},
		{"issuer", about(raw{"iss": quote(otherIssuer)}), verifier.ReasonIssuer},
		{"type", about(raw{"token_type": `"refresh_token"`}), verifier.ReasonType},
		{"bound", about(raw{"token_type": `"DPoP"`}), verifier.ReasonConfirmation},
		{"expired", about(raw{"exp": past}), verifier.ReasonExpired},
		{"scope", about(raw{"scope": `"\"\""`}), verifier.ReasonClaims},
		{"aud", about(raw{"aud": "1"}), verifier.ReasonClaims},
		{"subject", about(raw{"sub": `"\n"`}), verifier.ReasonClaims},
		{"audience", about(raw{"aud": `"api://x"`}), verifier.ReasonAudience},
		{"no audience", about(raw{"aud": ""}), verifier.ReasonAudience},
		{"cnf", about(raw{"cnf": `{"jkt":"x"}`}), verifier.ReasonConfirmation},
		{"rule", about(raw{"jti": `"refuse-me-0123456789"`}), verifier.ReasonProvider},
	} {
		t.Run(test.name, func(t *testing.T) {
			i := newInspector(t, func(c *verifier.IntrospectionConfig) {
				c.Judge = func(token *verifier.Token) error {
					if token.ID == "refuse-me-0123456789" {
						return errors.New("no")
					}
					return nil
				}
			})
			i.endpoint.set(opaque, test.answer)
			i.refuse(opaque, test.want)
			checkRefused(t, i.v.Explain(t.Context(), opaque), test.want, opaque)
		})
	}
	t.Run("before asking", func(t *testing.T) {
		i := newInspector(t)
		checkRefused(t, i.v.Explain(t.Context(), strings.Repeat("a", 17<<10)), verifier.ReasonTooLarge, opaque)
		checkRefused(t, i.v.Explain(t.Context(), "a\nb"), verifier.ReasonMalformed, opaque)
		i.asked(0)
	})
	t.Run("accepted", func(t *testing.T) {
		e := newInspector(t).v.Explain(t.Context(), opaque)
		if _, failed := e.Decisive(); failed || !e.Accepted {
			t.Errorf("explanation:\n%s", e)
		}
		noTokenIn(t, e, opaque)
	})
	t.Run("outage", func(t *testing.T) {
		i := newInspector(t)
		i.endpoint.fail(faulty(authtest.Down()))
		if e := i.v.Explain(t.Context(), opaque); e.Accepted || e.Unavailable == "" || e.Reason != "" {
			t.Errorf("explanation:\n%s", e)
		}
	})
}

func TestExplainGoesToWhoeverVerifies(t *testing.T) {
	w := newWorld(t).warm()
	i := newInspector(t)
	both, err := verifier.ByShape(verifier.ByShapeConfig{JWT: w.jwt, Opaque: i.v})
	if err != nil {
		t.Fatal(err)
	}
	jwt := verifier.Explain(t.Context(), both, w.token(raw{"aud": `"api://x"`}))
	checkRefused(t, jwt, verifier.ReasonAudience, opaque)
	i.asked(0)
	if e := verifier.Explain(t.Context(), both, opaque); !e.Accepted {
		t.Errorf("explanation:\n%s", e)
	}
	i.asked(1)
	custom := verifier.Func(func(context.Context, string) (*verifier.Token, error) {
		return nil, &verifier.InvalidTokenError{Reason: verifier.ReasonInactive}
	})
	if e := verifier.Explain(t.Context(), custom, opaque); e.Reason != verifier.ReasonInactive {
		t.Errorf("explanation of a custom verdict:\n%s", e)
	}
}

func TestEveryReasonHasAMeaningAndARemedy(t *testing.T) {
	for _, reason := range verifier.Reasons() {
		if reason.Meaning() == "" || reason.Remedy() == "" {
			t.Errorf("Reason %s is not explained", reason)
		}
	}
	if verifier.Reason("invented").Meaning() != "" {
		t.Error("an invented Reason has a meaning")
	}
}
