package verifier_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// refusal is one bad token. Where early is set it must be refused before
// anything is fetched; otherwise with the keys there, and without another
// request.
type refusal struct {
	name    string
	header  raw
	claims  raw
	payload string // replaces all claims
	early   bool
	want    verifier.Reason
}

func (r refusal) run(t *testing.T) {
	t.Run(r.name, func(t *testing.T) {
		w := newWorld(t)
		if !r.early {
			w.warm()
		}
		before := w.hits()
		payload := r.payload
		if payload == "" {
			payload = w.payload(r.claims)
		}
		w.refuse(w.sign(r.header, payload), r.want)
		if w.hits() != before {
			t.Errorf("%d requests", w.hits()-before)
		}
	})
}

func TestVerifyRefusesPayloads(t *testing.T) {
	good := newWorld(t).payload(nil)
	body := strings.TrimSuffix(good, "}")
	utf16 := func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			b.WriteByte(s[i])
			b.WriteByte(0)
		}
		return b.String()
	}
	nested := authtest.NewIssuer(t, authtest.Config{Resources: []string{resource}}).Token(nil)
	for _, test := range []refusal{
		{name: "TS-36 array", payload: "[]", want: verifier.ReasonMalformed},
		{name: "TS-36 string", payload: `"x"`, want: verifier.ReasonMalformed},
		{name: "TS-36 number", payload: "1", want: verifier.ReasonMalformed},
		{name: "TS-36 true", payload: "true", want: verifier.ReasonMalformed},
		{name: "TS-36 null", payload: "null", want: verifier.ReasonMalformed},
		{name: "TS-36 white space", payload: " ", want: verifier.ReasonMalformed},
		{name: "TS-38 second value", payload: good + `{"x":1}`, want: verifier.ReasonMalformed},
		{name: "TS-38 garbage after", payload: good + " garbage", want: verifier.ReasonMalformed},
		{name: "TS-38 NUL after", payload: good + "\x00", want: verifier.ReasonMalformed},
		{name: "TS-40 byte order mark", payload: "\ufeff" + good, want: verifier.ReasonMalformed},
		{name: "TS-40 UTF-16LE", payload: utf16(good), want: verifier.ReasonMalformed},
		{name: "TS-41 invalid UTF-8 in sub", payload: strings.Replace(good, "user-", "user-\xff", 1), want: verifier.ReasonMalformed},
		{name: "TS-41 invalid UTF-8 in iss", payload: strings.Replace(good, `"iss":"`, "\"iss\":\"\xff", 1), want: verifier.ReasonMalformed},
		{name: "TS-41 invalid UTF-8 in scope", payload: strings.Replace(good, "files:read", "files:read\xc3", 1), want: verifier.ReasonMalformed},
		{name: "TS-41 lone surrogate in sub", payload: strings.Replace(good, "user-", `user-\ud800`, 1), want: verifier.ReasonMalformed},
		{name: "TS-44 comment", payload: "/**/" + good, want: verifier.ReasonMalformed},
		{name: "TS-44 trailing comma", payload: body + ",}", want: verifier.ReasonMalformed},
		{name: "TS-44 single quotes", payload: body + ",'x':1}", want: verifier.ReasonMalformed},
		{name: "TS-44 NaN", payload: body + `,"x":NaN}`, want: verifier.ReasonMalformed},
		{name: "TS-44 Infinity", payload: body + `,"x":Infinity}`, want: verifier.ReasonMalformed},
		{name: "TS-44 hexadecimal", payload: body + `,"x":0x10}`, want: verifier.ReasonMalformed},
		{name: "TS-44 leading zero", payload: body + `,"x":01}`, want: verifier.ReasonMalformed},
		{name: "TS-44 plus sign", payload: body + `,"x":+1}`, want: verifier.ReasonMalformed},
		{name: "TS-44 unquoted name", payload: body + `,x:1}`, want: verifier.ReasonMalformed},
		{name: "TS-28 exp twice", payload: body + `,"exp":9999999999}`, want: verifier.ReasonMalformed},
		{name: "TS-30 duplicate inside", payload: body + `,"act":{"sub":"a","sub":"b"}}`, want: verifier.ReasonMalformed},
		{name: "TS-31 duplicate by an escape", payload: body + `,"e\u0078p":9999999999}`, want: verifier.ReasonMalformed},
		{name: "TS-60 a token inside a token", header: raw{"cty": `"JWT"`}, payload: nested, want: verifier.ReasonMalformed},
		{name: "CL-35 act nested 100 deep", payload: body + `,"act":` + strings.Repeat(`{"act":`, 100) + "1" + strings.Repeat("}", 100) + "}", want: verifier.ReasonMalformed},
		{name: "CL-35 authorization_details of 16 KiB", claims: raw{"authorization_details": `"` + strings.Repeat("a", 16<<10) + `"`}, want: verifier.ReasonTooLarge},
		{name: "DS-07 a thousand audiences over the limit", claims: raw{"aud": `["` + strings.Repeat(`https://a.example","`, 1000) + `"]`}, want: verifier.ReasonTooLarge},
	} {
		test.early = true
		test.run(t)
	}
	w := newWorld(t)
	text, err := w.issuer.Key().Sign([]byte(`{"alg":"ES256","kid":"es256-1","typ":"at+jwt"} {}`), []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	w.refuse(text, verifier.ReasonMalformed) // TS-39
	if text, err = w.issuer.Key().Sign([]byte("\ufeff"+`{"alg":"ES256"}`), []byte(good)); err != nil {
		t.Fatal(err)
	}
	w.refuse(text, verifier.ReasonMalformed) // TS-40
	if text, err = w.issuer.Key().Sign([]byte(`{"alg":"ES256"}`), nil); err != nil {
		t.Fatal(err)
	}
	w.refuse(text, verifier.ReasonMalformed) // TS-36 empty
	if w.hits() != 0 {
		t.Errorf("%d requests", w.hits())
	}
}

