package mcpgo_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/mcpgo"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

func TestHandlersReadTheirCaller(t *testing.T) {
	_, at := newServer(t)
	for _, version := range []string{legacy, modern} {
		for credential, want := range map[string]string{
			"alice": issuerA + " u1 read",
			"bob":   issuerA + " u2 read write",
			"":      "nobody",
		} {
			t.Run(version+"/"+credential, func(t *testing.T) {
				c, _ := at.connect(t, version, credential)
				if got := call(t, c); got != want {
					t.Errorf("the tool saw %q, want %q", got, want)
				}
				read, err := c.ReadResource(t.Context(), mcp.ReadResourceRequest{Params: mcp.ReadResourceParams{URI: "test://caller"}})
				if err != nil {
					t.Fatal(err)
				}
				if got, _ := mcp.AsTextResourceContents(read.Contents[0]); got == nil || got.Text != want {
					t.Errorf("the resource saw %v, want %q", got, want)
				}
			})
		}
	}
}

func TestAToolSeesTheTokenOfTheCallNotOfTheSession(t *testing.T) {
	_, at := newServer(t)
	c, credential := at.connect(t, legacy, "alice")
	call(t, c)
	session := c.GetSessionId()

	credential.current.Store("alice-stepped-up")
	if got, want := call(t, c), issuerA+" u1 read write"; got != want {
		t.Errorf("the tool saw %q, want %q", got, want)
	}
	if got := c.GetSessionId(); got != session || session == "" {
		t.Errorf("session %q became %q", session, got)
	}
}

func TestToolsSeeNoCredential(t *testing.T) {
	for _, version := range []string{legacy, modern} {
		t.Run(version, func(t *testing.T) {
			b, at := newServer(t)
			c, _ := at.connect(t, version, "alice")
			call(t, c)
			got, _ := b.headers.Load().([]string)
			if slices.Contains(got, "Authorization") || slices.Contains(got, "Dpop") {
				t.Errorf("the tool sees the headers %v", got)
			}
			if !slices.Contains(got, "User-Agent") {
				t.Errorf("the tool sees only the headers %v", got)
			}
		})
	}
}

func TestWrongNestingFailsClosed(t *testing.T) {
	sessions := newSessions(t, mcpgo.SessionsConfig{})
	for name, wire := range map[string]func(h http.Handler) http.Handler{
		"Bind around the front door": func(h http.Handler) http.Handler { return sessions.Bind(frontDoor(t)(h)) },
		"no front door":              sessions.Bind,
	} {
		for _, header := range []string{"Authorization", "DPoP"} {
			t.Run(name+"/"+header, func(t *testing.T) {
				ran := false
				handler := wire(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran = true }))
				r := httptest.NewRequest(http.MethodPost, resource, nil)
				r.Header.Set(header, "Bearer alice")
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code != http.StatusInternalServerError || ran {
					t.Errorf("status %d, handler ran: %t; want 500, false", w.Code, ran)
				}
				if strings.Contains(w.Body.String(), "alice") {
					t.Errorf("the answer repeats the credential: %q", w.Body)
				}
			})
		}
	}
}

// What mcp-go does by itself would let anyone pass; each half of the wiring must
// therefore be useless without the other.
func TestHalfTheWiringFailsClosed(t *testing.T) {
	t.Run("sessions without Bind", func(t *testing.T) {
		b := newBackend(newSessions(t, mcpgo.SessionsConfig{}), nil)
		at := serve(t, b.transport)
		if id := at.initialize(t, "alice"); id != "" {
			t.Errorf("a session was opened")
		}
		for _, id := range []string{"", strings.Repeat("A", 64)} {
			if answer, _ := at.send(t, http.MethodPost, callBody, "alice", inSession(id)); answer.StatusCode != http.StatusNotFound {
				t.Errorf("POST: status %d, want 404", answer.StatusCode)
			}
			if answer, _ := at.send(t, http.MethodDelete, "", "alice", inSession(id)); answer.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("DELETE: status %d, want 405", answer.StatusCode)
			}
		}
		if b.toolRuns.Load() != 0 {
			t.Error("the tool ran")
		}
	})
	t.Run("Bind of other sessions", func(t *testing.T) {
		b := newBackend(newSessions(t, mcpgo.SessionsConfig{}), nil)
		at := serve(t, newSessions(t, mcpgo.SessionsConfig{}).Bind(b.transport))
		if id := at.initialize(t, "alice"); id != "" {
			t.Errorf("a session was opened")
		}
	})
	t.Run("Bind without sessions", func(t *testing.T) {
		b := newBackend(nil, nil, server.WithStateful(true))
		at := serve(t, newSessions(t, mcpgo.SessionsConfig{}).Bind(b.transport))
		id := at.initialize(t, "alice")
		if id == "" {
			t.Fatal("mcp-go opened no session")
		}
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
			if answer, _ := at.send(t, method, callBody, "alice", inSession(id)); answer.StatusCode != http.StatusNotFound {
				t.Errorf("%s: status %d, want 404", method, answer.StatusCode)
			}
		}
	})
	t.Run("WithStateLess", func(t *testing.T) {
		b := newBackend(nil, nil, server.WithStateLess(true))
		at := serve(t, newSessions(t, mcpgo.SessionsConfig{}).Bind(b.transport))
		// The stream would get what tools of other nameless callers send.
		answer, _ := at.send(t, http.MethodGet, "", "bob", map[string]string{mcp.HeaderProtocolVersion: legacy})
		if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != http.MethodPost {
			t.Errorf("GET: status %d, Allow %q", answer.StatusCode, answer.Header.Get("Allow"))
		}
		if answer, body := at.send(t, http.MethodPost, callBody, "alice", nil); answer.StatusCode != http.StatusOK || !strings.Contains(body, "u1") {
			t.Errorf("POST: status %d, %s", answer.StatusCode, body)
		}
	})
}

func TestWiringMistakesPanic(t *testing.T) {
	sessions := newSessions(t, mcpgo.SessionsConfig{})
	ok := http.NotFoundHandler()
	for name, wire := range map[string]func(){
		"Bind nil":              func() { sessions.Bind(nil) },
		"Bind of SSE":           func() { sessions.Bind(server.NewSSEServer(server.NewMCPServer("test", "1"))) },
		"Bind of zero Sessions": func() { new(mcpgo.Sessions).Bind(ok) },
		"Bind of nil Sessions":  func() { (*mcpgo.Sessions)(nil).Bind(ok) },
		"filter nil":            func() { mcpgo.WithToolFilter(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.HasPrefix(text, "mcpgo: ") {
					t.Errorf("recovered %q", text)
				}
			}()
			wire()
		})
	}
}
