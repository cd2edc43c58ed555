package verifier_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestIntrospectionReturnsWhatTheAnswerSays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		i := newInspector(t)
		start := time.Now()
		got := i.accept(opaque)
		if got.Issuer != server || got.Subject != "user-0123456789abcdef" || got.ClientID != "client-0123456789abcdef" ||
			got.ID != "id-0123456789abcdef" || !slices.Equal(got.Audience, []string{resource}) || got.Scopes.String() != "files:read" ||
			!got.Expiry.Equal(start.Add(time.Hour)) || !got.IssuedAt.Equal(start) {
			t.Errorf("subject %q, client %q, id %q, aud %q, scopes %q, expiry %v, issued %v",
				got.Subject, got.ClientID, got.ID, got.Audience, got.Scopes, got.Expiry, got.IssuedAt)
		}
		var claims struct {
			TokenType string `json:"token_type"`
		}
		if err := got.Claims(&claims); err != nil || claims.TokenType != "Bearer" {
			t.Errorf("Claims: %v, %+v", err, claims)
		}
		if again := i.accept(opaque); again == got || again.Subject != got.Subject {
			t.Error("a remembered token differs, or is the same pointer")
		}
		i.asked(1)
	})
}

func TestIntrospectionAsksAsTheRFCSays(t *testing.T) {
	i := newInspector(t)
	i.accept(opaque)
	q := i.endpoint.last()
	want := http.Header{
		"Accept":          {"application/json"},
		"Accept-Encoding": {"identity"},
		"Authorization":   {"Basic cmVzb3VyY2UtMTppbnRyb3NwZWN0aW9uLXNlY3JldC0wMTIzNDU2Nzg5"},
		"Content-Type":    {"application/x-www-form-urlencoded"},
	}
	for name, values := range want {
		if !slices.Equal(q.header[name], values) {
			t.Errorf("%s: %q, want %q", name, q.header[name], values)
		}
	}
	if q.body != "token="+opaque+"&token_type_hint=access_token" {
		t.Errorf("body %q", q.body)
	}
}

// IN-28: whatever is in a token, the server sees one parameter token with it.
func TestIntrospectionCannotBeGivenParametersByAToken(t *testing.T) {
	i := newInspector(t)
	for _, token := range []string{"a&token=b", "a=b", "a%26token%3Db", "a+b", "x&token_type_hint=refresh_token", "a;b", "a b", `"<>\^{|}`, "a#b?c"} {
		i.endpoint.set(token, about(nil))
		i.accept(token)
		form := i.endpoint.last().form
		if len(form) != 2 || !slices.Equal(form["token"], []string{token}) || !slices.Equal(form["token_type_hint"], []string{"access_token"}) {
			t.Errorf("%q arrived as %v", token, form)
		}
	}
	// What no server can have issued (RFC 6749 §A.12) is not asked about.
	before := i.calls()
	for _, token := range []string{"", "tök", "a\r\nb", "a\x00b", "a\x7f", "\xff"} {
		i.refuse(token, verifier.ReasonMalformed)
	}
	i.refuse(strings.Repeat("a", 16<<10+1), verifier.ReasonTooLarge)
	i.asked(before)
	i.refuse(strings.Repeat("a", 16<<10), verifier.ReasonInactive)
}

// answerCase is one answer about a token.
type answerCase struct {
	name   string
	answer string
	want   verifier.Reason // empty: unavailable
	edit   func(*verifier.IntrospectionConfig)
}

func (c answerCase) run(t *testing.T) {
	t.Run(c.name, func(t *testing.T) {
		edit := c.edit
		if edit == nil {
			edit = func(*verifier.IntrospectionConfig) {}
		}
		i := newInspector(t, edit)
		i.endpoint.set("token-of-the-case", c.answer)
		if c.want == "" {
			i.unavailable("token-of-the-case")
			if got := i.v.Status().Counts; got.BadAnswers != 1 || got.Failed != 0 {
				t.Errorf("counted as %+v", got)
			}
			// Nothing of it is remembered.
			i.endpoint.set("token-of-the-case", about(nil))
			i.accept("token-of-the-case")
			return
		}
		i.refuse("token-of-the-case", c.want)
		i.refuse("token-of-the-case", c.want)
		i.asked(1)
	})
}

