package middleware_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/scopes"
)

func TestCredentials(t *testing.T) {
	const authorization = "Authorization: "
	// A form of HT-08: each of these is a blank to some reader.
	blanks := map[string]string{
		"tab": "\t", "NBSP": "\u00a0", "Latin-1 NBSP": "\xa0", "NEL": "\u0085", "em space": "\u2003",
		"ideographic space": "\u3000", "zero width space": "\u200b", "BOM": "\ufeff",
	}
	type row struct {
		name   string
		fields []string
		want   int
	}
	rows := []row{
		{"HT-01 no Authorization", nil, unauthenticated},
		{"HT-01 empty Authorization", []string{authorization}, unauthenticated},
		{"HT-02 good, then bad", []string{authorization + "Bearer " + good, authorization + "Bearer " + bad}, invalidRequest},
		{"HT-02 bad, then good", []string{authorization + "Bearer " + bad, authorization + "Bearer " + good}, invalidRequest},
		{"HT-02 good twice", []string{authorization + "Bearer " + good, authorization + "Bearer " + good}, invalidRequest},
		{"HT-02 good and empty", []string{authorization + "Bearer " + good, authorization}, invalidRequest},
		{"HT-03 Bearer and DPoP", []string{authorization + "Bearer " + good, authorization + "DPoP " + good}, invalidRequest},
		{"HT-03 Bearer and Basic", []string{authorization + "Bearer " + good, authorization + "Basic eDp5"}, invalidRequest},
		{"HT-03 two foreign schemes", []string{authorization + "Basic eDp5", authorization + "Basic eDp5"}, invalidRequest},
		{"HT-04 two credentials in one field", []string{authorization + "Bearer " + good + ", Bearer " + bad}, invalidRequest},
		{"HT-04 a trailing comma", []string{authorization + "Bearer " + good + ","}, invalidRequest},
		{"HT-04 a leading comma", []string{authorization + ", Bearer " + good}, invalidRequest},
		{"HT-04 Basic, then Bearer", []string{authorization + "Basic x, Bearer " + good}, invalidRequest},
		{"HT-04 Basic, then Bearer, glued", []string{authorization + "Basic x,BEARER " + good}, invalidRequest},
		{"HT-04 Basic, then DPoP", []string{authorization + "Basic x, a=b,\tdpop " + good}, invalidRequest},
		{"HT-04 a comma that hides nothing", []string{authorization + `Digest a="b", bearer_methods="c"`}, unauthenticated},
		{"HT-05 lower case", []string{authorization + "bearer " + good}, ok},
		{"HT-05 upper case", []string{authorization + "BEARER " + good}, ok},
		{"HT-05 mixed case", []string{authorization + "BeArEr " + good}, ok},
		{"HT-06 the scheme alone", []string{authorization + "Bearer"}, invalidRequest},
		{"HT-06 the scheme and a blank", []string{authorization + "Bearer "}, invalidRequest},
		{"HT-06 the scheme and a tab", []string{authorization + "Bearer\t"}, invalidRequest},
		{"HT-07 two blanks", []string{authorization + "Bearer  " + good}, ok},
		{"HT-07 trailing blanks", []string{authorization + "Bearer " + good + " \t "}, ok},
		{"HT-07 leading blanks, as HTTP/2 keeps them", []string{authorization + " \t Bearer " + good + " "}, ok},
		{"HT-07 a blank inside", []string{authorization + "Bearer " + good + " " + good}, invalidRequest},
		{"HT-07 a tab after the blank", []string{authorization + "Bearer \t" + good}, invalidRequest},
		{"HT-08 a quoted token", []string{authorization + `Bearer "` + good + `"`}, invalidRequest},
		{"HT-10 glued", []string{authorization + "Bearer" + good}, unauthenticated},
		{"HT-10 glued by equals", []string{authorization + "Bearer=" + good}, invalidRequest},
		{"HT-10 glued by a colon", []string{authorization + "Bearer:" + good}, invalidRequest},
		{"HT-10 a challenge for credentials", []string{authorization + `Bearer realm="x"`}, invalidRequest},
		{"HT-10 the token alone", []string{authorization + good}, unauthenticated},
		{"TS-07 JSON serialization", []string{authorization + `Bearer {"payload":"e30","signatures":[]}`}, invalidRequest},
		{"TS-18 bytes beyond ASCII are the Verifier's", []string{authorization + "Bearer " + good + "\xff"}, invalidToken},
		{"a scheme we do not speak", []string{authorization + "Basic eDp5"}, unauthenticated},
		{"DPoP is not spoken", []string{authorization + "DPoP " + good}, unauthenticated},
		{"HT-16 headers that look like identity", []string{
			"X-Authenticated-User: admin", "X-Forwarded-User: admin", "X-Scopes: files:read",
			"X_Forwarded_Host: evil.example", "Authorization_: Bearer " + good,
			"X-Forwarded-Authorization: Bearer " + good, "Proxy-Authorization: Bearer " + good,
			"Cookie: Authorization=Bearer " + good,
		}, unauthenticated},
		{"HT-20 X-Forwarded-Host that breaks out of quotes", []string{
			`X-Forwarded-Host: a", error="insufficient_scope", scope="admin`, "X-Forwarded-Proto: http",
		}, unauthenticated},
		{"HT-54 100 KiB of a foreign scheme", []string{authorization + "Basic " + strings.Repeat(",", 100<<10)}, invalidRequest},
		{"HT-54 60 KiB of a foreign scheme", []string{authorization + "Negotiate " + strings.Repeat("A", 60<<10)}, unauthenticated},
		{"HT-34 exempt by name", []string{"User-Agent: kube-probe/1.30", "X-Forwarded-Uri: /healthz",
			"X-Original-Url: /public"}, unauthenticated},
		{"HT-36 another method by header", []string{"X-HTTP-Method-Override: OPTIONS",
			"X-Method-Override: OPTIONS", "Origin: " + appOrigin, "Access-Control-Request-Method: POST"}, unauthenticated},
	}
	for name, blank := range blanks {
		rows = append(rows,
			row{"HT-08 " + name, []string{authorization + "Bearer" + blank + good}, invalidRequest})
	}
	for _, tt := range rows {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			check(t, f.answer(f.handler(), request(tt.fields...)), tt.want)
			asked := tt.want == ok || tt.want == invalidToken
			if (len(f.verifier.seen) > 0) != asked {
				t.Errorf("the Verifier saw %d tokens", len(f.verifier.seen))
			}
			if tt.want == ok && f.verifier.seen[0] != good {
				t.Errorf("the Verifier saw %q", f.verifier.seen[0])
			}

			// Where no token is needed, odd credentials are refused all the same;
			// only their absence makes a caller anonymous.
			want := tt.want
			if want == unauthenticated {
				want = ok
			}
			check(t, f.answer(f.guard.Protect(scopes.Policy{Base: scopes.Public()})(f.next), request(tt.fields...)), want)
		})
	}
}

