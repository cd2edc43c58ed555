package verifier

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

// ByShapeConfig configures ByShape, which copies it.
type ByShapeConfig struct {
	_ [0]func()

	// JWT verifies the tokens of its issuers. Required.
	JWT *JWT
	// Opaque verifies everything else, best an *Introspection. Required.
	Opaque Verifier

	// IntrospectJWTs are issuers whose tokens look like JWTs and go to Opaque all
	// the same: because only the provider can verify them, or because a
	// revocation must be seen. They are compared with iss byte for byte. An issuer
	// that JWT does not know needs no mention.
	IntrospectJWTs []string
}

// ByShape returns a verifier for resources that receive JWTs and opaque tokens.
// Which of the two verifies a token is decided before either is asked, and the
// other never is: a JWT of a configured issuer that fails has no second chance.
// The verifier has a method Ready, as both have.
func ByShape(config ByShapeConfig) (Verifier, error) {
	var mistakes []error
	if config.JWT == nil {
		mistakes = append(mistakes, errors.New("verifier: JWT is required"))
	}
	if opaque, ok := config.Opaque.(*Introspection); config.Opaque == nil || ok && opaque == nil {
		mistakes = append(mistakes, errors.New("verifier: Opaque is required"))
	}
	for _, issuer := range config.IntrospectJWTs {
		if issuer == "" {
			mistakes = append(mistakes, fmt.Errorf("verifier: IntrospectJWTs: %q is no issuer", issuer))
		}
	}
	if err := errors.Join(mistakes...); err != nil {
		return nil, err
	}
	return &byShape{jwt: config.JWT, opaque: config.Opaque, introspected: slices.Clone(config.IntrospectJWTs)}, nil
}

type byShape struct {
	jwt          *JWT
	opaque       Verifier
	introspected []string
}

// Verify implements Verifier.
func (b *byShape) Verify(ctx context.Context, token string) (*Token, error) {
	if !looksLikeJWT(token) {
		return b.opaque.Verify(ctx, token)
	}
	known := b.jwt.recall(token)
	if known != nil && !slices.Contains(b.introspected, known.Issuer) {
		return known, nil
	}
	opaque, err := b.isOpaque(ctx, token)
	switch {
	case err != nil:
		return nil, err
	case opaque:
		return b.opaque.Verify(ctx, token)
	}
	return b.jwt.learn(ctx, token)
}

// isOpaque reports that a text of the shape of a JWT is not for JWT to judge. It reads
// iss without having verified it: it only decides who verifies.
func (b *byShape) isOpaque(ctx context.Context, token string) (bool, error) {
	jws, err := jose.Parse(token)
	if err != nil {
		return false, nil // JWT says what is wrong; nobody can tell whose it is
	}
	var c claims
	if c.read(jws.Payload) != nil {
		return false, nil
	}
	if slices.Contains(b.introspected, c.Issuer) {
		return true, nil
	}
	issuer, err := b.jwt.pick(ctx, c.Issuer)
	return issuer == nil, err
}

// looksLikeJWT reports three segments of which the first is an object by the
// most generous reading, so that no spelling makes a JWT an opaque token.
func looksLikeJWT(token string) bool {
	if strings.Count(token, ".") != 2 {
		return false
	}
	if strings.HasPrefix(token, "ey") { // {" or {SP
		return true
	}
	head, _, _ := strings.Cut(token, ".")
	head = strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(head)
	decoded, _ := base64.RawURLEncoding.DecodeString(head) // as far as it goes
	return strings.HasPrefix(strings.TrimLeft(string(decoded), " \t\r\n\uFEFF"), "{")
}

// Ready asks both.
func (b *byShape) Ready(ctx context.Context) error {
	failures := []error{b.jwt.Ready(ctx)}
	if opaque, ok := b.opaque.(interface{ Ready(context.Context) error }); ok {
		failures = append(failures, opaque.Ready(ctx))
	}
	return errors.Join(failures...)
}
