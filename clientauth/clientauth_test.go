package clientauth_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

const (
	secret   = "s3cret/with+odd=chars:0123456789"
	audience = "https://as.example"
)

// apply runs m on a request that already has parameters.
func apply(t *testing.T, m clientauth.Method) (http.Header, url.Values) {
	t.Helper()
	header, form := http.Header{"Accept": {"application/json"}}, url.Values{"token": {"t"}}
	if err := m.Apply(context.Background(), header, form, audience); err != nil {
		t.Fatal(err)
	}
	if header.Get("Accept") != "application/json" || form.Get("token") != "t" {
		t.Errorf("what was there is gone: %v, %v", header, form)
	}
	header.Del("Accept")
	form.Del("token")
	return header, form
}

func basic(parts string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(parts)) }

func TestMethodsThatNeedNoKey(t *testing.T) {
	for _, c := range []struct {
		name          string
		method        clientauth.Method
		authorization string
		form          string
	}{
		// RFC 6749 §2.3.1, appendix B: the parts are form-encoded.
		{"basic", clientauth.SecretBasic("a b:c", secret), basic("a+b%3Ac:s3cret%2Fwith%2Bodd%3Dchars%3A0123456789"), ""},
		{"basic, plain parts", clientauth.SecretBasic("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw"), "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3", ""},
		{"basic, raw", clientauth.SecretBasicRaw("a b", secret), basic("a b:" + secret), ""},
		{"post", clientauth.SecretPost("a b", secret), "", "client_id=a+b&client_secret=s3cret%2Fwith%2Bodd%3Dchars%3A0123456789"},
		{"mutual TLS", clientauth.MutualTLS("id"), "", "client_id=id"},
		{"none", clientauth.None("id"), "", "client_id=id"},
		{"none at all", clientauth.None(""), "", ""},
		{"static bearer", clientauth.StaticBearer("abc-._~+/123=="), "Bearer abc-._~+/123==", ""},
		{"bearer", clientauth.BearerToken(func(context.Context) (string, error) { return "abc", nil }), "Bearer abc", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.method.Validate(); err != nil {
				t.Fatal(err)
			}
			header, form := apply(t, c.method)
			want := http.Header{}
			if c.authorization != "" {
				want.Set("Authorization", c.authorization)
			}
			if fmt.Sprint(header) != fmt.Sprint(want) {
				t.Errorf("header %v, want %v", header, want)
			}
			if form.Encode() != c.form {
				t.Errorf("form %q, want %q", form.Encode(), c.form)
			}
		})
	}
}

func TestMethodsRefuseUnusableValues(t *testing.T) {
	key := newKey(t)
	for name, c := range map[string]struct {
		method clientauth.Method
		want   []string
	}{
		"zero value":            {clientauth.Method{}, []string{"no method is set"}},
		"basic, nothing":        {clientauth.SecretBasic("", ""), []string{"client id is empty", "client secret is empty"}},
		"basic, line break":     {clientauth.SecretBasic("id", secret+"\n"), []string{"line break"}},
		"raw, colon":            {clientauth.SecretBasicRaw("a:b", secret), []string{"colon"}},
		"post, not ASCII":       {clientauth.SecretPost("ä", secret), []string{`"ä"`}},
		"mutual TLS, nothing":   {clientauth.MutualTLS(""), []string{"client id is empty"}},
		"none, control":         {clientauth.None("a\r\nb"), []string{"outside printable ASCII"}},
		"bearer, nil":           {clientauth.BearerToken(nil), []string{"nil"}},
		"static bearer, empty":  {clientauth.StaticBearer(""), []string{"empty"}},
		"static bearer, spaces": {clientauth.StaticBearer("a\r\nX: y"), []string{"characters"}},
		"jwt, nothing":          {clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{}), []string{"client id is empty", "Key: jose: no signing key"}},
		"jwt, wrong alg": {
			clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "id", Key: clientauth.Key{Signer: key, Algorithm: "RS256"}}),
			[]string{`"RS256"`},
		},
		"jwt, lifetime": {
			clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "id", Key: clientauth.Key{Signer: key, Algorithm: "ES256"}, Lifetime: time.Hour}),
			[]string{"Lifetime 1h0m0s"},
		},
		"jwt, two keys": {
			clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
				ClientID: "id", Key: clientauth.Key{Signer: key},
				CurrentKey: func(context.Context) (clientauth.Key, error) { return clientauth.Key{}, nil },
			}),
			[]string{"pointless"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			header, form := http.Header{}, url.Values{}
			for _, err := range []error{c.method.Validate(), c.method.Apply(context.Background(), header, form, audience)} {
				for _, want := range c.want {
					if err == nil || !strings.Contains(err.Error(), want) {
						t.Errorf("%q is missing in: %v", want, err)
					}
				}
				if err != nil && strings.Contains(err.Error(), secret) {
					t.Error("the error holds the secret")
				}
			}
			if len(header)+len(form) != 0 {
				t.Errorf("sent all the same: %v, %v", header, form)
			}
		})
	}
}

