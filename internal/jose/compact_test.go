package jose_test

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

const (
	goodHeader  = `{"alg":"RS256","kid":"r1","typ":"at+jwt"}`
	goodPayload = `{"iss":"https://login.example.com","sub":"u>>>????","aud":"https://mcp.example.com/mcp"}`
)

func good() string { return signed("RS256", goodHeader, goodPayload) }

// withSegment replaces one segment (0 to 2) and leaves the signature as it is.
func withSegment(token string, index int, change func(string) string) string {
	parts := strings.Split(token, ".")
	parts[index] = change(parts[index])
	return strings.Join(parts, ".")
}

// spelled signs the segments as they are spelled, after change: what is refused is
// the spelling, because the signature fits.
func spelled(index int, change func(string) string) string {
	parts := []string{segment(goodHeader), segment(goodPayload)}
	parts[index] = change(parts[index])
	return signText(rsaKey(), "RS256", parts[0], parts[1])
}

// lastBit changes an unused bit of the last character.
func lastBit(text string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, text[len(text)-1])
	return text[:len(text)-1] + alphabet[last^1:][:1]
}

func insert(text string) func(string) string {
	return func(s string) string { return s[:4] + text + s[4:] }
}

func suffix(text string) func(string) string {
	return func(s string) string { return s + text }
}

func TestParse_control(t *testing.T) {
	token := good()
	parsed, err := jose.Parse(token)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Algorithm != "RS256" || !parsed.HasKeyID || parsed.KeyID != "r1" || parsed.Type != "at+jwt" ||
		string(parsed.Header) != goodHeader || string(parsed.Payload) != goodPayload {
		t.Errorf("parsed %+v", parsed)
	}
	if !accepts(fullSet(t), token) {
		t.Error("the good token is refused")
	}
}

