//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/middleware"
)

// browserTimeout bounds a browser, from its start.
const browserTimeout = time.Minute

// An act is one line of browser.mjs.
type act struct {
	Tool    string
	Text    string
	Error   string
	Refused []struct {
		Status int
		Scope  string
	}
}

// startPage serves page.html from an origin of its own.
func startPage(t *testing.T) (origin string) {
	t.Helper()
	listener := listen(t)
	serveHTTP(t, listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" && r.URL.Path != "/callback" {
			http.NotFound(w, r)
			return
		}
		http.ServeFile(w, r, "node/page.html")
	}))
	return "http://" + listener.Addr().String()
}

// browse opens the page at origin in a browser, and returns what happened there
// and at the server, which knows allowed only.
func browse(t *testing.T, origin, allowed string, args ...string) ([]act, *server, *authtest.Issuer) {
	t.Helper()
	chromium := executable(t, "chromium", "apt-get install -y chromium")
	listener := listen(t)
	resource := "http://" + listener.Addr().String() + "/mcp"
	issuer := authtest.NewServer(t, authtest.Config{
		Resources: []string{resource}, Scopes: []string{"mcp:tools", "mcp:admin"}, Subject: "alice",
	})
	s := serveWith(t, listener, serverConfig{resource: resource, issuer: issuer.URL(), policy: openLists, origins: []string{allowed}})

	ctx, cancel := context.WithTimeout(t.Context(), browserTimeout)
	defer cancel()
	args = append([]string{"--chromium", chromium, "--page", origin + "/", "--server", resource}, args...)
	browser := start(t, "browser.mjs", stdout, node(t, ctx, "browser.mjs", args...))
	var acts []act
	for line := range browser.lines {
		var a act
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("browser.mjs wrote %q: %v", line, err)
		}
		acts = append(acts, a)
	}
	<-browser.ended
	if browser.exit != nil {
		t.Errorf("browser.mjs: %v", browser.exit)
	}
	return acts, s, issuer
}

func TestAPageOfAnAllowedOriginReadsChallengesLogsInAndStepsUp(t *testing.T) {
	origin := startPage(t)
	acts, s, issuer := browse(t, origin, origin)
	want := []act{
		{Tool: "public_info", Text: "public_info for nobody"},
		{Tool: "protected_data", Text: "protected_data for alice"},
		{Tool: "admin_report", Text: "admin_report for alice"},
		{Refused: []struct {
			Status int
			Scope  string
		}{{401, "mcp:tools"}, {403, "mcp:admin mcp:tools"}}},
	}
	if !reflect.DeepEqual(acts, want) {
		t.Errorf("the page did %+v\n\twant %+v", acts, want)
	}
	count := outcomes(s.events.all())
	if count[middleware.OutcomePreflight] == 0 || count[middleware.OutcomeForbiddenOrigin] != 0 {
		t.Errorf("outcomes %v; want preflights, and no origin refused", count)
	}
	if n := issuer.Hits(authtest.EndpointToken); n == 0 {
		t.Error("nobody logged in")
	}
}

func TestAPageOfAnotherOriginReachesNothing(t *testing.T) {
	acts, s, issuer := browse(t, startPage(t), startPage(t), "--blind")
	for i, tool := range []string{"public_info", "protected_data", "admin_report"} {
		if i >= len(acts) || acts[i].Tool != tool || acts[i].Error != "TypeError: Failed to fetch" {
			t.Errorf("%s: the page did %+v, want that it cannot read the answer", tool, acts)
		}
	}
	if len(acts) != 5 || acts[3].Text != "opaque" || len(acts[4].Refused) != 0 {
		t.Errorf("the page did %+v, want an opaque answer, and no refusal that it could read", acts)
	}
	// The blind call asks for nothing that needs leave: only the Origin stops it.
	events := s.events.all()
	for _, event := range events {
		if event.Outcome != middleware.OutcomeForbiddenOrigin || event.Status != http.StatusForbidden {
			t.Errorf("outcome %q, status %d, want every request refused for its origin", event.Outcome, event.Status)
		}
	}
	if len(events) < 4 {
		t.Errorf("the server saw %d requests, want three preflights and the blind call", len(events))
	}
	if n := issuer.Hits(authtest.EndpointAll); n != 0 {
		t.Errorf("the issuer saw %d requests", n)
	}
}
