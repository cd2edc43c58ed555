package exchange

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

// EntraOBO is the on-behalf-of flow of Microsoft Entra ID, which is not RFC 8693.
// tenantID is the Directory (tenant) ID; auth is of the app registration of this
// server, for which the user's token must have been issued (aud), v1 or v2. With a
// certificate it is clientauth.PrivateKeyJWT with Key.Certificate and PS256.
//
// A Target has Scopes, all of one API, such as "https://graph.microsoft.com/User.Read",
// and Hosts. Entra grants all that the user ever consented to for that API, so wider
// scopes are accepted. ErrInteractionRequired with Claims is a conditional-access
// challenge. ClientCredentials wants the one scope that ends in "/.default".
func EntraOBO(tenantID string, auth clientauth.Method) Config {
	tenant := strings.ToLower(tenantID)
	endpoint := "https://login.microsoftonline.com/" + tenant + "/oauth2/v2.0/token"
	config := Config{
		Issuer:            "https://login.microsoftonline.com/" + tenant + "/v2.0",
		TokenEndpoint:     endpoint,
		SubjectIssuers:    []string{"https://login.microsoftonline.com/" + tenant + "/v2.0", "https://sts.windows.net/" + tenant + "/"},
		Auth:              auth,
		AcceptWiderScopes: true,
		dialect: dialect{grant: grantJWT, audience: endpoint, check: func(w *wanted, mistake func(string, ...any)) {
			w.only(mistake, "Entra", len(w.Audience) > 0, len(w.Resource) > 0)
			if w.scopes.Len() == 0 {
				mistake("Scopes: Entra needs the API's scopes, by which it knows the API")
			}
		}},
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(tenant) {
		config.mistake = fmt.Errorf("EntraOBO: tenant ID %q is not a GUID: give the Directory (tenant) ID", tenantID)
	}
	return config
}

// KeycloakExchange is the standard token exchange (version 2) of a Keycloak realm,
// by the realm's URL such as "https://sso.example.com/realms/main". auth is of a
// confidential client with "Standard token exchange" on, which must be in aud of
// the user's token.
//
// A Target has Audience, the client IDs of the APIs, and Hosts: audience leaves of
// the token what is for these. Keycloak adds the default scopes of our client, so
// wider scopes are accepted. It says invalid_request of a user's token whose
// session has ended.
func KeycloakExchange(realmURL string, auth clientauth.Method) Config {
	realm := strings.TrimSuffix(realmURL, "/")
	config := Config{
		Issuer:            realm,
		TokenEndpoint:     realm + "/protocol/openid-connect/token",
		Auth:              auth,
		AcceptWiderScopes: true,
		dialect: dialect{check: func(w *wanted, mistake func(string, ...any)) {
			w.only(mistake, "Keycloak's standard exchange", false, len(w.Resource) > 0)
		}},
	}
	if path := pathOf(realmURL); !strings.Contains(path, "/realms/") {
		config.mistake = fmt.Errorf("KeycloakExchange: %q is not the URL of a realm like https://sso.example.com/realms/main", realmURL)
	}
	return config
}

// Okta is the on-behalf-of exchange of a custom authorization server of Okta, by
// its issuer such as "https://acme.okta.com/oauth2/aus1ab2CD3EF4gh5". auth is of a
// service app with the grant type Token Exchange. Where the user's token is of
// another authorization server that this one trusts, set SubjectIssuers.
//
// A Target has one Audience, that of the authorization server, Scopes without
// openid, and Hosts.
func Okta(issuer string, auth clientauth.Method) Config {
	config := Config{
		Issuer:        issuer,
		TokenEndpoint: issuer + "/v1/token",
		Auth:          auth,
		dialect: dialect{audience: issuer + "/v1/token", check: func(w *wanted, mistake func(string, ...any)) {
			w.only(mistake, "Okta", len(w.Audience) != 1, len(w.Resource) > 0)
			if w.scopes.Len() == 0 || w.scopes.Has("openid") {
				mistake("Scopes: Okta needs the API's scopes, and openid is not among them")
			}
		}},
	}
	if path := pathOf(issuer); !strings.HasPrefix(path, "/oauth2/") || strings.HasSuffix(path, "/") {
		config.mistake = fmt.Errorf("Okta: %q is not the issuer of a custom authorization server like https://acme.okta.com/oauth2/default", issuer)
	}
	return config
}

// Auth0 is the on-behalf-of exchange of Auth0, by the domain of the tenant such as
// "acme.eu.auth0.com". auth is of a Custom API client that belongs to the API of
// this server.
//
// A Target has one Audience, the identifier of the API, Hosts, and Scopes if fewer
// than all are needed.
func Auth0(domain string, auth clientauth.Method) Config {
	origin, mistake := ofDomain("Auth0", domain)
	return Config{
		Issuer:        origin + "/",
		TokenEndpoint: origin + "/oauth/token",
		Auth:          auth,
		mistake:       mistake,
		dialect: dialect{check: func(w *wanted, mistake func(string, ...any)) {
			w.only(mistake, "Auth0", len(w.Audience) != 1, len(w.Resource) > 0)
		}},
	}
}

// ZITADEL is the token exchange of a ZITADEL instance, by its domain such as
// "acme.zitadel.cloud". auth is of an app with the grant type Token Exchange.
//
// A Target has Audience, of what is in aud of the user's token (or the actor's)
// already: the exchange narrows, and never widens. It has Hosts, and TokenType
// TypeAccessToken for an opaque token; otherwise the token is a JWT. ZITADEL says
// invalid_request of a user's token that has ended.
func ZITADEL(domain string, auth clientauth.Method) Config {
	origin, mistake := ofDomain("ZITADEL", domain)
	return Config{
		Issuer:        origin,
		TokenEndpoint: origin + "/oauth/v2/token",
		Auth:          auth,
		mistake:       mistake,
		dialect: dialect{tokenType: TypeJWT, check: func(w *wanted, mistake func(string, ...any)) {
			if len(w.Resource) > 0 {
				mistake("Resource: ZITADEL knows APIs by Audience")
			}
		}},
	}
}

// only reports what a provider without actors and token types does not understand.
func (w *wanted) only(mistake func(string, ...any), provider string, audience, resource bool) {
	if audience {
		mistake("Audience %q is not what %s takes", w.Audience, provider)
	}
	if resource {
		mistake("Resource %q: %s does not know APIs by it", w.Resource, provider)
	}
	if w.Actor != nil {
		mistake("Actor: %s takes no actor token", provider)
	}
	if w.TokenType != TypeAccessToken {
		mistake("TokenType %q: %s issues access tokens only", w.TokenType, provider)
	}
}

// ofDomain returns the origin of a host, which may be written as an https URL.
func ofDomain(preset, domain string) (string, error) {
	host := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(domain, "https://"), "/"))
	if plainHost(host) == "" || !strings.Contains(host, ".") {
		return "https://" + host, fmt.Errorf("%s: %q is not a domain", preset, domain)
	}
	return "https://" + host, nil
}

// pathOf returns the path of a URL that may be asked, or "".
func pathOf(address string) string {
	u, err := url.Parse(address)
	if err = errors.Join(err, fetch.CheckURL(address)); err != nil || u.RawQuery != "" {
		return ""
	}
	return u.Path
}
