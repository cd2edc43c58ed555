package fetch_test

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

// KS-16: the same rule for what is configured and what a discovery document says.
func TestCheckURL(t *testing.T) {
	for _, address := range []string{
		"https://login.example.com", "https://login.example.com/", "https://login.example.com:8443/jwks?x=1&y=%20",
		"HTTPS://LOGIN.EXAMPLE.COM/", "https://[2001:db8::1]/jwks", "https://192.0.2.1/", "https://localhost/", "https://127.0.0.1:8443/",
		"http://localhost", "http://localhost:8080/jwks", "http://127.0.0.1/", "http://127.0.0.1:8080/", "http://127.8.9.10/", "http://[::1]/", "http://[::1]:80/x",
		"http://[0:0:0:0:0:0:0:1]/", "HTTP://127.0.0.1/",
		// This is 127.0.0.1: the dialer connects to nothing else.
		"http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/",
	} {
		if err := fetch.CheckURL(address); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{
		"", " ", "/", "login.example.com", "login.example.com/jwks", "//login.example.com/", "https:", "https:/", "https://", "https:///jwks", "https:login.example.com",
		"https:/login.example.com", "://login.example.com", " https://login.example.com", "https://login.example.com\n", "https://login.example.com/\x00", "https://login.example.com/\x7f",
		"https:\\\\login.example.com", "https://login example.com/", "https://login.example.com:port/", "https://[::1", "https://::1/", "https://login.example.com/%zz", "https://%00/",
		"http://login.example.com/", "http://login.example.com:443/", "http://192.0.2.1/", "http://[2001:db8::1]/", "http://10.0.0.1/", "http://192.168.0.1/", "http://169.254.169.254/latest/",
		"http://[fe80::1]/", "http://[::]/", "http://0.0.0.0/", "http://0/", "http://", "http://:80/", "http:localhost", "http://[::ffff:10.0.0.1]/", "http://[::ffff:169.254.169.254]/",
		// What looks like loopback.
		"http://localhost.evil.example/", "http://127.0.0.1.evil.example/", "http://evil.example/localhost", "http://evil.example?localhost", "http://localhost.localdomain/",
		"http://localhost./", "http://xlocalhost/", "http://sub.localhost/", "http://loca%6chost/", "http://localhost%2eevil.example/", "http://localhost,evil.example/",
		"http://0177.0.0.1/", "http://0x7f.0.0.1/", "http://0x7f000001/", "http://2130706433/", "http://127.1/", "http://127.0.1/", "http://127/", "http://127.0.0.1./", "http://127.000.000.001/",
		"http://127.0.0.256/", "http://128.0.0.1/", "http://126.255.255.255/", "http://①②⑦.⓪.⓪.①/", "http://ⓛocalhost/", "http://127。0。0。1/", "http://[::127.0.0.1]/", "http://[::2]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
		// Userinfo, also where it hides the host.
		"https://user@login.example.com/", "https://user:secret@login.example.com/", "https://@login.example.com/", "https://:@login.example.com/", "http://127.0.0.1@evil.example/",
		"http://localhost:80@evil.example/", "https://login.example.com%40evil.example@evil.example/", "http://evil.example@127.0.0.1/",
		"https://login.example.com/#", "https://login.example.com/#keys", "https://login.example.com#", "http://127.0.0.1/#@evil.example", "https://login.example.com/?x#y",
		"file:///etc/passwd", "file://localhost/etc/passwd", "data:application/json,{}", "data://localhost/", "ftp://localhost/", "gopher://127.0.0.1/", "javascript://localhost/%0aalert(1)", "unix:///run/x.sock",
		"ws://localhost/", "wss://login.example.com/", "httpss://login.example.com/", "http+unix://localhost/", "h2c://localhost/", "jar:https://login.example.com/", "urn:ietf:params", "mailto:a@b.example",
	} {
		if err := fetch.CheckURL(address); err == nil {
			t.Errorf("%q is accepted", address)
		} else if address != "" && len(address) > 8 && strings.Contains(err.Error(), address) {
			t.Errorf("the text repeats the URL: %v", err)
		}
	}
}

// A port alone is no host: it would be this machine.
func TestCheckURL_port_without_host(t *testing.T) {
	for _, address := range []string{"https://:443/", "https://:8443"} {
		if err := fetch.CheckURL(address); err == nil {
			t.Errorf("%q is accepted", address)
		}
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "127.0.0.1": true, "127.255.255.255": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "LOCALHOST": true, "localhost.": false, "localhost:80": false, "127.0.0.1:80": false, "[::1]": false,
		"0.0.0.0": false, "::": false, "10.0.0.1": false, "::ffff:10.0.0.1": false, "127.1": false, "0177.0.0.1": false,
		"localhost.evil.example": false, "127.0.0.1.evil.example": false, " 127.0.0.1": false, "::127.0.0.1": false,
	} {
		if got := fetch.Loopback(host); got != want {
			t.Errorf("%q: %t", host, got)
		}
	}
}

// Nothing goes out to an address that is refused.
func TestGet_asks_no_address_that_CheckURL_refuses(t *testing.T) {
	s := &spy{next: respond(200, nil, "{}")}
	client := fetch.NewClient(s)
	for _, address := range []string{
		"", "http://login.example.com/", "http://169.254.169.254/", "file:///etc/passwd", "data:,{}", "https://user:secret@login.example.com/",
		"https://login.example.com/#x", "http://localhost.evil.example/", "http://127.0.0.1.evil.example/", "http://0177.0.0.1/", "https://login.example.com/%zz",
	} {
		if document, err := client.Get(t.Context(), address, ""); err == nil || document != nil {
			t.Errorf("%q: %v", address, document)
		}
	}
	if requests, _, _ := s.counts(); requests != 0 {
		t.Errorf("%d requests went out", requests)
	}
	// The control: a good address does.
	if _, err := get(t, client, s, "https://login.example.com/", ""); err != nil {
		t.Error(err)
	}
}

const secret = "s3cr3t-0123456789"

// O4: an error is logged and shown to operators; the URL may have a key in its
// query, and what a server sends may be anything.
func TestGet_errors_hold_no_secret(t *testing.T) {
	const address = "https://login.example.com/" + secret + "?key=" + secret
	for name, transport := range map[string]answer{
		"no connection":      func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") },
		"an error page":      respond(500, nil, secret),
		"a status text":      respond(404, http.Header{"X": {secret}}, secret),
		"a redirect":         respond(302, http.Header{"Location": {"https://evil.example/" + secret}}, secret),
		"a large body":       respond(200, nil, strings.Repeat(secret, fetch.MaxBody)),
		"a strange encoding": respond(200, http.Header{"Content-Encoding": {secret}}, secret),
		"a broken body": func(request *http.Request) (*http.Response, error) {
			response, err := respond(200, nil, "")(request)
			response.Body = io.NopCloser(io.MultiReader(strings.NewReader(secret), broken{}))
			return response, err
		},
		"a strange Retry-After": respond(503, http.Header{"Retry-After": {secret}}, secret),
	} {
		t.Run(name, func(t *testing.T) {
			s := &spy{next: transport}
			_, err := get(t, fetch.NewClient(s), s, address, `"`+secret+`"`)
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("error %q", err)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What is classified must stay so: callers look for causes.
func TestGet_errors_keep_their_cause(t *testing.T) {
	cause := errors.New("cause")
	client := fetch.NewClient(answer(func(*http.Request) (*http.Response, error) { return nil, cause }))
	if _, err := client.Get(t.Context(), "https://login.example.com/", ""); !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
}

// net/http reads Location before it asks whether to follow it, and repeats in its
// error what it cannot read.
func TestGet_errors_hold_no_Location(t *testing.T) {
	s := &spy{next: respond(302, http.Header{"Location": {"https://[" + secret}}, "")}
	_, err := get(t, fetch.NewClient(s), s, "https://login.example.com/", "")
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("error %q", err)
	}
}

// A transport that makes requests of its own, such as one that fetches its proxy's
// credentials, fails with a *url.Error inside.
func TestGet_errors_hold_no_inner_URL(t *testing.T) {
	inner := &url.Error{Op: "Get", URL: "https://proxy.example/?key=" + secret, Err: io.ErrUnexpectedEOF}
	s := &spy{next: answer(func(*http.Request) (*http.Response, error) { return nil, inner })}
	_, err := get(t, fetch.NewClient(s), s, "https://login.example.com/", "")
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("error %q", err)
	}
}