func TestIntrospectionTakesNothingButTrueForActive(t *testing.T) {
	rest := strings.TrimPrefix(about(raw{"active": ""}), "{")
	for _, c := range []answerCase{
		{name: "IN-06 empty", answer: ""},
		{name: "IN-06 null", answer: "null"},
		{name: "IN-06 array", answer: "[]"},
		{name: "IN-06 array around", answer: "[" + about(nil) + "]"},
		{name: "IN-06 truncated", answer: about(nil)[:40]},
		{name: "IN-06 trailing garbage", answer: about(nil) + "x"},
		{name: "IN-06 second object", answer: about(nil) + about(nil)},
		{name: "IN-06 byte order mark", answer: "\ufeff" + about(nil)},
		{name: "IN-06 invalid UTF-8", answer: strings.Replace(about(nil), "user-", "user-\xff", 1)},
		{name: `IN-07 "true"`, answer: about(raw{"active": `"true"`})},
		{name: `IN-07 "false"`, answer: about(raw{"active": `"false"`})},
		{name: "IN-07 1", answer: about(raw{"active": "1"})},
		{name: "IN-07 0", answer: about(raw{"active": "0"})},
		{name: "IN-07 null", answer: about(raw{"active": "null"})},
		{name: "IN-07 array", answer: about(raw{"active": "[]"})},
		{name: "IN-07 array of true", answer: about(raw{"active": "[true]"})},
		{name: "IN-07 object", answer: about(raw{"active": "{}"})},
		{name: "IN-07 missing", answer: about(raw{"active": ""})},
		{name: "IN-07 true in another case", answer: about(raw{"active": "True"})},
		{name: "IN-08 Active", answer: `{"Active":true,` + rest},
		{name: "IN-08 active twice", answer: `{"active":false,"active":true,` + rest},
		{name: "IN-08 active twice by an escape", answer: `{"active":false,"\u0061ctive":true,` + rest},
		{name: "IN-08 false, and true in another case", answer: `{"active":false,"Active":true,` + rest, want: verifier.ReasonInactive},
		{name: "IN-16 nested 10 001 deep", answer: `{"active":true,"x":` + strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001) + "}"},
		{name: "inactive", answer: `{"active":false}`, want: verifier.ReasonInactive},
		{name: "inactive whatever else it says", answer: about(raw{"active": "false", "exp": `"soon"`, "sub": "1"}), want: verifier.ReasonInactive},
	} {
		c.run(t)
	}
}