func TestParse_refuses_every_other_spelling(t *testing.T) {
	if len(segment(goodHeader))%4 == 0 || len(segment(goodPayload))%4 == 0 {
		t.Fatal("the control has no unused bits")
	}
	token := good()
	parts := strings.Split(token, ".")
	jsonJWS := func(members map[string]any) string {
		text, err := json.Marshal(members)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	one := map[string]any{"protected": parts[0], "signature": parts[2]}
	many := make([]any, 10_000)
	for i := range many {
		many[i] = one
	}
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"an empty token":                                {"", jose.ErrMalformed},
		"TS-01 no dot":                                  {"a", jose.ErrMalformed},
		"TS-01b one dot":                                {"a.b", jose.ErrMalformed},
		"TS-01 no dot but a good header":                {parts[0], jose.ErrMalformed},
		"TS-01 no signature segment":                    {parts[0] + "." + parts[1], jose.ErrMalformed},
		"TS-01 four segments":                           {token + ".", jose.ErrMalformed},
		"TS-01 four segments with a good end":           {"." + token, jose.ErrMalformed},
		"TS-01 six segments":                            {token + "." + token, jose.ErrMalformed},
		"TS-01 two dots alone":                          {"..", jose.ErrMalformed},
		"TS-06 8 KiB of dots":                           {strings.Repeat(".", 8<<10), jose.ErrMalformed},
		"TS-06 1 MiB of dots":                           {strings.Repeat(".", 1<<20), jose.ErrTooLarge},
		"TS-07 general JSON serialization":              {jsonJWS(map[string]any{"payload": parts[1], "signatures": []any{one}}), jose.ErrMalformed},
		"TS-08 flattened JSON serialization":            {jsonJWS(map[string]any{"payload": parts[1], "protected": parts[0], "signature": parts[2]}), jose.ErrMalformed},
		"TS-10 10 000 signatures":                       {jsonJWS(map[string]any{"payload": parts[1], "signatures": many}), jose.ErrTooLarge},
		"TS-10 no protected header":                     {jsonJWS(map[string]any{"payload": parts[1], "signatures": []any{map[string]any{"header": map[string]any{"alg": "RS256"}, "signature": parts[2]}}}), jose.ErrMalformed},
		"TS-11 padded header":                           {spelled(0, suffix(strings.Repeat("=", 4-len(parts[0])%4))), jose.ErrMalformed},
		"TS-11 padded payload":                          {spelled(1, suffix(strings.Repeat("=", 4-len(parts[1])%4))), jose.ErrMalformed},
		"TS-11 padded signature":                        {token + "==", jose.ErrMalformed},
		"TS-12 standard alphabet in the payload":        {spelled(1, func(s string) string { return strings.NewReplacer("-", "+", "_", "/").Replace(s) }), jose.ErrMalformed},
		"TS-12 standard alphabet in the signature":      {dashed(token), jose.ErrMalformed},
		"TS-13 unused bits in the signature":            {withSegment(token, 2, lastBit), jose.ErrMalformed},
		"TS-14 unused bits in the header":               {spelled(0, lastBit), jose.ErrMalformed},
		"TS-14 unused bits in the payload":              {spelled(1, lastBit), jose.ErrMalformed},
		"TS-15 LF at the end":                           {token + "\n", jose.ErrMalformed},
		"TS-15 CR at the end":                           {token + "\r", jose.ErrMalformed},
		"TS-15 CRLF at the end":                         {token + "\r\n", jose.ErrMalformed},
		"TS-15 LF at the start":                         {"\n" + token, jose.ErrMalformed},
		"TS-15 LF inside the header":                    {spelled(0, insert("\n")), jose.ErrMalformed},
		"TS-15 CR inside the payload":                   {spelled(1, insert("\r")), jose.ErrMalformed},
		"TS-15 CRLF inside the signature":               {withSegment(token, 2, insert("\r\n")), jose.ErrMalformed},
		"TS-16 leading blank":                           {" " + token, jose.ErrMalformed},
		"TS-16 trailing blank":                          {token + " ", jose.ErrMalformed},
		"TS-16 blank inside the header":                 {spelled(0, insert(" ")), jose.ErrMalformed},
		"TS-16 tab inside the payload":                  {spelled(1, insert("\t")), jose.ErrMalformed},
		"TS-16 blank inside the signature":              {withSegment(token, 2, insert(" ")), jose.ErrMalformed},
		"TS-17 impossible length of the header":         {spelled(0, func(s string) string { return s[:len(s)/4*4+1] }), jose.ErrMalformed},
		"TS-17 impossible length of the payload":        {spelled(1, func(s string) string { return s[:len(s)/4*4+1] }), jose.ErrMalformed},
		"TS-17 impossible length of the signature":      {withSegment(token, 2, func(s string) string { return s[:len(s)/4*4+1] }), jose.ErrMalformed},
		"TS-18 NUL":                                     {spelled(1, insert("\x00")), jose.ErrMalformed},
		"TS-18 octet 0x80":                              {spelled(1, insert("\x80")), jose.ErrMalformed},
		"TS-18 octet 0xff in the signature":             {withSegment(token, 2, insert("\xff")), jose.ErrMalformed},
		"TS-18 percent-encoded dot":                     {strings.Replace(token, ".", "%2E", 1), jose.ErrMalformed},
		"TS-18 fullwidth dot":                           {strings.Replace(token, ".", "\uff0e", 1), jose.ErrMalformed},
		"TS-18 Cyrillic letter":                         {spelled(1, insert("\u0430")), jose.ErrMalformed},
		"TS-20 tilde":                                   {spelled(1, insert("~")), jose.ErrMalformed},
		"TS-20 tilde at the end, as in an SD-JWT":       {token + "~", jose.ErrMalformed},
		"TS-21 one octet over the limit":                {token + strings.Repeat("A", jose.MaxToken+1-len(token)), jose.ErrTooLarge},
		"TS-21 64 KiB":                                  {token + strings.Repeat("A", 64<<10), jose.ErrTooLarge},
		"TS-21 2 MiB":                                   {strings.Repeat("A", 2<<20), jose.ErrTooLarge},
		"TS-22 header of 6 KiB":                         {signed("RS256", `{"alg":"RS256","kid":"r1","x":"`+strings.Repeat("x", 6<<10)+`"}`, "{}"), jose.ErrTooLarge},
		"TS-59 empty signature":                         {withSegment(token, 2, func(string) string { return "" }), nil},
		"TS-59 the signature lacks 1 character":         {token[:len(token)-1], jose.ErrMalformed},
		"TS-59 the signature lacks 2 characters":        {token[:len(token)-2], nil},
		"TS-59 the signature lacks 4 characters":        {token[:len(token)-4], nil},
		"TS-59 the signature has 4 characters too many": {token + "AAAA", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The very sentinel: nothing of the token may be in the text. Without one,
			// the spelling is legal and the signature is what must not fit.
			if _, err := jose.Parse(test.token); test.want != nil && err != test.want {
				t.Errorf("error %v, want %v", err, test.want)
			}
			mustRefuse(t, fullSet(t), test.token)
		})
	}
}

