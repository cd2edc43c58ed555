package middleware_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func (c *catalogue) form(t *testing.T) {
	w := c.world(t)
	good := w.good()
	parts := strings.Split(good, ".")
	protected := fmt.Sprintf(`{"protected":%q,"signature":%q}`, parts[0], parts[2])
	general := func(signatures string) string {
		return fmt.Sprintf(`{"payload":%q,"signatures":[%s]}`, parts[1], signatures)
	}
	// JSON serializations: a quote is in no token68, so the field itself is
	// malformed, and 400 comes before anybody asks what the token is.
	w.rows(t,
		catalogueRow{name: "TS-01 no dot", token: "a", reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-01 one dot", token: "a.b", reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-01 three dots", token: good + ".a", reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-01 opaque", token: "opaque-6c8349cc7260ae62e3b1396831a8398f", reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-07 general JSON serialization, ours is 400", token: general(protected), want: invalidRequest},
		catalogueRow{name: "TS-08 flattened JSON serialization, ours is 400", want: invalidRequest,
			token: fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, parts[1], parts[0], parts[2])},
		catalogueRow{name: "TS-10 JSON with 10 000 signatures, ours is 400", want: invalidRequest,
			token: general(protected + strings.Repeat(`,{"protected":"e30","signature":"AAAA"}`, 9_999))},
		catalogueRow{name: "TS-10 JSON without protected, ours is 400", token: general(fmt.Sprintf(`{"signature":%q}`, parts[2])), want: invalidRequest},
		catalogueRow{name: "TS-59 less one character", token: good[:len(good)-1], reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-59 less two characters", token: good[:len(good)-2]},
		catalogueRow{name: "TS-59 less four characters", token: good[:len(good)-4]},
		catalogueRow{name: "TS-59 less the signature", token: parts[0] + "." + parts[1] + ".", reason: verifier.ReasonSignature},
		catalogueRow{name: "TS-59 opaque, truncated", token: "opaque-6c8349cc7260ae62e3b1396831a839", reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-60 a token inside a token", reason: verifier.ReasonMalformed,
			token: catalogueSign("RS256", catalogueHeader(catalogueRaw{"cty": `"JWT"`}), good)},
	)
}

// catalogueSpaced returns content followed by blanks such that its text satisfies
// wanted. JSON may end in blanks, so only the spelling is at fault.
func catalogueSpaced(t *testing.T, content string, wanted func(text string) bool) string {
	t.Helper()
	for blanks := range 64 {
		for _, mark := range []string{"???", ">>>", "~~~"} {
			// A member of its own whose octets need '-' or '_' at some offset.
			spaced := strings.TrimSuffix(content, "}") + `,"x":"` + mark + `"` + strings.Repeat(" ", blanks) + "}"
			if text := catalogueSegment(spaced); wanted(text) {
				return text
			}
		}
	}
	t.Fatal("no spelling found")
	return ""
}

// catalogueTwin returns text with one of its unused last bits set.
func catalogueTwin(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, text[len(text)-1])
	return text[:len(text)-1] + string(alphabet[last|1])
}

