package authtest

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

func (i *Issuer) discoveryPath(form Discovery) string {
	const (
		oauth  = "/.well-known/oauth-authorization-server"
		openID = "/.well-known/openid-configuration"
	)
	switch form {
	case RFC8414Inserted:
		return oauth + i.path
	case RFC8414Appended:
		return i.path + oauth
	default:
		return i.path + openID
	}
}

// endpoint returns the URL of one of the issuer's own paths. iss may end in a
// slash, which belongs to the identifier and not to the path (RFC 8414 §3.1).
func (i *Issuer) endpoint(name string) string {
	return strings.TrimSuffix(i.config.URL, "/") + name
}

// metadata is the RFC 8414 §2 document with the members that OpenID Connect
// Discovery 1.0 §3 requires.
func (i *Issuer) metadata() map[string]any {
	document := map[string]any{
		"issuer":                                         i.config.URL,
		"authorization_endpoint":                         i.endpoint("/authorize"),
		"token_endpoint":                                 i.endpoint("/token"),
		"jwks_uri":                                       i.endpoint("/jwks"),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          grantTypes(),
		"code_challenge_methods_supported":               []string{"S256"},
		"introspection_endpoint":                         i.endpoint("/introspect"),
		"revocation_endpoint":                            i.endpoint("/revoke"),
		"token_endpoint_auth_methods_supported":          []string{"none", "client_secret_basic", "client_secret_post"},
		"introspection_endpoint_auth_methods_supported":  []string{"client_secret_basic", "client_secret_post"},
		"revocation_endpoint_auth_methods_supported":     []string{"none", "client_secret_basic", "client_secret_post"},
		"introspection_signing_alg_values_supported":     jose.Algorithms(), // RFC 9701 §7
		"authorization_response_iss_parameter_supported": true,
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          jose.Algorithms(),
	}
	if !i.config.NoRegistration {
		document["registration_endpoint"] = i.endpoint("/register")
	}
	if len(i.config.Scopes) > 0 {
		document["scopes_supported"] = i.config.Scopes
	}
	maps.Copy(document, i.config.Metadata)
	dropOmitted(document)
	return document
}

func (i *Issuer) serveMetadata(w http.ResponseWriter, r *http.Request) {
	text, err := json.Marshal(i.metadata())
	if err != nil {
		http.Error(w, "Config.Metadata cannot be written as JSON", http.StatusInternalServerError)
		return
	}
	serveDocument(w, r, text)
}

func (i *Issuer) serveKeys(w http.ResponseWriter, r *http.Request) {
	text, err := i.keys.document()
	if err != nil {
		http.Error(w, "no keys", http.StatusInternalServerError)
		return
	}
	serveDocument(w, r, text)
}

// serveDocument answers conditional requests too, so that clients which make
// them are tested (RFC 9110 §13.1.2).
func serveDocument(w http.ResponseWriter, r *http.Request, text []byte) {
	sum := sha256.Sum256(text)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}
