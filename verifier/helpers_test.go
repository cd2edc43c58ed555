package verifier_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const (
	resource    = "https://mcp.example.com/mcp"
	otherIssuer = "https://other.example"
)

// world is one issuer and one verifier that trusts it.
type world struct {
	t      testing.TB
	issuer *authtest.Issuer
	jwt    *verifier.JWT
}

// newWorld builds both; edit may change the verifier's configuration. Nothing
// has been fetched yet.
func newWorld(t testing.TB, edit ...func(*verifier.JWTConfig)) *world {
	t.Helper()
	issuer := authtest.NewIssuer(t, authtest.Config{
		Resources:     []string{resource},
		Scopes:        []string{"files:read", "files:write"},
		TokenLifetime: 48 * time.Hour,
	})
	config := verifier.JWTConfig{
		Resource:  resource,
		Issuers:   []verifier.Issuer{{URL: issuer.URL()}},
		Transport: issuer.Transport(),
	}
	for _, change := range edit {
		change(&config)
	}
	return &world{t: t, issuer: issuer, jwt: newJWT(t, config)}
}

func newJWT(t testing.TB, config verifier.JWTConfig) *verifier.JWT {
	t.Helper()
	j, err := verifier.NewJWT(config)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// uncached makes every verification do all of the work.
func uncached(config *verifier.JWTConfig) { config.CacheSize = -1 }

// of changes the one issuer of the configuration.
func of(change func(*verifier.Issuer)) func(*verifier.JWTConfig) {
	return func(config *verifier.JWTConfig) { change(&config.Issuers[0]) }
}

// warm fetches the keys.
func (w *world) warm() *world {
	w.t.Helper()
	if err := w.jwt.Ready(w.t.Context()); err != nil {
		w.t.Fatalf("not ready: %v", err)
	}
	return w
}

// verify is Verify with the rule of the interface checked: exactly one of token
// and error is nil.
func (w *world) verify(token string) (*verifier.Token, error) {
	w.t.Helper()
	return verify(w.t, w.jwt, token)
}

func verify(t testing.TB, v verifier.Verifier, token string) (*verifier.Token, error) {
	t.Helper()
	got, err := v.Verify(context.Background(), token)
	if (got == nil) != (err != nil) {
		t.Errorf("token is nil: %v, error: %v; want exactly one of them", got == nil, err)
	}
	if err != nil {
		noSecrets(t, err, token)
	}
	return got, err
}

func (w *world) accept(token string) *verifier.Token {
	w.t.Helper()
	got, err := w.verify(token)
	if err != nil {
		w.t.Fatalf("refused: %v", err)
	}
	return got
}

func (w *world) refuse(token string, reason verifier.Reason) {
	w.t.Helper()
	_, err := w.verify(token)
	isInvalid(w.t, err, reason)
}

// isInvalid checks class and Reason.
func isInvalid(t testing.TB, err error, reason verifier.Reason) {
	t.Helper()
	refused, ok := errors.AsType[*verifier.InvalidTokenError](err)
	switch {
	case err == nil:
		t.Errorf("accepted, want Reason %s", reason)
	case !errors.Is(err, verifier.ErrInvalidToken) || errors.Is(err, verifier.ErrUnavailable):
		t.Errorf("error %v is not of the class ErrInvalidToken alone", err)
	case !ok || refused.Reason != reason:
		t.Errorf("error %v, want Reason %s", err, reason)
	case !slices.Contains(verifier.Reasons(), refused.Reason):
		t.Errorf("Reason %q is not in the closed list", refused.Reason)
	}
}

// isUnavailable checks the class and returns the detail.
func isUnavailable(t testing.TB, err error) *verifier.UnavailableError {
	t.Helper()
	outage, ok := errors.AsType[*verifier.UnavailableError](err)
	if !ok || !errors.Is(err, verifier.ErrUnavailable) || errors.Is(err, verifier.ErrInvalidToken) {
		t.Fatalf("error %v is not of the class ErrUnavailable alone", err)
	}
	return outage
}

// noSecrets checks that no text of err holds a 16-octet piece of the token or of
// a claim value, nor a whole shorter value.
func noSecrets(t testing.TB, err error, token string) {
	t.Helper()
	texts := fmt.Sprintf("%v\n%+v\n%#v", err, err, errors.Unwrap(err))
	secrets := append(strings.Split(token, "."), token)
	for _, segment := range strings.Split(token, ".") {
		var decoded any
		if text, err := base64.RawURLEncoding.DecodeString(segment); err == nil && json.Unmarshal(text, &decoded) == nil {
			secrets = append(secrets, leaves(decoded)...)
		}
	}
	for _, secret := range secrets {
		if len(secret) >= 8 && len(secret) < 16 && strings.Contains(texts, secret) {
			t.Errorf("the error holds the value %q", secret)
		}
		for i := 0; i+16 <= len(secret); i++ {
			// The configured issuer is no secret, and outages name it.
			if piece := secret[i : i+16]; strings.Contains(texts, piece) && !strings.Contains(authtest.DefaultURL+otherIssuer, piece) {
				t.Errorf("the error holds a piece of the token: %q", piece)
				break
			}
		}
	}
}

func leaves(v any) (all []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, item := range v {
			all = append(all, leaves(item)...)
		}
	case map[string]any:
		for _, item := range v {
			all = append(all, leaves(item)...)
		}
	}
	return all
}

