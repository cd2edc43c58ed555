package verifier_test

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestDiscoveryFindsEachForm(t *testing.T) {
	for _, url := range []string{"https://as.example", "https://as.example/", "https://as.example/tenant", "https://as.example/tenant/", "https://as.example/a/b%2Fc"} {
		for _, form := range []authtest.Discovery{authtest.RFC8414Inserted, authtest.RFC8414Appended, authtest.OpenIDAppended} {
			t.Run(url+" "+string(form), func(t *testing.T) {
				issuer := authtest.NewIssuer(t, authtest.Config{URL: url, Resources: []string{resource}, Discovery: []authtest.Discovery{form}})
				w := &world{t: t, issuer: issuer, jwt: newJWT(t, verifier.JWTConfig{
					Resource: resource, Issuers: []verifier.Issuer{{URL: url}}, Transport: issuer.Transport(),
				})}
				w.accept(issuer.Token(nil))
				if w.issuer.Hits(authtest.EndpointDiscovery) != 1 || w.hits() > 4 {
					t.Errorf("%d requests, %d of them found", w.hits(), w.issuer.Hits(authtest.EndpointDiscovery))
				}
			})
		}
	}
}

func TestDiscoveryRefusesForeignDocuments(t *testing.T) {
	document := func(issuer, keys string) string {
		return `{"issuer":` + quote(issuer) + `,"jwks_uri":` + quote(keys) + `}`
	}
	keys := authtest.DefaultURL + "/jwks"
	for name, body := range map[string]string{
		"KS-17 slash":                      document(authtest.DefaultURL+"/", keys),
		"KS-17 case":                       document("https://ISSUER.example", keys),
		"KS-17 other host":                 document("https://evil.example", keys),
		"KS-17 issuer missing":             `{"jwks_uri":"` + keys + `"}`,
		"KS-17 issuer null":                `{"issuer":null,"jwks_uri":"` + keys + `"}`,
		"KS-17 issuer array":               `{"issuer":["https://issuer.example"],"jwks_uri":"` + keys + `"}`,
		"KS-17 issuer in another case":     `{"ISSUER":"https://issuer.example","jwks_uri":"` + keys + `"}`,
		"KS-17 issuer twice":               `{"issuer":"https://evil.example","issuer":"https://issuer.example","jwks_uri":"` + keys + `"}`,
		"KS-16 jwks_uri missing":           `{"issuer":"https://issuer.example"}`,
		"KS-16 jwks_uri http":              document(authtest.DefaultURL, "http://issuer.example/jwks"),
		"KS-16 jwks_uri http in a network": document(authtest.DefaultURL, "http://169.254.169.254/jwks"),
		"KS-16 jwks_uri userinfo":          document(authtest.DefaultURL, "https://u:p@issuer.example/jwks"),
		"KS-16 jwks_uri fragment":          document(authtest.DefaultURL, keys+"#x"),
		"KS-16 jwks_uri empty fragment":    document(authtest.DefaultURL, keys+"#"),
		"KS-16 jwks_uri file":              document(authtest.DefaultURL, "file:///etc/passwd"),
		"KS-16 jwks_uri data":              document(authtest.DefaultURL, "data:application/json,{}"),
		"KS-16 jwks_uri relative":          document(authtest.DefaultURL, "/jwks"),
		"trailing data":                    document(authtest.DefaultURL, keys) + "{}",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				w.issuer.SetFault(authtest.EndpointDiscovery, authtest.JSON(body))
				_, err := w.verify(w.token(nil))
				isUnavailable(t, err)
				if w.keyHits() != 0 {
					t.Error("the keys were fetched")
				}
				if strings.Contains(err.Error(), "evil") || strings.Contains(err.Error(), "passwd") {
					t.Errorf("the error repeats the document: %v", err)
				}
			})
		})
	}
}

// KS-16: an issuer on the Internet cannot send us to a service on this machine.
func TestDiscoveryOfARemoteIssuerDoesNotReachLoopback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		asked := false
		w.jwt = newJWT(t, verifier.JWTConfig{
			Resource: resource, Issuers: []verifier.Issuer{{URL: w.issuer.URL()}},
			Transport: authtest.Network{w.issuer.URL(): w.issuer, "http://127.0.0.1:8500": http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true })},
		})
		w.issuer.SetFault(authtest.EndpointDiscovery, authtest.JSON(`{"issuer":"https://issuer.example","jwks_uri":"http://127.0.0.1:8500/v1/agent"}`))
		_, err := w.verify(w.token(nil))
		isUnavailable(t, err)
		if asked {
			t.Error("plain http to loopback was asked for by a document from the Internet")
		}
	})
}