// What a source of secrets says may hold one: it stays out of the text.
func TestMethodsKeepCausesOutOfTheText(t *testing.T) {
	cause := errors.New("vault said " + secret)
	for name, m := range map[string]clientauth.Method{
		"bearer": clientauth.BearerToken(func(context.Context) (string, error) { return "", cause }),
		"jwt": clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
			ClientID: "id", CurrentKey: func(context.Context) (clientauth.Key, error) { return clientauth.Key{}, cause },
		}),
		"signer": clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
			ClientID: "id", Key: clientauth.Key{Signer: failing{newKey(t), cause}, Algorithm: "ES256"},
		}),
		"bad bearer": clientauth.BearerToken(func(context.Context) (string, error) { return secret + "\n", nil }),
	} {
		t.Run(name, func(t *testing.T) {
			err := m.Apply(context.Background(), http.Header{}, url.Values{}, audience)
			if err == nil || strings.Contains(err.Error(), secret) {
				t.Errorf("error %v", err)
			}
			if name != "bad bearer" && !errors.Is(err, cause) {
				t.Error("the cause is lost")
			}
		})
	}
}

type failing struct {
	crypto.Signer
	err error
}

func (f failing) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, f.err }

func TestMethodsNeverPrintSecrets(t *testing.T) {
	key := newKey(t)
	for _, m := range []clientauth.Method{
		{}, clientauth.SecretBasic("id", secret), clientauth.SecretBasicRaw("id", secret), clientauth.SecretPost("id", secret),
		clientauth.StaticBearer("s3cret-token"),
		clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "id", Key: clientauth.Key{Signer: key, Algorithm: "ES256"}}),
	} {
		var text bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
			fmt.Fprintf(&text, verb+" ", m)
			fmt.Fprintf(&text, verb+" ", &m)
			fmt.Fprintf(&text, verb+" ", struct{ Auth clientauth.Method }{m})
			fmt.Fprintf(&text, verb+" ", struct{ auth clientauth.Method }{m})
		}
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "auth", m)
		slog.New(slog.NewJSONHandler(&text, nil)).Info("x", "auth", struct{ Auth clientauth.Method }{m})
		encoded, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(encoded)
		for _, part := range []string{"s3cret", basic("id:" + secret)[6:20], fmt.Sprintf("%x", "s3cret")} {
			if strings.Contains(text.String(), part) {
				t.Errorf("%q in %s", part, text.String())
			}
		}
		if !strings.Contains(m.String(), "clientauth.Method(") {
			t.Errorf("String: %q", m.String())
		}
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// hidden is a key in the manner of a key service: nothing but crypto.Signer.
type hidden struct{ crypto.Signer }

func TestPrivateKeyJWT(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for alg, signer := range map[string]crypto.Signer{
		"RS256": rsaKey, "RS512": rsaKey, "PS256": rsaKey, "ES256": newKey(t), "ES384": p384, "ES512": p521, "EdDSA": edKey,
	} {
		for kind, signer := range map[string]crypto.Signer{"in memory": signer, "elsewhere": hidden{signer}} {
			t.Run(alg+" "+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
						ClientID: "client", Key: clientauth.Key{Signer: signer, Algorithm: alg, ID: "k1"},
					})
					header, form := apply(t, m)
					if len(header) != 0 || form.Get("client_id") != "client" ||
						form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || len(form) != 3 {
						t.Errorf("header %v, form %v", header, form)
					}
					claims := open(t, form, signer, alg, "k1")
					now := float64(time.Now().Unix())
					if claims["iss"] != "client" || claims["sub"] != "client" || claims["aud"] != audience ||
						claims["iat"] != now || claims["exp"] != now+60 || len(claims) != 6 {
						t.Errorf("claims %v", claims)
					}
					_, again := apply(t, m)
					if jti := open(t, again, signer, alg, "k1")["jti"]; jti == claims["jti"] || jti == "" {
						t.Errorf("jti %v twice", jti)
					}
				})
			})
		}
	}
}

