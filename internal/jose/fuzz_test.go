package jose_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// mostAllocated bounds what reading one token may cost, in octets, whatever it is.
const mostAllocated = 128 << 10

// FuzzParse: what Parse accepts has one spelling, and reading is bounded.
func FuzzParse(f *testing.F) {
	token := good()
	for _, seed := range []string{
		"", ".", "..", "....", token, token + ".", token + "\n", token + "=", " " + token, strings.ToUpper(token),
		"e30..", "e30.e30.AA", "bnVsbA.e30.AA", withSegment(token, 2, lastBit), spelled(0, lastBit), spelled(1, insert("\r\n")),
		withSegment(token, 1, insert("~")), strings.Replace(token, ".", "\uff0e", 1), strings.Repeat(".", 8<<10),
		segment(`{"alg":"dir","enc":"A128GCM"}`) + "..AAAA.AAAA.AAAA", `{"payload":"","signatures":[]}`,
		segment(strings.Repeat("[", 1500)) + ".e30.AA", segment("{"+strings.Repeat(`"a":{},`, 200)+"}") + ".e30.AA",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		parsed, err := jose.Parse(token)
		if (err == nil) != (parsed != nil) {
			t.Fatalf("%v with error %v", parsed, err)
		}
		if cost := allocated(func() { _, _ = jose.Parse(token) }); cost > mostAllocated {
			t.Errorf("%d octets allocated for %d", cost, len(token))
		}
		if err != nil {
			return
		}
		parts := strings.Split(token, ".")
		if len(parts) != 3 || len(token) > jose.MaxToken || len(parts[0]) > jose.MaxHeader {
			t.Fatalf("accepted %d segments, %d octets", len(parts), len(token))
		}
		for i, part := range parts {
			octets, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil || segment(octets) != part {
				t.Errorf("segment %d has a second spelling", i)
			}
			if i == 1 && string(octets) != string(parsed.Payload) {
				t.Error("another payload")
			}
		}
	})
}

// FuzzHeader: what Parse accepts as a header, encoding/json reads as an object
// with the same members, and none that changes the meaning of a token.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{
		goodHeader, `{}`, `{"alg":"none"}`, `{"alg":"RS256","kid":null}`, `{"alg":"RS256","crit":[]}`, `{"b64":true}`, `{"zip":""}`,
		`{"alg":"a","alg":"b"}`, `{"\u0061lg":"a","kid":"\u0000"}`, `{"typ":"\ud83d\ude00"}`, `{"x":"\ud800"}`, "{\"x\":\"\xff\"}",
		`{"x":` + nested(31) + `}`, `{"x":` + nested(32) + `}`, `{"x":1e999}`, `[]`, `"x"`, `{}{}`, "\ufeff{}", `{"kid":{"a":1,"a":2}}`,
		`{"x":"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		parsed, err := jose.Parse(segment(header) + ".e30.AA")
		if err != nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(header, &members); err != nil || members == nil {
			t.Fatalf("encoding/json reads no object: %v", err)
		}
		for _, name := range []string{"crit", "b64", "zip"} {
			if _, there := members[name]; there {
				t.Errorf("%s is accepted", name)
			}
		}
		text := func(name string) string {
			var value string
			if raw, there := members[name]; there && json.Unmarshal(raw, &value) != nil {
				t.Errorf("%s is no string: %s", name, raw)
			}
			return value
		}
		_, there := members["kid"]
		if parsed.HasKeyID != there || parsed.KeyID != text("kid") || parsed.Algorithm != text("alg") || parsed.Type != text("typ") {
			t.Errorf("kid %q (%t), alg %q, typ %q", parsed.KeyID, parsed.HasKeyID, parsed.Algorithm, parsed.Type)
		}
	})
}

// edited changes the text of a token: nothing, or it replaces, inserts or removes
// octets at a place.
func edited(token string, kind byte, at uint16, piece string) string {
	place := int(at) % (len(token) + 1)
	end := min(place+len(piece), len(token))
	switch kind % 4 {
	case 1:
		return token[:place] + piece + token[end:]
	case 2:
		return token[:place] + piece + token[place:]
	case 3:
		return token[:place] + token[end:]
	}
	return token
}

// FuzzDifferential signs whatever header and payload it is given, so that only the
// reading can go wrong, and then may damage the text. What we accept, jwx accepts
// too, with the same payload; it is exactly what was signed, under the alg that
// signed it; and what is not damaged and is parsed, verifies.
func FuzzDifferential(f *testing.F) {
	algorithms := []string{"EdDSA", "ES256", "ES384", "ES512", "RS256", "PS256", "RS512", "PS384"}
	for i, alg := range algorithms {
		for _, rest := range []string{``, `,"kid":"k"`, `,"kid":"zz"`, `,"typ":"at+jwt"`, `,"alg":"none"`, `,"crit":["x"]`, `,"b64":false`} {
			f.Add(byte(i), []byte(fmt.Sprintf(`{"alg":%q%s}`, alg, rest)), []byte(goodPayload), byte(0), uint16(0), "")
		}
		header := []byte(fmt.Sprintf(`{"alg":%q}`, alg))
		for kind := range byte(4) {
			for _, piece := range []string{"A", "=", "\n", " ", ".", "~", "AAAA", "=="} {
				f.Add(byte(i), header, []byte("{}"), kind, uint16(0xffff), piece)
				f.Add(byte(i), header, []byte("{}"), kind, uint16(9), piece)
			}
		}
	}
	f.Fuzz(func(t *testing.T, index byte, header, payload []byte, kind byte, at uint16, piece string) {
		alg := algorithms[int(index)%len(algorithms)]
		private := privateKey(alg)
		original := signText(private, alg, segment(header), segment(payload))
		token := edited(original, kind, at, piece)
		set := keySet(t, jwk(private.Public(), "kid", "k"))
		parsed, err := jose.Parse(token)
		if err != nil {
			return
		}
		key := set.Find(parsed)
		accepted := key != nil && key.Verify(parsed)
		if !accepted {
			if token == original && key != nil && parsed.Algorithm == alg {
				t.Error("a good token is refused")
			}
			return
		}
		if token != original {
			t.Error("accepted after a change")
		}
		if parsed.Algorithm != alg {
			t.Errorf("signed as %s, accepted as %s", alg, parsed.Algorithm)
		}
		got, err := jws.Verify([]byte(token), jws.WithKey(jwa.SignatureAlgorithm(parsed.Algorithm), private.Public()))
		if err != nil || string(got) != string(parsed.Payload) || string(got) != string(payload) {
			t.Errorf("jwx reads %q, %v; we read %q", got, err, parsed.Payload)
		}
	})
}
