package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const (
	introspectedName = "Gatehouse, warm, introspected"
	introspectPath   = "/introspect"

	// newPerSec tokens that nobody knows come each second while the endpoint
	// hangs; newTokens are enough of them for ten seconds.
	newPerSec = 500
	newTokens = 10 * newPerSec
)

// introspecting returns a Guard that asks i about every token, and remembers the
// answer for as long as it may, so that valid ones stay remembered.
func introspecting(i *issuer, next http.Handler) (http.Handler, error) {
	judge, err := verifier.NewIntrospection(verifier.IntrospectionConfig{
		Resource: resource, Issuer: i.URL, Endpoint: i.URL + introspectPath,
		Auth: clientauth.SecretBasic("resource", "secret"), TTL: 5 * time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("gatehouse: %w", err)
	}
	return guard([]verifier.Issuer{{URL: i.URL}}, judge, next)
}

// introspect answers that any token is good (RFC 7662 §2.2).
func (i *issuer) introspect(w http.ResponseWriter) {
	now := time.Now()
	_ = json.NewEncoder(w).Encode(map[string]any{
		"active": true, "iss": i.URL, "aud": resource, "sub": "248289761001-a-user", "client_id": "s6BhdRkqt3-a-client",
		"scope": "files:read files:write mcp:tools", "token_type": "Bearer", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
}

// addIntrospected adds a remembered answer about an opaque token.
func (s *suite) addIntrospected(algorithm string) error {
	h, err := introspecting(s.issuer, bareHandler())
	if err != nil {
		return err
	}
	requests := newRequests(opaqueTokens("warm", 1))
	if err := prime(h, introspectedName, requests...); err != nil {
		return err
	}
	s.add(algorithm, introspectedName, []int{1, 2}, handling(h, requests, accepted))
	return nil
}

// opaqueLatencies measures the tail of remembered opaque tokens in quiet, and
// while new ones wait for an endpoint that accepts connections and never answers:
// all slots taken, the rest turned away, the breaker open, half open.
func opaqueLatencies(rounds int) ([]latency, error) {
	quiet, err := newOpaque("quiet", 0)
	if err != nil {
		return nil, err
	}
	defer quiet.issuer.Close()
	hanging, err := newOpaque(fmt.Sprintf("endpoint hangs, %d new tokens per second", newPerSec), newPerSec)
	if err != nil {
		return nil, err
	}
	defer hanging.issuer.Close()
	hanging.issuer.hang()
	found := compared("introspected", rounds, []*situation{quiet, hanging}, func(s *situation) http.Handler { return s.warmed })
	if hanging.issuer.hung.Load() == 0 {
		return nil, errors.New("latency: nobody asked the hanging endpoint")
	}
	return found, nil
}

func newOpaque(name string, perSec int) (*situation, error) {
	i, err := newIssuer()
	if err != nil {
		return nil, err
	}
	s := &situation{name: name, issuer: i, perSec: perSec}
	if s.warmed, err = introspecting(i, bareHandler()); err == nil {
		s.valid = newRequests(opaqueTokens("valid", someTokens))
		s.unknown = newRequests(opaqueTokens("new", newTokens))
		err = prime(s.warmed, name, s.valid...)
	}
	if err != nil {
		i.Close()
		return nil, err
	}
	return s, nil
}

// opaqueTokens returns n texts of the length that random ones have.
func opaqueTokens(name string, n int) []signed {
	tokens := make([]signed, n)
	for at := range tokens {
		tokens[at].text = fmt.Sprintf("%s-%06d-%s", name, at, strings.Repeat("t", 32))
	}
	return tokens
}

// introspectedBars are about opaque tokens that are remembered.
func introspectedBars(rs results) []bar {
	const algorithm = "ES256"
	k := key{algorithm, introspectedName, 1}
	return []bar{{
		name:  "introspected warm over JWT warm",
		value: rs.ratio(k, key{algorithm, warmName, 1}, key{}), limit: 1.3, unit: "×",
	}}
}