func TestVerifyRefusesIssuers(t *testing.T) {
	for _, test := range []refusal{
		{name: "CL-01 slash added", claims: raw{"iss": `"https://issuer.example/"`}},
		{name: "CL-02 host in upper case", claims: raw{"iss": `"https://ISSUER.example"`}},
		{name: "CL-02 scheme in upper case", claims: raw{"iss": `"HTTPS://issuer.example"`}},
		{name: "CL-02 default port", claims: raw{"iss": `"https://issuer.example:443"`}},
		{name: "CL-02 trailing dot", claims: raw{"iss": `"https://issuer.example."`}},
		{name: "CL-02 escaped letter", claims: raw{"iss": `"https://issuer.ex%61mple"`}},
		{name: "CL-04 longer host", claims: raw{"iss": `"https://issuer.example.evil"`}},
		{name: "CL-04 path", claims: raw{"iss": `"https://issuer.example/tenant2"`}},
		{name: "CL-04 userinfo", claims: raw{"iss": `"https://issuer.example@evil"`}},
		{name: "CL-04 fragment", claims: raw{"iss": `"https://issuer.example#x"`}},
		{name: "CL-04 prefix", claims: raw{"iss": `"https://issuer.exampl"`}},
		{name: "CL-07 array", claims: raw{"iss": `["https://issuer.example"]`}, want: verifier.ReasonClaims},
		{name: "CL-07 missing", claims: raw{"iss": ""}},
		{name: "CL-07 null", claims: raw{"iss": "null"}},
		{name: "CL-07 empty", claims: raw{"iss": `""`}},
		{name: "TS-33 in another case", claims: raw{"iss": "", "ISS": `"https://issuer.example"`}},
		{name: "TS-43 NUL after", claims: raw{"iss": `"https://issuer.example\u0000"`}},
		{name: "KS-37 an address inside the network", claims: raw{"iss": `"http://169.254.169.254/"`}},
		{name: "HA-34 client assertion", header: raw{"typ": `"JWT"`}, claims: raw{"iss": `"client-1"`, "sub": `"client-1"`}},
	} {
		if test.early = true; test.want == "" {
			test.want = verifier.ReasonIssuer
		}
		test.run(t)
	}
	t.Run("CL-01 slash left out", func(t *testing.T) {
		w := newWorld(t, of(func(i *verifier.Issuer) { i.URL = "https://issuer.example/" }))
		w.refuse(w.token(nil), verifier.ReasonIssuer)
	})
}

