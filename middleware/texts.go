package middleware

import "github.com/gatehouse-mcp/gatehouse/verifier"

// Every error_description on the wire is one of these. None contains anything
// of a request, and none needs an escape in a quoted-string or in JSON.
const (
	noCredentials        = "This resource needs an access token."
	severalFields        = "There is more than one Authorization field."
	severalCredentials   = "The Authorization field holds more than one credential."
	severalMethods       = "The access token is sent in more than one way."
	malformedCredentials = "The Authorization field is not of the form: Bearer, a space, one token."
	insufficientScope    = "The access token lacks a scope that this operation needs."
	weakAuthentication   = "This operation needs a stronger or more recent login."
	forbiddenOrigin      = "The origin of this request is not allowed here."
	forbiddenHost        = "The host of this request is not allowed here."
	denied               = "This operation is not allowed."
	temporarilyDown      = "The access token cannot be checked right now."
	otherDown            = "Another service that this operation needs cannot be asked right now."

	bodyTooLarge      = "The request body is too large."
	bodyIncomplete    = "The request body is incomplete."
	bodyEncoded       = "The request body must not be compressed."
	bodyNotJSON       = "The Content-Type must be application/json, in UTF-8."
	severalVersions   = "There is more than one MCP-Protocol-Version."
	versionMismatch   = "MCP-Protocol-Version is not the version in the body."
	versionMissing    = "The protocol version in params._meta is missing."
	methodMismatch    = "Mcp-Method is not the method in the body."
	nameMismatch      = "Mcp-Name is not the name in the body."
	tooManyOperations = "The message asks for too many operations."
	batchNotAllowed   = "This protocol version has no batches."

	// maxDescription is at least as long as each of them.
	maxDescription = 80
)

// describe returns the text of an invalid_token answer. It is coarse on purpose
// where a finer one would help nobody but a forger.
func describe(reason verifier.Reason) string {
	switch reason {
	case verifier.ReasonMalformed, verifier.ReasonTooLarge, verifier.ReasonHeader:
		return "The access token is malformed."
	case verifier.ReasonAlgorithm, verifier.ReasonUnknownKey, verifier.ReasonSignature:
		return "The signature of the access token cannot be verified."
	case verifier.ReasonType:
		return "The token is not an access token."
	case verifier.ReasonIssuer:
		return "The access token is from an issuer that is not trusted here."
	case verifier.ReasonClaims:
		return "The access token lacks a claim that is needed."
	case verifier.ReasonExpired:
		return "The access token has expired."
	case verifier.ReasonNotYetValid:
		return "The access token is not valid yet."
	case verifier.ReasonAudience:
		return "The access token is for another resource."
	case verifier.ReasonConfirmation:
		return "The access token is bound to a key, and the proof is missing."
	case verifier.ReasonInactive:
		return "The access token is not active."
	default:
		return "The access token is not valid here."
	}
}
