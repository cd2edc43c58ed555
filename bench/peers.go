package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	jwtmiddleware "github.com/auth0/go-jwt-middleware/v2"
	"github.com/auth0/go-jwt-middleware/v2/jwks"
	"github.com/auth0/go-jwt-middleware/v2/validator"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v2/jwt"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

// leeway is Gatehouse's default, for those that have such a setting.
const leeway = 10 * time.Second

// peers are what a Go team would pick, each set up as its documentation shows.
func peers() []contender {
	return []contender{
		{name: "go-sdk + keyfunc + golang-jwt", algorithms: algorithms, protect: protectSDK},
		{name: "auth0/go-jwt-middleware v2", algorithms: algorithms, protect: protectAuth0},
		{name: "coreos/go-oidc v3", algorithms: algorithms, protect: protectOIDC},
		{name: "jwx v2 ParseHeader", algorithms: algorithms, protect: protectJWX},
	}
}

var errScope = errors.New("insufficient scope")

func hasScope(granted string) bool { return slices.Contains(strings.Fields(granted), scope) }

type sdkClaims struct {
	jwt.RegisteredClaims

	Scope string `json:"scope"`
}

// protectSDK leaves the scope to the SDK, which is made for it.
func protectSDK(i *issuer, algorithm string, next http.Handler) (http.Handler, error) {
	keys, err := keyfunc.NewDefaultCtx(context.Background(), []string{i.jwksURL()})
	if err != nil {
		return nil, fmt.Errorf("keyfunc: %w", err)
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{algorithm}), jwt.WithIssuer(i.URL),
		jwt.WithAudience(resource), jwt.WithExpirationRequired(), jwt.WithLeeway(leeway))
	verify := func(_ context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
		var claims sdkClaims
		if _, err := parser.ParseWithClaims(token, &claims, keys.Keyfunc); err != nil {
			return nil, fmt.Errorf("%w: %w", auth.ErrInvalidToken, err)
		}
		return &auth.TokenInfo{
			Scopes:     strings.Fields(claims.Scope),
			Expiration: claims.ExpiresAt.Time,
			UserID:     claims.Subject,
		}, nil
	}
	return auth.RequireBearerToken(verify, &auth.RequireBearerTokenOptions{
		ResourceMetadataURL: "https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
		Scopes:              []string{scope},
		ClockSkew:           leeway,
	})(next), nil
}

// auth0Claims checks the scope where that library has a place for it.
type auth0Claims struct {
	Scope string `json:"scope"`
}

func (c *auth0Claims) Validate(context.Context) error {
	if !hasScope(c.Scope) {
		return errScope
	}
	return nil
}

func protectAuth0(i *issuer, algorithm string, next http.Handler) (http.Handler, error) {
	u, err := url.Parse(i.URL)
	if err != nil {
		return nil, err
	}
	provider := jwks.NewCachingProvider(u, time.Hour)
	judge, err := validator.New(provider.KeyFunc, validator.SignatureAlgorithm(algorithm), i.URL, []string{resource},
		validator.WithCustomClaims(func() validator.CustomClaims { return &auth0Claims{} }),
		validator.WithAllowedClockSkew(leeway))
	if err != nil {
		return nil, fmt.Errorf("go-jwt-middleware: %w", err)
	}
	if _, err := provider.KeyFunc(context.Background()); err != nil {
		return nil, fmt.Errorf("go-jwt-middleware: %w", err)
	}
	return jwtmiddleware.New(judge.ValidateToken).CheckJWT(next), nil
}

type oidcKey struct{}

// protectOIDC is the few lines that one writes around a verifier made for ID
// tokens: with the resource as the client, it judges access tokens as well.
func protectOIDC(i *issuer, algorithm string, next http.Handler) (http.Handler, error) {
	provider, err := oidc.NewProvider(context.Background(), i.URL)
	if err != nil {
		return nil, fmt.Errorf("go-oidc: %w", err)
	}
	judge := provider.Verifier(&oidc.Config{ClientID: resource, SupportedSigningAlgs: []string{algorithm}})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !found {
			refuse(w, http.StatusUnauthorized)
			return
		}
		token, err := judge.Verify(r.Context(), text)
		if err != nil {
			refuse(w, http.StatusUnauthorized)
			return
		}
		var claims struct {
			Scope string `json:"scope"`
		}
		if token.Claims(&claims) != nil || !hasScope(claims.Scope) {
			refuse(w, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), oidcKey{}, token)))
	}), nil
}

type jwxKey struct{}

func protectJWX(i *issuer, algorithm string, next http.Handler) (http.Handler, error) {
	ctx := context.Background()
	cache := jwk.NewCache(ctx)
	if err := cache.Register(i.jwksURL(), jwk.WithMinRefreshInterval(time.Hour)); err != nil {
		return nil, fmt.Errorf("jwx: %w", err)
	}
	if _, err := cache.Refresh(ctx, i.jwksURL()); err != nil {
		return nil, fmt.Errorf("jwx: %w", err)
	}
	keys := jwk.NewCachedSet(cache, i.jwksURL())
	if key, found := keys.LookupKeyID(keyID(algorithm)); !found || key.Algorithm() != jwa.SignatureAlgorithm(algorithm) {
		return nil, errors.New("jwx: the key is missing")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := jwxjwt.ParseHeader(r.Header, "Authorization", jwxjwt.WithKeySet(keys),
			jwxjwt.WithIssuer(i.URL), jwxjwt.WithAudience(resource),
			jwxjwt.WithRequiredClaim(jwxjwt.ExpirationKey), jwxjwt.WithAcceptableSkew(leeway))
		if err != nil {
			refuse(w, http.StatusUnauthorized)
			return
		}
		granted, _ := token.Get("scope")
		if text, isString := granted.(string); !isString || !hasScope(text) {
			refuse(w, http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), jwxKey{}, token)))
	}), nil
}

// refuse answers for the libraries that leave the answer to their user.
func refuse(w http.ResponseWriter, status int) {
	w.Header().Set("WWW-Authenticate", "Bearer")
	http.Error(w, http.StatusText(status), status)
}
