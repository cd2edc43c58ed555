package verifier_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/internal/jose"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestVerifyReadsTheToken(t *testing.T) {
	w := newWorld(t)
	issued, expiry := time.Now().Truncate(time.Second), time.Now().Add(48*time.Hour).Truncate(time.Second)
	text := w.token(raw{"scope": `"files:write files:read"`, "extra": `{"a":[1]}`})
	got := w.accept(text)
	if got.Issuer != w.issuer.URL() || got.Subject != "user-0123456789abcdef" || got.ClientID != "client-0123456789abcdef" ||
		got.ID != "id-0123456789abcdef" || got.Tenant != "" || !slices.Equal(got.Audience, []string{resource}) {
		t.Errorf("read issuer %q, subject %q, client %q, id %q, tenant %q, audience %q",
			got.Issuer, got.Subject, got.ClientID, got.ID, got.Tenant, got.Audience)
	}
	if got.Scopes.String() != "files:read files:write" {
		t.Errorf("scopes %q", got.Scopes)
	}
	if d := got.Expiry.Sub(expiry); d < 0 || d > time.Second {
		t.Errorf("expiry %v, want %v", got.Expiry, expiry)
	}
	if d := got.IssuedAt.Sub(issued); d < 0 || d > time.Second {
		t.Errorf("issued at %v, want %v", got.IssuedAt, issued)
	}
	if got.DangerouslyRaw() != text {
		t.Error("DangerouslyRaw is not the credential")
	}
	var claims struct {
		Extra struct{ A []int } `json:"extra"`
	}
	if err := got.Claims(&claims); err != nil || len(claims.Extra.A) != 0 {
		t.Errorf("Claims: %v, %+v; names match in exact case only", err, claims)
	}
	if w.hits() != 2 {
		t.Errorf("%d requests for the first token, want one for discovery and one for the keys", w.hits())
	}
}

func TestVerifyAcceptsEveryAlgorithm(t *testing.T) {
	for _, alg := range jose.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			key := newKey(t, alg, "key-"+alg)
			w := newWorld(t, of(func(i *verifier.Issuer) { i.Algorithms = []string{alg} }))
			w.issuer.SetKeys(key)
			w.accept(w.token(nil))
		})
	}
	if got := len(jose.Algorithms()); got != 10 {
		t.Errorf("%d algorithms, want ten", got)
	}
}

func TestVerifyRefusesAnAlgorithmThatTheIssuerDoesNotUse(t *testing.T) {
	w := newWorld(t, of(func(i *verifier.Issuer) { i.Algorithms = []string{"RS256"} }))
	w.refuse(w.token(nil), verifier.ReasonAlgorithm)
	// KS-19: what discovery lists never widens the list.
	w = newWorld(t)
	for _, alg := range []string{"none", "HS256", "ES256K", "es256", ""} {
		w.refuse(w.sign(raw{"alg": quote(alg)}, w.payload(nil)), verifier.ReasonAlgorithm)
	}
	if w.hits() != 0 {
		t.Errorf("%d requests", w.hits())
	}
}