func TestVerifyRefusesTypes(t *testing.T) {
	for _, typ := range []string{
		"at+jwt;x=1", " at+jwt", "at+jwt ", "at+jwt\\n", "xat+jwt", "at+jwtx", "application/application/at+jwt", "text/at+jwt", "application/",
		"token-introspection+jwt", "dpop+jwt", "client-authentication+jwt", "oauth-authz-req+jwt", "secevent+jwt", "logout+jwt", "rt+jwt", "dc+sd-jwt", "id+jwt",
	} {
		refusal{name: "HA-29 HA-32 HA-33 HA-34 typ " + typ, header: raw{"typ": `"` + typ + `"`}, early: true, want: verifier.ReasonType}.run(t)
	}
	for _, test := range []refusal{
		{name: "HA-29 array", header: raw{"typ": `["at+jwt"]`}, early: true, want: verifier.ReasonHeader},
		{name: "HA-29 null", header: raw{"typ": "null"}, early: true, want: verifier.ReasonHeader},
		{name: "HA-30 nonce", header: raw{"typ": `"JWT"`}, claims: raw{"nonce": `"n"`}, want: verifier.ReasonType},
		{name: "HA-30 at_hash", header: raw{"typ": `"JWT"`}, claims: raw{"at_hash": `"h"`}, want: verifier.ReasonType},
		{name: "HA-30 c_hash without typ", header: raw{"typ": ""}, claims: raw{"c_hash": `"h"`}, want: verifier.ReasonType},
		{name: "HA-32 introspection answer as an access token", claims: raw{"token_introspection": `{"active":true}`}, want: verifier.ReasonType},
		{name: "HA-34 security event as an access token", claims: raw{"events": `{}`}, want: verifier.ReasonType},
		{name: "HA-33 DPoP proof without typ", header: raw{"typ": ""}, payload: `{"htm":"POST","htu":"https://mcp.example.com/mcp","iat":1,"jti":"x"}`, early: true, want: verifier.ReasonIssuer},
	} {
		test.run(t)
	}
	t.Run("HA-27 strict issuer", func(t *testing.T) {
		w := newWorld(t, of(func(i *verifier.Issuer) { i.Types = []string{"at+jwt"} }))
		for _, typ := range []string{`"JWT"`, ""} {
			w.refuse(w.sign(raw{"typ": typ}, w.payload(nil)), verifier.ReasonType)
		}
		if w.hits() != 0 {
			t.Errorf("%d requests", w.hits())
		}
		w.accept(w.token(nil))
	})
}

