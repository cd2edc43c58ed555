package middleware_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

var update = flag.Bool("update", false, "rewrite testdata/refusals.golden")

// Every answer of the front door, to the byte. Whoever changes one changes what
// clients have to cope with.
func TestRefusalsAreGolden(t *testing.T) {
	type row struct {
		name   string
		method string
		fields []string
		change func(*fixture)
	}
	bearer := "Authorization: Bearer " + good
	failing := func(err error) func(*fixture) { return func(f *fixture) { f.verifier.err = err } }
	rows := []row{
		{"no credentials", "POST", nil, nil},
		{"no credentials, from a browser", "POST", []string{"Origin: " + appOrigin}, nil},
		{"no credentials, HEAD", "HEAD", nil, nil},
		{"two Authorization fields", "POST", []string{bearer, bearer}, nil},
		{"two credentials in one field", "POST", []string{"Authorization: Basic x, Bearer y"}, nil},
		{"malformed credentials", "POST", []string{"Authorization: Bearer"}, nil},
		{"insufficient scope", "POST", []string{bearer}, func(f *fixture) { f.verifier.token = goodToken("files:write", "mail") }},
		{"origin not allowed", "POST", []string{bearer, "Origin: https://evil.example"}, nil},
		{"unavailable", "POST", []string{bearer}, failing(errBoom)},
		{"unavailable for 90.2 s", "POST", []string{bearer}, failing(&verifier.UnavailableError{RetryAfter: 90200 * time.Millisecond})},
		{"unavailable, from a browser", "POST", []string{bearer, "Origin: " + appOrigin}, failing(errBoom)},
	}
	for _, reason := range verifier.Reasons() {
		rows = append(rows, row{"invalid token: " + string(reason), "POST", []string{bearer},
			failing(&verifier.InvalidTokenError{Reason: reason})})
	}
	var got strings.Builder
	for _, tt := range rows {
		f := newFixture(t, func(f *fixture) {
			if tt.change != nil {
				tt.change(f)
			}
		})
		r := request(tt.fields...)
		r.Method = tt.method
		fmt.Fprintf(&got, "=== %s\n%s", tt.name, dump(f.answer(f.handler(), r)))
	}
	const golden = "testdata/refusals.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("differs from %s; see with -update and git diff\n%s", golden, got.String())
	}
}

func TestInvalidTokenAnswersDifferInTheTextOnly(t *testing.T) {
	var first http.Header
	for _, reason := range append(verifier.Reasons(), "made up") {
		f := newFixture(t)
		f.verifier.err = &verifier.InvalidTokenError{Reason: reason}
		w := f.answer(f.handler(), request("Authorization: Bearer "+good))
		check(t, w, invalidToken)
		h := w.Header()
		h.Set("WWW-Authenticate", strings.Replace(h.Get("WWW-Authenticate"), param(t, h, "error_description"), "", 1))
		if first == nil {
			first = h
		}
		if fmt.Sprint(h) != fmt.Sprint(first) {
			t.Errorf("%s: %v, want %v", reason, h, first)
		}
	}
}

