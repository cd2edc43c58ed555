package idp_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// wanted is the request that a provider must be asked with, "(token)" standing for
// the token.
type wanted struct {
	Method        string     `json:"method"`
	URL           string     `json:"url"`
	Basic         string     `json:"basic"`         // what Authorization has in base64
	Authorization string     `json:"authorization"` // where it is not Basic; empty: none
	Accept        string     `json:"accept"`
	Form          url.Values `json:"form"`
}

// judged is one answer about a token and what must become of it.
type judged struct {
	Token     string          `json:"token"`
	Status    int             `json:"status"`     // 0: 200
	MediaType string          `json:"media_type"` // empty: JSON, or what Signed says
	Answer    json.RawMessage `json:"answer"`     // a string: as it is
	Signed    *envelope       `json:"signed"`     // nil: plain
	Expect    string          `json:"expect"`     // "accept", a Reason, "credentials" or "unavailable"
	Hint      string          `json:"hint"`       // part of the error's text

	Subject  string   `json:"subject"`
	Client   string   `json:"client"`
	Tenant   string   `json:"tenant"`
	Audience []string `json:"audience"`
	Scopes   string   `json:"scopes"`
}

// envelope is the JWT around a signed answer (RFC 9701 §5). Zero values stand for
// what is right.
type envelope struct {
	MediaType string `json:"media_type"`
	Type      string `json:"type"`
	Issuer    string `json:"issuer"`
	Audience  string `json:"audience"`
	By        string `json:"by"`
}

// decode reads a file of testdata strictly.
func decode(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// body returns the answer as the provider sends it now, and its media type.
func (j judged) body(t *testing.T, issuer string) (body, mediaType string) {
	t.Helper()
	if j.Signed == nil {
		var text string
		if json.Unmarshal(j.Answer, &text) == nil {
			return text, j.MediaType
		}
		return string(j.Answer), "application/json"
	}
	or := func(value, right string) string {
		if value == "" {
			return right
		}
		return value
	}
	header, err := json.Marshal(map[string]string{"alg": "RS256", "kid": "DU0SYNTH", "typ": or(j.Signed.Type, "token-introspection+jwt")})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(map[string]any{
		"iss": or(j.Signed.Issuer, issuer), "aud": j.Signed.Audience, "iat": time.Now().Unix(), "token_introspection": j.Answer,
	})
	if err != nil {
		t.Fatal(err)
	}
	return fixture{Header: header, Payload: payload, SignedBy: j.Signed.By}.compact(t),
		or(j.Signed.MediaType, "application/token-introspection+jwt")
}

// serve answers one question after having compared it.
func (j judged) serve(t *testing.T, want wanted, issuer string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		form, err2 := url.ParseQuery(string(text))
		if err != nil || err2 != nil {
			t.Errorf("the body cannot be read: %v, %v", err, err2)
		}
		authorization := want.Authorization
		if want.Basic != "" {
			authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(want.Basic))
		}
		expected := maps.Clone(want.Form)
		if !slices.Equal(expected["token"], []string{"(token)"}) {
			t.Errorf("the wanted request has the token %q", expected["token"])
		}
		expected["token"] = []string{j.Token}
		if r.Method != want.Method || r.Header.Get("Authorization") != authorization || r.Header.Get("Accept") != want.Accept ||
			r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || !reflect.DeepEqual(form, expected) {
			t.Errorf("asked with %s %q %v\nwant %s %q %v", r.Method, r.Header, form, want.Method, authorization, expected)
		}
		body, mediaType := j.body(t, issuer)
		w.Header().Set("Content-Type", mediaType)
		if j.Status != 0 {
			w.WriteHeader(j.Status)
		}
		_, _ = io.WriteString(w, body)
	})
}

// on puts the endpoint into a network with the provider's documents.
func (j judged) on(t *testing.T, documents authtest.Network, want wanted, issuer string) authtest.Network {
	t.Helper()
	endpoint, err := url.Parse(want.URL)
	if err != nil {
		t.Fatal(err)
	}
	origin := endpoint.Scheme + "://" + endpoint.Host
	others := documents[origin]
	net := maps.Clone(documents)
	net[origin] = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.RequestURI() == endpoint.RequestURI():
			j.serve(t, want, issuer).ServeHTTP(w, r)
		case others != nil:
			others.ServeHTTP(w, r)
		default:
			t.Errorf("asked at %s, want %s", r.URL, want.URL)
			http.NotFound(w, r)
		}
	})
	return net
}

// check introspects the token and compares.
func (j judged) check(t *testing.T, v verifier.Verifier) {
	t.Helper()
	token, err := v.Verify(context.Background(), j.Token)
	if j.Expect == "accept" {
		j.compare(t, token, err)
		return
	}
	if err == nil {
		t.Fatal("accepted")
	}
	if !strings.Contains(err.Error(), j.Hint) {
		t.Errorf("%v\ndoes not say %q", err, j.Hint)
	}
	invalid, ok := errors.AsType[*verifier.InvalidTokenError](err)
	switch ours := errors.Is(err, verifier.ErrOurCredentials); {
	case j.Expect == "credentials" || j.Expect == "unavailable":
		if !errors.Is(err, verifier.ErrUnavailable) || ours != (j.Expect == "credentials") {
			t.Errorf("got %v, want %s", err, j.Expect)
		}
	case !ok || string(invalid.Reason) != j.Expect:
		t.Errorf("refused with %v; want %q", err, j.Expect)
	}
	for _, value := range append(j.personal(), j.Token, "s3cret") {
		if strings.Contains(err.Error(), value) {
			t.Errorf("the error repeats a value: %v", err)
		}
	}
}

// personal returns what the answer says about somebody.
func (j judged) personal() (values []string) {
	var members map[string]any
	if json.Unmarshal(j.Answer, &members) != nil {
		return nil
	}
	for _, name := range []string{"sub", "uid", "username", "preferred_username", "client_id", "jti", "sid", "delegationId"} {
		if value, ok := members[name].(string); ok && len(value) >= 8 {
			values = append(values, value)
		}
	}
	return values
}

func (j judged) compare(t *testing.T, token *verifier.Token, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	granted, err := scopes.Parse(j.Scopes)
	if err != nil {
		t.Fatal(err)
	}
	if token.Subject != j.Subject || token.ClientID != j.Client || token.Tenant != j.Tenant ||
		!slices.Equal(token.Audience, j.Audience) || !token.Scopes.Equal(granted) {
		t.Errorf("got subject %q, client %q, tenant %q, audience %q, scopes %q\nwant %q, %q, %q, %q, %q",
			token.Subject, token.ClientID, token.Tenant, token.Audience, token.Scopes,
			j.Subject, j.Client, j.Tenant, j.Audience, j.Scopes)
	}
}

// answers returns the fixtures of a directory by name.
func answers(t *testing.T, dir string) map[string]judged {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*d-*.json"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]judged)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		var j judged
		decode(t, file, &j)
		known := j.Expect == "accept" || j.Expect == "credentials" || j.Expect == "unavailable" ||
			slices.Contains(verifier.Reasons(), verifier.Reason(j.Expect))
		if !known || strings.HasPrefix(name, "good-") != (j.Expect == "accept") {
			t.Fatalf("%s expects %q", name, j.Expect)
		}
		all[name] = j
	}
	return all
}