func (c *catalogue) alphabet(t *testing.T) {
	w := c.world(t)
	header, payload := catalogueHeader(), w.payload()
	head, body := catalogueSegment(header), catalogueSegment(payload)
	resigned := func(head, body string) string { return catalogueSignText("RS256", head, body) }
	good := resigned(head, body)
	signature := good[strings.LastIndexByte(good, '.')+1:]
	row := func(name, token string) {
		w.rows(t, catalogueRow{name: name, token: token, reason: verifier.ReasonMalformed})
	}

	uneven := func(text string) bool { return len(text)%4 != 0 }
	paddedHead, paddedBody := catalogueSpaced(t, header, uneven), catalogueSpaced(t, payload, uneven)
	padding := func(text string) string { return strings.Repeat("=", 4-len(text)%4) }
	w.rows(t, catalogueRow{name: "TS-11 control: the same without padding", token: resigned(paddedHead, paddedBody), want: ok})
	row("TS-11 padding on the header", resigned(paddedHead+padding(paddedHead), body))
	row("TS-11 padding on the payload", resigned(head, paddedBody+padding(paddedBody)))
	row("TS-11 padding on the signature", good+padding(signature))

	for _, swap := range []struct{ url, std string }{{"-", "+"}, {"_", "/"}} {
		has := func(text string) bool { return strings.Contains(text, swap.url) }
		row("TS-12 "+swap.std+" in the header", resigned(strings.ReplaceAll(catalogueSpaced(t, header, has), swap.url, swap.std), body))
		row("TS-12 "+swap.std+" in the payload", resigned(head, strings.ReplaceAll(catalogueSpaced(t, payload, has), swap.url, swap.std)))
		signed := good
		for i := 0; !strings.Contains(signed[len(signed)-len(signature):], swap.url); i++ {
			signed = w.token(nil, catalogueRaw{"n": fmt.Sprint(i)})
		}
		cut := len(signed) - len(signature)
		row("TS-12 "+swap.std+" in the signature", signed[:cut]+strings.ReplaceAll(signed[cut:], swap.url, swap.std))
	}

	row("TS-13 unused bits of the signature", good[:len(good)-len(signature)]+catalogueTwin(signature))
	row("TS-14 unused bits of the header", resigned(catalogueTwin(paddedHead), body))
	row("TS-14 unused bits of the payload", resigned(head, catalogueTwin(paddedBody)))

	for name, text := range map[string]string{"LF": "\n", "CR": "\r", "CRLF": "\r\n"} {
		for place, token := range map[string]string{
			"inside the header":       resigned(head[:5]+text+head[5:], body),
			"inside the payload":      resigned(head, body[:5]+text+body[5:]),
			"inside the signature":    good[:len(good)-9] + text + good[len(good)-9:],
			"after the header":        resigned(head+text, body),
			"before the payload":      resigned(head, text+body),
			"after the signature":     good + text,
			"before the first letter": text + good,
		} {
			w.rows(t, catalogueRow{name: "TS-15 " + name + " " + place, token: token, direct: true, reason: verifier.ReasonMalformed})
		}
	}
	// A blank or tab inside makes the field malformed; RFC 6750 §2.1 allows
	// several blanks before the token, and they are no part of it.
	w.rows(t,
		catalogueRow{name: "TS-16 a blank inside the payload, ours is 400", token: resigned(head, body[:5]+" "+body[5:]), want: invalidRequest},
		catalogueRow{name: "TS-16 a tab inside the payload, ours is 400", token: resigned(head, body[:5]+"\t"+body[5:]), want: invalidRequest},
		catalogueRow{name: "TS-16 a blank inside the signature, ours is 400", token: good[:len(good)-9] + " " + good[len(good)-9:], want: invalidRequest},
		catalogueRow{name: "TS-16 a leading tab, ours is 400", token: "\t" + good, want: invalidRequest},
		catalogueRow{name: "TS-16 control: a second blank before the token", token: " " + good, want: ok},
	)
	full := func(text string) bool { return len(text)%4 == 0 }
	row("TS-17 header of 4n+1 characters", resigned(catalogueSpaced(t, header, full)+"A", body))
	row("TS-17 payload of 4n+1 characters", resigned(head, catalogueSpaced(t, payload, full)+"A"))
	row("TS-17 signature of 4n+1 characters", good+strings.Repeat("A", (5-len(signature)%4)%4))
	for name, odd := range map[string]string{
		"octet 0x80": "\x80", "octet 0xff": "\xff", "NUL": "\x00", "%2E": "%2E", "a fullwidth dot": "\uff0e",
		"a Cyrillic letter": "\u0430", "NBSP": "\u00a0", "DEL": "\x7f",
	} {
		row("TS-18 "+name+" in the header", resigned(head[:5]+odd+head[5:], body))
		row("TS-18 "+name+" in the payload", resigned(head, body[:5]+odd+body[5:]))
		row("TS-18 "+name+" in the signature", good[:len(good)-9]+odd+good[len(good)-9:])
	}
	row("TS-18 %2E for the dots", strings.ReplaceAll(good, ".", "%2E"))
	row("TS-18 fullwidth dots", strings.ReplaceAll(good, ".", "\uff0e"))
	row("TS-20 a tilde in the payload", resigned(head, body[:5]+"~"+body[5:]))
	row("TS-20 a tilde after the signature", good+"~")
}

// long returns a good token of exactly so many characters.
func (w *catalogueWorld) long(t *testing.T, size int) string {
	t.Helper()
	header := catalogueHeader()
	for range 8 {
		rest := size - len(w.token(nil, nil)) - 64
		for fill := rest * 3 / 4; fill < rest; fill++ {
			payload := w.payload(catalogueRaw{"fill": `"` + strings.Repeat("a", fill) + `"`})
			length := base64.RawURLEncoding.EncodedLen(len(header)) + 2 + base64.RawURLEncoding.EncodedLen(len(payload)) + 342
			if length == size {
				return catalogueSign("RS256", header, payload)
			}
			if length > size {
				break
			}
		}
		header = strings.TrimSuffix(header, "}") + " }"
	}
	t.Fatalf("no token of %d characters", size)
	return ""
}