func TestVerifierErrors(t *testing.T) {
	const elsewhere = "https://elsewhere.example"
	for _, tt := range []struct {
		name   string
		err    error
		want   int
		reason verifier.Reason
		issuer string
		text   string
		retry  string
	}{
		{"bare sentinel", verifier.ErrInvalidToken, invalidToken, verifier.ReasonUnspecified, "", "unspecified", ""},
		{"wrapped", fmt.Errorf("x: %w", &verifier.InvalidTokenError{Reason: verifier.ReasonExpired, Issuer: issuerURL, Hint: "sync the clock"}),
			invalidToken, verifier.ReasonExpired, issuerURL, "middleware: 401 invalid_token: expired: sync the clock", ""},
		{"a Reason that is not in the list", &verifier.InvalidTokenError{Reason: "alice@example.com"},
			invalidToken, verifier.ReasonUnspecified, "", "middleware: 401 invalid_token: unspecified", ""},
		{"an issuer that is not ours", &verifier.InvalidTokenError{Reason: verifier.ReasonIssuer, Issuer: elsewhere},
			invalidToken, verifier.ReasonIssuer, "", "middleware: 401 invalid_token: issuer", ""},
		{"unavailable", verifier.ErrUnavailable, unavailable, "", "", "middleware: 503 unavailable", "1"},
		{"unavailable with a wait", &verifier.UnavailableError{Issuer: issuerURL, RetryAfter: 1500 * time.Millisecond, Err: errBoom},
			unavailable, "", issuerURL, "middleware: 503 unavailable: identity provider " + issuerURL + " unavailable: boom", "2"},
		{"unavailable with a whole wait", &verifier.UnavailableError{RetryAfter: 3 * time.Second}, unavailable, "", "", "503", "3"},
		{"unavailable with a negative wait", &verifier.UnavailableError{RetryAfter: -time.Hour}, unavailable, "", "", "503", "1"},
		{"anything else", errBoom, unavailable, "", "", "an error of type *errors.errorString", "1"},
		{"somebody else's deadline", context.DeadlineExceeded, unavailable, "", "", "503", "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, func(f *fixture) { f.verifier.err = tt.err })
			w := f.answer(f.handler(), request("Authorization: Bearer "+good))
			check(t, w, tt.want)
			e := f.last()
			if e.Reason != tt.reason || e.Issuer != tt.issuer || !strings.Contains(e.Err.Error(), tt.text) {
				t.Errorf("reason %q, issuer %q, error %q", e.Reason, e.Issuer, e.Err)
			}
			if !errors.Is(e.Err, tt.err) {
				t.Error("the cause is lost")
			}
			if got := w.Header().Get("Retry-After"); got != tt.retry {
				t.Errorf("Retry-After: %q, want %q", got, tt.retry)
			}
		})
	}
}

func TestAClientThatWentAway(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := newFixture(t, func(f *fixture) {
		f.config.Verifier = verifier.Func(func(ctx context.Context, _ string) (*verifier.Token, error) {
			cancel()
			return nil, ctx.Err()
		})
	})
	w := f.answer(f.handler(), request("Authorization: Bearer "+good).WithContext(ctx))
	check(t, w, unavailable)
	if e := f.last(); e.Outcome != middleware.OutcomeCanceled || w.Header().Get("Retry-After") != "" {
		t.Errorf("outcome %s, headers %v", e.Outcome, w.Header())
	}
}

func TestDS23VerifierThatBreaksItsContract(t *testing.T) {
	for _, tt := range []struct {
		name   string
		token  *verifier.Token
		err    error
		want   int
		answer middleware.Outcome
	}{
		{"neither", nil, nil, unavailable, middleware.OutcomeUnavailable},
		{"both, unknown error", goodToken("files:read"), errBoom, unavailable, middleware.OutcomeUnavailable},
		{"both, invalid", goodToken("files:read"), verifier.ErrInvalidToken, invalidToken, middleware.OutcomeInvalidToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, func(f *fixture) {
				f.config.Verifier = verifier.Func(func(context.Context, string) (*verifier.Token, error) { return tt.token, tt.err })
			})
			check(t, f.answer(f.handler(), request("Authorization: Bearer "+good)), tt.want)
			if f.last().Outcome != tt.answer {
				t.Errorf("outcome %s", f.last().Outcome)
			}
		})
	}
}