func TestIntrospectionJudgesAnActiveAnswer(t *testing.T) {
	past, future := number(time.Now().Add(-time.Minute)), number(time.Now().Add(time.Minute))
	withClients := func(c *verifier.IntrospectionConfig) { c.ClientIDs = []string{"client-a"} }
	ours := func(c *verifier.IntrospectionConfig) { c.AnswersAreOurs = true }
	for _, c := range []answerCase{
		{name: "IN-09 exp in the past", answer: about(raw{"exp": past}), want: verifier.ReasonExpired},
		{name: "IN-09 exp a string", answer: about(raw{"exp": `"9999999999"`}), want: verifier.ReasonClaims},
		{name: "IN-09 exp null", answer: about(raw{"exp": "null"}), want: verifier.ReasonClaims},
		{name: "IN-09 exp 0", answer: about(raw{"exp": "0"}), want: verifier.ReasonClaims},
		{name: "IN-09 exp out of range", answer: about(raw{"exp": "1e300"}), want: verifier.ReasonClaims},
		{name: "IN-10 nbf in the future", answer: about(raw{"nbf": future}), want: verifier.ReasonNotYetValid},
		{name: "IN-10 nbf a string", answer: about(raw{"nbf": `"1"`}), want: verifier.ReasonClaims},
		{name: "iat in the future", answer: about(raw{"iat": future}), want: verifier.ReasonNotYetValid},
		{name: "IN-12 aud missing", answer: about(raw{"aud": ""}), want: verifier.ReasonAudience},
		{name: "IN-12 aud null", answer: about(raw{"aud": "null"}), want: verifier.ReasonAudience},
		{name: "IN-12 aud empty", answer: about(raw{"aud": "[]"}), want: verifier.ReasonAudience},
		{name: "IN-12 aud the empty string", answer: about(raw{"aud": `""`}), want: verifier.ReasonAudience},
		{name: "IN-12 aud another resource", answer: about(raw{"aud": `"https://other.example/mcp"`}), want: verifier.ReasonAudience},
		{name: "IN-12 aud a longer resource", answer: about(raw{"aud": quote(resource + "/")}), want: verifier.ReasonAudience},
		{name: "IN-12 aud others only", answer: about(raw{"aud": `["a","b"]`}), want: verifier.ReasonAudience},
		{name: "IN-12 aud a number", answer: about(raw{"aud": "1"}), want: verifier.ReasonClaims},
		{name: "IN-12 aud an object", answer: about(raw{"aud": "{" + quote(resource) + ":1}"}), want: verifier.ReasonClaims},
		{name: "IN-12 aud with a number in it", answer: about(raw{"aud": "[" + quote(resource) + ",1]"}), want: verifier.ReasonClaims},
		{name: "IN-12 another aud with AnswersAreOurs", answer: about(raw{"aud": `"https://other.example"`}), want: verifier.ReasonAudience, edit: ours},
		{name: "IN-12 no aud, another client", answer: about(raw{"aud": ""}), want: verifier.ReasonAudience, edit: withClients},
		{name: "IN-12 our aud, another client", answer: about(nil), want: verifier.ReasonAudience, edit: withClients},
		{name: "IN-12 another aud, our client", answer: about(raw{"aud": `"https://other.example"`, "client_id": `"client-a"`}), want: verifier.ReasonAudience, edit: withClients},
		{name: "IN-12 no aud, no client", answer: about(raw{"aud": "", "client_id": ""}), want: verifier.ReasonAudience, edit: withClients},
		{name: "iss of another server", answer: about(raw{"iss": quote(server + "/")}), want: verifier.ReasonIssuer},
		{name: "iss a number", answer: about(raw{"iss": "1"}), want: verifier.ReasonClaims},
		{name: "IN-14 cnf.jkt", answer: about(raw{"cnf": `{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`}), want: verifier.ReasonConfirmation},
		{name: "IN-14 cnf.x5t#S256", answer: about(raw{"cnf": `{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`}), want: verifier.ReasonConfirmation},
		{name: "IN-14 cnf empty", answer: about(raw{"cnf": `{}`}), want: verifier.ReasonConfirmation},
		{name: "IN-14 token_type DPoP", answer: about(raw{"token_type": `"DPoP"`}), want: verifier.ReasonConfirmation},
		{name: "IN-14 typ DPoP", answer: about(raw{"typ": `"DPoP"`}), want: verifier.ReasonConfirmation},
		{name: "refresh token by token_type", answer: about(raw{"token_type": `"refresh_token"`}), want: verifier.ReasonType},
		{name: "refresh token by token_use", answer: about(raw{"token_use": `"refresh_token"`}), want: verifier.ReasonType},
		{name: "refresh token by token_usage", answer: about(raw{"token_usage": `"refresh_token"`}), want: verifier.ReasonType},
		{name: "refresh token by typ", answer: about(raw{"typ": `"Refresh"`}), want: verifier.ReasonType},
		{name: "offline token by typ", answer: about(raw{"typ": `"Offline"`}), want: verifier.ReasonType},
		{name: "ID token by typ", answer: about(raw{"typ": `"ID"`}), want: verifier.ReasonType},
		{name: "ID token by nonce", answer: about(raw{"token_type": "", "nonce": `"n"`}), want: verifier.ReasonType},
		{name: "refresh token by silence", answer: about(raw{"token_type": "", "aud": ""}), want: verifier.ReasonType, edit: ours},
		{name: "refresh token by silence, aud null", answer: about(raw{"token_type": "", "aud": "null"}), want: verifier.ReasonType, edit: ours},
		{name: "refresh token by silence, aud empty", answer: about(raw{"token_type": "", "aud": "[]"}), want: verifier.ReasonType, edit: ours},
		{name: "token_type a number", answer: about(raw{"token_type": "1"}), want: verifier.ReasonType},
		{name: "logout token", answer: about(raw{"events": "{}"}), want: verifier.ReasonType},
		{name: "nobody's", answer: about(raw{"sub": "", "client_id": ""}), want: verifier.ReasonClaims},
		{name: "user without sub", answer: about(raw{"sub": "", "username": `"jane"`}), want: verifier.ReasonClaims},
		{name: "IN-31 control characters in sub", answer: about(raw{"sub": `"a\r\nSet-Cookie: b"`}), want: verifier.ReasonClaims},
		{name: "IN-31 control characters in client_id", answer: about(raw{"client_id": `"a\u0000b"`}), want: verifier.ReasonClaims},
		{name: "IN-31 CRLF in scope", answer: about(raw{"scope": `"a\r\nb"`}), want: verifier.ReasonClaims},
		{name: "IN-31 quotes in scope", answer: about(raw{"scope": `"a\"b"`}), want: verifier.ReasonClaims},
	} {
		c.run(t)
	}
}