func (c *catalogue) size(t *testing.T) {
	w := c.world(t)
	members := func(n int) catalogueRaw {
		many := make(catalogueRaw)
		for i := range n {
			many[fmt.Sprint("m", i)] = "1"
		}
		return many
	}
	nested := func(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }
	many := func(item string, n int) string { return "[" + strings.Repeat(item+",", n-1) + item + "]" }
	// Anybody can send this one: what it costs, it costs before the signature.
	unsigned := func(change catalogueRaw) string {
		return catalogueSegment(catalogueHeader()) + "." + catalogueSegment(w.payload(change)) + "." + catalogueSegment(make([]byte, 256))
	}
	// Our limit is 16 KiB, for providers that list groups.
	const limit = 16 << 10
	const claims = 256 // members that are read; the good token has eight
	w.rows(t,
		catalogueRow{name: "TS-06 1 MiB of dots", token: strings.Repeat(".", 1<<20), reason: verifier.ReasonTooLarge, octets: 2 << 10},
		catalogueRow{name: "TS-06 8 KiB of dots", token: strings.Repeat(".", 8<<10), reason: verifier.ReasonMalformed, octets: 2 << 10},
		catalogueRow{name: "TS-06 four dots", token: "....", reason: verifier.ReasonMalformed, octets: 2 << 10},
		catalogueRow{name: "TS-06 two dots", token: "..", reason: verifier.ReasonMalformed, octets: 2 << 10},
		catalogueRow{name: "TS-21 control: a good token of the limit", token: w.long(t, limit), want: ok},
		catalogueRow{name: "TS-21 a good token of the limit and one", token: w.long(t, limit+1), reason: verifier.ReasonTooLarge, octets: 2 << 10},
		catalogueRow{name: "TS-21 64 KiB", token: w.long(t, 64<<10), reason: verifier.ReasonTooLarge, octets: 2 << 10},
		catalogueRow{name: "TS-21 2 MiB", token: strings.Repeat("a", 2<<20), reason: verifier.ReasonTooLarge, octets: 2 << 10},
		catalogueRow{name: "TS-22 a header of 6 KiB", token: w.token(catalogueRaw{"x": `"` + strings.Repeat("a", 6<<10) + `"`}, nil), reason: verifier.ReasonTooLarge, octets: 2 << 10},
		catalogueRow{name: "TS-23 4000 members are over the limit", token: w.token(nil, members(4000)), reason: verifier.ReasonTooLarge},
		catalogueRow{name: "TS-23 control: as many members as are read", token: w.token(nil, members(claims-8)), want: ok},
		catalogueRow{name: "TS-23 one member more", token: w.token(nil, members(claims-7)), reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-23 as many members as are read, expired", token: w.token(nil, members(claims-8).with("exp", "1700000000")), reason: verifier.ReasonExpired},
		catalogueRow{name: "TS-23 1000 members", token: w.token(nil, members(1000)), reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-23 1000 members inside", token: w.token(nil, catalogueRaw{"x": "[" + catalogueObject(members(1000)) + "]"}), reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-23 1000 members, nobody's", token: unsigned(members(1000).with("iss", `"https://evil.example"`)), reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-23 200 members, not signed", token: unsigned(members(200)), reason: verifier.ReasonSignature},
		catalogueRow{name: "TS-23 1000 objects, not signed", token: unsigned(catalogueRaw{"x": many(`{"a":1}`, 1000)}), reason: verifier.ReasonSignature},
		catalogueRow{name: "TS-25 control: 60 header members", token: w.token(members(57), nil), want: ok},
		catalogueRow{name: "TS-25 150 header members and 200 claims, not signed", token: catalogueSegment(catalogueHeader(members(150))) + strings.TrimPrefix(unsigned(members(200)), catalogueSegment(catalogueHeader()))},
		catalogueRow{name: "TS-23 a foreign aud of 2500 items", token: w.token(nil, catalogueRaw{"aud": many(`"a"`, 2500)}), reason: verifier.ReasonClaims},
		catalogueRow{name: "TS-23 a foreign aud of as many items as are read", token: w.token(nil, catalogueRaw{"aud": many(`"a"`, claims)}), reason: verifier.ReasonAudience},
		catalogueRow{name: "TS-23 a scope of 2000 illegal items is none", token: w.token(nil, catalogueRaw{"scope": many(`"\t"`, 2000)}), want: insufficientScope},
		catalogueRow{name: "TS-23 a scope of as many illegal items as are read", token: w.token(nil, catalogueRaw{"scope": many(`"\t"`, claims)}), reason: verifier.ReasonClaims},
		catalogueRow{name: "TS-23 a scope of 1000 strangers", token: w.token(nil, catalogueRaw{"scope": `"` + strings.Repeat("ab ", 1000) + `"`}), want: insufficientScope},
		catalogueRow{name: "TS-23 control: a string of 7 KiB", token: w.token(nil, catalogueRaw{"x": `"` + strings.Repeat("a", 7<<10) + `"`}), want: ok},
		catalogueRow{name: "TS-23 control: a name of 7 KiB", token: w.token(nil, catalogueRaw{strings.Repeat("a", 7<<10): "1"}), want: ok},
		catalogueRow{name: "TS-24 10 001 deep", token: w.token(nil, catalogueRaw{"x": nested(10_000)}), reason: verifier.ReasonTooLarge},
		catalogueRow{name: "TS-24 9999 deep", token: w.token(nil, catalogueRaw{"x": nested(9998)}), reason: verifier.ReasonTooLarge},
		catalogueRow{name: "TS-24 5000 deep", token: w.token(nil, catalogueRaw{"x": nested(4999)}), reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-24 5000 deep and open", token: catalogueSign("RS256", catalogueHeader(), strings.Repeat(`{"a":`, 2000)), reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-24 65 deep", token: w.token(nil, catalogueRaw{"x": nested(64)}), reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-24 33 deep", token: w.token(nil, catalogueRaw{"x": nested(32)}), reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-24 control: 32 deep", token: w.token(nil, catalogueRaw{"x": nested(31)}), want: ok},
		catalogueRow{name: "TS-25 header member 65 deep", token: w.token(catalogueRaw{"x": nested(64)}, nil), reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-25 kid 65 deep", token: w.token(catalogueRaw{"kid": nested(64)}, nil), reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-25 header that is an array 65 deep", token: catalogueSign("RS256", nested(65), w.payload()), reason: verifier.ReasonMalformed},
		catalogueRow{name: "TS-25 header of 700 open arrays", token: catalogueSign("RS256", strings.Repeat("[", 700), w.payload()), reason: verifier.ReasonMalformed},
	)
}

func (raw catalogueRaw) with(name, value string) catalogueRaw {
	raw[name] = value
	return raw
}

func (c *catalogue) headerJSON(t *testing.T) {
	w := c.world(t)
	header := catalogueHeader()
	row := func(name, header string, reason verifier.Reason) {
		w.rows(t, catalogueRow{name: name, token: catalogueSign("RS256", header, w.payload()), reason: reason})
	}
	malformed := verifier.ReasonMalformed
	row("TS-26 alg twice, none first", `{"alg":"none","alg":"RS256","kid":"r1","typ":"at+jwt"}`, malformed)
	row("TS-26 alg twice, none last", `{"alg":"RS256","alg":"none","kid":"r1","typ":"at+jwt"}`, malformed)
	row("TS-26 alg twice, one escaped", `{"alg":"RS256","al\u0067":"none","kid":"r1","typ":"at+jwt"}`, malformed)
	row("TS-27 kid twice", `{"alg":"RS256","kid":"zz","kid":"r1","typ":"at+jwt"}`, malformed)
	row("TS-27 typ twice", `{"alg":"RS256","kid":"r1","typ":"JWT","typ":"at+jwt"}`, malformed)
	row("TS-27 crit twice", `{"alg":"RS256","kid":"r1","typ":"at+jwt","crit":[],"crit":["x"]}`, malformed)
	row("TS-33 Alg beside alg", `{"alg":"RS256","Alg":"none","kid":"r1","typ":"at+jwt"}`, verifier.ReasonHeader)
	row("TS-33 Kelvin sign in kid", `{"alg":"RS256","kid":"r1","\u212aid":"e1","typ":"at+jwt"}`, verifier.ReasonHeader)
	row("TS-39 a second object", header+`{"x":1}`, malformed)
	row("TS-39 garbage behind", header+" garbage", malformed)
	row("TS-40 byte order mark", "\ufeff"+header, malformed)
	row("TS-41 invalid UTF-8 in kid", `{"alg":"RS256","kid":"r1`+"\xff"+`","typ":"at+jwt"}`, malformed)
	row("TS-44 comment", "/**/"+header, malformed)
	row("TS-36 array", "[]", malformed)
	row("TS-36 null", "null", malformed)
	row("TS-36 nothing", "", malformed)
	var members map[string]any
	if json.Unmarshal([]byte(header), &members) != nil {
		t.Error("the header that the rows change is no JSON")
	}
}