func TestARefusalOfItsOwn(t *testing.T) {
	t.Run("drops what an outer handler prepared", func(t *testing.T) {
		f := newFixture(t)
		h := f.handler()
		w := f.answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"ETag", "Last-Modified", "Content-Length", "Content-Encoding", "WWW-Authenticate"} {
				w.Header().Set(name, "1")
			}
			w.Header().Set("X-Outer", "stays")
			h.ServeHTTP(w, r)
		}), request())
		check(t, w, unauthenticated)
		if len(w.Header()) != 5 || w.Header().Get("X-Outer") == "" {
			t.Errorf("headers %v", w.Header())
		}
	})
	t.Run("zero value is a 403", func(t *testing.T) {
		w := httptest.NewRecorder()
		new(middleware.Refusal).ServeHTTP(w, request())
		if w.Code != http.StatusForbidden || w.Body.String() != `{"error":"forbidden"}` {
			t.Error(dump(w))
		}
		if text := new(middleware.Refusal).Error(); text == "" {
			t.Error("no text")
		}
	})
	t.Run("answers what Check decided", func(t *testing.T) {
		f := newFixture(t)
		for _, r := range []*http.Request{
			request(), request("Authorization: Bearer"), request("Authorization: Bearer " + bad),
			request("Origin: https://evil.example"), request("Origin: " + appOrigin), preflight(appOrigin, ""),
		} {
			token, err := f.guard.Check(r, scopes.Policy{Base: scopes.All("files:read")})
			var refusal *middleware.Refusal
			if token != nil || !errors.As(err, &refusal) {
				t.Fatalf("Check = %v, %v", token, err)
			}
			direct := httptest.NewRecorder()
			refusal.ServeHTTP(direct, r)
			if wrapped := f.answer(f.handler(), r); dump(wrapped) != dump(direct) || direct.Code != refusal.Status {
				t.Errorf("Check:\n%s\nProtect:\n%s", dump(direct), dump(wrapped))
			}
		}
	})
}

// pieces returns every 16-byte piece of s.
func pieces(s string) []string {
	var all []string
	for i := 0; i+16 <= len(s); i++ {
		all = append(all, s[i:i+16])
	}
	return all
}

func TestNoPieceOfATokenLeaks(t *testing.T) {
	leaky := fmt.Errorf("cannot judge %s", good)
	for _, tt := range []struct {
		name   string
		fields []string
		change func(*fixture)
	}{
		{"insufficient scope", []string{"Authorization: Bearer " + good}, func(f *fixture) { f.verifier.token = goodToken() }},
		{"bad token", []string{"Authorization: Bearer " + good}, func(f *fixture) { f.verifier.err = verifier.ErrInvalidToken }},
		{"an error with the token in it", []string{"Authorization: Bearer " + good}, func(f *fixture) { f.verifier.err = leaky }},
		{"the same, wrapped as invalid", []string{"Authorization: Bearer " + good}, func(f *fixture) {
			f.verifier.err = fmt.Errorf("%w: %w", verifier.ErrInvalidToken, leaky)
		}},
		{"a token as Reason and Issuer", []string{"Authorization: Bearer " + good}, func(f *fixture) {
			f.verifier.err = &verifier.InvalidTokenError{Reason: good, Issuer: good}
		}},
		{"two fields", []string{"Authorization: Bearer " + good, "Authorization: Bearer " + good}, nil},
		{"malformed", []string{"Authorization: Bearer," + good}, nil},
		{"as scheme", []string{"Authorization: " + good}, nil},
		{"as origin", []string{"Origin: https://" + good}, nil},
		{"a token's foreign issuer", []string{"Authorization: Bearer " + good}, func(f *fixture) { f.verifier.token.Issuer = good }},
		{"a token's scope of another resource", []string{"Authorization: Bearer " + good}, func(f *fixture) { f.verifier.token = goodToken(good) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, func(f *fixture) {
				if tt.change != nil {
					tt.change(f)
				}
			})
			w := f.answer(f.handler(), request(tt.fields...))
			e := f.last()
			texts := dump(w) + e.Err.Error() + fmt.Sprintf("%v %+v %s", e.Err, e.Issuer, e.Reason)
			for _, piece := range pieces(good) {
				if strings.Contains(texts, piece) {
					t.Fatalf("%q leaked:\n%s", piece, texts)
				}
			}
		})
	}
}

func TestHT51NoCacheKeepsARefusal(t *testing.T) {
	f := newFixture(t)
	for want, field := range map[int]string{
		unauthenticated: "X-None: 1", invalidRequest: "Authorization: Bearer",
		invalidToken: "Authorization: Bearer " + bad, forbidden: "Origin: null",
	} {
		w := f.answer(f.handler(), request(field))
		check(t, w, want)
		if h := w.Header(); h.Get("Cache-Control") != "no-store" || h.Get("ETag") != "" || h.Get("Vary") != "" {
			t.Errorf("%q: headers %v", field, h)
		}
	}
}
