package exchange_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func newKey(t *testing.T) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, certificate
}

// assertion is what a test looks at in a client assertion.
type assertion struct {
	Kid        string `json:"kid"`
	Thumbprint string `json:"x5t#S256"`
	Subject    string `json:"sub"`
	Audience   string `json:"aud"`
	ID         string `json:"jti"`
}

func assertionOf(t *testing.T, form url.Values) (a assertion) {
	t.Helper()
	if kind := form.Get("client_assertion_type"); kind != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Has("client_secret") {
		t.Errorf("client_assertion_type %q", kind)
	}
	for _, part := range strings.Split(form.Get("client_assertion"), ".")[:2] {
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &a); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func TestOurKeyRotates(t *testing.T) {
	server := &endpoint{answer: func(w http.ResponseWriter, _ url.Values) { respondJSON(w, 200, answer("scope", "")) }}
	n := 0
	w := newWorld(t, func(c *exchange.Config) {
		c.TokenEndpoint, c.Transport = "https://as.example/token", authtest.Network{"https://as.example": server}
		c.Auth = clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{
			ClientID: serverID,
			CurrentKey: func(context.Context) (clientauth.Key, error) {
				n++
				key, certificate := newKey(t)
				return clientauth.Key{Signer: key, Algorithm: "ES256", ID: fmt.Sprint("key-", n), Certificate: certificate}, nil
			},
		})
	})
	seen := make(map[string]bool)
	for user := range 3 {
		w.mustExchange(w.user(fmt.Sprint("user-", user)))
		got := assertionOf(t, server.forms[user])
		if got.Kid != fmt.Sprint("key-", user+1) || got.Subject != serverID || got.Audience != w.issuer.URL() || seen[got.ID] || seen[got.Thumbprint] {
			t.Errorf("assertion %d: %+v", user, got)
		}
		seen[got.ID], seen[got.Thumbprint] = true, true
	}
}

// Microsoft and Okta want their token endpoint, where others take their issuer.
func TestWhoAnAssertionIsFor(t *testing.T) {
	key, _ := newKey(t)
	auth := clientauth.PrivateKeyJWT(clientauth.PrivateKeyJWTConfig{ClientID: serverID, Key: clientauth.Key{Signer: key, Algorithm: "ES256"}})
	for provider, want := range map[string]string{
		"generic":  "https://as.example",
		"entra":    "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token",
		"keycloak": "https://sso.acme.example/realms/mcp",
		"okta":     "https://acme.okta.example/oauth2/aus1ab2CD3EF4gh5/v1/token",
		"auth0":    "https://acme.eu.auth0.example/",
		"zitadel":  "https://acme.zitadel.example",
	} {
		server := &endpoint{answer: func(w http.ResponseWriter, _ url.Values) { respondJSON(w, 200, answer("scope", "")) }}
		config := presets()[provider]
		config.Auth = auth
		config.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			return authtest.Network{"https://" + r.URL.Host: server}.RoundTrip(r)
		})
		if _, err := newClient(t, config).ClientCredentials(t.Context(), exchange.Target{}); err != nil {
			t.Errorf("%s: %v", provider, err)
		} else if got := assertionOf(t, server.forms[0]).Audience; got != want {
			t.Errorf("%s: aud %q, want %q", provider, got, want)
		}
	}
}

// RFC 8705 §2: the certificate of the connection is the proof.
func TestMutualTLS(t *testing.T) {
	key, certificate := newKey(t)
	var seen *x509.Certificate
	var id string
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen, id = r.TLS.PeerCertificates[0], r.PostFormValue("client_id")
		respondJSON(w, 200, answer("scope", ""))
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	for name, own := range map[string][]tls.Certificate{
		"with a certificate": {{Certificate: [][]byte{certificate.Raw}, PrivateKey: key}},
		"without one":        nil,
	} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: own}}
		t.Cleanup(transport.CloseIdleConnections)
		client := newClient(t, exchange.Config{Issuer: server.URL, TokenEndpoint: server.URL + "/token", Auth: clientauth.MutualTLS(serverID), Transport: transport})
		seen, id = nil, ""
		_, err := client.ClientCredentials(t.Context(), exchange.Target{})
		if own == nil {
			if err == nil || seen != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if err != nil || !seen.Equal(certificate) || id != serverID {
			t.Errorf("%s: %v, client_id %q", name, err, id)
		}
	}
}

// What ignores its context, or ends its goroutine, holds up nobody beyond the
// timeout.
func TestWhatNeverAnswersHoldsUpNobody(t *testing.T) {
	for name, never := range map[string]func(release <-chan struct{}){
		"ignores its context":  func(release <-chan struct{}) { <-release },
		"ends its goroutine":   func(<-chan struct{}) { runtime.Goexit() },
		"panics with an error": func(<-chan struct{}) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				var well atomic.Bool
				w, o := newObservedWorld(t, func(c *exchange.Config) {
					next := c.Transport
					c.TokenEndpoint = c.Issuer + "/token"
					c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
						if !well.Load() {
							never(release)
						}
						return next.RoundTrip(r)
					})
				})
				alice, start := w.user("alice"), time.Now()
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						_, err := w.exchange(alice)
						isClass(t, err, verifier.ErrUnavailable)
					})
				}
				wg.Wait()
				if took := time.Since(start); took > 5100*time.Millisecond {
					t.Errorf("took %v", took)
				}
				o.want(t, name, "call unavailable", "call unavailable", "call unavailable")
				well.Store(true) // what still hangs keeps nobody out
				w.mustExchange(alice)
			})
		})
	}
}
