package middleware_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func (c *catalogue) claimsJSON(t *testing.T) {
	w := c.world(t)
	good := w.payload()
	body := strings.TrimSuffix(good, "}")
	future, past := catalogueIn(time.Hour), catalogueIn(-time.Hour)
	reason := verifier.ReasonMalformed
	row := func(name, payload string) {
		w.rows(t, catalogueRow{name: name, token: catalogueSign("RS256", catalogueHeader(), payload), reason: reason})
	}
	without := func(names ...string) string {
		raw := make(catalogueRaw)
		for _, name := range names {
			raw[name] = ""
		}
		return strings.TrimSuffix(w.payload(raw), "}")
	}
	row("TS-28 exp twice, past first", without("exp")+`,"exp":`+past+`,"exp":`+future+`}`)
	row("TS-28 exp twice, future first", without("exp")+`,"exp":`+future+`,"exp":`+past+`}`)
	row("TS-28 aud twice", body+`,"aud":"https://evil.example"}`)
	row("TS-28 iss twice", `{"iss":"https://evil.example",`+good[1:])
	row("TS-30 jkt twice in cnf", body+`,"cnf":{"jkt":"a","jkt":"b"}}`)
	row("TS-30 sub twice in act", body+`,"act":{"sub":"a","sub":"b"}}`)
	row("TS-30 twice in an unknown claim", body+`,"x":[{"a":1,"a":2}]}`)
	row("TS-31 exp twice by an escape", without("exp")+`,"exp":1,"e\u0078p":9999999999}`)
	row("TS-31 exp twice, the escape first", without("exp")+`,"e\u0078p":9999999999,"exp":1}`)
	w.rows(t,
		catalogueRow{name: "TS-33 Exp beside an exp of the past", token: w.token(nil, catalogueRaw{"exp": past, "Exp": future}), reason: verifier.ReasonExpired},
		catalogueRow{name: "TS-33 EXP alone", token: w.token(nil, catalogueRaw{"exp": "", "EXP": future}), reason: verifier.ReasonClaims},
		catalogueRow{name: "TS-33 AUD beside a foreign aud", token: w.token(nil, catalogueRaw{"aud": `"x"`, "AUD": strconv.Quote(resource)}), reason: verifier.ReasonAudience},
		catalogueRow{name: "TS-33 Iss alone", token: w.token(nil, catalogueRaw{"iss": "", "Iss": strconv.Quote(w.a.URL())}), reason: verifier.ReasonIssuer},
		catalogueRow{name: "TS-33 control: variants beside good claims change nothing", want: ok,
			token: w.token(nil, catalogueRaw{"Exp": past, "AUD": `"x"`, "ISS": `"https://evil.example"`, "Sub": `"mallory"`, "\u017fub": `"mallory"`, "SCOPE": `"admin"`})},
		catalogueRow{name: "TS-35 iss with NUL beside iss is another claim", want: ok, token: w.token(nil, catalogueRaw{`iss\u0000`: `"https://evil.example"`})},
		catalogueRow{name: "TS-35 iss with NUL for iss", token: w.token(nil, catalogueRaw{"iss": "", `iss\u0000`: strconv.Quote(w.a.URL())}), reason: verifier.ReasonIssuer},
		catalogueRow{name: "TS-35 the right iss with NUL beside an evil one", reason: verifier.ReasonIssuer,
			token: w.token(nil, catalogueRaw{"iss": `"https://evil.example"`, `iss\u0000`: strconv.Quote(w.a.URL())})},
	)
	for name, payload := range map[string]string{
		"array": "[]", "string": `"x"`, "number": "1", "true": "true", "null": "null", "nothing": "", "blank": " ", "array of good claims": "[" + good + "]",
	} {
		row("TS-36 "+name, payload)
	}
	row("TS-38 a second object", good+`{"x":1}`)
	row("TS-38 garbage", good+" garbage")
	row("TS-38 a NUL", good+"\x00")
	row("TS-38 a closing brace", good+"}")
	row("TS-40 byte order mark", "\ufeff"+good)
	var utf16 strings.Builder
	for i := range len(good) {
		utf16.WriteString(good[i:i+1] + "\x00")
	}
	row("TS-40 UTF-16LE", utf16.String())
	row("TS-41 invalid UTF-8 in sub", strings.Replace(good, catalogueSubject, catalogueSubject+"\xff", 1))
	row("TS-41 invalid UTF-8 in iss", strings.Replace(good, `"iss":"`, "\"iss\":\"\xff", 1))
	row("TS-41 invalid UTF-8 in scope", strings.Replace(good, "files:read", "files:read \xc3", 1))
	row("TS-41 lone surrogate in sub", strings.Replace(good, catalogueSubject, catalogueSubject+`\ud800`, 1))
	for name, member := range map[string]string{
		"trailing comma": ",", "single quotes": ",'x':1", "NaN": `,"x":NaN`, "Infinity": `,"x":Infinity`, "hexadecimal": `,"x":0x10`,
		"leading zero": `,"x":01`, "plus sign": `,"x":+1`, "unquoted name": `,x:1`, "comment": `/* c */`, "line comment": "// c\n",
		"no digit after the point": `,"x":1.`, "a control character": ",\"x\":\"\x01\"", "True": `,"x":True`,
	} {
		row("TS-44 "+name, body+member+"}")
	}
}

