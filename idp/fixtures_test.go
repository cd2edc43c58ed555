package idp_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// fixture is one token of testdata/idp and what must become of it.
type fixture struct {
	Header   json.RawMessage `json:"header"`
	Payload  json.RawMessage `json:"payload"`
	Raw      string          `json:"raw"`       // the whole credential, where it is no JWT
	SignedBy string          `json:"signed_by"` // not empty: not by the provider's key
	Expect   string          `json:"expect"`    // "accept" or a Reason
	Hint     string          `json:"hint"`      // part of the error's text

	Subject  string   `json:"subject"`
	Client   string   `json:"client"`
	Tenant   string   `json:"tenant"`
	Audience []string `json:"audience"`
	Scopes   string   `json:"scopes"`
}

// fixtureTime is a moment at which the tokens of the fixtures are valid.
const fixtureTime = 1795300030

type signingKeys struct{ provider, stranger *rsa.PrivateKey }

// keys are made for each run, so that no private key is in the repository.
var keys = sync.OnceValue(func() (k signingKeys) {
	for _, key := range []**rsa.PrivateKey{&k.provider, &k.stranger} {
		var err error
		if *key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	return k
})

// compact signs the fixture as its provider would.
func (f fixture) compact(t *testing.T) string {
	t.Helper()
	if f.Raw != "" {
		return f.Raw
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode(f.Header) + "." + encode(f.Payload)
	key := keys().provider
	if f.SignedBy != "" {
		key = keys().stranger
	}
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encode(signature)
}

// load reads a fixture and refuses what it would not use.
func load(t *testing.T, file string) fixture {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	var f fixture
	if err := decoder.Decode(&f); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if f.Expect != "accept" && !slices.Contains(verifier.Reasons(), verifier.Reason(f.Expect)) {
		t.Fatalf("%s expects %q, which is no Reason", file, f.Expect)
	}
	return f
}

// network serves the provider's documents at the provider's own addresses and
// answers 404 everywhere else.
func network(t *testing.T, dir string, serves map[string]string) authtest.Network {
	t.Helper()
	documents := make(map[string][]byte)
	net := authtest.Network{}
	for address, name := range serves {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		modulus := base64.RawURLEncoding.EncodeToString(keys().provider.N.Bytes())
		documents[address] = []byte(strings.ReplaceAll(string(data), "(the test's own key)", modulus))
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		net[u.Scheme+"://"+u.Host] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			document, found := documents["https://"+r.Host+r.URL.RequestURI()]
			if !found {
				http.NotFound(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(document)
		})
	}
	return net
}

// bubble runs test at fixtureTime.
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Unix(fixtureTime, 0))) // virtual
		test(t)
	})
}

// longStrings returns the strings in a JSON value that are long enough to be told
// from prose.
func longStrings(value strictjson.Value) (found []string) {
	switch value.Kind() {
	case '"':
		var s string
		if strictjson.Unmarshal(value, &s) == nil && len(s) >= 10 {
			found = append(found, s)
		}
	case '[':
		var items []strictjson.Value
		if strictjson.Unmarshal(value, &items) == nil {
			for _, item := range items {
				found = append(found, longStrings(item)...)
			}
		}
	case '{':
		var members map[string]strictjson.Value
		if strictjson.Unmarshal(value, &members) == nil {
			for _, member := range members {
				found = append(found, longStrings(member)...)
			}
		}
	}
	return found
}
