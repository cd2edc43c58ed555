package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// gatehouse is the Guard as a user builds it.
func gatehouse() contender {
	return contender{
		name:       "Gatehouse",
		algorithms: algorithms,
		protect: func(i *issuer, algorithm string, next http.Handler) (http.Handler, error) {
			return guard([]verifier.Issuer{{URL: i.URL, Algorithms: []string{algorithm}}}, nil, next)
		},
	}
}

// gatehouseCold is the Guard that remembers no token, so that each is verified.
func gatehouseCold() contender {
	return contender{
		name:       coldName,
		algorithms: algorithms,
		protect: func(i *issuer, algorithm string, next http.Handler) (http.Handler, error) {
			issuers := []verifier.Issuer{{URL: i.URL, Algorithms: []string{algorithm}}}
			return guardWith(verifier.JWTConfig{Resource: resource, Issuers: issuers, CacheSize: -1}, next)
		},
	}
}

// guard returns next behind a Guard for these issuers. A nil judge is the
// built-in verifier.
func guard(issuers []verifier.Issuer, judge verifier.Verifier, next http.Handler) (http.Handler, error) {
	g, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{Resource: resource, ScopesSupported: []string{scope, "files:write"}},
		Issuers:  issuers,
		Verifier: judge,
	})
	if err != nil {
		return nil, fmt.Errorf("gatehouse: %w", err)
	}
	return g.Require(scope)(next), nil
}

// impatient returns a Guard that asks for keys as often as it may, which makes
// what goes wrong there happen within seconds.
func impatient(i *issuer, cache int, next http.Handler) (http.Handler, error) {
	issuers := []verifier.Issuer{{URL: i.URL}}
	return guardWith(verifier.JWTConfig{Resource: resource, Issuers: issuers, CacheSize: cache, Cooldown: time.Second}, next)
}

// guardWith returns next behind a Guard whose verifier is not the default one.
func guardWith(config verifier.JWTConfig, next http.Handler) (http.Handler, error) {
	judge, err := verifier.NewJWT(config)
	if err != nil {
		return nil, fmt.Errorf("gatehouse: %w", err)
	}
	return guard(config.Issuers, judge, next)
}
