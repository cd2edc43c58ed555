package authtest

import (
	"errors"
	"net/http"
)

// serveRevoke serves the revocation endpoint (RFC 7009 §2). An unknown token is
// no error: what the client wants is so (§2.2).
func (i *Issuer) serveRevoke(w http.ResponseWriter, r *http.Request) {
	values, client, failure := i.admit(w, r)
	if failure != nil {
		failure.write(w)
		return
	}
	text := values.Get("token")
	owner, known := i.grants.owner(text)
	switch {
	case text == "":
		refuse("invalid_request", "token is missing").write(w)
		return
	case known && owner != client.ID: // RFC 7009 §2.1
		refuse("invalid_grant", "the token is another client's").write(w)
		return
	}
	i.grants.revoke(text)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// Revoke makes token inactive for introspection: an access token that the issuer
// made, JWT or opaque, or a refresh token and all that was obtained with it. A
// JWT stays valid for whoever does not ask. A token that the issuer does not
// know fails the test, or panics where there is none.
func (i *Issuer) Revoke(token string) {
	if !i.grants.revoke(token) {
		i.fail(errors.New("authtest: Revoke: the issuer knows no such token"))
	}
}
