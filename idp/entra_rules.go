package idp

import (
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/strictjson"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// judge applies Entra's rules: whose token it is, that it is no ID token, and
// what it grants.
func (e *entra) judge(token *verifier.Token) error {
	var claims struct {
		Object string   `json:"oid"`
		Tenant string   `json:"tid"`
		Azp    string   `json:"azp"`
		AppID  string   `json:"appid"`
		IDType string   `json:"idtyp"`
		Roles  []string `json:"roles"`
	}
	if err := read(token, &claims); err != nil {
		return err
	}
	if token.Tenant == "" && len(e.tenants) == 1 {
		token.Tenant = e.tenants[0] // iss names it; the verifier reads templates only
	}
	if claims.Tenant != "" && claims.Tenant != token.Tenant {
		return refuse(verifier.ReasonIssuer, "tid is not the tenant in iss")
	}
	if claims.Object == "" {
		// Falling back to sub would give one user two Subjects.
		return refuse(verifier.ReasonProvider, "oid is missing: the client must request the scope profile too")
	}
	token.Subject, token.ClientID = claims.Object, claims.Azp
	if e.v1 {
		token.ClientID = claims.AppID
	}
	if claims.IDType == "app" {
		return grantRoles(token, claims.Roles)
	}
	// An ID token has this resource's aud where the client is the same
	// registration; scp is what it never has.
	if token.Scopes.Len() == 0 {
		return refuse(verifier.ReasonType, "no scp: an ID token, or a token without a user; "+
			"for the latter add the optional claim idtyp to the resource's app registration")
	}
	e.spell(token)
	return nil
}

// grantRoles makes the app roles of a token without a user its scopes. Entra
// issues such tokens to every app of the tenant, granted or not; roles are the
// only sign of a grant.
func grantRoles(token *verifier.Token, roles []string) error {
	granted, err := scopes.Of(roles...)
	switch {
	case err != nil:
		return refuse(verifier.ReasonClaims, "an app role has characters that no scope has (RFC 6749 §3.3)")
	case granted.Len() == 0:
		return refuse(verifier.ReasonProvider, "a token without a user and without app roles, as any app of the tenant gets it: "+
			"grant the app an app role of the resource's app registration")
	}
	token.Scopes = granted
	return nil
}

// spell adds the long spelling of every scope.
func (e *entra) spell(token *verifier.Token) {
	var long []string
	for _, uri := range e.uris {
		for scope := range token.Scopes.All() {
			long = append(long, uri+"/"+scope)
		}
	}
	if spelled, err := scopes.Of(long...); err == nil {
		token.Scopes = token.Scopes.Union(spelled)
	}
}

// isGraph reports whether aud is Microsoft Graph.
func isGraph(aud string) bool {
	aud = strings.TrimSuffix(aud, "/")
	return aud == "https://graph.microsoft.com" || aud == "00000003-0000-0000-c000-000000000000"
}

// entraMessages are the hints that depend on the preset.
type entraMessages struct{ otherVersion, otherTenant string }

func (e *entra) diagnose(u verifier.Unverified, messages entraMessages) string {
	if slices.ContainsFunc(u.Audience, isGraph) {
		return "a Microsoft Graph token, which cannot be verified by anyone but Graph: " +
			"the client must request a scope of this resource, in its long spelling"
	}
	switch u.Reason {
	case verifier.ReasonIssuer:
		tenant, v1, ok := entraTenant(u.Issuer)
		ours := len(e.tenants) == 0 || slices.Contains(e.tenants, tenant)
		switch {
		case ok && !ours:
			return messages.otherTenant
		case ok && v1 != e.v1:
			return messages.otherVersion
		}
	case verifier.ReasonSignature:
		if look[map[string]strictjson.Value](u.Header)["nonce"] != nil {
			return "the header has a nonce: a token for a service of Microsoft's, which alone can verify it"
		}
	case verifier.ReasonUnknownKey:
		return "no key of the tenant has this kid; where the registration has custom claims by a mapping policy, " +
			"append ?appid= and the app ID to the issuer's MetadataURL"
	case verifier.ReasonAudience:
		return "aud is neither the preset's appID nor one of its appIDURIs: the client requested a scope of another registration"
	}
	return ""
}

// entraTenant returns the tenant that an iss of Entra names.
func entraTenant(iss string) (tenant string, v1, ok bool) {
	if tenant, ok = strings.CutPrefix(iss, entraV1); ok {
		return strings.TrimSuffix(tenant, "/"), true, true
	}
	tenant, ok = strings.CutPrefix(iss, entraV2)
	return strings.TrimSuffix(tenant, "/v2.0"), false, ok
}
