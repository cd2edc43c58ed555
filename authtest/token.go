package authtest

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// serveToken serves the token endpoint (RFC 6749 §3.2).
func (i *Issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	values, client, failure := i.admit(w, r)
	if failure != nil {
		failure.write(w)
		return
	}
	kind := values.Get("grant_type")
	var answer map[string]any
	switch {
	case kind == tokenExchange && len(i.config.Exchanges) > 0:
		answer, failure = i.exchange(client, values)
	case !slices.Contains(grantTypes(), kind):
		failure = refuse("unsupported_grant_type", "grant_type is missing or not supported")
	case !client.may(kind):
		failure = refuse("unauthorized_client", "the client may not use this grant_type")
	case kind == "authorization_code":
		answer, failure = i.redeemCode(client, values)
	case kind == "refresh_token":
		answer, failure = i.refreshGrant(client, values)
	default:
		answer, failure = i.clientCredentials(client, values)
	}
	if failure != nil {
		failure.write(w)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// admit reads the form of a request and authenticates the client that sent it.
func (i *Issuer) admit(w http.ResponseWriter, r *http.Request) (url.Values, *client, *oauthError) {
	values, failure := readForm(w, r)
	if failure != nil {
		return nil, nil, failure
	}
	client, failure := i.authenticate(r, values)
	if failure != nil && failure.status == http.StatusUnauthorized {
		failure = challenge(w, failure.description)
	}
	return values, client, failure
}

// challenge refuses a client that did not authenticate (RFC 6749 §5.2).
func challenge(w http.ResponseWriter, description string) *oauthError {
	w.Header().Set("WWW-Authenticate", `Basic realm="issuer"`)
	return &oauthError{http.StatusUnauthorized, "invalid_client", description}
}

func grantTypes() []string {
	return []string{"authorization_code", "refresh_token", "client_credentials"}
}

// authenticate takes HTTP Basic or the body, never both (RFC 6749 §2.3). A
// public client gives its client_id only, some with an empty password.
func (i *Issuer) authenticate(r *http.Request, values url.Values) (*client, *oauthError) {
	id, secret := values.Get("client_id"), values.Get("client_secret")
	if r.Header.Get("Authorization") != "" {
		user, password, ok := r.BasicAuth()
		// RFC 6749 §2.3.1: both halves are form-encoded first.
		user, err := url.QueryUnescape(user)
		password, err2 := url.QueryUnescape(password)
		switch {
		case !ok || err != nil || err2 != nil:
			return nil, refuse("invalid_request", "the Authorization field is not HTTP Basic")
		case secret != "" || id != "" && id != user:
			return nil, refuse("invalid_request", "the client authenticates in two ways")
		}
		id, secret = user, password
	}
	client := i.grants.client(id)
	if client == nil || subtle.ConstantTimeCompare([]byte(client.Secret), []byte(secret)) != 1 {
		return nil, &oauthError{http.StatusUnauthorized, "invalid_client", "unknown client or wrong secret"}
	}
	return client, nil
}

func (i *Issuer) redeemCode(client *client, values url.Values) (map[string]any, *oauthError) {
	code := i.grants.redeem(values.Get("code"), client.ID)
	switch {
	case code == nil:
		return nil, refuse("invalid_grant", "the code is unknown, expired, used or another client's")
	case code.redirectURI != values.Get("redirect_uri"):
		return nil, refuse("invalid_grant", "redirect_uri differs from the authorization request")
	case !verifies(values.Get("code_verifier"), code.challenge):
		return nil, refuse("invalid_grant", "code_verifier does not fit") // RFC 7636 §4.6
	}
	resources, failure := requestedResources(values, code.grant.resources, code.grant.resources)
	if failure != nil {
		return nil, failure
	}
	var successor string
	if client.may("refresh_token") {
		if successor = i.grants.newRefreshToken(code.grant); successor == "" {
			return nil, refuse("invalid_grant", "the code was used twice")
		}
	}
	return i.respond(code.grant, code.grant.scopes, resources, successor)
}

// refreshGrant serves RFC 6749 §6: scopes and resources may shrink for this
// token, and the grant stays as it was.
func (i *Issuer) refreshGrant(client *client, values url.Values) (map[string]any, *oauthError) {
	text := values.Get("refresh_token")
	grant := i.grants.peek(text, client.ID)
	if grant == nil {
		return nil, refuse("invalid_grant", "the refresh token is unknown, used, revoked or another client's")
	}
	scopes, failure := requestedScopes(values, grant.scopes)
	if failure != nil {
		return nil, failure
	}
	if len(scopes) == 0 {
		scopes = grant.scopes
	}
	resources, failure := requestedResources(values, grant.resources, grant.resources)
	if failure != nil {
		return nil, failure
	}
	successor := i.grants.rotate(text)
	if successor == "" {
		return nil, refuse("invalid_grant", "the refresh token was used twice")
	}
	return i.respond(grant, scopes, resources, successor)
}

// clientCredentials serves RFC 6749 §4.4. The subject is the client itself (RFC
// 9068 §2.2), and there is no refresh token (RFC 6749 §4.4.3).
func (i *Issuer) clientCredentials(client *client, values url.Values) (map[string]any, *oauthError) {
	scopes, failure := requestedScopes(values, i.config.Scopes)
	if failure != nil {
		return nil, failure
	}
	resources, failure := requestedResources(values, i.config.Resources, i.config.Resources[:1])
	if failure != nil {
		return nil, failure
	}
	return i.respond(&grant{clientID: client.ID, subject: client.ID}, scopes, resources, "")
}

// respond mints the tokens of a successful answer (RFC 6749 §5.1).
func (i *Issuer) respond(of *grant, scopes, resources []string, refreshToken string) (map[string]any, *oauthError) {
	claims := Claims{"client_id": of.clientID, "sub": of.subject, "aud": resources, "scope": Omit}
	if len(resources) == 1 {
		claims["aud"] = resources[0]
	}
	if len(scopes) > 0 {
		claims["scope"] = strings.Join(scopes, " ")
	}
	token, err := i.issue(claims, of)
	if err != nil {
		return nil, &oauthError{http.StatusInternalServerError, "server_error", "no token can be made"}
	}
	answer := map[string]any{
		"access_token": token,
		"token_type":   "Bearer",
		"expires_in":   int64(i.config.TokenLifetime.Seconds()),
		"scope":        strings.Join(scopes, " "),
	}
	if refreshToken != "" {
		answer["refresh_token"] = refreshToken
	}
	if slices.Contains(scopes, "openid") && of.subject != of.clientID {
		claims := Claims{"sub": of.subject}
		if of.nonce != "" {
			claims["nonce"] = of.nonce
		}
		if answer["id_token"], err = i.idToken(of.clientID, claims); err != nil {
			return nil, &oauthError{http.StatusInternalServerError, "server_error", "no ID token can be signed"}
		}
	}
	return answer, nil
}

// validChallenge: BASE64URL(SHA256(...)) without padding has 43 characters (RFC
// 7636 §4.2).
func validChallenge(challenge string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(challenge)
	return err == nil && len(sum) == sha256.Size && len(challenge) == 43
}

func verifies(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 { // RFC 7636 §4.1
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	text := base64.RawURLEncoding.EncodeToString(sum[:])
	return subtle.ConstantTimeCompare([]byte(text), []byte(challenge)) == 1
}
