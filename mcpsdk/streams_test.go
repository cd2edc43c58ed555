package mcpsdk_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	waitBody   = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"wait","arguments":{},"_meta":{"progressToken":1}}}`
	modernMeta = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"}`
	listenBody = `{"jsonrpc":"2.0","id":8,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{` + modernMeta + `}}}`

	goodFor = time.Minute + 10*time.Second // a token's lifetime and the Guard's leeway
)

// bubble is an SDK server behind Bind and the front door, on connections in
// memory: unlike those of the kernel, they let fake time pass.
type bubble struct {
	sdk     *mcp.Server
	via     *http.Transport
	waiting chan struct{} // closed: the tool "wait" has begun
	release chan struct{} // closed: it shall say a last word and return
	ended   chan error    // how its context stood when it was released
}

func inBubble(t *testing.T, options *mcp.StreamableHTTPOptions, test func(t *testing.T, b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{waiting: make(chan struct{}), release: make(chan struct{}), ended: make(chan error, 1)}
		b.sdk = mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
		mcp.AddTool(b.sdk, &mcp.Tool{Name: "wait"}, func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			say := func(message string) {
				_ = req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: 1, Message: message})
			}
			say("begun")
			close(b.waiting)
			select {
			case <-ctx.Done():
			case <-b.release:
				say("too late")
			}
			b.ended <- ctx.Err()
			return &mcp.CallToolResult{}, nil, ctx.Err()
		})
		handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return b.sdk }, options)

		connections := make(chan net.Conn)
		listening := pipes{connections, make(chan struct{})}
		serving := &http.Server{Handler: frontDoor(t)(mcpsdk.Bind(handler))}
		go func() { _ = serving.Serve(listening) }()
		b.via = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			connections <- theirs
			return ours, nil
		}}
		t.Cleanup(func() {
			for session := range b.sdk.Sessions() {
				_ = session.Close()
			}
			_ = serving.Close()
			b.via.CloseIdleConnections()
		})
		test(t, b)
	})
}

type pipes struct {
	connections <-chan net.Conn
	closed      chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 80} }

// open sends a request, with header fields as pairs.
func (b *bubble) open(t *testing.T, method, body, credential string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, resource, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+credential)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := b.via.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// initialize opens alice's session and returns the header fields of a request in it.
func (b *bubble) initialize(t *testing.T) []string {
	t.Helper()
	answer := b.open(t, http.MethodPost, initializeBody, "alice")
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("initialize: status %d, %v", answer.StatusCode, err)
	}
	session := []string{"MCP-Protocol-Version", "2025-11-25", "Mcp-Session-Id", answer.Header.Get("Mcp-Session-Id")}
	answer = b.open(t, http.MethodPost, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, "alice", session...)
	if answer.StatusCode != http.StatusAccepted {
		t.Fatalf("initialized: status %d", answer.StatusCode)
	}
	return session
}

// events reads from a stream until want has come.
func events(t *testing.T, answer *http.Response, want string) *bufio.Reader {
	t.Helper()
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("status %d, %v", answer.StatusCode, answer.Header)
	}
	stream := bufio.NewReader(answer.Body)
	var read strings.Builder
	for !strings.Contains(read.String(), want) {
		line, err := stream.ReadString('\n')
		if err != nil {
			t.Fatalf("waiting for %q after %q: %v", want, read.String(), err)
		}
		read.WriteString(line)
	}
	return stream
}

// rest reads a stream to its end and says when that was.
func rest(t *testing.T, stream io.Reader, since time.Time) (text string, age time.Duration) {
	t.Helper()
	read, err := io.ReadAll(stream)
	if err != nil {
		t.Errorf("the stream broke: %v", err)
	}
	return string(read), time.Since(since)
}

func TestAListeningStreamEndsWithItsToken(t *testing.T) {
	for name, options := range map[string]*mcp.StreamableHTTPOptions{
		"plain":     nil,
		"resumable": {EventStore: mcp.NewMemoryEventStore(nil)},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, options, func(t *testing.T, b *bubble) {
				session := b.initialize(t)
				start := time.Now()
				answer := b.open(t, http.MethodGet, "", "alice", session...)
				b.sdk.AddPrompt(&mcp.Prompt{Name: "new"}, nil)
				stream := events(t, answer, "notifications/prompts/list_changed")
				if _, age := rest(t, stream, start); age != goodFor {
					t.Errorf("the stream ended after %v, want %v", age, goodFor)
				}
			})
		})
	}
}

