package mcpsdk_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const initializedBody = `{"jsonrpc":"2.0","method":"notifications/initialized"}`

// openAnonymously returns the id of a session that nobody has opened.
func (s *server) openAnonymously(t *testing.T) string {
	t.Helper()
	answer, body := s.send(t, http.MethodPost, initializeBody, "", "")
	id := answer.Header.Get("Mcp-Session-Id")
	if answer.StatusCode != http.StatusOK || id == "" {
		t.Fatalf("status %d, session %q, body %q", answer.StatusCode, id, body)
	}
	if answer, body := s.send(t, http.MethodPost, initializedBody, "", id); answer.StatusCode != http.StatusAccepted {
		t.Fatalf("initialized: status %d, body %q", answer.StatusCode, body)
	}
	return id
}

// A client that lists tools without a login and then logs in keeps its session, and
// shares it with nobody.
func TestASessionOpenedByNobodyBelongsToWhoLogsIn(t *testing.T) {
	for name, credential := range map[string]string{"another user": "bob", "the same subject, another issuer": "alice-of-b", "nobody": ""} {
		for method, body := range map[string]string{http.MethodPost: callBody, http.MethodGet: "", http.MethodDelete: ""} {
			t.Run(name+"/"+method, func(t *testing.T) {
				s := newServer(t, nil)
				id := s.openAnonymously(t)
				if answer, body := s.send(t, http.MethodPost, callBody, "", id); answer.StatusCode != http.StatusOK || !strings.Contains(body, "nobody") {
					t.Fatalf("before the login: status %d, body %q", answer.StatusCode, body)
				}
				if answer, body := s.send(t, http.MethodPost, callBody, "alice", id); answer.StatusCode != http.StatusOK || !strings.Contains(body, "u1") {
					t.Fatalf("after the login: status %d, body %q", answer.StatusCode, body)
				}
				before := s.toolRuns.Load()

				answer, text := s.send(t, method, body, credential, id)

				if answer.StatusCode != http.StatusNotFound || s.toolRuns.Load() != before || strings.Contains(text, "u1") {
					t.Errorf("status %d, body %q, the tool ran %d times", answer.StatusCode, text, s.toolRuns.Load()-before)
				}
				if answer, _ := s.send(t, http.MethodPost, callBody, "alice-stepped-up", id); answer.StatusCode != http.StatusOK {
					t.Errorf("its user afterwards: status %d", answer.StatusCode)
				}
			})
		}
	}
}

func TestAnAnonymousStreamEndsWhenAUserTakesTheSession(t *testing.T) {
	s := newServer(t, nil)
	id := s.openAnonymously(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Mcp-Session-Id", id)
	stream, err := http.DefaultClient.Do(r)
	if err != nil || stream.StatusCode != http.StatusOK {
		t.Fatal(stream, err)
	}
	defer stream.Body.Close()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, stream.Body)
		ended <- err
	}()
	select {
	case err := <-ended:
		t.Fatalf("the stream ended by itself: %v", err)
	default:
	}
	if answer, _ := s.send(t, http.MethodPost, callBody, "alice", id); answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d", answer.StatusCode)
	}
	<-ended
}

// A client that has its session's id before the request that opened it is done, here
// by a slow call in the same batch, must not have a session that anybody may share.
func TestASessionIsKnownBeforeItsIDIs(t *testing.T) {
	goOn := make(chan struct{})
	sdk := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	mcp.AddTool(sdk, &mcp.Tool{Name: "slow"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		<-goOn
		return nil, nil, nil
	})
	mcp.AddTool(sdk, &mcp.Tool{Name: "caller"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return nil, nil, nil
	})
	listening := httptest.NewServer(frontDoor(t)(mcpsdk.Bind(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return sdk }, nil))))
	t.Cleanup(listening.Close)
	s := &server{url: listening.URL}
	batch := "[" + strings.Replace(initializeBody, "2025-11-25", "2025-03-26", 1) + `,{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"slow","arguments":{}}}]`
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url, strings.NewReader(batch))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	opening, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer opening.Body.Close()
	defer close(goOn)
	id := opening.Header.Get("Mcp-Session-Id")
	if id == "" {
		t.Fatalf("status %d and no session", opening.StatusCode)
	}

	for _, visit := range []struct {
		credential string
		want       int
	}{{"alice", http.StatusOK}, {"bob", http.StatusNotFound}, {"", http.StatusNotFound}, {"alice", http.StatusOK}} {
		if answer, _ := s.send(t, http.MethodPost, callBody, visit.credential, id); answer.StatusCode != visit.want {
			t.Errorf("%q: status %d, want %d", visit.credential, answer.StatusCode, visit.want)
		}
	}
}

// Two users who come at once get one session between them.
func TestOneUserTakesASession(t *testing.T) {
	s := newServer(t, nil)
	id := s.openAnonymously(t)
	statuses := make(chan int, 2)
	for _, credential := range []string{"alice", "bob"} {
		go func() {
			answer, _ := s.send(t, http.MethodPost, callBody, credential, id)
			statuses <- answer.StatusCode
		}()
	}
	if first, second := <-statuses, <-statuses; first+second != http.StatusOK+http.StatusNotFound {
		t.Errorf("status %d and %d", first, second)
	}
}