func TestIntrospectionAcceptsWhatIsLegal(t *testing.T) {
	ours := func(c *verifier.IntrospectionConfig) { c.AnswersAreOurs = true }
	for _, c := range []struct {
		name   string
		answer string
		edit   func(*verifier.IntrospectionConfig)
		check  func(*testing.T, *verifier.Token)
	}{
		{name: "IN-12 aud an array", answer: about(raw{"aud": `["a",` + quote(resource) + "]"})},
		{name: "IN-12 no aud, AnswersAreOurs", answer: about(raw{"aud": ""}), edit: ours, check: forUs},
		{name: "IN-12 empty aud, AnswersAreOurs", answer: about(raw{"aud": "[]"}), edit: ours, check: forUs},
		{
			name: "IN-12 no aud, one of our clients", answer: about(raw{"aud": "", "client_id": `"client-a"`}), check: forUs,
			edit: func(c *verifier.IntrospectionConfig) { c.ClientIDs = []string{"client-b", "client-a"} },
		},
		{
			name: "IN-12 another name for us", answer: about(raw{"aud": `"api://ours"`}),
			edit: func(c *verifier.IntrospectionConfig) { c.Audiences = []string{"api://ours"} },
		},
		{
			name: "client credentials", answer: about(raw{"sub": ""}),
			check: func(t *testing.T, got *verifier.Token) {
				if got.Subject != "client-0123456789abcdef" || got.Subject != got.ClientID {
					t.Errorf("subject %q", got.Subject)
				}
			},
		},
		{name: "client credentials under its own name", answer: about(raw{"sub": "", "username": `"client-0123456789abcdef"`})},
		{name: "no token_type", answer: about(raw{"token_type": ""})},
		{name: "token_type in lower case", answer: about(raw{"token_type": `"bearer"`})},
		{name: "an ID token's mark in a bearer token", answer: about(raw{"nonce": `"n"`})},
		{name: "token_use access_token", answer: about(raw{"token_use": `"access_token"`, "typ": `"Bearer"`})},
		{name: "no iss, no iat, no jti", answer: about(raw{"iss": "", "iat": "", "jti": ""})},
		{name: "exp within the leeway", answer: about(raw{"exp": number(time.Now().Add(-5 * time.Second))})},
		{name: "scope an array", answer: about(raw{"scope": `["files:read"]`})},
		{
			name: "IN-31 markup in what is not used", answer: about(raw{"username": `"<script>alert(1)</script>\r\n"`}),
			check: func(t *testing.T, got *verifier.Token) {
				if strings.Contains(got.Subject+got.ClientID+got.ID+got.Scopes.String(), "<") {
					t.Error("it came through")
				}
			},
		},
		{
			name: "a rule of one's own fills in", answer: about(raw{"aud": "", "sub": ""}),
			edit: func(c *verifier.IntrospectionConfig) {
				c.Judge = func(token *verifier.Token) error {
					token.Audience, token.Subject, token.Tenant = []string{resource}, "from the rule", string(token.Source())
					return nil
				}
			},
			check: func(t *testing.T, got *verifier.Token) {
				if got.Subject != "from the rule" || got.Tenant != string(verifier.SourceIntrospection) {
					t.Errorf("subject %q, tenant %q", got.Subject, got.Tenant)
				}
			},
		},
		{
			name: "a rule of one's own assigns a whole token", answer: about(nil),
			edit:  func(c *verifier.IntrospectionConfig) { c.Judge = assign },
			check: func(t *testing.T, got *verifier.Token) { assigned(t, got, "token-of-the-case") },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			edit := c.edit
			if edit == nil {
				edit = func(*verifier.IntrospectionConfig) {}
			}
			i := newInspector(t, edit)
			i.endpoint.set("token-of-the-case", c.answer)
			got := i.accept("token-of-the-case")
			if got.Expiry.IsZero() || got.Issuer != server {
				t.Errorf("expiry %v, issuer %q", got.Expiry, got.Issuer)
			}
			if c.check != nil {
				c.check(t, got)
			}
		})
	}
}

