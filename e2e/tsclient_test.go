//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// step is one line of client.mjs.
type step struct {
	Step      string
	Resource  string
	Metadata  string
	Issuer    string
	Held      bool
	Refreshed bool
	Scopes    []string
	Tools     []string
	Text      string
	Error     string
}

func TestOfficialTypeScriptSDKGoesFromNoTokenToStepUp(t *testing.T) {
	eachFront(t, setup{alg: "RS256"}, func(t *testing.T, f front, s *server, p *provider) {
		// This client refreshes when it is refused.
		p.nextToken(t, -time.Minute)

		want := []step{
			{Step: "discovered", Resource: s.resource, Metadata: metadataURL(t, s.resource), Issuer: p.issuer},
			{Step: "registered", Held: true},
			{Step: "logged in", Scopes: []string{"mcp:tools"}},
			{Step: "connected", Refreshed: true},
			{Step: "listed", Tools: []string{"protected_data", "public_info"}},
			{Step: "called", Text: "protected_data for alice"},
			{Step: "stepped up", Scopes: []string{"mcp:admin", "mcp:tools"}},
			{Step: "called", Text: "admin_report for alice"},
			{Step: "listed", Tools: []string{"admin_report", "protected_data", "public_info"}},
			{Step: "closed"},
		}
		got := runTypeScriptClient(t, f)
		for i := range max(len(got), len(want)) {
			switch {
			case i >= len(got):
				t.Errorf("step %d is missing: %+v", i+1, want[i])
			case i >= len(want):
				t.Errorf("step %d is too much: %+v", i+1, got[i])
			case !reflect.DeepEqual(got[i], want[i]):
				t.Errorf("step %d: %+v, want %+v", i+1, got[i], want[i])
			}
		}
		expectStory(t, s, p)
		if refused := reasons(s.events.all()); len(refused) != 1 || refused[verifier.ReasonExpired] != 1 {
			t.Errorf("tokens refused for %v, want one that had expired", refused)
		}
	})
}

func runTypeScriptClient(t *testing.T, f front) []step {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientTimeout)
	defer cancel()
	cmd := node(t, ctx, "client.mjs", "--url", f.resource)
	if f.caFile != "" {
		cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+f.caFile)
	}
	client := start(t, "client.mjs", stdout, cmd)
	var steps []step
	for line := range client.lines {
		var s step
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("client.mjs wrote %q: %v", line, err)
		}
		steps = append(steps, s)
	}
	<-client.ended
	if client.exit != nil {
		t.Errorf("client.mjs: %v", client.exit)
	}
	return steps
}