func TestQueryToken(t *testing.T) {
	for _, tt := range []struct {
		name, query, authorization string
		want                       int
	}{
		{"HT-12 in the query alone", "access_token=" + good, "", unauthenticated},
		{"HT-12 with a scheme we do not speak", "access_token=" + good, "Basic eDp5", unauthenticated},
		{"HT-13 with a good header", "access_token=" + bad, "Bearer " + good, invalidRequest},
		{"HT-13 the same token", "access_token=" + good, "Bearer " + good, invalidRequest},
		{"HT-13 without a value", "a=b&access_token", "Bearer " + good, invalidRequest},
		{"HT-13 escaped", "a=b&access%5Ftoken=x", "Bearer " + good, invalidRequest},
		{"HT-13 escaped all over", "%61%63%63%65%73%73%5f%74%6f%6b%65%6e=x", "Bearer " + good, invalidRequest},
		{"HT-13 after a semicolon", "a=b;access_token=x", "Bearer " + good, invalidRequest},
		{"another name", "access_tokens=x&my_access_token=y&ACCESS_TOKEN=z", "Bearer " + good, ok},
		{"the name as a value", "a=access_token", "Bearer " + good, ok},
		{"a broken escape", "access%5token=%zz", "Bearer " + good, ok},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			r := request()
			r.URL.RawQuery = tt.query
			if tt.authorization != "" {
				r.Header.Set("Authorization", tt.authorization)
			}
			check(t, f.answer(f.handler(), r), tt.want)
		})
	}
}

// A body that notices when it is read.
type untouchable struct{ t *testing.T }

