package eventlog_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/gatehouse-mcp/gatehouse/eventlog"
	"github.com/gatehouse-mcp/gatehouse/metrics"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
)

// Observe is a function, so several observers are one function that calls them.
func Example_severalObservers() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	events := eventlog.New(logger, eventlog.Config{})
	counts := metrics.New(metrics.Config{})

	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             "https://mcp.example.com/mcp",
			AuthorizationServers: []string{"https://login.example.com"},
		},
		Observe: func(ctx context.Context, event middleware.Event) {
			events.Observe(ctx, event)
			counts.Observe(ctx, event)
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	counts.Watch(guard.Status)

	request := httptest.NewRequest(http.MethodPost, "https://mcp.example.com/mcp", nil)
	guard.Require("files:read")(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), request)
	// Output:
	// level=INFO msg="request refused" auth.outcome=unauthenticated auth.resource=https://mcp.example.com/mcp auth.status=401 auth.error="middleware: 401 unauthenticated: This resource needs an access token."
}