// dashed spells the signature in the standard alphabet; it looks for a signature
// that differs there.
func dashed(token string) string {
	changed := withSegment(token, 2, func(s string) string { return strings.NewReplacer("-", "+", "_", "/").Replace(s) })
	if changed == token {
		panic("the control's signature has neither - nor _")
	}
	return changed
}

func TestParse_limits_are_exact(t *testing.T) {
	header := func(length int) string {
		// Three octets are four characters.
		open, end := `{"alg":"RS256","x":"`, `"}`
		return segment(open + strings.Repeat("x", length/4*3-len(open)-len(end)) + end)
	}
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"TS-22 a header of exactly the limit": {header(jose.MaxHeader) + "..", nil},
		"TS-22 a header over the limit":       {header(jose.MaxHeader+4) + "..", jose.ErrTooLarge},
		"TS-21 a token of exactly the limit":  {"e30." + strings.Repeat("A", jose.MaxToken-8) + ".AAA", nil},
		"TS-21 the same, one octet longer":    {"e30." + strings.Repeat("A", jose.MaxToken-8) + ".AAAA", jose.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := jose.Parse(test.token); err != test.want {
				t.Errorf("%d octets: error %v, want %v", len(test.token), err, test.want)
			}
		})
	}
}

// allocated returns the octets that one call allocates.
func allocated(f func()) uint64 {
	const runs = 10
	var before, after runtime.MemStats
	f()
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return (after.TotalAlloc - before.TotalAlloc) / runs
}

// Not parallel: the measurement counts the whole process.
func TestParse_refuses_without_much_memory(t *testing.T) {
	for name, test := range map[string]struct {
		token string
		most  uint64
	}{
		"TS-06 8 KiB of dots":                  {strings.Repeat(".", 8<<10), 1 << 10},
		"TS-06 1 MiB of dots":                  {strings.Repeat(".", 1<<20), 1 << 10},
		"TS-21 2 MiB":                          {good() + strings.Repeat("A", 2<<20), 1 << 10},
		"TS-22 header of 6 KiB":                {segment(strings.Repeat("x", 6<<10)) + ".e30.AA", 1 << 10},
		"TS-25 header of brackets":             {segment(strings.Repeat("[", 1500)) + ".e30.AA", 16 << 10},
		"TS-25 header of members":              {segment("{"+strings.Repeat(`"a":{},`, 200)+"}") + ".e30.AA", 16 << 10},
		"HA-15 header of one long kid":         {segment(`{"kid":"`+strings.Repeat("k", 1500)+`"`) + ".e30.AA", 16 << 10},
		"the largest payload, and a bad end":   {segment(`{"alg":"RS256"}`) + "." + strings.Repeat("A", 16_000) + ".A", 32 << 10},
		"the largest signature, and a bad end": {segment(`{"alg":"RS256"}`) + ".." + strings.Repeat("A", 16_001), 32 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			got := allocated(func() {
				if _, err := jose.Parse(test.token); err == nil {
					t.Error("parsed")
				}
			})
			if got > test.most {
				t.Errorf("%d octets allocated, at most %d wanted", got, test.most)
			}
		})
	}
}