func TestAResumedStreamIsJudgedAndEndsLikeAny(t *testing.T) {
	inBubble(t, &mcp.StreamableHTTPOptions{EventStore: mcp.NewMemoryEventStore(nil)}, func(t *testing.T, b *bubble) {
		session := b.initialize(t)
		first := b.open(t, http.MethodGet, "", "alice", session...)
		b.sdk.AddPrompt(&mcp.Prompt{Name: "one"}, nil)
		events(t, first, "id: _0")
		_ = first.Body.Close()
		synctest.Wait()

		resume := append(session, "Last-Event-ID", "_0")
		for _, intruder := range []string{"bob", "alice-of-b", "subjectless"} {
			if answer := b.open(t, http.MethodGet, "", intruder, resume...); answer.StatusCode != http.StatusForbidden {
				t.Errorf("%s: status %d, want 403", intruder, answer.StatusCode)
			}
		}
		start := time.Now()
		answer := b.open(t, http.MethodGet, "", "alice", resume...)
		b.sdk.AddPrompt(&mcp.Prompt{Name: "two"}, nil)
		if _, age := rest(t, events(t, answer, "list_changed"), start); age != goodFor {
			t.Errorf("the stream ended after %v, want %v", age, goodFor)
		}
	})
}

func TestASubscriptionEndsWithItsToken(t *testing.T) {
	inBubble(t, &mcp.StreamableHTTPOptions{Stateless: true}, func(t *testing.T, b *bubble) {
		start := time.Now()
		answer := b.open(t, http.MethodPost, listenBody, "alice",
			"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "subscriptions/listen")
		stream := events(t, answer, "notifications/subscriptions/acknowledged")
		mcp.AddTool(b.sdk, &mcp.Tool{Name: "new"}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return nil, nil, nil
		})
		text, age := rest(t, stream, start)
		if age != goodFor || !strings.Contains(text, "notifications/tools/list_changed") {
			t.Errorf("the subscription ended after %v, want %v: %s", age, goodFor, text)
		}
		for session := range b.sdk.Sessions() {
			t.Errorf("the server keeps the session %q", session.ID())
		}
	})
}

// Whatever the SDK does with the tool, nothing goes out after the token's end.
// Without sessions the SDK keeps the silent response open until the tool returns,
// unless it is told to propagate the end to the tool.
func TestAToolsResponseEndsWithItsToken(t *testing.T) {
	modernCall := strings.Replace(waitBody, `"_meta":{`, `"_meta":{`+modernMeta+`,`, 1)
	modernHeader := []string{"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "wait"}
	for name, test := range map[string]struct {
		options   *mcp.StreamableHTTPOptions
		body      string
		header    []string // nil: of a new session
		endsAlone bool     // without the tool's help
		canceled  bool     // the tool's context
	}{
		"session":            {&mcp.StreamableHTTPOptions{}, waitBody, nil, true, false},
		"stateless":          {&mcp.StreamableHTTPOptions{Stateless: true}, waitBody, []string{"MCP-Protocol-Version", "2025-11-25"}, false, false},
		"modern":             {&mcp.StreamableHTTPOptions{Stateless: true}, modernCall, modernHeader, false, false},
		"modern, propagated": {&mcp.StreamableHTTPOptions{Stateless: true, PropagateRequestCancellation: true}, modernCall, modernHeader, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, test.options, func(t *testing.T, b *bubble) {
				header := test.header
				if header == nil {
					header = b.initialize(t)
				}
				start := time.Now()
				stream := events(t, b.open(t, http.MethodPost, test.body, "alice", header...), "begun")
				<-b.waiting
				const late = time.Hour
				time.AfterFunc(late, func() { close(b.release) })

				text, age := rest(t, stream, start)
				if !test.canceled && strings.TrimSpace(text) != "" {
					t.Errorf("after the token's end came %s", text)
				}
				if want := map[bool]time.Duration{true: goodFor, false: late}[test.endsAlone]; age != want {
					t.Errorf("the response ended after %v, want %v", age, want)
				}
				if err := <-b.ended; (err != nil) != test.canceled {
					t.Errorf("the tool's context: %v", err)
				}
			})
		})
	}
}

// MB-52.
func TestTheWriterCanDoBehindTheGuardWhatItCouldBefore(t *testing.T) {
	listening := httptest.NewServer(frontDoor(t)(mcpsdk.Bind(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		controller := http.NewResponseController(w)
		_, flusher := w.(http.Flusher)
		if err := errors.Join(
			controller.SetWriteDeadline(time.Now().Add(time.Minute)),
			controller.SetReadDeadline(time.Now().Add(time.Minute)),
			controller.EnableFullDuplex(),
			controller.Flush(),
		); err != nil || !flusher {
			t.Errorf("%v; Flusher: %t", err, flusher)
		}
	}))))
	defer listening.Close()
	s := &server{url: listening.URL}
	for _, credential := range []string{"alice", ""} {
		if answer, _ := s.send(t, http.MethodPost, "", credential, ""); answer.StatusCode != http.StatusOK {
			t.Errorf("status %d", answer.StatusCode)
		}
	}
}