// forUs checks that a token without aud names this resource, for the front door.
func forUs(t *testing.T, got *verifier.Token) {
	if !slices.Equal(got.Audience, []string{resource}) {
		t.Errorf("audience %q", got.Audience)
	}
}

func TestIntrospectionRuleOfOnesOwnRefuses(t *testing.T) {
	for _, c := range []struct {
		err  error
		want verifier.Reason
	}{
		{errors.New("no"), verifier.ReasonProvider},
		{&verifier.InvalidTokenError{Reason: verifier.ReasonType}, verifier.ReasonType},
		{&verifier.UnavailableError{Issuer: server, Err: errors.New("database")}, ""},
	} {
		i := newInspector(t, func(config *verifier.IntrospectionConfig) {
			config.Judge = func(*verifier.Token) error { return c.err }
		})
		if c.want == "" {
			i.unavailable(opaque)
		} else {
			i.refuse(opaque, c.want)
		}
	}
}

// IN-16, and what else is no answer: nothing is taken from it.
func TestIntrospectionWithstandsAnswersOfAnotherKind(t *testing.T) {
	for name, fault := range map[string]http.Handler{
		"IN-06 login page":       faulty(authtest.HTML()),
		"IN-06 JSON as HTML":     faulty(authtest.Respond(http.StatusOK, http.Header{"Content-Type": {"text/html"}}, about(nil))),
		"IN-06 no Content-Type":  faulty(authtest.Respond(http.StatusOK, http.Header{"Content-Type": {""}}, about(nil))),
		"IN-17 a JWT, not asked": faulty(authtest.Respond(http.StatusOK, http.Header{"Content-Type": {"application/token-introspection+jwt"}}, "e30.e30.e30")),
		"IN-16 endless":          faulty(authtest.Endless()),
		"IN-16 gzip bomb":        faulty(authtest.GzipBomb(50 << 20)),
		"IN-16 50 MB": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range 50 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			i := newInspector(t)
			i.endpoint.fail(fault)
			i.unavailable(opaque)
			i.endpoint.fail(nil)
			i.accept(opaque)
		})
	}
}

func TestIntrospectionZeroValueRefuses(t *testing.T) {
	var v verifier.Introspection
	_, err := v.Verify(t.Context(), opaque)
	isInvalid(t, err, verifier.ReasonIssuer)
	v.Forget(opaque)
	if v.Ready(t.Context()) == nil {
		t.Error("ready")
	}
	if v.Status().Issuer != "" {
		t.Error("status")
	}
	_, err = verifier.NewIntrospection(verifier.IntrospectionConfig{Resource: resource, Issuer: server, Auth: clientauth.Method{}})
	if err == nil || !strings.Contains(err.Error(), "Auth") {
		t.Errorf("no Auth: %v", err)
	}
}
