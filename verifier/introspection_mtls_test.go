package verifier_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// RFC 8705 §2: the certificate of the connection says who asks, and client_id
// which client that is.
func TestIntrospectionByMutualTLS(t *testing.T) {
	ours, strangers := selfSigned(t), selfSigned(t)
	endpoint := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		certificates := r.TLS.PeerCertificates
		known := len(certificates) == 1 && certificates[0].Equal(ours.Leaf)
		if !known || r.PostFormValue("client_id") != clientID || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		serveJSON(about(nil)).ServeHTTP(w, r)
	}))
	endpoint.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	endpoint.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	endpoint.StartTLS()
	defer endpoint.Close()
	for name, c := range map[string]struct {
		certificates []tls.Certificate
		accepted     bool
	}{
		"our certificate": {[]tls.Certificate{ours}, true}, "another": {[]tls.Certificate{strangers}, false}, "none": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			transport := endpoint.Client().Transport.(*http.Transport).Clone()
			transport.TLSClientConfig.Certificates = c.certificates
			defer transport.CloseIdleConnections()
			i := newInspector(t, func(config *verifier.IntrospectionConfig) {
				config.Endpoint, config.Transport, config.Auth = endpoint.URL, transport, clientauth.MutualTLS(clientID)
			})
			if c.accepted {
				i.accept(opaque)
				return
			}
			if err := i.unavailable(opaque); !errors.Is(err, verifier.ErrOurCredentials) {
				t.Error(err)
			}
		})
	}
}

func selfSigned(t *testing.T) tls.Certificate {
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
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