func TestVerifyAccepts(t *testing.T) {
	tomorrow := time.Now().Add(24 * time.Hour)
	for _, test := range []struct {
		name   string
		header raw
		claims raw
		issuer func(*verifier.Issuer)
		scopes string // besides "files:read"; "-" for none
	}{
		{name: "good"},
		{name: "HA-28 typ application/at+jwt", header: raw{"typ": `"application/at+jwt"`}},
		{name: "HA-28 typ AT+JWT", header: raw{"typ": `"AT+JWT"`}},
		{name: "HA-28 typ Application/At+Jwt", header: raw{"typ": `"Application/At+Jwt"`}},
		{name: "HA-27 typ JWT by default", header: raw{"typ": `"JWT"`}},
		{name: "HA-27 typ absent by default", header: raw{"typ": ""}},
		{name: "typ of the issuer's own", header: raw{"typ": `"acme+jwt"`}, issuer: func(i *verifier.Issuer) { i.Types = []string{"application/Acme+JWT"} }},
		{name: "unknown header members", header: raw{"x5t": `"abc"`, "cty": `"x"`, "extra": `[1]`}},
		{name: "kid absent and one key", header: raw{"kid": ""}},
		{name: "CL-11 aud array with others", claims: raw{"aud": `["https://other.example/mcp","` + resource + `"]`}},
		{name: "aud of the issuer's own", claims: raw{"aud": `"api://gatehouse"`}, issuer: func(i *verifier.Issuer) { i.Audiences = []string{"x", "api://gatehouse"} }},
		{name: "TS-50 exp with a fraction", claims: raw{"exp": number(tomorrow) + ".5"}},
		{name: "TS-50 exp with an exponent", claims: raw{"exp": number(tomorrow)[:1] + "." + number(tomorrow)[1:] + "e9"}},
		{name: "TS-50 exp with a long fraction", claims: raw{"exp": number(tomorrow) + ".00000000001"}},
		{name: "iat and nbf absent", claims: raw{"iat": ""}},
		{name: "iat and nbf with a fraction", claims: raw{"iat": number(time.Now()) + ".25", "nbf": number(time.Now()) + ".25"}},
		{name: "jti absent", claims: raw{"jti": ""}},
		{name: "client_id absent, azp there", claims: raw{"client_id": "", "azp": `"client-0123456789abcdef"`}},
		{name: "scope as an array", claims: raw{"scope": `["files:write","files:read"]`}, scopes: "files:write"},
		{name: "scp as a string", claims: raw{"scope": "", "scp": `"files:read files:write"`}, scopes: "files:write"},
		{name: "scp as an array", claims: raw{"scope": "", "scp": `["files:read"]`}},
		{name: "CL-24 scope array of one claim that the issuer names", claims: raw{"scope": `"admin"`, "permissions": `["files:read"]`}, issuer: func(i *verifier.Issuer) { i.ScopeClaim = "permissions" }},
		{name: "CL-29 scope wins over scp", claims: raw{"scp": `"admin"`}},
		{name: "CL-29 permissions and roles count nothing", claims: raw{"permissions": `["admin"]`, "roles": `["admin"]`}},
		{name: "CL-29 only the claim named scp counts", claims: raw{"scope": `"admin"`, "scp": `"files:read"`}, issuer: func(i *verifier.Issuer) { i.ScopeClaim = "scp" }},
		{name: "CL-29 only the claim named scope counts", claims: raw{"scope": "", "scp": `"admin"`}, issuer: func(i *verifier.Issuer) { i.ScopeClaim = "scope" }, scopes: "-"},
		{name: "CL-32 empty scope", claims: raw{"scope": `""`}, scopes: "-"},
		{name: "CL-32 scope absent", claims: raw{"scope": ""}, scopes: "-"},
		{name: "CL-25 scope is a number", claims: raw{"scope": "1"}, scopes: "-"},
		{name: "CL-25 scope is an object", claims: raw{"scope": `{"files:read":true}`}, scopes: "-"},
		{name: "CL-25 scope is null, scp does not step in", claims: raw{"scope": "null", "scp": `"admin"`}, scopes: "-"},
		{name: "CL-25 scope is true", claims: raw{"scope": "true"}, scopes: "-"},
		{name: "CL-25 scope is a nested array", claims: raw{"scope": `[["files:read"]]`}, scopes: "-"},
		{name: "CL-25 scope array with a number", claims: raw{"scope": `["files:read",1]`}, scopes: "-"},
		{name: "CL-27 a comma does not split", claims: raw{"scope": `"files:read read,admin"`}, scopes: "read,admin"},
		{name: "CL-27 a plus does not split", claims: raw{"scope": `"files:read read+admin"`}, scopes: "read+admin"},
		{name: "CL-27 %20 does not split", claims: raw{"scope": `"files:read read%20admin"`}, scopes: "read%20admin"},
		{name: "surplus spaces in scope", claims: raw{"scope": `"  files:read  "`}},
		{name: "CL-35 act ten deep, may_act", claims: raw{"act": strings.Repeat(`{"sub":"a","act":`, 10) + `{"sub":"z"}` + strings.Repeat("}", 10), "may_act": `{"sub":"x"}`}},
		{name: "CL-35 authorization_details of 6 KiB", claims: raw{"authorization_details": `[{"type":"` + strings.Repeat("a", 6<<10) + `"}]`}},
		{name: "TS-43 format characters in sub", claims: raw{"sub": `"user-\u202e\u2028x"`}},
		{name: "TS-35 iss with NUL beside the real one", claims: raw{`iss\u0000`: `"https://evil.example"`}},
		{name: "nonce under typ at+jwt", claims: raw{"nonce": `"n"`}},
		{name: "HA-30 ID token where the issuer says so", header: raw{"typ": `"JWT"`}, claims: raw{"nonce": `"n"`, "at_hash": `"h"`}, issuer: func(i *verifier.Issuer) { i.DangerouslyAcceptIDTokens = true }},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, of(func(i *verifier.Issuer) {
				if test.issuer != nil {
					test.issuer(i)
				}
			}))
			payload := strings.ReplaceAll(w.payload(test.claims), `"iss\\u0000"`, `"iss\u0000"`)
			got := w.accept(w.sign(test.header, payload))
			want := strings.TrimSpace("files:read " + test.scopes)
			if test.scopes == "-" {
				want = ""
			}
			if got.Scopes.String() != want {
				t.Errorf("scopes %q, want %q", got.Scopes, want)
			}
			if got.Subject == "" || got.ClientID != "client-0123456789abcdef" || got.Expiry.Before(time.Now()) {
				t.Errorf("subject %q, client %q, expiry %v", got.Subject, got.ClientID, got.Expiry)
			}
		})
	}
}

