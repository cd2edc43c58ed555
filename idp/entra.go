package idp

import (
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const (
	entraV2       = "https://login.microsoftonline.com/"
	entraV1       = "https://sts.windows.net/"
	entraMetadata = "/.well-known/openid-configuration"
)

// Entra trusts one tenant of Microsoft Entra ID for v2 tokens: tenantID is the
// Directory (tenant) ID, appID the Application (client) ID of the registration of
// this resource, whose manifest must say requestedAccessTokenVersion 2.
//
// appIDURIs are the registration's Application ID URIs. Entra issues a token only
// to a client that sends one of them as its resource parameter, so one should be
// the resource itself; https ones need a domain that the tenant has verified.
//
// Subject is oid, the same for a user in all apps of the tenant and unique with
// Issuer, which names the tenant; sub differs from app to app. Tenant is tid,
// ClientID azp.
//
// Scopes are scp, each in two spellings: "read", as the token says, and
// "https://mcp.example.com/mcp/read" for every one of appIDURIs, as clients must
// request it. Policies and ScopesSupported should use the long one, which is what
// challenges then name. A token without a user must carry the optional claim
// idtyp and app roles, which are its Scopes; a user's roles are not.
func Entra(tenantID, appID string, appIDURIs ...string) verifier.Issuer {
	e := newEntra("Entra", appID, appIDURIs)
	tenant := e.tenant(tenantID)
	return e.issuer(entraV2+tenant+"/v2.0", entraMessages{
		otherVersion: "v1 token: set requestedAccessTokenVersion to 2 in the manifest of the resource's app registration",
		otherTenant:  "token of another Entra tenant",
	})
}

// EntraV1 is Entra for v1 tokens, which Entra issues for a registration whose
// manifest does not say requestedAccessTokenVersion 2. aud may be appID or one of
// appIDURIs, with or without a final slash. ClientID is appid. Clients are sent to
// the same authorization server as for v2: it is the registration that decides.
func EntraV1(tenantID, appID string, appIDURIs ...string) verifier.Issuer {
	e := newEntra("EntraV1", appID, appIDURIs)
	e.v1 = true
	for _, uri := range appIDURIs {
		if short, slash := strings.CutSuffix(uri, "/"); slash {
			e.audiences = append(e.audiences, short)
		} else {
			e.audiences = append(e.audiences, uri+"/")
		}
	}
	tenant := e.tenant(tenantID)
	issuer := e.issuer(entraV1+tenant+"/", entraMessages{
		otherVersion: "v2 token: use idp.Entra, or set requestedAccessTokenVersion to 1 in the manifest of the resource's app registration",
		otherTenant:  "token of another Entra tenant",
	})
	issuer.MetadataURL = entraV2 + tenant + entraMetadata
	issuer.AuthorizationServer = entraV2 + tenant + "/v2.0"
	return issuer
}

// EntraTenants is Entra for a registration that is open to several tenants and
// accepts the listed ones, by their Directory (tenant) IDs. Handlers must keep
// data of tenants apart by Token.Tenant.
//
// Clients are told the authorization server
// "https://login.microsoftonline.com/organizations/v2.0", as Microsoft's own
// resources do. The issuer in its metadata is a template, so a client that
// compares it (RFC 8414 §3.3) gives up; for such clients list one Entra per tenant
// instead.
func EntraTenants(appID string, tenants []string, appIDURIs ...string) verifier.Issuer {
	e := newEntra("EntraTenants", appID, appIDURIs)
	for _, tenant := range tenants {
		e.tenant(tenant)
	}
	issuer := e.organizations()
	issuer.Tenants = slices.Clone(e.tenants)
	return issuer
}

// EntraAnyTenant is EntraTenants for every tenant there is: anybody can create
// one, so handlers must decide by Token.Tenant whom they serve.
func EntraAnyTenant(appID string, appIDURIs ...string) verifier.Issuer {
	e := newEntra("EntraAnyTenant", appID, appIDURIs)
	issuer := e.organizations()
	issuer.AnyTenant = true
	return issuer
}

// entra is the registration of a resource.
type entra struct {
	mistakes
	tenants   []string // none: any
	audiences []string
	uris      []string
	v1        bool
}

func newEntra(preset, appID string, uris []string) *entra {
	e := &entra{mistakes: mistakes{preset: preset}, uris: slices.Clone(uris)}
	e.audiences = append(e.audiences, e.guid("appID", appID, "give the Application (client) ID"))
	for _, uri := range uris {
		_, err := scopes.Of(uri)
		scheme, rest, _ := strings.Cut(uri, ":")
		switch {
		case err != nil || scheme == "" || rest == "":
			e.add("appIDURIs: %q is not a URI", uri)
		case isGraph(uri):
			e.add("appIDURIs: %q is Microsoft Graph, whose tokens cannot be verified by anyone but Graph", uri)
		}
		e.audiences = append(e.audiences, uri)
	}
	return e
}

func (e *entra) tenant(id string) string {
	id = e.guid("tenant ID", id, "give the Directory (tenant) ID; for several tenants there are EntraTenants and EntraAnyTenant")
	e.tenants = append(e.tenants, id)
	return id
}

func (e *entra) issuer(url string, messages entraMessages) verifier.Issuer {
	return verifier.Issuer{
		URL:        url,
		Audiences:  e.audiences,
		Algorithms: []string{"RS256"}, // Entra's keys do not say theirs
		Types:      []string{"JWT"},
		ScopeClaim: "scp",
		Judge:      e.judge,
		Diagnose:   func(u verifier.Unverified) string { return e.diagnose(u, messages) },
		Mistake:    e.err(),
	}
}

func (e *entra) organizations() verifier.Issuer {
	issuer := e.issuer(entraV2+"{tenantid}/v2.0", entraMessages{
		otherVersion: "v1 token: set requestedAccessTokenVersion to 2 in the manifest of the resource's app registration",
		otherTenant:  "token of an Entra tenant that is not listed",
	})
	issuer.AuthorizationServer = entraV2 + "organizations/v2.0"
	issuer.MetadataURL = issuer.AuthorizationServer + entraMetadata
	return issuer
}
