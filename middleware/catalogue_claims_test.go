package middleware_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func (c *catalogue) issuers(t *testing.T) {
	w := c.world(t)
	refused := func(w *catalogueWorld, name, iss string, reason verifier.Reason) {
		w.rows(t, catalogueRow{name: name, token: w.token(nil, catalogueRaw{"iss": iss}), reason: reason})
	}
	refused(w, "CL-01 slash added", `"https://a.example/"`, verifier.ReasonIssuer)
	slash := c.world(t, func(s *catalogueSetup) { s.urlA = "https://a.example/" })
	refused(slash, "CL-01 slash left out", `"https://a.example"`, verifier.ReasonIssuer)
	for name, iss := range map[string]string{
		"CL-02 host in upper case": "https://A.example", "CL-02 scheme in upper case": "HTTPS://a.example", "CL-02 default port": "https://a.example:443",
		"CL-02 trailing dot": "https://a.example.", "CL-02 escaped letter": "https://%61.example", "CL-02 http": "http://a.example", "CL-02 blank behind": "https://a.example ",
		"CL-04 longer host": "https://a.example.evil", "CL-04 path": "https://a.example/tenant2", "CL-04 userinfo": "https://a.example@evil", "CL-04 fragment": "https://a.example#x",
		"CL-04 query": "https://a.example?x", "CL-04 shorter": "https://a.exampl", "CL-04 host before": "https://evil.a.example", "CL-04 nobody's": "https://evil.example",
		"CL-07 empty": "",
	} {
		refused(w, name, strconv.Quote(iss), verifier.ReasonIssuer)
	}
	for name, iss := range map[string]string{"CL-07 missing": "", "CL-07 null": "null"} {
		refused(w, name, iss, verifier.ReasonIssuer)
	}
	for name, iss := range map[string]string{"CL-07 array": `["https://a.example"]`, "CL-07 object": `{"iss":"https://a.example"}`, "CL-07 number": "1"} {
		refused(w, name, iss, verifier.ReasonClaims)
	}
	for _, iss := range []string{`https://a.example\u0000`, `https://a.example\r\nX-Evil: 1`, `https://a.example\u0085`, `https://a.example\u202e`, `\u001b[31mhttps://a.example`} {
		refused(w, "TS-43 iss "+iss, `"`+iss+`"`, verifier.ReasonIssuer)
	}

	tenants := c.world(t, func(s *catalogueSetup) {
		s.urlA, s.urlB = "https://as.example/tenant1", "https://as.example/tenant2"
		s.config.Metadata.ScopesSupported = nil
	})
	for _, alg := range []string{"ES256", "RS256"} {
		key := catalogueKeys().foreignEC
		if alg == "RS256" {
			key = catalogueKeys().foreignRSA
		}
		token, err := key.Sign([]byte(catalogueNamed(alg, key.KeyID())), []byte(tenants.payload()))
		if err != nil {
			t.Fatal(err)
		}
		tenants.rows(t, catalogueRow{name: "CL-05 tenant1 signed by tenant2's " + alg + " key", token: token, reason: verifier.ReasonSignature})
	}
	tenants.rows(t,
		catalogueRow{name: "CL-05 tenant2 signed by tenant1", token: tenants.token(nil, catalogueRaw{"iss": `"https://as.example/tenant2"`}), reason: verifier.ReasonSignature},
		catalogueRow{name: "CL-05 tenant2 signed by tenant1, kid of tenant1 only", refresh: true, reason: verifier.ReasonUnknownKey,
			token: catalogueSign("EdDSA", catalogueNamed("EdDSA", "d1"), tenants.payload(catalogueRaw{"iss": `"https://as.example/tenant2"`}))},
	)

	// Keys belong to an issuer, not to a URL: A's token as one of B counts only
	// where B itself points to A's set.
	shared := c.sharedKeys(t)
	shared.rows(t, catalogueRow{name: "CL-08 one set for both: B lists A's key", want: ok, token: shared.token(nil, catalogueRaw{"iss": strconv.Quote(catalogueB)}),
		accepted: func(k *verifier.Token) bool { return k.Issuer == catalogueB && k.Subject == catalogueSubject }})
	w.rows(t, catalogueRow{name: "CL-08 a set for each: B does not list A's key", token: w.token(nil, catalogueRaw{"iss": strconv.Quote(catalogueB)}), reason: verifier.ReasonSignature})
}

