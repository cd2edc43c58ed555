package clientauth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

const (
	assertionLifetime    = time.Minute
	maxAssertionLifetime = 10 * time.Minute
)

// A Key signs client assertions. The zero value signs nothing.
type Key struct {
	_ [0]func()

	// Signer holds the private key, or stands for one that is kept elsewhere.
	// Required. It must be safe for concurrent use. RSA needs 2048 bits.
	Signer crypto.Signer
	// Algorithm is alg: RS, PS or ES with 256, 384 or 512, or EdDSA. Required.
	Algorithm string
	// ID is kid, by which the server finds the public key. Empty: none.
	ID string
	// Certificate is the key's, for servers that find the public key by x5t#S256,
	// its thumbprint (RFC 7515 §4.1.8), as Microsoft Entra ID does. Nil: none.
	Certificate *x509.Certificate
}

// A signing is a Key that was checked.
type signing struct {
	key       jose.SigningKey
	header    map[string]any
	certified bool
}

func (k Key) signing() (signing, error) {
	key, err := jose.NewSigningKey(k.Algorithm, k.ID, k.Signer)
	if err != nil {
		return signing{}, err
	}
	header := map[string]any{"typ": "JWT"}
	if k.Certificate != nil {
		public, ok := k.Signer.Public().(interface{ Equal(crypto.PublicKey) bool })
		if !ok || !public.Equal(k.Certificate.PublicKey) {
			return signing{}, errors.New("the certificate is of another key")
		}
		sum := sha256.Sum256(k.Certificate.Raw)
		header["x5t#S256"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return signing{key, header, k.Certificate != nil}, nil
}

// PrivateKeyJWTConfig configures PrivateKeyJWT, which copies it.
type PrivateKeyJWTConfig struct {
	_ [0]func()

	// ClientID is our client_id, the iss and sub of the assertion. Required.
	ClientID string
	// Key signs. Required, unless CurrentKey is set.
	Key Key
	// CurrentKey returns the key to sign with now, for keys that rotate. It is
	// called for every request, respects ctx and is safe for concurrent use. Nil:
	// Key, always.
	CurrentKey func(ctx context.Context) (Key, error)
	// Audience is aud. Empty: the issuer identifier of the server that is asked,
	// the one value that no other server accepts. Some want their token endpoint.
	Audience string
	// Lifetime is the time from iat to exp. Zero: a minute. At most 10 min.
	Lifetime time.Duration
}

// PrivateKeyJWT is private_key_jwt (RFC 7523 §2.2): every request carries a
// signed assertion of its own, used once.
func PrivateKeyJWT(config PrivateKeyJWTConfig) Method {
	a := &assertions{config: config}
	return Method{name: "private_key_jwt", wrong: a.compile(), apply: a.apply}
}

type assertions struct {
	config PrivateKeyJWTConfig
	fixed  signing // where keys do not rotate
}

func (a *assertions) compile() error {
	mistakes := []error{checkID(a.config.ClientID)}
	if a.config.Lifetime < 0 || a.config.Lifetime > maxAssertionLifetime {
		mistakes = append(mistakes, fmt.Errorf("clientauth: Lifetime %v is not between 0 and %v", a.config.Lifetime, maxAssertionLifetime))
	}
	if a.config.Lifetime == 0 {
		a.config.Lifetime = assertionLifetime
	}
	if a.config.CurrentKey == nil {
		var err error
		if a.fixed, err = a.config.Key.signing(); err != nil {
			mistakes = append(mistakes, fmt.Errorf("clientauth: Key: %w", err))
		}
	} else if a.config.Key.Signer != nil {
		mistakes = append(mistakes, errors.New("clientauth: CurrentKey makes Key pointless"))
	}
	return errors.Join(mistakes...)
}

func (a *assertions) apply(ctx context.Context, _ http.Header, form url.Values, audience string) error {
	key, err := a.key(ctx)
	if err != nil {
		return err
	}
	if a.config.Audience != "" {
		audience = a.config.Audience
	}
	if audience == "" {
		return errors.New("clientauth: an assertion needs an audience (RFC 7523 §3)")
	}
	assertion, err := a.sign(key, audience, time.Now())
	if err != nil {
		return &causeError{text: "clientauth: the assertion cannot be signed", err: err}
	}
	form.Set("client_id", a.config.ClientID) // RFC 7521 §4.2: optional, and some require it
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", assertion)
	return nil
}

func (a *assertions) key(ctx context.Context) (signing, error) {
	if a.config.CurrentKey == nil {
		return a.fixed, nil
	}
	current, err := a.config.CurrentKey(ctx)
	if err != nil {
		return signing{}, &causeError{text: "clientauth: CurrentKey failed", err: err}
	}
	key, err := current.signing()
	if err != nil {
		return signing{}, fmt.Errorf("clientauth: CurrentKey: %w", err)
	}
	return key, nil
}

// sign writes the claims of RFC 7523 §3. Each assertion has a jti, because a
// server may take one only once.
func (a *assertions) sign(with signing, audience string, now time.Time) (string, error) {
	all := map[string]any{
		"iss": a.config.ClientID,
		"sub": a.config.ClientID,
		"aud": audience,
		"jti": rand.Text(),
		"iat": now.Unix(),
		"exp": now.Add(a.config.Lifetime).Unix(),
	}
	if with.certified { // Microsoft's list of claims has it, and no other server needs it
		all["nbf"] = now.Unix()
	}
	claims, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	return with.key.Sign(with.header, claims)
}
