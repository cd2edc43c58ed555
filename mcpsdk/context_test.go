package mcpsdk_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// newLateServer has one tool, which finds out while it runs that it needs the scope
// write.
func newLateServer(t *testing.T, options *mcp.StreamableHTTPOptions, before func(context.Context, *mcp.CallToolRequest)) (*server, *[]error) {
	t.Helper()
	var late []error
	sdk := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	mcp.AddTool(sdk, &mcp.Tool{Name: "caller"}, func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, sighting, error) {
		if before != nil {
			before(ctx, req)
		}
		ctx = mcpsdk.Context(ctx, req)
		err := middleware.RequireMore(ctx, "write")
		late = append(late, err)
		caller, ok := verifier.FromContext(ctx)
		return nil, sighting{Caller: describe(caller, ok)}, err
	})
	guard := newGuard(t, func(c *middleware.Config) { c.LateStepUp = true })
	listening := httptest.NewServer(guard.Require("read")(mcpsdk.Bind(
		mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return sdk }, options))))
	t.Cleanup(listening.Close)
	return &server{url: listening.URL}, &late
}

func TestAToolAsksForScopesWhileItRuns(t *testing.T) {
	for mode, options := range map[string]*mcp.StreamableHTTPOptions{
		"stateful": {}, "stateless": {Stateless: true}, "stateful, JSON": {JSONResponse: true}, "stateless, JSON": {JSONResponse: true, Stateless: true},
	} {
		t.Run(mode, func(t *testing.T) {
			s, late := newLateServer(t, options, nil)
			client := &credentials{}
			client.use("alice")
			session := s.connectWith(t, client)

			answer, body := s.send(t, http.MethodPost, callBody, "alice", session.ID())

			challenge := answer.Header.Get("WWW-Authenticate")
			if answer.StatusCode != http.StatusForbidden || !strings.Contains(challenge, `error="insufficient_scope"`) ||
				!strings.Contains(challenge, `scope="read write"`) || strings.Contains(body, issuerA) {
				t.Errorf("%d %s\n%s", answer.StatusCode, challenge, body)
			}
			if len(*late) != 1 || !errors.As((*late)[0], new(*middleware.Refusal)) {
				t.Errorf("RequireMore: %v", *late)
			}
			// The session goes on, with the token of each call.
			client.use("alice-stepped-up")
			if got := call(t, session); got.Caller != issuerA+" u1 read write" {
				t.Errorf("after the step-up the tool saw %q", got.Caller)
			}
		})
	}
}

func TestAnAnswerOfTheSDKThatHasBegunIsTooLate(t *testing.T) {
	s, late := newLateServer(t, nil, func(ctx context.Context, req *mcp.CallToolRequest) {
		if err := req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: "p", Progress: 1}); err != nil {
			t.Error(err)
		}
	})
	session := s.connect(t, "alice")
	answer, _ := s.send(t, http.MethodPost, callBody, "alice", session.ID())
	if len(*late) != 1 || answer.StatusCode != http.StatusOK || !errors.Is((*late)[0], middleware.ErrTooLate) {
		t.Errorf("status %d, RequireMore: %v; what the tool sent has begun the answer", answer.StatusCode, *late)
	}
}

// A tracer's values, for instance, are those of the tool; what only the request has is
// there too.
func TestContextKeepsTheValuesOfTheTool(t *testing.T) {
	type key string
	var seen []any
	sdk := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	mcp.AddTool(sdk, &mcp.Tool{Name: "caller"}, func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, sighting, error) {
		ctx = mcpsdk.Context(context.WithValue(ctx, key("both"), "tool"), req)
		seen = []any{ctx.Value(key("both")), ctx.Value(key("request"))}
		return nil, sighting{Caller: "x"}, nil
	})
	door := newGuard(t).Require("read")(mcpsdk.Bind(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return sdk }, nil)))
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(context.WithValue(r.Context(), key("both"), "request"), key("request"), "request")
		door.ServeHTTP(w, r.WithContext(ctx))
	}))
	t.Cleanup(listening.Close)
	call(t, (&server{url: listening.URL}).connect(t, "alice"))
	if len(seen) != 2 || seen[0] != "tool" || seen[1] != "request" {
		t.Errorf("the tool saw %v", seen)
	}
}

func TestContextWithoutARequestIsTheSame(t *testing.T) {
	for name, request := range map[string]mcp.Request{
		"nil": nil, "no extra": &mcp.CallToolRequest{}, "nobody": &mcp.CallToolRequest{Extra: &mcp.RequestExtra{}},
	} {
		if ctx := mcpsdk.Context(t.Context(), request); ctx != t.Context() {
			t.Errorf("%s: another context", name)
		}
	}
}
