package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
)

// algorithms are the ones that providers use; each has one key.
var algorithms = []string{"RS256", "ES256", "EdDSA"}

const discoveryPath = "/.well-known/openid-configuration"

// An issuer is an identity provider on loopback. Every path of it is an issuer
// of its own with the same keys, so that a thousand cost one server.
type issuer struct {
	URL string

	rsa     *rsa.PrivateKey
	ecdsa   *ecdsa.PrivateKey
	ed25519 ed25519.PrivateKey

	server  *httptest.Server
	jwks    []byte
	hanging atomic.Bool
	hung    atomic.Int64 // requests that got no answer
	release chan struct{}
	once    sync.Once
}

func newIssuer() (*issuer, error) {
	i := &issuer{release: make(chan struct{})}
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if i.ecdsa, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if _, i.ed25519, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return nil, err
	}
	if i.jwks, err = i.keySet(); err != nil {
		return nil, err
	}
	i.server = httptest.NewServer(i)
	i.URL = i.server.URL
	return i, nil
}

// Close releases whoever waits for an answer, then the server.
func (i *issuer) Close() {
	i.once.Do(func() { close(i.release) })
	i.server.Close()
}

// hang makes every further request wait until Close.
func (i *issuer) hang() { i.hanging.Store(true) }

func (i *issuer) jwksURL() string { return i.URL + "/jwks" }

// tenant returns the identifier of one of the many issuers.
func (i *issuer) tenant(n int) string { return fmt.Sprintf("%s/tenant/%d", i.URL, n) }

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i.hanging.Load() {
		i.hung.Add(1)
		select {
		case <-i.release:
		case <-r.Context().Done():
		}
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == introspectPath {
		i.introspect(w)
		return
	}
	if path, found := strings.CutSuffix(r.URL.Path, discoveryPath); found {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer":                                i.server.URL + path,
			"jwks_uri":                              i.server.URL + "/jwks",
			"authorization_endpoint":                i.server.URL + "/authorize",
			"token_endpoint":                        i.server.URL + "/token",
			"id_token_signing_alg_values_supported": algorithms,
		})
		return
	}
	_, _ = w.Write(i.jwks)
}

// keySet names alg, use and kid of every key: jwx selects a key only so.
func (i *issuer) keySet() ([]byte, error) {
	point, err := i.ecdsa.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	public := i.ed25519.Public().(ed25519.PublicKey)
	exponent := big.NewInt(int64(i.rsa.E)).Bytes()
	return json.Marshal(map[string]any{"keys": []map[string]string{
		{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": keyID("RS256"), "n": encode(i.rsa.N.Bytes()), "e": encode(exponent)},
		{"kty": "EC", "alg": "ES256", "use": "sig", "kid": keyID("ES256"), "crv": "P-256", "x": encode(point[1:33]), "y": encode(point[33:])},
		{"kty": "OKP", "alg": "EdDSA", "use": "sig", "kid": keyID("EdDSA"), "crv": "Ed25519", "x": encode(public)},
	}})
}

// keyID returns a kid as long as a thumbprint, the usual form.
func keyID(algorithm string) string {
	return algorithm + "-" + strings.Repeat("k", 43-len(algorithm)-1)
}

func encode(octets []byte) string { return base64.RawURLEncoding.EncodeToString(octets) }