// sharedKeys returns a world where B signs with a key that A publishes.
func (c *catalogue) sharedKeys(t *testing.T) *catalogueWorld {
	t.Helper()
	foreign, err := catalogueKeys().foreignEC.JWK()
	if err != nil {
		t.Fatal(err)
	}
	return c.world(t, func(s *catalogueSetup) {
		s.b.JWKSURI = catalogueA + "/jwks"
		s.keys = []string{s.keys[0], string(foreign)}
	})
}

func (c *catalogue) audience(t *testing.T) {
	w := c.world(t)
	for _, aud := range []string{
		`"https://mcp.example.com/"`, `"https://mcp.example.com"`, `"https://mcp.example.com/mcp/x"`, `"https://mcp.example.com/mcp/"`, `"https://mcp.example.com/MCP"`,
		`"https://MCP.example.com/mcp"`, `"HTTPS://mcp.example.com/mcp"`, `"http://mcp.example.com/mcp"`, `"https://mcp.example.com:443/mcp"`, `"https://mcp.example.com/mcp#x"`,
		`"https://mcp.example.com/mcp?x"`, `"https://mcp.example.com/mc%70"`, `"https://mcp.example.com/mcp https://other.example"`, `"https://mcp.example.com/mcp "`, `"*"`, `["*"]`, `""`, `[]`,
		`["https://mcp.example.com/mcp https://other.example"]`, `"https://mcp.example.com/mcp\u0000"`,
	} {
		w.rows(t, catalogueRow{name: "CL-09 aud " + aud, token: w.token(nil, catalogueRaw{"aud": aud}), reason: verifier.ReasonAudience})
	}
	for _, aud := range []string{`"` + catalogueClient + `"`, `"https://a.example"`, `"account"`, `"https://gateway.example.com"`, `["account","https://a.example"]`, ""} {
		w.rows(t, catalogueRow{name: "CL-10 aud " + aud, token: w.token(nil, catalogueRaw{"aud": aud}), reason: verifier.ReasonAudience})
	}
	for _, aud := range []string{"null", "1", "true", `{"x":"https://mcp.example.com/mcp"}`, `["https://mcp.example.com/mcp",1]`, `[["https://mcp.example.com/mcp"]]`} {
		w.rows(t, catalogueRow{name: "CL-09 form of aud " + aud, token: w.token(nil, catalogueRaw{"aud": aud}), reason: verifier.ReasonClaims})
	}
	w.rows(t, catalogueRow{name: "CL-11 ours among others", want: ok, token: w.token(nil, catalogueRaw{"aud": `["https://other.example.com","https://mcp.example.com/mcp"]`})})
}

func (c *catalogue) identifiers(t *testing.T) {
	w := c.world(t)
	for name, sub := range map[string]string{"missing": "", "empty": `""`, "null": "null", "white space": `" \u00a0\u3000"`, "a tab": `"\t"`} {
		w.rows(t, catalogueRow{name: "CL-21 sub " + name, token: w.token(nil, catalogueRaw{"sub": sub}), reason: verifier.ReasonClaims})
	}
	for _, claim := range []string{"sub", "client_id", "jti", "azp"} {
		for _, value := range []string{"1", "true", "[]", `{"a":1}`} {
			w.rows(t, catalogueRow{name: "CL-21 form of " + claim + ": " + value, token: w.token(nil, catalogueRaw{claim: value}), reason: verifier.ReasonClaims})
		}
		change := catalogueRaw{}
		if claim == "azp" {
			change["client_id"] = "" // then azp is the client
		}
		for _, control := range []string{`\u0000`, `\u0007`, `\n`, `\r\n`, `\t`, `\u001b[31m`, `\u007f`, `\u0080`, `\u0085`, `\u009f`} {
			value := `"user-0123456789` + control + `abcdef"`
			w.rows(t, catalogueRow{name: "TS-43 " + claim + " with " + control, token: w.token(nil, change.with(claim, value)), reason: verifier.ReasonClaims})
		}
	}
	// Format characters are letters of nobody's name, but not controls: ours lets
	// them pass, and repeats them nowhere.
	for _, format := range []string{"\u202e", "\u2028", "\u200b"} {
		w.rows(t, catalogueRow{name: "TS-43 sub with " + strconv.QuoteToASCII(format) + " is accepted", want: ok, token: w.token(nil, catalogueRaw{"sub": `"user-` + format + `-0123456789"`}),
			accepted: func(k *verifier.Token) bool { return k.Subject == "user-"+format+"-0123456789" }})
	}
}