func TestVerifyRefusesClaims(t *testing.T) {
	century := number(time.Now().Add(100 * 365 * 24 * time.Hour))
	huge := []string{"1e19", "9223372036854775807", "18446744073709551616", "1e308", "253402300800", century, strings.Repeat("9", 7000), "1e999999999", "1e-999999999", "0", "-1", "-1e19"}
	forms := []string{`"1999999999"`, "null", "true", "[]", "{}", `[1999999999]`}
	var tests []refusal
	for _, claim := range []string{"exp", "nbf", "iat"} {
		for _, value := range huge {
			if claim == "nbf" && value == "0" {
				continue // 1970 has long begun, see below
			}
			want := verifier.ReasonClaims
			if claim != "exp" && value == century {
				want = verifier.ReasonNotYetValid
			}
			tests = append(tests, refusal{name: "TS-47 TS-48 TS-49 TS-55 " + claim + " " + value[:min(len(value), 24)], claims: raw{claim: value}, want: want})
		}
		for _, value := range forms {
			tests = append(tests, refusal{name: "TS-52 TS-53 " + claim + " " + value, claims: raw{claim: value}, want: verifier.ReasonClaims})
		}
	}
	for _, aud := range []string{
		`"https://mcp.example.com/"`, `"https://mcp.example.com"`, `"https://mcp.example.com/mcp/x"`, `"https://mcp.example.com/mcp/"`, `"https://MCP.example.com/mcp"`,
		`"https://mcp.example.com/mcp https://other.example"`, `"*"`, `"https://mcp.example.com/mcp#x"`, `"https://mcp.example.com/mcp?x"`, `"https://mcp.example.com:443/mcp"`,
		`""`, `[]`, `["*"]`, `["https://mcp.example.com/","mcp"]`,
	} {
		tests = append(tests, refusal{name: "CL-09 aud " + aud, claims: raw{"aud": aud}, want: verifier.ReasonAudience})
	}
	for _, aud := range []string{`"client-0123456789abcdef"`, `"https://issuer.example"`, `"account"`, `"https://gateway.example.com"`, ""} {
		tests = append(tests, refusal{name: "CL-10 aud " + aud, claims: raw{"aud": aud}, want: verifier.ReasonAudience})
	}
	for _, aud := range []string{"null", "1", `{"x":"https://mcp.example.com/mcp"}`, `["https://mcp.example.com/mcp",1]`, `[["https://mcp.example.com/mcp"]]`, "true"} {
		tests = append(tests, refusal{name: "CL-09 form of aud " + aud, claims: raw{"aud": aud}, want: verifier.ReasonClaims})
	}
	for _, scope := range []string{`"read\twrite"`, `"read\nadmin"`, `"read\u00a0admin"`, `"read\u3000admin"`, `"read\u2003admin"`, `"read\u0000"`, `"re\"ad"`, `"re\\ad"`, `["a\tb"]`} {
		tests = append(tests, refusal{name: "CL-27 scope " + scope, claims: raw{"scope": scope}, want: verifier.ReasonClaims})
	}
	for _, claim := range []string{"sub", "client_id", "jti"} {
		for _, c := range []string{`\u0000`, `\u0007`, `\n`, `\u001b[31m`, `\u007f`, `\u0085`, `\u009f`} {
			tests = append(tests, refusal{name: "TS-43 " + claim + " with " + c, claims: raw{claim: `"user-` + c + `-abcdef"`}, want: verifier.ReasonClaims})
		}
		tests = append(tests, refusal{name: "type of " + claim, claims: raw{claim: "1"}, early: true, want: verifier.ReasonClaims})
	}
	for _, cnf := range []string{
		`{"kid":"x"}`, `{"jwk":{}}`, `{}`, `{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`, `{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`,
		`{"jkt":"a","x5t#S256":"b"}`, `"x"`, "1", "null", `{"jkt":1}`, `{"jkt":"short"}`, "[]", "false",
	} {
		tests = append(tests, refusal{name: "CL-34 cnf " + cnf, claims: raw{"cnf": cnf}, want: verifier.ReasonConfirmation})
	}
	tests = append(tests,
		refusal{name: "TS-55 exp with 7 000 digits after the point", claims: raw{"exp": number(time.Now().Add(time.Hour)) + "." + strings.Repeat("1", 7000)}, want: verifier.ReasonClaims},
		refusal{name: "CL-13 exp missing", claims: raw{"exp": ""}, want: verifier.ReasonClaims},
		refusal{name: "TS-33 exp in another case", claims: raw{"exp": "1", "Exp": century}, want: verifier.ReasonExpired},
		refusal{name: "TS-33 aud in another case", claims: raw{"aud": `"x"`, "AUD": quote(resource)}, want: verifier.ReasonAudience},
		refusal{name: "CL-21 sub missing", claims: raw{"sub": ""}, want: verifier.ReasonClaims},
		refusal{name: "CL-21 sub empty", claims: raw{"sub": `""`}, want: verifier.ReasonClaims},
		refusal{name: "CL-21 sub null", claims: raw{"sub": "null"}, want: verifier.ReasonClaims},
		refusal{name: "CL-21 sub of white space", claims: raw{"sub": `" \t\u00a0\u3000"`}, want: verifier.ReasonClaims},
	)
	for _, test := range tests {
		test.run(t)
	}
}

// Older Keycloak writes nbf 0, and a NumericDate may be 0 (RFC 7519 §2): 1970
// has long begun.
func TestVerifyAcceptsNotBeforeZero(t *testing.T) {
	w := newWorld(t)
	w.accept(w.token(raw{"nbf": "0"}))
}

