package verifier

// Meaning says in a sentence what the Reason means, for operators. Empty for a
// Reason that is not in the list.
func (r Reason) Meaning() string { return r.explained().meaning }

// Remedy says what an operator can do about it. Empty for a Reason that is not
// in the list.
func (r Reason) Remedy() string { return r.explained().remedy }

type reasonText struct{ meaning, remedy string }

func (r Reason) explained() reasonText {
	switch r {
	case ReasonTooLarge:
		return reasonText{"The token is longer than 16 KiB, or its header than 2 KiB.",
			"Have the provider put less into access tokens: groups and roles are the usual cause. Otherwise somebody is probing."}
	case ReasonMalformed:
		return reasonText{"What was sent is not a signed JWT: an opaque or encrypted token, a cut one, or ambiguous JSON.",
			"An opaque token needs verifier.Introspection, or ByShape for both kinds. For an encrypted one, switch encryption of access tokens off at the provider. Many providers send opaque tokens to clients that do not name the resource."}
	case ReasonHeader:
		return reasonText{"The token's header demands an extension that is not supported (crit, b64, zip), or is ambiguous.",
			"Switch the extension off at the provider. No common provider sends one: look who sends such tokens."}
	case ReasonAlgorithm:
		return reasonText{"The token is signed with an algorithm that this issuer may not use here.",
			"Choose an asymmetric algorithm for access tokens at the provider, or add the one it uses to the issuer's Algorithms. A token with HS256 or none is an attack."}
	case ReasonType:
		return reasonText{"This is another kind of token: an ID token, a logout token, an introspection answer.",
			"The client must send the access token. If the provider marks its access tokens with a typ of its own, add that to the issuer's Types."}
	case ReasonIssuer:
		return reasonText{"The token comes from an issuer, or a tenant, that is not configured here.",
			"Compare iss with the configured issuer URLs octet by octet: a slash at the end, a tenant or a custom domain is the usual difference."}
	case ReasonUnknownKey:
		return reasonText{"The issuer publishes no key that fits the token's kid and alg.",
			"Right after a rotation this ends within the cool-down. If it lasts, the token is from another environment, or the provider signs with a key of its own for this application: point JWKSURI there."}
	case ReasonSignature:
		return reasonText{"The token was changed, or somebody else signed it.",
			"Look who sends it. Microsoft Graph tokens are made so that nobody else can verify them: the client must ask for a scope of this resource."}
	case ReasonClaims:
		return reasonText{"A claim that is needed is missing, or has the wrong form.",
			"Have the provider send exp and sub, and aud as text or a list of texts. The hint in the log names the claim."}
	case ReasonExpired:
		return reasonText{"The token's time is over.",
			"Nothing, as long as clients fetch new tokens: some of these are normal. If fresh tokens are refused, compare the clocks."}
	case ReasonNotYetValid:
		return reasonText{"The token's time begins in the future.",
			"Synchronize the clocks of this machine and of the provider. Leeway covers 10 s by default, and 2 minutes at most."}
	case ReasonAudience:
		return reasonText{"The token was issued for another resource.",
			"Register this resource's identifier at the provider (as resource indicator, API identifier or audience), or list the value that it sends in the issuer's Audiences. Never accept a client's ID or another API's audience."}
	case ReasonConfirmation:
		return reasonText{"The token is bound to a key of the client (DPoP, mutual TLS), and the proof is missing or not supported.",
			"Have the provider issue bearer tokens for this resource."}
	case ReasonProvider:
		return reasonText{"A rule of the provider's own refused the token.",
			"The hint in the log says what to change at the provider."}
	case ReasonInactive:
		return reasonText{"The authorization server says that the token is not active: expired, revoked or never issued.",
			"Nothing, as long as clients log in again. If fresh tokens are refused, this resource asks another server, or as a client that may not see them."}
	case ReasonUnspecified:
		return reasonText{"A custom Verifier refused the token without a Reason.",
			"Have it return an *InvalidTokenError with a Reason."}
	}
	return reasonText{}
}