func (u untouchable) Read([]byte) (int, error) {
	u.t.Error("the front door read the body")
	return 0, io.EOF
}

func TestTheBodyIsNeverRead(t *testing.T) {
	for _, tt := range []struct {
		name, method string
		length       int64
	}{
		{"HT-14 form", http.MethodPost, 100},
		{"HT-14 chunked form", http.MethodPost, -1},
		{"HT-14 GET with a body", http.MethodGet, 100},
		{"HT-39 OPTIONS with a body", http.MethodOptions, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			r := httptest.NewRequest(tt.method, "/mcp", untouchable{t})
			r.ContentLength = tt.length
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			check(t, f.answer(f.handler(), r), unauthenticated)
			if r.Form != nil || r.PostForm != nil {
				t.Error("the form was parsed")
			}
			r.Header.Set("Authorization", "Bearer "+good)
			check(t, f.answer(f.handler(), r), ok)
		})
	}
}

func TestTheHandlerNeverSeesCredentials(t *testing.T) {
	fields := []string{"Authorization: Bearer " + good, "DPoP: proof", "X-Other: stays"}
	for _, tt := range []struct {
		name    string
		forward bool
		base    scopes.Requirement
		fields  []string
		removed bool
	}{
		{"accepted", false, scopes.All("files:read"), fields, true},
		{"accepted and forwarded", true, scopes.All("files:read"), fields, false},
		{"anonymous with a foreign scheme", false, scopes.Public(), []string{"Authorization: Basic eDp5", "DPoP: p", "X-Other: stays"}, true},
		{"anonymous with a foreign scheme, forwarding", true, scopes.Public(), []string{"Authorization: Basic eDp5", "DPoP: p", "X-Other: stays"}, true},
		{"anonymous with a proof", false, scopes.Public(), []string{"DPoP: p", "X-Other: stays"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t, func(f *fixture) { f.config.DangerouslyForwardToken = tt.forward })
			r := request(tt.fields...)
			before := r.Header.Clone()
			check(t, f.answer(f.guard.Protect(scopes.Policy{Base: tt.base})(f.next), r), ok)
			got := f.next.requests[0]
			for _, name := range []string{"Authorization", "DPoP"} {
				if had := before.Get(name) != ""; had && (got.Header.Get(name) == "") != tt.removed {
					t.Errorf("%s = %q", name, got.Header.Get(name))
				}
				if r.Header.Get(name) != before.Get(name) {
					t.Errorf("the caller's %s changed", name)
				}
			}
			if got.Header.Get("X-Other") != "stays" {
				t.Error("another header is gone")
			}
			got.Header.Add("X-Other", "added")
			got.Header.Set("X-New", "set")
			if tt.removed && (len(r.Header["X-Other"]) != 1 || r.Header.Get("X-New") != "") {
				t.Error("the handler's headers are the caller's")
			}
		})
	}
}

// However the field looks, the Verifier sees only what is one token to every
// reader, and whatever it sees is at the end of the field.
func FuzzAuthorization(f *testing.F) {
	f.Add("Bearer "+good, "")
	f.Add("Basic x, Bearer "+good, "access_token=x")
	f.Add(" \tbearer  a.b.c ", "a=b&access%5ftoken=x")
	f.Fuzz(func(t *testing.T, field, query string) {
		fx := newFixture(t, func(f *fixture) { f.config.Observe = nil })
		r := request()
		r.Header["Authorization"] = []string{field}
		r.URL.RawQuery = query
		w := fx.answer(fx.handler(), r)
		allowed := []int{200, 400, 401}
		if !slices.Contains(allowed, w.Code) {
			t.Fatalf("answer %d", w.Code)
		}
		if len(fx.verifier.seen) == 0 {
			return
		}
		token := fx.verifier.seen[0]
		trimmed := strings.Trim(field, " \t")
		if token == "" || strings.ContainsAny(token, " \t,\"") || !strings.HasSuffix(trimmed, " "+token) ||
			!strings.EqualFold(strings.TrimRight(strings.TrimSuffix(trimmed, token), " "), "Bearer") {
			t.Fatalf("%q was read as %q", field, token)
		}
		if r.URL.Query().Has("access_token") {
			t.Fatalf("two methods were accepted: %q", query)
		}
	})
}

var _ http.Handler = (*middleware.Refusal)(nil)