func TestVerifyRefusesSignatures(t *testing.T) {
	w := newWorld(t).warm()
	good := w.token(nil)
	before := w.hits()
	for _, cut := range []int{1, 2, 4} { // TS-59
		if _, err := w.verify(good[:len(good)-cut]); err == nil {
			t.Errorf("TS-59: accepted without its last %d characters", cut)
		}
	}
	w.refuse(good[:len(good)-2], verifier.ReasonSignature)
	w.refuse(good[:strings.LastIndexByte(good, '.')+1], verifier.ReasonSignature)
	w.refuse("opaque-0123456789abcdef", verifier.ReasonMalformed)
	w.refuse("", verifier.ReasonMalformed)
	w.refuse(signWith(t, newKey(t, "ES256", w.issuer.Key().KeyID()), nil, w.payload(nil)), verifier.ReasonSignature)
	other := w.payload(raw{"sub": `"someone-else-entirely"`})
	parts, forged := strings.Split(good, "."), strings.Split(w.sign(nil, other), ".")
	w.refuse(parts[0]+"."+forged[1]+"."+parts[2], verifier.ReasonSignature)
	if w.hits() != before {
		t.Errorf("%d requests", w.hits()-before)
	}
	w.accept(good)
}

func TestVerifyKeepsKeysOfIssuersApart(t *testing.T) {
	one := authtest.NewIssuer(t, authtest.Config{URL: "https://as.example/tenant1", Resources: []string{resource}})
	two := authtest.NewIssuer(t, authtest.Config{URL: "https://as.example/tenant2", Resources: []string{resource}})
	mux := muxOf(map[string]*authtest.Issuer{"/tenant1": one, "/tenant2": two})
	j := newJWT(t, verifier.JWTConfig{
		Resource: resource, Transport: authtest.Network{"https://as.example": mux},
		Issuers: []verifier.Issuer{{URL: one.URL()}, {URL: two.URL()}},
	})
	for _, issuer := range []*authtest.Issuer{one, two} {
		if _, err := verify(t, j, issuer.Token(nil)); err != nil {
			t.Fatal(err)
		}
	}
	mint := func(key authtest.Key) string {
		token, err := one.Mint(authtest.TokenConfig{Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	// CL-05: both kids are "es256-1", so the key of the other is not even missing.
	_, err := verify(t, j, mint(two.Key()))
	isInvalid(t, err, verifier.ReasonSignature)
	// CL-05: a kid that only the other tenant has.
	two.AddKey(newKey(t, "ES256", "only-two"))
	_, err = verify(t, j, mint(newKey(t, "ES256", "only-two")))
	isInvalid(t, err, verifier.ReasonUnknownKey)
	// CL-08: two issuers that really share a set may each use it.
	shared := newJWT(t, verifier.JWTConfig{
		Resource: resource, Transport: authtest.Network{"https://as.example": mux},
		Issuers: []verifier.Issuer{{URL: one.URL(), JWKSURI: one.URL() + "/jwks"}, {URL: two.URL(), JWKSURI: one.URL() + "/jwks"}},
	})
	if _, err := verify(t, shared, one.Token(authtest.Claims{"iss": two.URL()})); err != nil {
		t.Errorf("CL-08: %v", err)
	}
	_, err = verify(t, shared, two.Token(nil))
	isInvalid(t, err, verifier.ReasonSignature)
}

// DS-07, O6: a refused token costs little memory.
func TestVerifyRefusesCheaply(t *testing.T) {
	w := newWorld(t).warm()
	big := w.token(raw{"exp": "1", "x": `"` + strings.Repeat("a", 8<<10) + `"`})
	for _, test := range []struct {
		name  string
		token string
		limit uint64 // octets per call
	}{
		{"8 KiB of dots", strings.Repeat(".", 8<<10), 1 << 10},
		{"8 KiB of letters", strings.Repeat("a", 8<<10), 1 << 10},
		{"a MiB", strings.Repeat("a.", 1<<19), 1 << 10},
		{"expired with 8 KiB of claims", big, 64 << 10},
		{"ten thousand braces", "eyJhbGciOiJFUzI1NiJ9." + strings.Repeat("W1tb", 2500) + ".AAAA", 64 << 10},
	} {
		t.Run(test.name, func(t *testing.T) {
			const runs = 50
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range runs {
				if _, err := w.jwt.Verify(t.Context(), test.token); err == nil {
					t.Fatal("accepted")
				}
			}
			runtime.ReadMemStats(&after)
			if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > test.limit {
				t.Errorf("%d octets, want at most %d", got, test.limit)
			}
		})
	}
}
