package middleware_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/scopes"
)

// MB-52: a handler behind the front door can do with its writer what it could do
// without, and what it flushes is on its way.
func TestMB52TheWriterCanDoWhatItCould(t *testing.T) {
	for name, late := range map[string]bool{"usual": false, "with LateStepUp": true} {
		t.Run(name, func(t *testing.T) {
			guard := stepUpGuard(t, `{}`, func(c *middleware.Config) { c.LateStepUp = late })
			heard := make(chan struct{})
			policy := scopes.Policy{Tools: map[string]scopes.Requirement{"report": scopes.All("files:read")}}
			listening := httptest.NewServer(guard.Protect(policy)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				controller := http.NewResponseController(w)
				if r.Method == http.MethodGet {
					connection, _, err := controller.Hijack()
					if err != nil {
						t.Error(err)
						return
					}
					defer connection.Close()
					_, _ = io.WriteString(connection, "HTTP/1.1 299 Mine\r\nConnection: close\r\n\r\n")
					return
				}
				if _, ok := w.(http.Hijacker); !ok && !late {
					t.Error("no http.Hijacker")
				}
				if _, ok := w.(io.ReaderFrom); !ok && !late {
					t.Error("no io.ReaderFrom")
				}
				if _, ok := w.(http.Flusher); !ok {
					t.Error("no http.Flusher")
				}
				_, _ = io.WriteString(w, "first\n")
				if err := errors.Join(
					controller.SetReadDeadline(time.Now().Add(time.Minute)),
					controller.SetWriteDeadline(time.Now().Add(time.Minute)),
					controller.EnableFullDuplex(),
					controller.Flush(),
				); err != nil {
					t.Error(err)
				}
				select {
				case <-heard:
				case <-r.Context().Done():
					t.Error("the client went away before it heard anything")
				}
				_, _ = io.WriteString(w, "second\n")
			})))
			defer listening.Close()
			send := func(method, body string) *http.Response {
				r, err := http.NewRequestWithContext(t.Context(), method, listening.URL, strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+good)
				r.Header.Set("Content-Type", "application/json")
				answer, err := listening.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				return answer
			}
			answer := send(http.MethodPost, toolCall)
			defer answer.Body.Close()
			lines := bufio.NewReader(answer.Body)
			first, _ := lines.ReadString('\n')
			close(heard)
			second, _ := lines.ReadString('\n')
			if answer.StatusCode != http.StatusOK || first != "first\n" || second != "second\n" {
				t.Errorf("%d, %q, %q", answer.StatusCode, first, second)
			}
			hijacked := send(http.MethodGet, "")
			defer hijacked.Body.Close()
			if hijacked.StatusCode != 299 {
				t.Errorf("status %d from a connection that the handler took over", hijacked.StatusCode)
			}
		})
	}
}
