package authparam_test

import (
	"reflect"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/authparam"
)

type (
	challenge = authparam.Challenge
	param     = authparam.Param
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, header string
		want         []challenge
	}{
		{"a scheme alone", `Negotiate`, []challenge{{Scheme: "Negotiate"}}},
		{"one parameter", `Bearer realm="x"`, []challenge{{Scheme: "Bearer", Params: []param{{"realm", "x"}}}}},
		{"a token as value", `Bearer realm=x`, []challenge{{Scheme: "Bearer", Params: []param{{"realm", "x"}}}}},
		{"an empty quoted value", `Bearer realm=""`, []challenge{{Scheme: "Bearer", Params: []param{{"realm", ""}}}}},
		{"escapes and commas inside quotes", `Bearer a="x\"y\\z, Basic b=\"c\""`,
			[]challenge{{Scheme: "Bearer", Params: []param{{"a", `x"y\z, Basic b="c"`}}}}},
		{"several parameters", `Bearer error="invalid_token", scope="a b"`,
			[]challenge{{Scheme: "Bearer", Params: []param{{"error", "invalid_token"}, {"scope", "a b"}}}}},
		{"several challenges", `Bearer a="1", b="2", DPoP algs="ES256", Negotiate, Basic realm="x"`, []challenge{
			{Scheme: "Bearer", Params: []param{{"a", "1"}, {"b", "2"}}},
			{Scheme: "DPoP", Params: []param{{"algs", "ES256"}}},
			{Scheme: "Negotiate"},
			{Scheme: "Basic", Params: []param{{"realm", "x"}}},
		}},
		{"token68", `Negotiate abc/+~==, Basic realm="x"`, []challenge{
			{Scheme: "Negotiate", Token68: "abc/+~=="}, {Scheme: "Basic", Params: []param{{"realm", "x"}}}}},
		{"token68 that ends like a parameter", `Negotiate a=`, []challenge{{Scheme: "Negotiate", Token68: "a="}}},
		{"blanks around the comma", "A  x=1 \t,\t B", []challenge{
			{Scheme: "A", Params: []param{{"x", "1"}}}, {Scheme: "B"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := authparam.Parse(tt.header)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Parse(%q) = %+v, %v; want %+v", tt.header, got, err, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, header := range map[string]string{
		"nothing":                     ``,
		"an empty element":            `Bearer a="1",, b="2"`,
		"a leading comma":             `, Bearer a="1"`,
		"a trailing comma":            `Bearer a="1",`,
		"a parameter without scheme":  `a="1"`,
		"a parameter after token68":   `Negotiate abc, a="1"`,
		"the same parameter twice":    `Bearer a="1", A="2"`,
		"blanks around equals":        `Bearer a = "1"`,
		"a missing value":             `Bearer a="1", b=`,
		"an unterminated string":      `Bearer a="1`,
		"a dangling escape":           `Bearer a="1\`,
		"a control character":         "Bearer a=\"1\n2\"",
		"an escaped control":          "Bearer a=\"1\\\x002\"",
		"text after a quoted-string":  `Bearer a="1"b`,
		"a missing comma":             `Bearer a="1" b="2"`,
		"a tab after the scheme":      "Bearer\ta=\"1\"",
		"a trailing blank":            `Bearer `,
		"leading blanks":              ` Bearer`,
		"a non-ASCII scheme":          "B\u00e9arer a=\"1\"",
		"a quoted-string as a scheme": `"Bearer" a="1"`,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := authparam.Parse(header); err == nil {
				t.Errorf("Parse(%q) = %+v, want an error", header, got)
			}
		})
	}
}

func TestFormatRefusesWhatTheGrammarCannotCarry(t *testing.T) {
	for name, c := range map[string]challenge{
		"an empty scheme":         {},
		"a scheme with a blank":   {Scheme: "Be arer"},
		"a name with a quote":     {Scheme: "Bearer", Params: []param{{`a"`, "1"}}},
		"a line break in a value": {Scheme: "Bearer", Params: []param{{"a", "1\r\n2"}}},
		"a name twice":            {Scheme: "Bearer", Params: []param{{"a", "1"}, {"A", "1"}}},
		"token68 and parameters":  {Scheme: "Bearer", Token68: "abc", Params: []param{{"a", "1"}}},
		"a broken token68":        {Scheme: "Bearer", Token68: "a=b"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := authparam.Format(c); err == nil {
				t.Errorf("Format = %q, want an error", got)
			}
		})
	}
	if got, err := authparam.Format(); err == nil {
		t.Errorf("Format() = %q, want an error", got)
	}
}

func TestGetAndIsIgnoreCase(t *testing.T) {
	c := challenge{Scheme: "bearer", Params: []param{{"Scope", "a"}}}
	if v, ok := c.Get("scope"); v != "a" || !ok || !c.Is("Bearer") {
		t.Errorf("Get = %q, %t; Is = %t", v, ok, c.Is("Bearer"))
	}
	if v, ok := c.Get("realm"); v != "" || ok || c.Is("DPoP") {
		t.Errorf("Get = %q, %t; Is = %t", v, ok, c.Is("DPoP"))
	}
}

// What Format writes, Parse reads back; and whatever Parse accepts has a
// canonical form that means the same.
func FuzzRoundTrip(f *testing.F) {
	f.Add("Bearer", "realm", "x", "scope", `a"\b`, `Bearer a="1", DPoP algs="ES256"`)
	f.Add("Negotiate", "a", "\t\xa0", "b", "", `Negotiate abc==, Basic`)
	f.Fuzz(func(t *testing.T, scheme, name1, value1, name2, value2, header string) {
		in := []challenge{
			{Scheme: scheme, Params: []param{{name1, value1}, {name2, value2}}},
			{Scheme: "Other", Params: []param{{name2, value1}}},
		}
		if text, err := authparam.Format(in...); err == nil {
			out, err := authparam.Parse(text)
			if err != nil || !reflect.DeepEqual(in, out) {
				t.Fatalf("Parse(%q) = %+v, %v; want %+v", text, out, err, in)
			}
		}
		parsed, err := authparam.Parse(header)
		if err != nil {
			return
		}
		text, err := authparam.Format(parsed...)
		if err != nil {
			t.Fatalf("Parse accepted %q, Format does not: %v", header, err)
		}
		again, err := authparam.Parse(text)
		if err != nil || !reflect.DeepEqual(parsed, again) {
			t.Fatalf("%q became %q: %+v, %v; want %+v", header, text, again, err, parsed)
		}
	})
}