// A bare origin with and without its slash is one resource; nothing else is.
func TestVerifyTakesABareOriginEitherWay(t *testing.T) {
	for _, pair := range [][2]string{{"https://mcp.example.com", "https://mcp.example.com/"}, {"https://mcp.example.com/", "https://mcp.example.com"}} {
		w := newWorld(t, func(c *verifier.JWTConfig) { c.Resource = pair[0] })
		w.accept(w.token(raw{"aud": quote(pair[1])}))
		w.refuse(w.token(raw{"aud": quote("https://mcp.example.com/x")}), verifier.ReasonAudience)
		w.refuse(w.token(raw{"aud": quote("https://mcp.example.com//")}), verifier.ReasonAudience)
	}
}

func TestVerifyDatesToTheNanosecond(t *testing.T) {
	const leeway = 10 * time.Second
	for _, test := range []struct {
		name   string
		claim  string
		offset time.Duration // of the claim from now
		before verifier.Reason
		after  verifier.Reason // a nanosecond later
	}{
		{"CL-14 exp: accepted until exp + leeway, refused on it", "exp", -leeway + 1, "", verifier.ReasonExpired},
		{"CL-17 nbf: refused before nbf - leeway, accepted on it", "nbf", leeway + 1, verifier.ReasonNotYetValid, ""},
		{"CL-18 iat: refused before iat - leeway, accepted on it", "iat", leeway + 1, verifier.ReasonNotYetValid, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, uncached).warm()
				token := w.token(raw{test.claim: number(time.Now().Add(time.Hour))})
				time.Sleep(time.Hour - test.offset)
				for _, want := range []verifier.Reason{test.before, test.after} {
					if _, err := w.verify(token); want == "" && err != nil {
						t.Errorf("at %v: %v", test.offset, err)
					} else if want != "" {
						isInvalid(t, err, want)
					}
					time.Sleep(time.Nanosecond)
				}
			})
		})
	}
}

func TestVerifyDatesToTheSecond(t *testing.T) {
	for _, test := range []struct {
		name   string
		claims map[string]time.Duration // from now
		leeway time.Duration            // 0: the default of 10 s
		want   verifier.Reason
	}{
		{"CL-14 exp = now", map[string]time.Duration{"exp": 0}, 0, ""},
		{"CL-14 exp = now-1", map[string]time.Duration{"exp": -time.Second}, 0, ""},
		{"CL-14 exp = now-leeway+1", map[string]time.Duration{"exp": -9 * time.Second}, 0, ""},
		{"CL-14 exp = now-leeway", map[string]time.Duration{"exp": -10 * time.Second}, 0, verifier.ReasonExpired},
		{"CL-14 exp = now-leeway-1", map[string]time.Duration{"exp": -11 * time.Second}, 0, verifier.ReasonExpired},
		{"CL-14 exp = now with the least leeway", map[string]time.Duration{"exp": 0}, 1, ""},
		{"CL-15 expired 30 s ago", map[string]time.Duration{"exp": -30 * time.Second}, 0, verifier.ReasonExpired},
		{"CL-15 expired a second ago with the least leeway", map[string]time.Duration{"exp": -time.Second}, 1, verifier.ReasonExpired},
		{"the largest leeway, inside", map[string]time.Duration{"exp": -119 * time.Second}, 2 * time.Minute, ""},
		{"the largest leeway, outside", map[string]time.Duration{"exp": -120 * time.Second}, 2 * time.Minute, verifier.ReasonExpired},
		{"CL-17 nbf = now+leeway+1", map[string]time.Duration{"nbf": 11 * time.Second}, 0, verifier.ReasonNotYetValid},
		{"CL-17 nbf = now+leeway", map[string]time.Duration{"nbf": 10 * time.Second}, 0, ""},
		{"CL-17 nbf = now", map[string]time.Duration{"nbf": 0}, 0, ""},
		{"CL-18 iat an hour ahead", map[string]time.Duration{"iat": time.Hour}, 0, verifier.ReasonNotYetValid},
		{"CL-18 iat = now+leeway", map[string]time.Duration{"iat": 10 * time.Second}, 0, ""},
		{"TS-49 exp in 366 days", map[string]time.Duration{"exp": 366 * 24 * time.Hour}, 0, ""},
		{"TS-49 exp in 366 days and a second", map[string]time.Duration{"exp": 366*24*time.Hour + time.Second}, 0, verifier.ReasonClaims},
		{"expired beats not yet valid", map[string]time.Duration{"exp": -time.Hour, "nbf": time.Hour}, 0, verifier.ReasonExpired},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t, func(c *verifier.JWTConfig) { c.Leeway = test.leeway }).warm()
				replace := raw{"iat": ""}
				for name, offset := range test.claims {
					replace[name] = number(time.Now().Add(offset))
				}
				if token := w.token(replace); test.want == "" {
					w.accept(token)
				} else {
					w.refuse(token, test.want)
				}
			})
		})
	}
}

