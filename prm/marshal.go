package prm

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// signedMetadata is written by New only, after everything else.
const signedMetadata = "signed_metadata"

// A member is one name of the document with its value and the Go field that the
// user knows it by.
type member struct {
	name, field string
	value       any // string, []string, bool, or a value of Extra
}

// members lists what RFC 9728 §2 defines, in its order and with empty values,
// each language variant behind the member that it varies.
func (m Metadata) members() []member {
	methods := m.BearerMethodsSupported
	if methods == nil {
		methods = []string{"header"}
	}
	list := []member{
		{"resource", "Resource", m.Resource},
		{"authorization_servers", "AuthorizationServers", m.AuthorizationServers},
		{"jwks_uri", "JWKSURI", m.JWKSURI},
		{"scopes_supported", "ScopesSupported", m.ScopesSupported},
		{"bearer_methods_supported", "BearerMethodsSupported", methods},
		{"resource_signing_alg_values_supported", "ResourceSigningAlgValuesSupported", m.ResourceSigningAlgValuesSupported},
	}
	for _, text := range m.texts() {
		list = append(list, member{text.name, text.field, text.value})
		for _, tag := range slices.Sorted(maps.Keys(text.lang)) {
			list = append(list, member{text.name + "#" + tag, text.field + "Lang", text.lang[tag]})
		}
	}
	return append(list,
		member{"tls_client_certificate_bound_access_tokens", "TLSClientCertificateBoundAccessTokens", m.TLSClientCertificateBoundAccessTokens},
		member{"authorization_details_types_supported", "AuthorizationDetailsTypesSupported", m.AuthorizationDetailsTypesSupported},
		member{"dpop_signing_alg_values_supported", "DPoPSigningAlgValuesSupported", m.DPoPSigningAlgValuesSupported},
		member{"dpop_bound_access_tokens_required", "DPoPBoundAccessTokensRequired", m.DPoPBoundAccessTokensRequired},
	)
}

// A text is a member that people read and that may vary by language.
type text struct {
	name, field, value string
	lang               map[string]string
}

func (m Metadata) texts() []text {
	return []text{
		{"resource_name", "ResourceName", m.ResourceName, m.ResourceNameLang},
		{"resource_documentation", "ResourceDocumentation", m.ResourceDocumentation, m.ResourceDocumentationLang},
		{"resource_policy_uri", "ResourcePolicyURI", m.ResourcePolicyURI, m.ResourcePolicyURILang},
		{"resource_tos_uri", "ResourceTOSURI", m.ResourceTOSURI, m.ResourceTOSURILang},
	}
}

// encode returns the document without signed_metadata. m must be valid.
func (m Metadata) encode() ([]byte, error) {
	var object bytes.Buffer
	object.WriteByte('{')
	all := m.members()
	for _, name := range slices.Sorted(maps.Keys(m.Extra)) {
		all = append(all, member{name: name, value: m.Extra[name]})
	}
	for _, one := range all {
		value, err := encodeValue(one.value)
		if err != nil {
			return nil, err
		}
		if isEmpty(value, one.field == "") {
			continue // RFC 9728 §3.2: no member without a value
		}
		if err := appendMember(&object, one.name, value); err != nil {
			return nil, err
		}
	}
	object.WriteByte('}')
	return object.Bytes(), nil
}

// isEmpty reports whether an encoded value is a zero value. An extra member is
// not ours to read, so its false and 0 may mean something.
func isEmpty(value []byte, extra bool) bool {
	switch string(value) {
	case "null", `""`, "[]", "{}":
		return true
	case "false":
		return !extra
	}
	return false
}

func appendMember(object *bytes.Buffer, name string, value []byte) error {
	if object.Len() > 1 {
		object.WriteByte(',')
	}
	key, err := encodeValue(name)
	if err != nil {
		return err
	}
	object.Write(key)
	object.WriteByte(':')
	object.Write(value)
	return nil
}

// encodeValue is json.Marshal without the escapes for HTML, so that a URL with &
// reads as it was written.
func encodeValue(value any) ([]byte, error) {
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buffer.Bytes(), []byte("\n")), nil
}

// defines reports whether RFC 9728 §2 defines name, in any case and with any
// language tag: many readers, encoding/json among them, fold case.
func (m Metadata) defines(name string) bool {
	base, _, _ := strings.Cut(name, "#")
	if strings.EqualFold(base, signedMetadata) {
		return true
	}
	return slices.ContainsFunc(m.members(), func(one member) bool { return strings.EqualFold(base, one.name) })
}
