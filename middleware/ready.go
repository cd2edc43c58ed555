package middleware

import (
	"context"
	"time"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// Ready reports whether tokens can be verified: every issuer's keys have been
// seen and are not too old, and an introspection endpoint answers. It asks those
// from whom nothing is known yet; ctx bounds the wait. The error joins one
// *verifier.UnavailableError per issuer.
//
// It is for readiness probes. A liveness probe must not call it: to restart for
// an outage of the provider would throw away the keys that outlive it. Whether a
// custom Verifier without a method Ready(context.Context) error is ready, nobody
// knows; it counts as ready.
func (g *Guard) Ready(ctx context.Context) error {
	ru := g.compiled()
	if ru == nil {
		return defect("the Guard was not made by New")
	}
	if judge, ok := ru.verifier.(interface{ Ready(context.Context) error }); ok {
		return judge.Ready(ctx)
	}
	return nil
}

// A Status is what a Guard and its verifier know about their providers at one
// moment. Fields of what the verifier does not do are zero.
type Status struct {
	// Resource is the configured resource identifier.
	Resource string
	// Keys describes the keys of each issuer of the Config.
	Keys []verifier.KeyStatus
	// Cache describes the remembered JWTs.
	Cache verifier.CacheStatus
	// Introspection describes the authorization server that is asked; its Issuer
	// is empty where none is.
	Introspection verifier.IntrospectionStatus
}

// Status returns what is known. It does no I/O.
func (g *Guard) Status() Status {
	ru := g.compiled()
	if ru == nil {
		return Status{}
	}
	status := Status{Resource: ru.resource}
	if keys, ok := ru.verifier.(interface{ KeyStatus() []verifier.KeyStatus }); ok {
		status.Keys = keys.KeyStatus()
	}
	if cache, ok := ru.verifier.(interface{ CacheStatus() verifier.CacheStatus }); ok {
		status.Cache = cache.CacheStatus()
	}
	if asked, ok := ru.verifier.(interface {
		Status() verifier.IntrospectionStatus
	}); ok {
		status.Introspection = asked.Status()
	}
	return status
}

// An IssuerHealth is one provider's part in readiness, fit for JSON. It names
// addresses of the configuration, so it is for operators.
type IssuerHealth struct {
	// Issuer is the configured issuer identifier.
	Issuer string `json:"issuer"`
	// Ready reports whether its tokens can be verified now.
	Ready bool `json:"ready"`
	// Keys is the number of usable keys, KeysFetched when they were fetched last;
	// zero for an issuer that is asked about its tokens.
	Keys        int       `json:"keys,omitempty"`
	KeysFetched time.Time `json:"keys_fetched,omitzero"`
	// Problem is why the last attempt failed; empty after a success.
	Problem string `json:"problem,omitempty"`
}

// Issuers returns the health of each provider.
func (s Status) Issuers() []IssuerHealth {
	var all []IssuerHealth
	for _, keys := range s.Keys {
		health := IssuerHealth{Issuer: keys.Issuer, Ready: keys.Usable, Keys: keys.Keys, KeysFetched: keys.Fetched}
		if keys.LastError != nil {
			health.Problem = keys.LastError.Error()
		}
		all = append(all, health)
	}
	if asked := s.Introspection; asked.Issuer != "" {
		health := IssuerHealth{Issuer: asked.Issuer, Ready: asked.Breaker == "closed"}
		if asked.LastError != nil {
			health.Problem = asked.LastError.Error()
		}
		all = append(all, health)
	}
	return all
}
