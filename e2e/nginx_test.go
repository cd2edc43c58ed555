//go:build e2e

package e2e

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"
	"time"
)

// nginxConf terminates TLS and passes on what a default installation would: the
// Host that the server sees is its own address, and no X-Forwarded-* field says
// what the public URL is.
var nginxConf = template.Must(template.New("nginx").Parse(`
master_process off;
daemon off;
pid {{.Dir}}/nginx.pid;
error_log stderr notice;
events { worker_connections 256; }
http {
	access_log off;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	server {
		listen 127.0.0.1:{{.Port}} ssl http2;
		server_name localhost;
		ssl_certificate {{.Dir}}/cert.pem;
		ssl_certificate_key {{.Dir}}/key.pem;
		location / {
			proxy_pass http://{{.Backend}};
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_buffering off;
			proxy_read_timeout 60s;
		}
	}
}
`))

// startNginx puts nginx in front of the server at address.
func startNginx(t *testing.T, address string) front {
	t.Helper()
	nginx := executable(t, "nginx", "apt-get install -y nginx-light")
	dir := t.TempDir()
	roots := writeCertificate(t, dir)
	// The port is free when it is chosen; another process may be faster.
	for range 3 {
		port := freePort(t)
		var conf bytes.Buffer
		if err := nginxConf.Execute(&conf, map[string]string{"Dir": dir, "Port": port, "Backend": address}); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(file, conf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		p := start(t, "nginx", stderr, watched(t, nginx, "-p", dir, "-e", "stderr", "-c", file))
		if err := nginxReady(t, p); err != nil {
			t.Log(err)
			p.stop()
			continue
		}
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return front{
			resource: "https://localhost:" + port + "/mcp",
			caFile:   filepath.Join(dir, "cert.pem"),
			client:   &http.Client{Transport: transport},
		}
	}
	t.Fatal("nginx did not start")
	return front{}
}

// nginxReady waits for the line that nginx writes when its sockets are open.
func nginxReady(t *testing.T, p *program) error {
	for {
		line, err := p.line(t.Context())
		switch {
		case err != nil:
			return err
		case strings.Contains(line, "[emerg]"):
			return errors.New(line)
		case strings.Contains(line, `event method`):
			return nil
		}
	}
}

// writeCertificate writes cert.pem and key.pem for localhost and returns the
// pool that trusts them.
func writeCertificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	certificate := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: "localhost"},
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:             now.Add(-time.Minute),
		NotAfter:              now.Add(time.Hour),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true, // it signs itself, and Node trusts authorities only
	}
	der, err := x509.CreateCertificate(rand.Reader, certificate, certificate, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: der},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return roots
}