func (c *catalogue) numbers(t *testing.T) {
	w := c.world(t)
	row := func(name, claim, value string, reason verifier.Reason) {
		w.rows(t, catalogueRow{name: name, token: w.token(nil, catalogueRaw{claim: value}), reason: reason})
	}
	for _, value := range []string{"1e19", "9223372036854775807", "18446744073709551616", "1e308", "-1e19", "0", "-0", "-1"} {
		row("TS-47 exp "+value, "exp", value, verifier.ReasonClaims)
	}
	for _, claim := range []string{"nbf", "iat"} {
		for _, value := range []string{"9223372036854775807", "1e19", "18446744073709551616", "1e308"} {
			row("TS-48 "+claim+" "+value, claim, value, verifier.ReasonClaims)
		}
		row("TS-48 "+claim+" in the last year that counts", claim, "253402300799", verifier.ReasonNotYetValid)
	}
	row("TS-49 exp in the year 10000", "exp", "253402300800", verifier.ReasonClaims)
	row("TS-49 exp in the year 9999", "exp", "253402300799", verifier.ReasonClaims)
	row("TS-49 exp in 100 years", "exp", catalogueIn(100*365*24*time.Hour), verifier.ReasonClaims)
	row("TS-49 exp in 367 days", "exp", catalogueIn(367*24*time.Hour), verifier.ReasonClaims)
	seconds := float64(time.Now().Add(time.Hour).Unix())
	for name, value := range map[string]string{
		"a fraction":        catalogueIn(time.Hour) + ".5",
		"a fraction of nil": catalogueIn(time.Hour) + ".0",
		"an exponent":       strconv.FormatFloat(seconds, 'e', -1, 64),
		"a short exponent":  strconv.FormatFloat(seconds+1e5, 'E', 4, 64), // rounding takes half a day at most
		"365 days":          catalogueIn(365 * 24 * time.Hour),
	} {
		w.rows(t, catalogueRow{name: "TS-50 exp with " + name, token: w.token(nil, catalogueRaw{"exp": value}), want: ok})
	}
	row("TS-50 exp with a fraction, past", "exp", catalogueIn(-time.Hour)+".9", verifier.ReasonExpired)
	row("TS-52 exp as a string", "exp", `"1999999999"`, verifier.ReasonClaims)
	row("TS-52 exp as a string, still good", "exp", `"`+catalogueIn(time.Hour)+`"`, verifier.ReasonClaims)
	for _, value := range []string{"null", "true", "false", "[]", "{}", "[" + catalogueIn(time.Hour) + "]"} {
		for _, claim := range []string{"exp", "nbf", "iat"} {
			row("TS-53 "+claim+" "+value[:min(len(value), 5)], claim, value, verifier.ReasonClaims)
		}
	}
	for name, value := range map[string]string{
		"7000 digits": strings.Repeat("9", 7000), "7000 digits after the point": catalogueIn(time.Hour) + "." + strings.Repeat("1", 7000),
		"a huge exponent": "1e999999999", "a tiny exponent": "1e-999999999", "zeros": catalogueIn(time.Hour) + "." + strings.Repeat("0", 7000),
	} {
		for _, claim := range []string{"exp", "nbf", "iat"} {
			row("TS-55 "+claim+" of "+name, claim, value, verifier.ReasonClaims)
		}
	}
	w.rows(t, catalogueRow{name: "TS-55 control: another claim of 7000 digits", token: w.token(nil, catalogueRaw{"x": strings.Repeat("9", 7000)}), want: ok})
}
