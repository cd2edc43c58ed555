package authtest

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	mediaJSON   = "application/json"
	mediaSigned = "application/token-introspection+jwt" // RFC 9701 §4
)

// serveIntrospect serves the introspection endpoint (RFC 7662 §2).
func (i *Issuer) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	values, client, failure := i.admit(w, r)
	switch {
	case failure != nil:
	case !i.grants.configured(client):
		// RFC 7662 §4: whoever may ask can scan for tokens, so that not everybody
		// who registers may.
		failure = &oauthError{http.StatusForbidden, "unauthorized_client", "only clients of Config.Clients may introspect"}
	case client.Secret == "":
		failure = challenge(w, "a public client cannot introspect") // RFC 7662 §2.1
	case values.Get("token") == "":
		failure = refuse("invalid_request", "token is missing")
	}
	if failure != nil {
		failure.write(w)
		return
	}
	answer := i.introspect(values.Get("token"))
	if !prefersSigned(r.Header.Values("Accept")) {
		writeJSON(w, http.StatusOK, answer)
		return
	}
	text, err := i.signedIntrospection(client.ID, answer)
	if err != nil {
		http.Error(w, "the answer cannot be signed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaSigned)
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(text))
}

// signedIntrospection wraps an answer as RFC 9701 §5 says: no sub, no exp, so
// that it passes for no access token.
func (i *Issuer) signedIntrospection(clientID string, answer map[string]any) (string, error) {
	key, err := i.keys.signer("")
	if err != nil {
		return "", err
	}
	return sign(key, Header{"typ": "token-introspection+jwt"}, Claims{
		"iss":                 i.config.URL,
		"aud":                 clientID,
		"iat":                 time.Now(),
		"token_introspection": answer,
	})
}

// prefersSigned reads Accept (RFC 9110 §12.5.1): the signed answer has to be
// named, and JSON must not be preferred to it.
func prefersSigned(accept []string) bool {
	var signed, plain float64
	for _, entry := range strings.Split(strings.Join(accept, ","), ",") {
		kind, parameters, err := mime.ParseMediaType(entry)
		if err != nil {
			continue
		}
		weight, err := strconv.ParseFloat(parameters["q"], 64)
		if err != nil {
			weight = 1
		}
		switch kind {
		case mediaSigned:
			signed = weight
		case mediaJSON:
			plain = weight
		}
	}
	return signed > 0 && signed >= plain
}

// configured reports whether c is one of Config.Clients.
func (g *grants) configured(c *client) bool { return g.fixed[c.ID] == c }
