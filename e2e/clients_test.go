//go:build e2e

package e2e

import (
	"slices"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// expectStory checks what server and provider saw of a client that registered,
// logged in, refreshed and stepped up.
func expectStory(t *testing.T, s *server, p *provider) {
	t.Helper()
	events := s.events.all()
	if len(events) == 0 || events[0].Outcome != middleware.OutcomeUnauthenticated {
		t.Errorf("first request: %+v; want one without credentials", events[:min(1, len(events))])
	}
	if outcomes(events)[middleware.OutcomeInsufficientScope] != 1 {
		t.Errorf("outcomes %v; want insufficient_scope once", outcomes(events))
	}
	if last := events[len(events)-1]; last.Outcome != middleware.OutcomeAllowed {
		t.Errorf("last request: %+v; want it allowed", last)
	}
	for _, event := range events {
		if event.Resource != s.resource {
			t.Errorf("event for resource %q, want %q", event.Resource, s.resource)
		}
		if event.Outcome == middleware.OutcomeAllowed && event.Token.Subject != "alice" {
			t.Errorf("allowed subject %q, want alice", event.Token.Subject)
		}
	}
	if !slices.Contains(s.metadata.all(), "GET") {
		t.Error("the client did not ask for the metadata document")
	}

	if seen := expectLogins(t, s, p, "mcp:tools", "mcp:admin mcp:tools"); len(seen["refresh_token"]) == 0 {
		t.Error("the client did not refresh")
	}
}

// expectLogins checks what the provider saw of a client that registered and
// logged in for these scopes, one login after the other. It returns all of it.
func expectLogins(t *testing.T, s *server, p *provider, scopes ...string) map[string][]providerEvent {
	t.Helper()
	log := p.log(t)
	seen := map[string][]providerEvent{}
	for _, event := range log {
		seen[event.Event] = append(seen[event.Event], event)
		if event.Detail != "" {
			t.Errorf("provider reports %s: %s", event.Event, event.Detail)
		}
		if event.Audience != "" && event.Audience != s.resource {
			t.Errorf("%s for audience %q, want %q", event.Event, event.Audience, s.resource)
		}
	}
	if len(seen["registration"]) == 0 {
		t.Error("the client did not register")
	}
	codes := seen["authorization_code"]
	if len(codes) != len(scopes) {
		t.Fatalf("%d logins, want %d: %+v", len(codes), len(scopes), log)
	}
	for i, want := range scopes {
		if !sameScopes(codes[i].Scope, want) {
			t.Errorf("login %d for scope %q, want %q", i+1, codes[i].Scope, want)
		}
	}
	return seen
}

func outcomes(events []middleware.Event) map[middleware.Outcome]int {
	count := map[middleware.Outcome]int{}
	for _, event := range events {
		count[event.Outcome]++
	}
	return count
}

func reasons(events []middleware.Event) map[verifier.Reason]int {
	count := map[verifier.Reason]int{}
	for _, event := range events {
		if event.Reason != "" {
			count[event.Reason]++
		}
	}
	return count
}
