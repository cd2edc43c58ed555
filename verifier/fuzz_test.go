package verifier_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// FuzzVerify: no text panics, and none verifies but those that were minted,
// octet by octet. ES algorithms are left out: each of their signatures has a twin
// (s and n-s) that is as good.
func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	ed := newKey(f, "EdDSA", "ed")
	w.issuer.SetKeys(ed, rsaKey(f))
	minted := make(map[string]bool)
	add := func(key authtest.Key, header, claims raw) {
		token := signWith(f, key, header, w.payload(claims))
		minted[token] = true
		f.Add(token)
	}
	add(ed, nil, nil)
	add(rsaKey(f), nil, nil)
	add(ed, raw{"typ": ""}, raw{"scope": `["a"]`, "aud": `["x","` + resource + `"]`})
	for token := range minted {
		parts := strings.Split(token, ".")
		for _, text := range []string{
			token + "=", token + ".", token[1:], token[:len(token)-1], parts[0] + ".." + parts[2], parts[0] + "." + parts[1] + ".", token + "\n",
			"eyJhbGciOiJub25lIn0." + parts[1] + ".", strings.ReplaceAll(token, "-", "+"), parts[1] + "." + parts[0] + "." + parts[2],
		} {
			f.Add(text)
		}
	}
	f.Add("")
	f.Add("..")
	w.warm()
	f.Fuzz(func(t *testing.T, text string) {
		token, err := verify(t, w.jwt, text)
		if err == nil && !minted[text] {
			t.Errorf("accepted %q, which nobody minted", text)
		}
		if err == nil && token.DangerouslyRaw() != text {
			t.Error("DangerouslyRaw is another text")
		}
	})
}

// FuzzClaims: a payload that is accepted, signed as it is, says the same to
// encoding/json as to us.
func FuzzClaims(f *testing.F) {
	w := newWorld(f, uncached)
	ed := newKey(f, "EdDSA", "ed")
	w.issuer.SetKeys(ed)
	w.warm()
	far := number(time.Now().Add(300 * 24 * time.Hour))
	for _, replace := range []raw{
		nil, {"exp": far + ".5"}, {"exp": "1e9"}, {"aud": `["x","` + resource + `"]`}, {"Exp": "1", "exp": far}, {"sub": `"\u00fc\ud83d\ude00"`},
		{"iss": ""}, {"cnf": "{}"}, {"nbf": "1"}, {"scope": `["a",1]`}, {"exp": "9223372036854775807"}, {"x": `{"a":[1,{"b":null}]}`},
	} {
		f.Add([]byte(w.payload(raw{"exp": far}.merge(replace))))
	}
	f.Add([]byte(`{"exp":1,"e\u0078p":` + far + `}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		text, err := ed.Sign([]byte(`{"alg":"EdDSA","kid":"ed","typ":"at+jwt"}`), payload)
		if err != nil {
			t.Fatal(err)
		}
		token, err := verify(t, w.jwt, text)
		if err != nil {
			return
		}
		var second map[string]any
		if err := json.Unmarshal(payload, &second); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if second["iss"] != token.Issuer || second["sub"] != token.Subject || token.Issuer != w.issuer.URL() {
			t.Errorf("iss %q, sub %q; encoding/json reads %v, %v", token.Issuer, token.Subject, second["iss"], second["sub"])
		}
		exp, ok := second["exp"].(float64)
		if ours := float64(token.Expiry.UnixNano()) / 1e9; !ok || math.Abs(ours-exp) > 1e-3 {
			t.Errorf("exp %v; encoding/json reads %v", token.Expiry, second["exp"])
		}
		if time.Now().After(token.Expiry.Add(time.Minute)) {
			t.Errorf("accepted though it expired at %v", token.Expiry)
		}
		var audience []string
		switch aud := second["aud"].(type) {
		case string:
			audience = []string{aud}
		case []any:
			for _, item := range aud {
				one, _ := item.(string)
				audience = append(audience, one)
			}
		}
		if !slices.Equal(audience, token.Audience) || !slices.Contains(audience, resource) {
			t.Errorf("aud %q; encoding/json reads %v", token.Audience, second["aud"])
		}
		if _, bound := second["cnf"]; bound {
			t.Error("a bound token was accepted without a proof")
		}
	})
}

func (r raw) merge(replace raw) raw {
	all := raw{}
	for _, from := range []raw{r, replace} {
		for name, value := range from {
			all[name] = value
		}
	}
	return all
}

// wire is a RoundTripper that answers discovery with one document, keys with
// another, and remembers what was asked.
type wire struct {
	document, keys []byte
	asked          []string
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	address := r.URL.String()
	w.asked = append(w.asked, address)
	body := w.keys
	if strings.Contains(address, "/.well-known/") {
		body = w.document
	}
	return &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
}

// FuzzDiscovery: whatever the document is, keys are fetched only from the
// jwks_uri of a document of this very issuer, over https.
func FuzzDiscovery(f *testing.F) {
	w := newWorld(f)
	token, keys := w.token(nil), w.issuer.JWKS()
	for _, text := range []string{
		`{"issuer":"https://issuer.example","jwks_uri":"https://issuer.example/jwks"}`,
		`{"issuer":"https://issuer.example/","jwks_uri":"https://issuer.example/jwks"}`,
		`{"issuer":"https://issuer.example","jwks_uri":"http://issuer.example/jwks"}`,
		`{"issuer":"https://issuer.example","jwks_uri":"https://u:p@keys.example/jwks"}`,
		`{"issuer":"https://issuer.example","jwks_uri":"https://keys.example/jwks#x"}`,
		`{"issuer":"https://issuer.example","jwks_uri":"//keys.example/jwks"}`,
		`{"ISSUER":"https://issuer.example","issuer":"x","jwks_uri":"https://keys.example"}`,
		`{"issuer":"https://issuer.example","jwks_uri":"https://keys.example\\@evil"}`,
		`{"issuer":"https://issuer.example","jwks_uri":"HTTPS://keys.example/%2e"}`,
		`{}`, `[]`, `null`, ``, `{"issuer":1}`, `<html>`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		wire := &wire{document: document, keys: keys}
		j := newJWT(t, verifier.JWTConfig{Resource: resource, Issuers: []verifier.Issuer{{URL: authtest.DefaultURL}}, Transport: wire, CacheSize: -1})
		_, err := verify(t, j, token)
		var fetched []string
		for _, address := range wire.asked {
			if !strings.HasPrefix(address, authtest.DefaultURL+"/.well-known/") {
				fetched = append(fetched, address)
			}
		}
		if err != nil && len(fetched) == 0 {
			isUnavailable(t, err)
			return
		}
		var second struct {
			Issuer  string `json:"issuer"`
			JWKSURI string `json:"jwks_uri"`
		}
		if json.Unmarshal(document, &second) != nil || second.Issuer != authtest.DefaultURL || len(fetched) > 1 {
			t.Fatalf("asked for %q by %q", fetched, document)
		}
		for _, address := range fetched {
			if !strings.HasPrefix(address, "https://") && !loopback(address) || strings.Contains(address, "#") {
				t.Errorf("asked for %q by %q", address, document)
			}
		}
		if err == nil && !strings.HasPrefix(strings.ToLower(second.JWKSURI), "http") {
			t.Errorf("verified with the keys at %q", second.JWKSURI)
		}
	})
}

func loopback(address string) bool {
	for _, prefix := range []string{"http://127.", "http://localhost", "http://[::1]", "http://[::ffff:127."} {
		if strings.HasPrefix(address, prefix) {
			return true
		}
	}
	return false
}