func (c *catalogue) scope(t *testing.T) {
	w := c.world(t)
	granted := func(list ...string) func(*verifier.Token) bool {
		return func(k *verifier.Token) bool { return slices.Equal(k.Scopes.Slice(), list) }
	}
	scoped := func(scope string) string { return w.token(nil, catalogueRaw{"scope": scope}) }
	// Ours takes an array for what it is, one scope an item: several providers send
	// one, and nothing can be read into it.
	w.rows(t,
		catalogueRow{name: "CL-24 array, accepted", token: scoped(`["files:read","files:write"]`), want: ok, accepted: granted("files:read", "files:write")},
		catalogueRow{name: "CL-24 array without the scope", token: scoped(`["a","b"]`), want: insufficientScope},
		catalogueRow{name: "CL-24 array with a blank in an item", token: scoped(`["files:read files:write"]`), reason: verifier.ReasonClaims},
	)
	for _, scope := range []string{"1", `{"files:read":true}`, "null", "true", `[["files:read"]]`, `["files:read",1]`, `["files:read",null]`, "[]", "[1]"} {
		w.rows(t, catalogueRow{name: "CL-25 scope " + scope, token: scoped(scope), want: insufficientScope})
	}
	w.rows(t, catalogueRow{name: "CL-25 scope null, scp does not step in", token: w.token(nil, catalogueRaw{"scope": "null", "scp": `"files:read"`}), want: insufficientScope})
	for _, between := range []string{",", "+", "%20", ";", "|"} {
		w.rows(t,
			catalogueRow{name: "CL-27 " + between + " does not separate", token: scoped(`"files:write` + between + `files:read"`), want: insufficientScope},
			catalogueRow{name: "CL-27 control: an odd token beside the good one, " + between, token: scoped(`"files:read a` + between + `b"`), want: ok, accepted: granted("a"+between+"b", "files:read")},
		)
	}
	for _, between := range []string{`\t`, `\n`, `\r`, `\u00a0`, `\u3000`, `\u2003`, `\u0000`, `\u0085`, `\u202e`, `\"`, `\\`, `\u007f`} {
		w.rows(t, catalogueRow{name: "CL-27 TS-43 scope with " + between, token: scoped(`"files:read` + between + `admin-0123456789"`), reason: verifier.ReasonClaims})
	}
	claim := func(name string) *catalogueWorld {
		return c.world(t, func(s *catalogueSetup) { s.a.ScopeClaim = name })
	}
	w.rows(t,
		catalogueRow{name: "CL-29 scope wins over scp", token: w.token(nil, catalogueRaw{"scope": `"files:write"`, "scp": `"files:read"`}), want: insufficientScope},
		catalogueRow{name: "CL-29 permissions and roles count nothing", want: insufficientScope,
			token: w.token(nil, catalogueRaw{"scope": "", "permissions": `["files:read"]`, "roles": `["files:read"]`, "authorities": `"files:read"`})},
		catalogueRow{name: "CL-29 control: scp where there is no scope", token: w.token(nil, catalogueRaw{"scope": "", "scp": `["files:read"]`}), want: ok},
	)
	only := claim("scope")
	only.rows(t, catalogueRow{name: "CL-29 scp counts nothing where the claim is scope", token: only.token(nil, catalogueRaw{"scope": "", "scp": `"files:read"`}), want: insufficientScope})

	w.rows(t,
		catalogueRow{name: "CL-32 empty scope where one is needed", token: scoped(`""`), want: insufficientScope},
		catalogueRow{name: "CL-32 no scope where one is needed", token: scoped(""), want: insufficientScope},
	)
	none := c.world(t, func(s *catalogueSetup) { s.policy = scopes.Policy{} })
	for name, scope := range map[string]string{"empty scope": `""`, "no scope": "", "blanks": `"  "`, "a number": "1"} {
		none.rows(t, catalogueRow{name: "CL-32 " + name + " where none is needed", token: none.token(nil, catalogueRaw{"scope": scope}), want: ok, accepted: granted()})
	}
	broad := c.world(t, func(s *catalogueSetup) {
		s.config.Hierarchy = scopes.Hierarchy{"admin": {"files"}, "files": {"files:read"}}
	})
	broad.rows(t,
		catalogueRow{name: "CL-33 a broader scope", token: broad.token(nil, catalogueRaw{"scope": `"admin"`}), want: ok, accepted: granted("admin")},
		catalogueRow{name: "CL-33 a stranger to the hierarchy", token: broad.token(nil, catalogueRaw{"scope": `"ADMIN administrator"`}), want: insufficientScope},
	)
	w.rows(t, catalogueRow{name: "CL-33 without a hierarchy", token: scoped(`"admin"`), want: insufficientScope})
}