// open verifies the assertion with the public key and returns its claims.
func open(t *testing.T, form url.Values, signer crypto.Signer, alg, kid string) map[string]any {
	t.Helper()
	key, err := jose.NewSigningKey(alg, kid, signer)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicJWK()
	if err != nil {
		t.Fatal(err)
	}
	if kid != "" {
		public = append(public[:len(public)-1], `,"kid":"`+kid+`"}`...)
	}
	set, err := jose.ParseKeySet([]byte(`{"keys":[` + string(public) + `]}`))
	if err != nil {
		t.Fatalf("%v in %s", err, public)
	}
	token, err := jose.Parse(form.Get("client_assertion"))
	if err != nil {
		t.Fatal(err)
	}
	found := set.Find(token)
	if found == nil || !found.Verify(token) || token.Type != "JWT" || token.KeyID != kid {
		t.Fatalf("header %s does not verify", token.Header)
	}
	var claims map[string]any
	if err := json.Unmarshal(token.Payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestPrivateKeyJWTRotates(t *testing.T) {
	keys := []*ecdsa.PrivateKey{newKey(t), newKey(t)}
	var current atomic.Int32
	m := clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: "client", Audience: "https://as.example/token", Lifetime: 5 * time.Minute,
		CurrentKey: func(context.Context) (clientauth.Key, error) {
			n := current.Load()
			return clientauth.Key{Signer: keys[n], Algorithm: "ES256", ID: fmt.Sprint("k", n)}, nil
		},
	})
	for n := range keys {
		current.Store(int32(n))
		_, form := apply(t, m)
		claims := open(t, form, keys[n], "ES256", fmt.Sprint("k", n))
		if claims["aud"] != "https://as.example/token" || claims["exp"].(float64)-claims["iat"].(float64) != 300 {
			t.Errorf("claims %v", claims)
		}
	}
}

func newCertificate(t *testing.T, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestPrivateKeyJWTNamesItsCertificate(t *testing.T) {
	keys := []*ecdsa.PrivateKey{newKey(t), newKey(t)}
	certificates := []*x509.Certificate{newCertificate(t, keys[0]), newCertificate(t, keys[1])}
	var current atomic.Int32
	m := clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: "client",
		CurrentKey: func(context.Context) (clientauth.Key, error) {
			n := current.Load()
			return clientauth.Key{Signer: hidden{keys[n]}, Algorithm: "ES256", Certificate: certificates[n]}, nil
		},
	})
	for n := range keys { // it rotates with its key
		current.Store(int32(n))
		_, form := apply(t, m)
		if claims := open(t, form, keys[n], "ES256", ""); claims["nbf"] != claims["iat"] || claims["nbf"] == nil {
			t.Errorf("nbf %v, iat %v", claims["nbf"], claims["iat"])
		}
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(form.Get("client_assertion"), ".")[0])
		if err != nil {
			t.Fatal(err)
		}
		// RFC 7515 §4.1.8: of the DER encoding.
		sum := sha256.Sum256(certificates[n].Raw)
		want := `{"alg":"ES256","typ":"JWT","x5t#S256":"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"}`
		if string(text) != want {
			t.Errorf("header %s, want %s", text, want)
		}
	}

	other := clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
		ClientID: "client", Key: clientauth.Key{Signer: keys[0], Algorithm: "ES256", Certificate: certificates[1]},
	})
	if err := other.Validate(); err == nil || !strings.Contains(err.Error(), "another key") {
		t.Errorf("the certificate of another key: %v", err)
	}
}

func TestPrivateKeyJWTNeedsAnAudience(t *testing.T) {
	m := clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "client", Key: clientauth.Key{Signer: newKey(t), Algorithm: "ES256"}})
	form := url.Values{}
	if err := m.Apply(context.Background(), http.Header{}, form, ""); err == nil || len(form) != 0 {
		t.Errorf("error %v, form %v", err, form)
	}
}

func TestPrivateKeyJWTRefusesWeakKeys(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skipf("the platform makes no weak keys: %v", err)
	}
	m := clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: "client", Key: clientauth.Key{Signer: weak, Algorithm: "RS256"}})
	if m.Validate() == nil {
		t.Error("accepted 1024 bits")
	}
}
