package verifier

import "github.com/gatehouse-mcp/gatehouse/internal/strictjson"

// maxClaims bounds the members of the payload and of every object in it, and the
// items of a list that is read.
const maxClaims = 256

// read decodes payload, which is not verified yet: the size limit on tokens is
// what bounds the work. The values are parts of payload.
func (c *claims) read(payload []byte) error {
	reader := strictjson.NewReader(payload, strictjson.MaxDepth)
	reader.AtMost(maxClaims)
	fits := true
	members, err := reader.Members()
	for err == nil {
		var name, value []byte
		var more bool
		if name, more, err = members.Next(); err != nil || !more {
			break
		}
		// Looked up before the name is gone with the next call.
		words, other := c.textAt(name), c.valueAt(name)
		if value, err = reader.Value(); err != nil {
			break
		}
		switch v := strictjson.Value(value); {
		case words != nil && v.Kind() != 'n': // null is as good as absent
			var ok bool
			*words, ok = text(v)
			fits = fits && ok
		case other != nil:
			*other = v
		}
	}
	if err == nil {
		err = reader.End()
	}
	switch {
	case err != nil:
		return &InvalidTokenError{Reason: ReasonMalformed, Hint: "the claims are not one strict JSON object"}
	case !fits:
		return &InvalidTokenError{Reason: ReasonClaims, Hint: "a claim has the wrong type"}
	}
	return nil
}

func (c *claims) textAt(name []byte) *string {
	switch string(name) {
	case "iss":
		return &c.Issuer
	case "sub":
		return &c.Subject
	case "jti":
		return &c.ID
	case "client_id":
		return &c.ClientID
	case "azp":
		return &c.Azp
	}
	return nil
}

func (c *claims) valueAt(name []byte) *strictjson.Value {
	switch string(name) {
	case "aud":
		return &c.Audience
	case "exp":
		return &c.Expiry
	case "nbf":
		return &c.NotBefore
	case "iat":
		return &c.IssuedAt
	case "scope":
		return &c.Scope
	case "scp":
		return &c.Scp
	case "cnf":
		return &c.Confirm
	case "tid":
		return &c.Tid
	case "act":
		return &c.Act
	case "nonce":
		return &c.Nonce
	case "at_hash":
		return &c.AtHash
	case "c_hash":
		return &c.CHash
	case "events":
		return &c.Events
	case "token_introspection":
		return &c.Introspection
	}
	return nil
}