func (c *catalogue) confirmation(t *testing.T) {
	w := c.world(t)
	for _, cnf := range []string{
		`{"kid":"x"}`, `{"jwk":{}}`, `{}`, `{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}`, `{"x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`,
		`{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I","x5t#S256":"bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}`,
		`"x"`, "1", "null", "false", "[]", `{"jkt":1}`, `{"jkt":"short"}`, `{"jkt":null}`,
	} {
		w.rows(t, catalogueRow{name: "CL-34 cnf " + cnf, token: w.token(nil, catalogueRaw{"cnf": cnf}), reason: verifier.ReasonConfirmation})
	}
	nested := func(levels int, innermost string) string {
		return strings.Repeat(`{"sub":"actor-0123456789","act":`, levels-1) + innermost + strings.Repeat("}", levels-1)
	}
	const somebody = `{"sub":"actor-0123456789"}`
	details := func(octets int) string { return `[{"type":"` + strings.Repeat("a", octets) + `"}]` }
	// Ours reads act: one that names nobody must not pass for the user's own token.
	for _, act := range []string{`["admin"]`, "1", `"admin"`, "true", "{}", `{"sub":1}`, nested(10, "{}"), nested(10, "1")} {
		w.rows(t, catalogueRow{name: "CL-35 act that names nobody, ours is 401: " + act[:min(len(act), 12)], token: w.token(nil, catalogueRaw{"act": act}), reason: verifier.ReasonClaims})
	}
	w.rows(t,
		catalogueRow{name: "CL-35 act nested 100 deep", token: w.token(nil, catalogueRaw{"act": nested(100, somebody)}), reason: verifier.ReasonMalformed},
		catalogueRow{name: "CL-35 act 29 deep with 9 KiB inside, for another", reason: verifier.ReasonAudience,
			token: w.token(nil, catalogueRaw{"aud": `"x"`, "act": nested(29, `{"sub":"actor-0123456789","x":"`+strings.Repeat("a", 9<<10)+`"}`)})},
		catalogueRow{name: "CL-35 act ten deep, may_act", token: w.token(nil, catalogueRaw{"act": nested(10, somebody), "may_act": `{"sub":"admin"}`}), want: ok},
		catalogueRow{name: "CL-35 may_act that is no object is ignored", token: w.token(nil, catalogueRaw{"may_act": "1"}), want: ok},
		catalogueRow{name: "CL-35 authorization_details of 1 MiB", token: w.token(nil, catalogueRaw{"authorization_details": details(1 << 20)}), reason: verifier.ReasonTooLarge, octets: 2 << 10},
		catalogueRow{name: "CL-35 authorization_details of 6 KiB are ignored", token: w.token(nil, catalogueRaw{"authorization_details": details(6 << 10)}), want: ok},
	)
}