func TestVerifyAsksTheIssuersOwnRule(t *testing.T) {
	constant := "register the application"
	for _, test := range []struct {
		name   string
		judge  func(*verifier.Token) error
		claims raw
		reason verifier.Reason // empty: accepted
		hint   string
	}{
		{name: "accepts", judge: func(*verifier.Token) error { return nil }},
		{name: "fills in", claims: raw{"sub": "", "aud": `"` + "their-name" + `"`}, judge: func(token *verifier.Token) error {
			token.Subject, token.Audience, token.Tenant, token.ClientID = "filled in", []string{resource}, "tenant", "client-0123456789abcdef"
			return nil
		}},
		{name: "cannot leave the subject empty", judge: func(token *verifier.Token) error { token.Subject = ""; return nil }, reason: verifier.ReasonClaims},
		{name: "cannot take the audience away", judge: func(token *verifier.Token) error { token.Audience = nil; return nil }, reason: verifier.ReasonAudience},
		{name: "refuses with a Reason", reason: verifier.ReasonProvider, hint: constant, judge: func(*verifier.Token) error {
			return &verifier.InvalidTokenError{Reason: verifier.ReasonProvider, Hint: constant}
		}},
		{name: "refuses with any error, whose text stays inside", reason: verifier.ReasonProvider, judge: func(token *verifier.Token) error {
			return &leak{token.DangerouslyRaw()}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, of(func(i *verifier.Issuer) { i.Judge = test.judge }))
			_, err := w.verify(w.token(test.claims))
			if test.reason == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			isInvalid(t, err, test.reason)
			if !strings.Contains(err.Error(), test.hint) {
				t.Errorf("%v; want the hint %q", err, test.hint)
			}
		})
	}
	t.Run("may assign a whole token, and takes nothing away by that", func(t *testing.T) {
		w := newWorld(t, of(func(i *verifier.Issuer) { i.Judge = assign }))
		token := w.token(nil)
		for range 2 {
			assigned(t, w.accept(token), token)
		}
	})
	t.Run("may say that it cannot tell", func(t *testing.T) {
		w := newWorld(t, of(func(i *verifier.Issuer) {
			i.Judge = func(*verifier.Token) error { return &verifier.UnavailableError{Issuer: authtest.DefaultURL} }
		}))
		_, err := w.verify(w.token(nil))
		isUnavailable(t, err)
	})
	t.Run("sees no token whose signature is wrong", func(t *testing.T) {
		w := newWorld(t, of(func(i *verifier.Issuer) {
			i.Judge = func(*verifier.Token) error { t.Error("called"); return nil }
		}))
		w.refuse(signWith(t, newKey(t, "ES256", w.issuer.Key().KeyID()), nil, w.payload(nil)), verifier.ReasonSignature)
		w.refuse(w.token(raw{"exp": "1"}), verifier.ReasonExpired)
	})
}

// assign is an issuer's rule that makes a Token of its own.
func assign(token *verifier.Token) error {
	*token = verifier.Token{Issuer: token.Issuer, Subject: "assigned", Audience: token.Audience, Expiry: token.Expiry}
	return nil
}

func assigned(t *testing.T, got *verifier.Token, text string) {
	t.Helper()
	var claims struct {
		Sub string `json:"sub"`
	}
	if err := got.Claims(&claims); err != nil || claims.Sub != "user-0123456789abcdef" {
		t.Errorf("Claims: %v, %q", err, claims.Sub)
	}
	if got.Subject != "assigned" || got.DangerouslyRaw() != text || got.Source() == "" {
		t.Errorf("subject %q, source %q, credential kept: %v", got.Subject, got.Source(), got.DangerouslyRaw() == text)
	}
}

type leak struct{ text string }

func (l *leak) Error() string { return l.text }
