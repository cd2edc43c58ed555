package mcpgo_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/mcpgo"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/mark3labs/mcp-go/mcp"
)

func TestAToolAsksForScopesWhileItRuns(t *testing.T) {
	for _, version := range []string{legacy, modern} {
		t.Run(version, func(t *testing.T) {
			sessions := newSessions(t, mcpgo.SessionsConfig{})
			b := newBackend(sessions, nil)
			late := make(chan error, 1)
			b.mcp.AddTool(mcp.NewTool("late"), func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				err := middleware.RequireMore(ctx, "write")
				late <- err
				return mcp.NewToolResultText("secret rows"), err
			})
			guard := newGuard(t, func(c *middleware.Config) { c.LateStepUp = true })
			challenges := make(chan string, 1)
			door := guard.Require("read")(sessions.Bind(b.transport))
			listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				door.ServeHTTP(w, r)
				if challenge := w.Header().Get("WWW-Authenticate"); challenge != "" {
					challenges <- challenge
				}
			}))
			t.Cleanup(listening.Close)
			connected, credentials := endpoint{listening.URL, listening.Client().Transport}.connect(t, version, "alice")

			request := mcp.CallToolRequest{Params: mcp.CallToolParams{Name: "late"}}
			if result, err := connected.CallTool(t.Context(), request); err == nil {
				t.Fatalf("a result: %+v", result)
			}
			if err := <-late; !errors.As(err, new(*middleware.Refusal)) {
				t.Errorf("RequireMore: %v", err)
			}
			if challenge := <-challenges; !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, `scope="read write"`) {
				t.Errorf("challenge %s", challenge)
			}
			credentials.current.Store("alice-stepped-up")
			result, err := connected.CallTool(t.Context(), request)
			if err != nil || result.IsError || <-late != nil {
				t.Errorf("after the step-up: %+v, %v", result, err)
			}
		})
	}
}
