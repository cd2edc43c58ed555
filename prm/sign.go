package prm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// sign adds signed_metadata to document, if there is a signer.
func (m Metadata) sign(document []byte) ([]byte, error) {
	if m.Sign == nil {
		return document, nil
	}
	token, err := m.Sign(bytes.Clone(document))
	if err != nil {
		return nil, fmt.Errorf("prm: Sign: %w", err)
	}
	if err := m.checkSigned(token, document); err != nil {
		return nil, fmt.Errorf("prm: Sign: %w", err)
	}
	value, err := encodeValue(token)
	if err != nil {
		return nil, err
	}
	signed := bytes.NewBuffer(bytes.TrimSuffix(document, []byte("}")))
	if err := appendMember(signed, signedMetadata, value); err != nil {
		return nil, err
	}
	signed.WriteByte('}')
	return signed.Bytes(), nil
}

// checkSigned judges the form of a compact JWS (RFC 7515 §7.1), not its
// signature. Clients let signed values take precedence (RFC 9728 §2.2), so they
// must be the values that this document enforces.
func (m Metadata) checkSigned(token string, document []byte) error {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("result is not a compact JWS of three segments (RFC 7515 §7.1)")
	}
	decoded := make([][]byte, len(parts))
	for i, part := range parts {
		data, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || len(data) == 0 || strings.ContainsAny(part, "\r\n") {
			return fmt.Errorf("segment %d of the result is empty or not base64url (RFC 7515 §7.1)", i+1)
		}
		decoded[i] = data
	}
	header, err := object(decoded[0])
	if err != nil {
		return errors.New("header of the result is not a JSON object (RFC 7515 §4)")
	}
	if alg, _ := header["alg"].(string); alg == "" || strings.EqualFold(alg, "none") {
		return errors.New("result is not signed: header alg is missing or none")
	}
	claims, err := object(decoded[1])
	if err != nil {
		return errors.New("payload of the result is not a JSON object (RFC 7519 §7.2)")
	}
	if iss, _ := claims["iss"].(string); iss == "" {
		return errors.New("payload of the result has no iss (RFC 9728 §2.2)")
	}
	published, err := object(document)
	if err != nil {
		return err
	}
	for name, value := range published {
		if !reflect.DeepEqual(claims[name], value) {
			return fmt.Errorf("payload of the result does not repeat %q as published", name)
		}
	}
	for name := range claims {
		if _, ok := published[name]; !ok && m.defines(name) {
			return fmt.Errorf("payload of the result adds %q, which is not published", name)
		}
	}
	return nil
}

func object(data []byte) (map[string]any, error) {
	var members map[string]any
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, err
	}
	if members == nil {
		return nil, errors.New("null is no object")
	}
	return members, nil
}
