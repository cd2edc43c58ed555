package verifier

import (
	"slices"
	"strings"
)

// An Issuer is an identity provider whose tokens this resource accepts. Only
// URL is required; package idp has presets for those that need more. The
// functions in it must be safe for concurrent use.
type Issuer struct {
	_ [0]func()

	// URL is the issuer identifier, compared with iss byte for byte (RFC 9068
	// §4). Discovery starts from it. https, or http on loopback. With Tenants or
	// AnyTenant it has "{tenantid}" where the tenant stands.
	URL string

	// Audiences are the aud values by which this issuer means this resource.
	// Empty: the resource identifier itself.
	Audiences []string

	// Algorithms lists the accepted alg values (RFC 8725 §3.1). Empty: RS256,
	// RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 and EdDSA.
	// Symmetric algorithms and none are refused always.
	Algorithms []string

	// Types lists the accepted typ header values, compared as media types; ""
	// stands for an absent typ. Empty: at+jwt, JWT and absent, because most
	// providers send one of the latter two. []string{"at+jwt"} is strict
	// RFC 9068.
	Types []string

	// AuthorizationServer is what clients are told (RFC 9728 §2,
	// authorization_servers). Empty: URL. A template needs it.
	AuthorizationServer string

	// MetadataURL is where the provider's metadata is, for one that does not
	// serve it under URL; its issuer must still equal URL. Empty: the well-known
	// places.
	MetadataURL string

	// JWKSURI is where the keys are. Empty: found by discovery.
	JWKSURI string

	// ScopeClaim names the one claim that holds the scopes. Empty: scope, and
	// scp where there is no scope.
	ScopeClaim string

	// Tenants are the accepted tenants of a URL with "{tenantid}", as lower-case
	// GUIDs. The tenant in iss must be among them and equal the claim tid.
	Tenants []string

	// AnyTenant accepts every tenant of the provider. The caller then decides by
	// Token.Tenant whom it serves.
	AnyTenant bool

	// Judge applies the issuer's own rules to a token whose signature and times
	// are already verified, before its audience is checked. It may fill in
	// Subject, ClientID, Tenant, Scopes and Audience, and refuses with an error, best an
	// *InvalidTokenError with ReasonProvider and a Hint. A remembered token is not
	// judged again. Nil: no rules.
	Judge func(*Token) error

	// Diagnose explains to the operator why a token was refused, where the
	// general Hint does not help: what to change, as a constant. Empty: nothing
	// to add. It cannot accept a token. Nil: no diagnosis.
	Diagnose func(Unverified) string

	// Mistake is set by a preset that was given unusable values; NewJWT reports
	// it.
	Mistake error

	// DangerouslyAcceptIDTokens accepts tokens that carry nonce, at_hash or
	// c_hash, the marks of an ID token. A client that is sent an ID token with
	// this resource in aud could then call in the user's name without ever
	// having been granted access. Dex needs it: its access tokens are ID tokens.
	DangerouslyAcceptIDTokens bool
}

// An Unverified is what a refused token says about itself. Anybody may have
// written it.
type Unverified struct {
	// Reason is why it was refused.
	Reason Reason
	// Issuer is iss, Audience is aud; empty where the token is no JWT.
	Issuer   string
	Audience []string
	// Claims is the payload, JSON; nil where the token is no JWT.
	Claims []byte
	// Header is the JOSE header, JSON; nil where the token is no JWS.
	Header []byte
	// Encrypted reports a token in five parts (JWE).
	Encrypted bool
}

// Trusts reports whether iss, as a verified token carries it, is this issuer or
// an accepted tenant of it.
func (i Issuer) Trusts(iss string) bool {
	if !i.template() {
		return iss != "" && iss == i.URL
	}
	_, ok := i.tenant(iss)
	return ok
}

// tenantMark stands for the tenant in a template.
const tenantMark = "{tenantid}"

func (i Issuer) template() bool { return strings.Contains(i.URL, tenantMark) }

// tenant returns the accepted tenant that iss names.
func (i Issuer) tenant(iss string) (string, bool) {
	before, after, _ := strings.Cut(i.URL, tenantMark)
	rest, ok := strings.CutPrefix(iss, before)
	if !ok {
		return "", false
	}
	tenant, ok := strings.CutSuffix(rest, after)
	return tenant, ok && guid(tenant) && (i.AnyTenant || slices.Contains(i.Tenants, tenant))
}

// guid reports whether s is a GUID in lower case: nothing else can stand where a
// tenant stands, so that no path or host can be smuggled in.
func guid(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
				return false
			}
		}
	}
	return true
}

// audiences returns the aud values that mean resource for this issuer.
func (i Issuer) audiences(resource string) []string {
	if len(i.Audiences) > 0 {
		return slices.Clone(i.Audiences)
	}
	return []string{resource}
}