func utf16le(text string) string {
	var out bytes.Buffer
	for _, unit := range utf16.Encode([]rune(text)) {
		out.Write([]byte{byte(unit), byte(unit >> 8)})
	}
	return out.String()
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

// Each header is signed as it stands, so that only its form can refuse it.
func TestParse_refuses_headers_that_parsers_read_differently(t *testing.T) {
	const alg = `"alg":"RS256","kid":"r1"`
	for name, header := range map[string]string{
		"TS-25 nested 65 deep":                            nested(65),
		"TS-25 nested 65 deep in an unknown member":       `{` + alg + `,"x":` + nested(65) + `}`,
		"TS-25 nested one deeper than the limit":          `{` + alg + `,"x":` + nested(32) + `}`,
		"TS-26 alg none, then RS256":                      `{"alg":"none",` + alg + `}`,
		"TS-26 alg RS256, then none":                      `{` + alg + `,"alg":"none"}`,
		"TS-26 the same alg twice":                        `{` + alg + `,"alg":"RS256"}`,
		"TS-26 alg twice by an escape":                    `{` + alg + `,"\u0061lg":"none"}`,
		"TS-27 kid twice":                                 `{"kid":"zz",` + alg + `}`,
		"TS-27 typ twice":                                 `{` + alg + `,"typ":"dpop+jwt","typ":"at+jwt"}`,
		"TS-27 crit twice":                                `{` + alg + `,"crit":["a"],"crit":["b"]}`,
		"TS-27 an unknown member twice":                   `{` + alg + `,"x":1,"x":1}`,
		"TS-27 a duplicate inside an unknown member":      `{` + alg + `,"jwk":{"kty":"RSA","kty":"oct"}}`,
		"TS-36 an array":                                  `[]`,
		"TS-36 a string":                                  `"x"`,
		"TS-36 a number":                                  `1`,
		"TS-36 true":                                      `true`,
		"TS-36 nothing":                                   ``,
		"TS-36 blanks":                                    `  `,
		"TS-36 an array around the header":                `[{` + alg + `}]`,
		"TS-39 a second object behind":                    `{` + alg + `}{"x":1}`,
		"TS-39 garbage behind":                            `{` + alg + `} garbage`,
		"TS-39 a NUL behind":                              `{` + alg + "}\x00",
		"TS-39 a comma behind":                            `{` + alg + `},`,
		"TS-39 cut short":                                 `{` + alg,
		"TS-40 byte order mark":                           "\ufeff{" + alg + `}`,
		"TS-40 UTF-16LE":                                  utf16le(`{` + alg + `}`),
		"TS-40 UTF-16LE with a byte order mark":           "\xff\xfe" + utf16le(`{`+alg+`}`),
		"TS-41 invalid UTF-8 in kid":                      `{"alg":"RS256","kid":"` + "r1\xff" + `"}`,
		"TS-41 invalid UTF-8 in an unknown member":        `{` + alg + `,"x":"` + "\xc0\x80" + `"}`,
		"TS-41 invalid UTF-8 in a name":                   `{` + alg + `,"` + "\xed\xa0\x80" + `":1}`,
		"TS-41 lone surrogate":                            `{` + alg + `,"x":"\ud800"}`,
		"TS-44 comment":                                   `{/* */` + alg + `}`,
		"TS-44 line comment":                              "{//\n" + alg + `}`,
		"TS-44 trailing comma":                            `{` + alg + `,}`,
		"TS-44 single quotes":                             `{'alg':'RS256','kid':'r1'}`,
		"TS-44 NaN":                                       `{` + alg + `,"x":NaN}`,
		"TS-44 Infinity":                                  `{` + alg + `,"x":Infinity}`,
		"TS-44 negative Infinity":                         `{` + alg + `,"x":-Infinity}`,
		"TS-44 hexadecimal":                               `{` + alg + `,"x":0x10}`,
		"TS-44 leading zero":                              `{` + alg + `,"x":01}`,
		"TS-44 plus sign":                                 `{` + alg + `,"x":+1}`,
		"TS-44 no digit before the point":                 `{` + alg + `,"x":.5}`,
		"TS-44 no digit behind the point":                 `{` + alg + `,"x":1.}`,
		"TS-44 unquoted name":                             `{alg:"RS256","kid":"r1"}`,
		"TS-44 raw line break in a string":                `{` + alg + `,"x":"` + "\n" + `"}`,
		"TS-44 raw NUL in a string":                       `{` + alg + `,"x":"` + "\x00" + `"}`,
		"TS-44 unknown escape":                            `{` + alg + `,"x":"\x41"}`,
		"TS-44 upper-case literal":                        `{` + alg + `,"x":True}`,
		"TS-44 a no-break space between tokens":           "{\u00a0" + alg + `}`,
		"HA-04 alg of another type":                       `{"alg":["RS256"],"kid":"r1"}`,
		"HA-04 alg is a number":                           `{"alg":256,"kid":"r1"}`,
		"HA-04 alg is an object":                          `{"alg":{"name":"RS256"},"kid":"r1"}`,
		"TS-55 a number that is cut":                      `{` + alg + `,"x":1e}`,
		"TS-35 a raw NUL behind a name":                   `{"alg` + "\x00" + `":"none",` + alg + `}`,
		"TS-36 the base64url text of the header, quoted":  `"` + segment(goodHeader) + `"`,
		"TS-44 a name without a value":                    `{` + alg + `,"x"}`,
		"TS-44 two values":                                `{` + alg + `,"x":1 2}`,
		"TS-44 closing brackets that were never opened":   `]]]]{` + alg + `}`,
		"TS-25 deep, behind closing brackets":             strings.Repeat("]", 64) + nested(65),
		"TS-25 deep, behind a quotation mark and escapes": `{"\\":` + nested(65) + `,` + alg + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := signed("RS256", header, goodPayload)
			if _, err := jose.Parse(token); err != jose.ErrMalformed {
				t.Errorf("error %v, want %v", err, jose.ErrMalformed)
			}
		})
	}
}

