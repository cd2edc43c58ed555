package authtest

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Claims replaces claims of a token. Values may be of any JSON type, nil being
// null; a time.Time is written as seconds since 1970 (RFC 7519 §2); Omit removes
// the claim.
type Claims map[string]any

// Header replaces members of a token's JOSE header, in the manner of Claims. It
// never changes which key signs.
type Header map[string]any

// Omit, as a value, removes a claim or a member.
const Omit = omitted("omit")

type omitted string

// TokenConfig describes a JWT for Issuer.Mint. The zero value is the one that
// Issuer.Token(nil) returns.
type TokenConfig struct {
	_ [0]func()

	// Claims replaces claims.
	Claims Claims
	// Header replaces header members. typ is "at+jwt" otherwise (RFC 9068 §2.1).
	Header Header
	// Algorithm picks the issuer's key for that alg; one is generated and
	// published where there is none. Empty: the current key.
	Algorithm string
	// Key signs instead of the issuer's, published or not; Algorithm is then empty
	// or the key's own.
	Key Key
}

// Token returns an access token (RFC 9068 §2.2) signed with the current key, or
// an opaque one where Config.OpaqueTokens says so. Its claims are iss, aud (the
// first resource), sub, client_id, iat, exp, jti and scope (all scopes) unless
// claims replaces them. Claims that cannot be written as JSON fail the test, or
// panic where there is none.
func (i *Issuer) Token(claims Claims) string {
	return i.must(i.issue(claims, nil))
}

// issue makes an access token of the kind that the issuer hands out.
func (i *Issuer) issue(claims Claims, of *grant) (string, error) {
	if i.config.OpaqueTokens {
		return i.mintOpaque(OpaqueTokenConfig{Claims: claims}, of)
	}
	return i.mint(TokenConfig{Claims: claims}, of)
}

// IDToken returns an OpenID Connect ID token (Core 1.0 §2), which is no access
// token: aud is the client "client-1", typ is "JWT" and there is no scope.
// Failures are those of Token.
func (i *Issuer) IDToken(claims Claims) string {
	return i.must(i.idToken("client-1", claims))
}

func (i *Issuer) must(token string, err error) string {
	if err != nil {
		i.fail(err)
	}
	return token
}

// Mint returns the JWT access token that config describes. It fails where a
// value cannot be written as JSON, or a key cannot be had. One that the issuer's
// own key signs can be introspected and revoked.
func (i *Issuer) Mint(config TokenConfig) (string, error) { return i.mint(config, nil) }

func (i *Issuer) mint(config TokenConfig, of *grant) (string, error) {
	if alg := config.Key.Algorithm(); alg != "" && config.Algorithm != "" && alg != config.Algorithm {
		return "", fmt.Errorf("authtest: Algorithm %q does not fit a Key for %q", config.Algorithm, alg)
	}
	claims, err := i.accessClaims(config.Claims)
	if err != nil {
		return "", err
	}
	header := Header{"typ": "at+jwt"}
	maps.Copy(header, config.Header)
	if config.Key.Algorithm() != "" {
		return sign(config.Key, header, claims)
	}
	key, err := i.keys.signer(config.Algorithm)
	if err != nil {
		return "", err
	}
	token, err := sign(key, header, claims)
	if err != nil {
		return "", err
	}
	_, err = i.remember(token, claims, of)
	return token, err
}

// accessClaims returns the claims of an access token with those of replace.
func (i *Issuer) accessClaims(replace Claims) (Claims, error) {
	if len(i.config.Resources) == 0 {
		return nil, errors.New("authtest: the zero Issuer mints nothing")
	}
	claims := i.claims(Claims{
		"aud":       i.config.Resources[0],
		"client_id": "client-1",
	})
	if len(i.config.Scopes) > 0 {
		claims["scope"] = strings.Join(i.config.Scopes, " ")
	}
	maps.Copy(claims, replace)
	return claims, nil
}

func (i *Issuer) idToken(clientID string, replace Claims) (string, error) {
	key, err := i.keys.signer("")
	if err != nil {
		return "", err
	}
	claims := i.claims(Claims{"aud": clientID})
	maps.Copy(claims, replace)
	return sign(key, Header{"typ": "JWT"}, claims)
}

// claims returns what every token of the issuer holds, and more.
func (i *Issuer) claims(more Claims) Claims {
	now := time.Now()
	claims := Claims{
		"iss": i.config.URL,
		"sub": i.config.Subject,
		"iat": now,
		"exp": now.Add(i.config.TokenLifetime),
		"jti": rand.Text(),
	}
	maps.Copy(claims, more)
	return claims
}

func sign(key Key, header Header, claims Claims) (string, error) {
	members := Header{"alg": key.Algorithm()}
	if kid := key.KeyID(); kid != "" {
		members["kid"] = kid
	}
	maps.Copy(members, header)
	head, err := object(members)
	if err != nil {
		return "", fmt.Errorf("authtest: header: %w", err)
	}
	payload, err := object(claims)
	if err != nil {
		return "", fmt.Errorf("authtest: claims: %w", err)
	}
	return key.Sign(head, payload)
}

func object(members map[string]any) ([]byte, error) {
	members = maps.Clone(members)
	dropOmitted(members)
	for name, value := range members {
		if t, ok := value.(time.Time); ok {
			members[name] = t.Unix()
		}
	}
	return json.Marshal(members)
}

func dropOmitted(members map[string]any) {
	maps.DeleteFunc(members, func(_ string, value any) bool { return value == any(Omit) })
}
