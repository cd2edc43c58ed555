// Package prm publishes OAuth 2.0 Protected Resource Metadata (RFC 9728): the
// document from which a client learns what a resource is called, and which
// authorization servers issue tokens for it.
//
// Fill in a [Metadata], turn it into a [Document] with [New], and mount that at
// its own path:
//
//	mux.Handle(doc.Path(), doc)
//
// Do not put authorization in front of it: clients read it before they can log
// in.
package prm

import (
	"maps"
	"slices"
)

// Metadata is the content of the document, one field for each member of
// RFC 9728 §2. Fields with the zero value are left out of the document
// (RFC 9728 §3.2). Metadata is a plain value; do not write it, nor its slices
// and maps, while others read it.
//
// URLs must be absolute, https (http on loopback), and without user name and
// password. Members of the ...Lang maps are keyed by language tag (BCP 47) and
// published as "name#tag" (RFC 9728 §2.1).
type Metadata struct {
	_ [0]func()

	// Resource is the resource identifier: the URL under which clients know the
	// MCP endpoint, published byte for byte. Required. No fragment (RFC 9728
	// §1.2); a query is allowed but discouraged.
	Resource string
	// AuthorizationServers are the issuer identifiers (RFC 8414 §2) whose tokens
	// are accepted; not the URLs of their metadata. At least one is required
	// (MCP 2026-07-28, authorization server discovery).
	AuthorizationServers []string

	// ScopesSupported are the scopes that a client may ask for when it has no
	// better hint, so keep them few. offline_access does not belong here (MCP
	// 2026-07-28 authorization, Refresh Tokens).
	ScopesSupported []string
	// ResourceName is the name that a person is shown.
	ResourceName     string
	ResourceNameLang map[string]string
	// ResourceDocumentation is the URL of a page for developers.
	ResourceDocumentation     string
	ResourceDocumentationLang map[string]string
	// ResourcePolicyURI is the URL of a page on how data may be used.
	ResourcePolicyURI     string
	ResourcePolicyURILang map[string]string
	// ResourceTOSURI is the URL of the terms of service.
	ResourceTOSURI     string
	ResourceTOSURILang map[string]string

	// BearerMethodsSupported is how a token may be sent (RFC 6750 §2). Nil:
	// "header", which is also the only legal value, as no other is accepted.
	BearerMethodsSupported []string
	// JWKSURI is where the resource's own public keys are, not those of an
	// authorization server.
	JWKSURI string
	// ResourceSigningAlgValuesSupported are the JWS algorithms with which the
	// resource signs its answers; not "none".
	ResourceSigningAlgValuesSupported []string
	// AuthorizationDetailsTypesSupported are the RFC 9396 types.
	AuthorizationDetailsTypesSupported []string
	// TLSClientCertificateBoundAccessTokens: tokens bound to a client
	// certificate are supported (RFC 8705).
	TLSClientCertificateBoundAccessTokens bool
	// DPoPSigningAlgValuesSupported are the JWS algorithms of DPoP proofs
	// (RFC 9449); asymmetric ones only.
	DPoPSigningAlgValuesSupported []string
	// DPoPBoundAccessTokensRequired: every token must be bound to a key by DPoP.
	DPoPBoundAccessTokensRequired bool

	// Extra holds members that RFC 9728 does not define; it cannot replace one
	// that it does. Values are encoded as by encoding/json; null, "", [] and {}
	// are left out.
	Extra map[string]any
	// Sign returns signed_metadata, a compact JWS over claims, which is the
	// document as a JSON object without that member. It must add the claim iss
	// (RFC 9728 §2.2) and may add other JWT claims, but change none. New calls
	// it once. Nil: no signed_metadata.
	Sign func(claims []byte) (string, error)
}

// clone copies every slice and map. Values inside Extra stay shared.
func (m Metadata) clone() Metadata {
	m.AuthorizationServers = slices.Clone(m.AuthorizationServers)
	m.ScopesSupported = slices.Clone(m.ScopesSupported)
	m.ResourceNameLang = maps.Clone(m.ResourceNameLang)
	m.ResourceDocumentationLang = maps.Clone(m.ResourceDocumentationLang)
	m.ResourcePolicyURILang = maps.Clone(m.ResourcePolicyURILang)
	m.ResourceTOSURILang = maps.Clone(m.ResourceTOSURILang)
	m.BearerMethodsSupported = slices.Clone(m.BearerMethodsSupported)
	m.ResourceSigningAlgValuesSupported = slices.Clone(m.ResourceSigningAlgValuesSupported)
	m.AuthorizationDetailsTypesSupported = slices.Clone(m.AuthorizationDetailsTypesSupported)
	m.DPoPSigningAlgValuesSupported = slices.Clone(m.DPoPSigningAlgValuesSupported)
	m.Extra = maps.Clone(m.Extra)
	return m
}