// The keys move to another address, with the old one dead or serving rubbish:
// the server follows without a restart.
func TestDiscoveryFollowsKeysThatMoved(t *testing.T) {
	for name, old := range map[string]http.Handler{
		"old address gone":           http.NotFoundHandler(),
		"old address serves no keys": serveJSON(`{"keys":[]}`),
		"old address serves HTML":    serveJSON("<!doctype html>"),
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				path := "/one"
				one := serveJSON(string(w.issuer.JWKS()))
				mux := http.NewServeMux()
				mux.HandleFunc("/.well-known/openid-configuration", func(rw http.ResponseWriter, _ *http.Request) {
					_, _ = rw.Write([]byte(`{"issuer":"https://issuer.example","jwks_uri":"https://issuer.example` + path + `"}`))
				})
				mux.HandleFunc("/one", func(rw http.ResponseWriter, r *http.Request) { one.ServeHTTP(rw, r) })
				mux.HandleFunc("/two", func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(w.issuer.JWKS()) })
				w.jwt = newJWT(t, verifier.JWTConfig{
					Resource: resource, Issuers: []verifier.Issuer{{URL: w.issuer.URL()}}, Transport: authtest.Network{w.issuer.URL(): mux},
				})
				w.accept(w.token(nil))
				path, one = "/two", old
				w.issuer.Rotate(0)
				token := w.token(nil)
				for range 20 {
					time.Sleep(11 * time.Second)
					_, _ = w.verify(token)
				}
				w.accept(token)
			})
		})
	}
}

// KS-18: providers keep keys on a third host, so a document may name one. It is
// read again only when the keys there fail, and never where JWKSURI pins them.
func TestDiscoveryDoesNotFollowAChangedDocumentAtWill(t *testing.T) {
	for name, pinned := range map[string]string{"discovered": "", "pinned": "https://keys.example/jwks"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				document, evil := `{"issuer":"https://issuer.example","jwks_uri":"https://keys.example/jwks"}`, newKey(t, "ES256", "evil")
				var discoveries, asked int
				w.jwt = newJWT(t, verifier.JWTConfig{
					Resource: resource, Issuers: []verifier.Issuer{{URL: w.issuer.URL(), JWKSURI: pinned}},
					Transport: authtest.Network{
						w.issuer.URL(): http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
							discoveries++
							serveJSON(document).ServeHTTP(rw, r)
						}),
						"https://keys.example": http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(w.issuer.JWKS()) }),
						"https://evil.example": http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
							asked++
							_, _ = rw.Write([]byte(jwks(t, evil)))
						}),
					},
				})
				token, forged := w.token(nil), signWith(t, evil, nil, w.payload(nil))
				w.accept(token)
				document = strings.Replace(document, "keys.example", "evil.example", 1)
				for range 24 * 6 {
					pass(10 * time.Minute)
					w.accept(token)
					w.refuse(forged, verifier.ReasonUnknownKey)
				}
				want := 1
				if pinned != "" {
					want = 0
				}
				if discoveries != want || asked != 0 {
					t.Errorf("%d discoveries, want %d; the other host was asked %d times", discoveries, want, asked)
				}
			})
		})
	}
}

// KS-20: a certificate that does not fit is a failure, never a warning.
func TestTLSFaultsAreAnOutage(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11} //nolint:gosec // the fault under test
	server.StartTLS()
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	for name, test := range map[string]struct {
		transport http.RoundTripper
		url       string
	}{
		"KS-20 self-signed":    {nil, server.URL},
		"KS-20 wrong host":     {&http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)},
		"KS-20 TLS 1.1":        {&http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, server.URL},
		"KS-20 plain HTTP":     {nil, strings.Replace(server.URL, "https", "http", 1)},
		"KS-01 nobody listens": {nil, "https://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := authtest.NewIssuer(t, authtest.Config{URL: test.url, Resources: []string{resource}})
			j := newJWT(t, verifier.JWTConfig{Resource: resource, Issuers: []verifier.Issuer{{URL: test.url}}, Transport: test.transport})
			_, err := j.Verify(t.Context(), issuer.Token(nil))
			isUnavailable(t, err)
		})
	}
}

// Exactly these headers go out, and nothing of the token.
func TestRequestsAreExactlyThese(t *testing.T) {
	w := newWorld(t)
	var seen []string
	spy := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		names := []string{r.Method + " " + r.URL.String()}
		for name := range r.Header {
			names = append(names, name)
		}
		slices.Sort(names[1:])
		seen = append(seen, strings.Join(names, " "))
		w.issuer.ServeHTTP(rw, r)
	})
	w.jwt = newJWT(t, verifier.JWTConfig{Resource: resource, Issuers: []verifier.Issuer{{URL: w.issuer.URL()}}, Transport: authtest.Network{w.issuer.URL(): spy}})
	w.accept(w.sign(raw{"jku": `"https://evil.example/jwks"`, "x5u": `"https://evil.example/c"`}, w.payload(raw{"tid": `"evil"`})))
	want := []string{"GET /.well-known/openid-configuration Accept Accept-Encoding", "GET /jwks Accept Accept-Encoding"}
	if !slices.Equal(seen, want) {
		t.Errorf("requests %q, want %q", seen, want)
	}
}