// raw is claims or header members as JSON text; an empty text removes one.
type raw map[string]string

func (r raw) object(replace raw) string {
	all := maps.Clone(r)
	maps.Copy(all, replace)
	var members []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if all[name] != "" {
			members = append(members, strconv.Quote(name)+":"+all[name])
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

// payload returns good claims as text, with some replaced.
func (w *world) payload(replace raw) string {
	return raw{
		"iss": quote(w.issuer.URL()), "aud": quote(resource), "sub": `"user-0123456789abcdef"`,
		"client_id": `"client-0123456789abcdef"`, "jti": `"id-0123456789abcdef"`, "scope": `"files:read"`,
		"iat": number(time.Now()), "exp": number(time.Now().Add(48 * time.Hour)),
	}.object(replace)
}

func quote(s string) string { return strconv.Quote(s) }

func number(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// sign signs payload as it is, under a good header with some members replaced.
func (w *world) sign(header raw, payload string) string {
	w.t.Helper()
	return signWith(w.t, w.issuer.Key(), header, payload)
}

func signWith(t testing.TB, key authtest.Key, header raw, payload string) string {
	t.Helper()
	good := raw{"alg": quote(key.Algorithm()), "kid": quote(key.KeyID()), "typ": `"at+jwt"`}
	token, err := key.Sign([]byte(good.object(header)), []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// token signs good claims with some replaced.
func (w *world) token(replace raw) string {
	w.t.Helper()
	return w.sign(nil, w.payload(replace))
}

// stranger returns an unsigned token of the issuer with this kid: its signature
// is never reached.
func (w *world) stranger(kid string) string {
	encode := base64.RawURLEncoding.EncodeToString
	header := raw{"alg": `"ES256"`, "kid": quote(kid), "typ": `"at+jwt"`}.object(nil)
	return encode([]byte(header)) + "." + encode([]byte(w.payload(nil))) + "." + encode(make([]byte, 64))
}

func (w *world) hits() int { return w.issuer.Hits(authtest.EndpointAll) }

func (w *world) keyHits() int { return w.issuer.Hits(authtest.EndpointKeys) }

// pass lets virtual time go by, and what it set off come to rest.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// bubble runs test in virtual time, and lets come to rest what it left under way,
// also when it fails.
func bubble(t *testing.T, test func(*testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer pass(time.Minute)
		test(t)
	})
}

// newKey generates a key; RSA ones are shared, because they take long.
func newKey(t testing.TB, alg, kid string) authtest.Key {
	t.Helper()
	key, err := authtest.NewKey(alg, kid)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var rsaKeys = map[string]func() (authtest.Key, error){
	"RS256": sync.OnceValues(func() (authtest.Key, error) { return authtest.NewKey("RS256", "rsa") }),
}

func rsaKey(t testing.TB) authtest.Key {
	t.Helper()
	key, err := rsaKeys["RS256"]()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func jwks(t testing.TB, keys ...authtest.Key) string {
	t.Helper()
	var all []string
	for _, key := range keys {
		text, err := key.JWK()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return `{"keys":[` + strings.Join(all, ",") + `]}`
}

// serveJSON serves body as it is, without an entity tag.
func serveJSON(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	})
}

// muxOf serves issuers of one host, each under its path.
func muxOf(issuers map[string]*authtest.Issuer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for path, issuer := range issuers {
			if strings.HasPrefix(r.URL.Path, path+"/") || strings.HasSuffix(r.URL.Path, path) {
				issuer.ServeHTTP(w, r)
				return
			}
		}
		http.NotFound(w, r)
	})
}
