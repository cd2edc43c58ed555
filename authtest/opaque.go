package authtest

import (
	"crypto/rand"
	"errors"
	"fmt"
)

// OpaqueTokenConfig describes a token for Issuer.MintOpaque. The zero value is a
// good one.
type OpaqueTokenConfig struct {
	_ [0]func()

	// Claims replaces members of the introspection answer (RFC 7662 §2.2), which
	// are the claims of Issuer.Token and token_type, username, nbf. "active" is
	// true from nbf to exp unless it is replaced; then it stays as it is until
	// the token is revoked.
	Claims Claims
	// Text is the token itself, of any characters. Empty: 26 random ones.
	Text string
}

// MintOpaque returns an access token that means nothing by itself: the issuer
// remembers what it stands for, the latest few thousand. It fails where a claim
// cannot be written as JSON, or Text is another token's.
func (i *Issuer) MintOpaque(config OpaqueTokenConfig) (string, error) {
	return i.mintOpaque(config, nil)
}

func (i *Issuer) mintOpaque(config OpaqueTokenConfig, of *grant) (string, error) {
	claims, err := i.accessClaims(config.Claims)
	if err != nil {
		return "", err
	}
	text := config.Text
	if text == "" {
		text = rand.Text()
	}
	added, err := i.remember(text, claims, of)
	switch {
	case err != nil:
		return "", fmt.Errorf("authtest: claims: %w", err)
	case !added:
		return "", errors.New("authtest: Text is another token's")
	}
	return text, nil
}
