package clientauth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// SecretBasic is client_secret_basic as RFC 6749 §2.3.1 writes it: id and secret
// are form-encoded, then sent as HTTP Basic.
func SecretBasic(id, secret string) Method {
	return basic(id, url.QueryEscape(id), url.QueryEscape(secret), secret, nil)
}

// SecretBasicRaw is SecretBasic without the form-encoding, for servers that
// compare the parts as they come (RFC 7617 §2). The two differ only for values
// with characters other than letters, digits, "-", ".", "_" and "~".
func SecretBasicRaw(id, secret string) Method {
	var wrong error
	if strings.Contains(id, ":") { // RFC 7617 §2
		wrong = errors.New("clientauth: the client id has a colon, which Basic without form-encoding cannot carry")
	}
	return basic(id, id, secret, secret, wrong)
}

func basic(id, user, password, secret string, wrong error) Method {
	field := "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	return Method{
		name:  "client_secret_basic",
		wrong: errors.Join(checkID(id), checkSecret(secret), wrong),
		apply: func(_ context.Context, header http.Header, _ url.Values, _ string) error {
			header.Set("Authorization", field)
			return nil
		},
	}
}

// SecretPost is client_secret_post (RFC 6749 §2.3.1): id and secret are form
// parameters.
func SecretPost(id, secret string) Method {
	return Method{
		name:  "client_secret_post",
		wrong: errors.Join(checkID(id), checkSecret(secret)),
		apply: func(_ context.Context, _ http.Header, form url.Values, _ string) error {
			form.Set("client_id", id)
			form.Set("client_secret", secret)
			return nil
		},
	}
}

// MutualTLS is tls_client_auth and self_signed_tls_client_auth (RFC 8705 §2): id
// is a form parameter, and the proof is the client certificate of the connection.
// The certificate belongs into the tls.Config of the http.Transport that the same
// Config names; without one the server will refuse.
func MutualTLS(id string) Method {
	m := None(id)
	m.name, m.wrong = "tls_client_auth", checkID(id)
	return m
}

// None sends id as a form parameter and proves nothing, for servers that ask for
// no proof. An empty id sends nothing at all.
func None(id string) Method {
	var wrong error
	if id != "" {
		wrong = checkID(id)
	}
	return Method{
		name:  "none",
		wrong: wrong,
		apply: func(_ context.Context, _ http.Header, form url.Values, _ string) error {
			if id != "" {
				form.Set("client_id", id)
			}
			return nil
		},
	}
}

// checkID applies RFC 6749 §A.1, and that there is one. An id is no secret, so
// the text may show it.
func checkID(id string) error {
	switch {
	case id == "":
		return errors.New("clientauth: the client id is empty")
	case !visible(id):
		return fmt.Errorf("clientauth: the client id %q has characters outside printable ASCII (RFC 6749 §A.1)", id)
	}
	return nil
}

// checkSecret applies RFC 6749 §A.2.
func checkSecret(secret string) error {
	switch {
	case secret == "":
		return errors.New("clientauth: the client secret is empty")
	case !visible(secret):
		return errors.New("clientauth: the client secret has characters outside printable ASCII (RFC 6749 §A.2); was it read with its line break?")
	}
	return nil
}

// visible reports *VSCHAR.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}