// The strict reader must not refuse what is legal.
func TestParse_accepts_legal_headers(t *testing.T) {
	for name, header := range map[string]string{
		"white space between tokens":                        " \t\r\n{ \"alg\" : \"RS256\" ,\n\"kid\":\"r1\" } ",
		"escapes in names and values":                       `{"\u0061lg":"\u0052S256","kid":"r\u0031"}`,
		"an unknown member":                                 `{"alg":"RS256","kid":"r1","x":{"a":[1,null,true,"\ud83d\ude00"]}}`,
		"nested as deep as the limit":                       `{"alg":"RS256","kid":"r1","x":` + nested(31) + `}`,
		"TS-25 brackets inside a string":                    `{"alg":"RS256","kid":"r1","x":"` + strings.Repeat("[{", 100) + `\"` + strings.Repeat("[{", 100) + `"}`,
		"TS-55 a number of 1000 digits":                     `{"alg":"RS256","kid":"r1","x":` + strings.Repeat("9", 1000) + `}`,
		"TS-55 a huge exponent":                             `{"alg":"RS256","kid":"r1","x":1e999999999}`,
		"TS-55 a tiny exponent":                             `{"alg":"RS256","kid":"r1","x":1e-999999999}`,
		"TS-35 a name with an escaped NUL is another name":  `{"alg\u0000":"none","alg":"RS256","kid":"r1","kid\u0000":"e1"}`,
		"HA-14 certificate thumbprints select nothing":      `{"alg":"RS256","kid":"r1","x5t":"AAAA","x5t#S256":"AAAA"}`,
		"cty of a nested token is the claims reader's duty": `{"alg":"RS256","kid":"r1","cty":"JWT"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !accepts(fullSet(t), signed("RS256", header, goodPayload)) {
				t.Error("refused")
			}
		})
	}
}

// RFC 7515 §4: the header is a JSON object, and null is none.
func TestParse_TS_36_null_header(t *testing.T) {
	if _, err := jose.Parse(signed("RS256", `null`, goodPayload)); err != jose.ErrMalformed {
		t.Errorf("error %v, want %v", err, jose.ErrMalformed)
	}
}

// A parser that folds case reads these as none, or as crit: whoever stands before
// or behind us may be one.
func TestParse_TS_33_case_variants_beside_the_real_name(t *testing.T) {
	for _, member := range []string{`"Alg":"none"`, `"ALG":"RS256"`, `"Kid":"e1"`, `"TYP":"JWT"`, `"Crit":["exp"]`, `"B64":false`} {
		t.Run(member, func(t *testing.T) {
			for _, header := range []string{
				`{"alg":"RS256","kid":"r1",` + member + `}`,
				`{` + member + `,"alg":"RS256","kid":"r1"}`,
			} {
				if accepts(fullSet(t), signed("RS256", header, goodPayload)) {
					t.Errorf("accepted: %s", header)
				}
			}
		})
	}
}

// Whatever becomes of such a token, the exact name must decide.
func TestParse_TS_33_the_exact_name_decides(t *testing.T) {
	parsed, err := jose.Parse(signed("RS256", `{"Alg":"none","alg":"RS256","ALG":"HS256","kid":"r1","Kid":"e1"}`, goodPayload))
	if err == nil && (parsed.Algorithm != "RS256" || parsed.KeyID != "r1") {
		t.Errorf("alg %q, kid %q", parsed.Algorithm, parsed.KeyID)
	}
}

func TestParse_keeps_any_payload(t *testing.T) {
	for name, payload := range map[string]string{
		"empty": "", "not JSON": "foo", "zero octets": "\x00\x00", "invalid UTF-8": "\xff", "TS-40 byte order mark": "\ufeff{}",
	} {
		t.Run(name, func(t *testing.T) {
			token := signed("RS256", goodHeader, payload)
			parsed, err := jose.Parse(token)
			if err != nil || string(parsed.Payload) != payload {
				t.Fatalf("payload %q, %v", parsed.Payload, err)
			}
			if !accepts(fullSet(t), token) {
				t.Error("refused")
			}
		})
	}
}
