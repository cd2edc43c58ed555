package middleware_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gomcp "github.com/mark3labs/mcp-go/mcp"
	goserver "github.com/mark3labs/mcp-go/server"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// behind is a real MCP server with two tools, a prompt and a resource; what the
// caller may not do counts as a breach.
type behind struct {
	name     string
	handler  http.Handler
	safe     atomic.Int64
	breaches atomic.Int64
}

func officialServer() *behind {
	b := &behind{name: "go-sdk"}
	quiet := slog.New(slog.DiscardHandler)
	s := mcp.NewServer(&mcp.Implementation{Name: "t", Version: "1"}, &mcp.ServerOptions{Logger: quiet})
	tool := func(counter *atomic.Int64) mcp.ToolHandlerFor[map[string]any, any] {
		return func(context.Context, *mcp.CallToolRequest, map[string]any) (*mcp.CallToolResult, any, error) {
			counter.Add(1)
			return &mcp.CallToolResult{}, nil, nil
		}
	}
	mcp.AddTool(s, &mcp.Tool{Name: "safe"}, tool(&b.safe))
	mcp.AddTool(s, &mcp.Tool{Name: "danger"}, tool(&b.breaches))
	s.AddPrompt(&mcp.Prompt{Name: "secret"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		b.breaches.Add(1)
		return &mcp.GetPromptResult{}, nil
	})
	s.AddResource(&mcp.Resource{Name: "secret", URI: "note://secret"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		b.breaches.Add(1)
		return &mcp.ReadResourceResult{}, nil
	})
	b.handler = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s },
		&mcp.StreamableHTTPOptions{Stateless: true, DisableLocalhostProtection: true, Logger: quiet})
	return b
}

func markServer() *behind {
	b := &behind{name: "mcp-go"}
	s := goserver.NewMCPServer("t", "1", goserver.WithToolCapabilities(false), goserver.WithPromptCapabilities(false), goserver.WithResourceCapabilities(false, false))
	tool := func(counter *atomic.Int64) goserver.ToolHandlerFunc {
		return func(context.Context, gomcp.CallToolRequest) (*gomcp.CallToolResult, error) {
			counter.Add(1)
			return gomcp.NewToolResultText("ok"), nil
		}
	}
	s.AddTool(gomcp.NewTool("safe"), tool(&b.safe))
	s.AddTool(gomcp.NewTool("danger"), tool(&b.breaches))
	s.AddPrompt(gomcp.NewPrompt("secret"), func(context.Context, gomcp.GetPromptRequest) (*gomcp.GetPromptResult, error) {
		b.breaches.Add(1)
		return &gomcp.GetPromptResult{}, nil
	})
	s.AddResource(gomcp.NewResource("note://secret", "secret"), func(context.Context, gomcp.ReadResourceRequest) ([]gomcp.ResourceContents, error) {
		b.breaches.Add(1)
		return nil, nil
	})
	b.handler = goserver.NewStreamableHTTPServer(s, goserver.WithStateLess(true), goserver.WithDisableLocalhostProtection(true),
		goserver.WithStreamableHTTPLogger(slog.New(slog.DiscardHandler)))
	return b
}

// target is both servers behind one Guard, and without it.
type target struct {
	servers []*behind
	doors   []http.Handler
	passed  atomic.Int64
}

// baseGuard takes any token for one with the scope base, and tells nobody.
func baseGuard(tb testing.TB) *middleware.Guard {
	tb.Helper()
	known := goodToken("base")
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{Resource: resource, AuthorizationServers: []string{issuerURL}},
		Verifier: verifier.Func(func(context.Context, string) (*verifier.Token, error) { return known, nil }),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return guard
}

func newTarget(tb testing.TB) *target {
	tb.Helper()
	guard := baseGuard(tb)
	to := &target{servers: []*behind{officialServer(), markServer()}}
	policy := scopes.Policy{
		Base:      scopes.All("base"),
		Tools:     map[string]scopes.Requirement{"safe": {}, "danger": scopes.All("danger:run")},
		Prompts:   map[string]scopes.Requirement{"greet": {}},
		Resources: map[string]scopes.Requirement{"note://one": {}},
		// A listener would wait for ever.
		Methods: map[string]scopes.Requirement{"subscriptions/listen": scopes.All("listen")},
	}
	for _, server := range to.servers {
		to.doors = append(to.doors, guard.Protect(policy)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			to.passed.Add(1)
			server.handler.ServeHTTP(w, r)
		})))
	}
	return to
}

// headerSets are what a client may say beside the body, true or not.
var headerSets = []http.Header{
	{},
	{"Mcp-Protocol-Version": {"2025-03-26"}},
	{"Mcp-Protocol-Version": {"2025-06-18"}},
	{"Mcp-Protocol-Version": {"2025-11-25"}, "Mcp-Method": {"tools/list"}, "Mcp-Name": {"safe"}},
	{"Mcp-Protocol-Version": {modern}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"safe"}},
	{"Mcp-Protocol-Version": {modern}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"danger"}},
	{"Mcp-Protocol-Version": {modern}, "Mcp-Method": {"tools/list"}},
	{"Mcp-Protocol-Version": {modern}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"=?base64?ZGFuZ2Vy?="}},
	{"Mcp-Session-Id": {"s"}, "Mcp-Method": {"ping"}},
}

func sendTo(ctx context.Context, h http.Handler, body []byte, headers http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/mcp", bytes.NewReader(body))
	for name, values := range headers {
		r.Header[name] = values
	}
	r.Header.Set("Authorization", "Bearer "+good)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// attack sends one body to both servers and fails on a breach.
func (to *target) attack(t *testing.T, body []byte, headers http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i, door := range to.doors {
		w := sendTo(ctx, door, body, headers)
		if n := to.servers[i].breaches.Load(); n > 0 {
			t.Fatalf("%s did what the caller may not do\nheaders %v\nbody %q\n%s", to.servers[i].name, headers, body, dump(w))
		}
		if ctx.Err() != nil {
			t.Fatalf("%s hangs\nheaders %v\nbody %q", to.servers[i].name, headers, body)
		}
	}
}

// smuggled are bodies with a call that is not allowed, as servers and proxies have
// been fooled by.
func smuggled() []string {
	safe, danger, list := call("safe"), call("danger"), ask("tools/list", "")
	return []string{
		safe, danger, list, modernCall("safe"), modernCall("danger"), modernAsk("tools/list", ""),
		ask("prompts/get", `{"name":"secret"}`), ask("resources/read", `{"uri":"note://secret"}`),
		ask("resources/read", `{"uri":"note:\/\/secr\u0065t"}`), ask("resources/read", `{"uri":"NOTE://secret"}`),
		"[" + list + "," + danger + "]", "[" + danger + "]", "[[" + danger + "]]", " \n[" + safe + "," + danger + "]", "[" + modernCall("danger") + "]",
		safe + danger, safe + "\n" + danger, danger + "x", "\ufeff" + danger, safe + "\x00" + danger,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{"name":"danger"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call","params":{"name":"danger"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","name":"danger"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","Name":"danger"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe"},"Params":{"name":"danger"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe"},"paramſ":{"name":"danger"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name\u0000":"danger"}}`,
		`{"jsonrpc":"2.0","id":1,"\u006dethod":"tools\/c\u0061ll","params":{"n\u0061me":"d\u0061nger"}}`,
		`{"jsonrpc":"2.0","method":"tools/call","params":{"name":"danger"}}`,
		`{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"danger"}}`,
		`{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"danger"}}`,
		`{"jsonrpc":"2.0","id":1,"method":["tools/call"],"params":{"name":["danger"]}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","arguments":{"name":"danger"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","task":{"ttl":1}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"notifications/tools/call","params":{"name":"danger"}}`,
		`{"jsonrpc":"2.0","id":1,"result":{},"method":"tools/call","params":{"name":"danger"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"secret"},"argument":{"name":"a","value":""}}}`,
	}
}

// The test of the tests: without the Guard the servers do what is forbidden, and
// with it they do what is allowed.
func TestTheServersBehindAreReal(t *testing.T) {
	to := newTarget(t)
	for i, server := range to.servers {
		sendTo(t.Context(), server.handler, []byte(call("danger")), nil)
		sendTo(t.Context(), server.handler, []byte(ask("prompts/get", `{"name":"secret"}`)), nil)
		sendTo(t.Context(), server.handler, []byte(ask("resources/read", `{"uri":"note://secret"}`)), nil)
		if n := server.breaches.Swap(0); n != 3 {
			t.Errorf("%s without the Guard: %d breaches, want 3", server.name, n)
		}
		sendTo(t.Context(), to.doors[i], []byte(call("safe")), nil)
		sendTo(t.Context(), to.doors[i], []byte(modernCall("safe")), headerSets[4])
		if n := server.safe.Swap(0); n != 2 {
			t.Errorf("%s behind the Guard: safe ran %d times, want 2", server.name, n)
		}
	}
}

func TestProtectAgainstSDK(t *testing.T) {
	to := newTarget(t)
	for _, body := range smuggled() {
		for _, headers := range headerSets {
			to.attack(t, []byte(body), headers)
		}
	}
	// Splices, swaps and changed octets of the above: the same every time.
	random := rand.New(rand.NewPCG(1, 44))
	pieces := []string{`"method":"tools/call"`, `"method":"tools/list"`, `"Method":"tools/call"`, `"params":{"name":"danger"}`, `"params":{"name":"safe"}`,
		`"Params":{"name":"danger"}`, `"id":2`, `"ID":3`, `"result":{}`, `"name":"danger"`, `"x":{"method":"tools/call"}`, `"_meta":` + modernMeta}
	legal := []func() string{
		func() string { return `"jsonrpc":"2.0"` },
		func() string { return []string{`"id":1`, `"id":"x"`}[random.IntN(2)] },
		func() string {
			return []string{`"method":"tools/call"`, `"m\u0065thod":"tools\/call"`, `"method":"tools/list"`}[random.IntN(3)]
		},
		func() string {
			return []string{`"params":{"name":"safe","_meta":` + modernMeta + `}`, `"params":{"name":"safe","arguments":{"name":"danger"}}`,
				`"params":{"n\u0061me":"danger"}`, `"params":{"name":"safe","x":[{"name":"danger"}]}`}[random.IntN(4)]
		},
	}
	seeds := smuggled()
	for range 3000 {
		var body string
		switch random.IntN(3) {
		case 0:
			var members []string
			for _, at := range random.Perm(len(legal)) {
				if members = append(members, legal[at]()); random.IntN(5) == 0 {
					members = append(members, pieces[random.IntN(len(pieces))])
				}
			}
			body = "{" + strings.Join(members, ",") + "}"
			if random.IntN(4) == 0 {
				body = "[" + body + "," + call("safe") + "]"
			}
		case 1:
			one, other := seeds[random.IntN(len(seeds))], seeds[random.IntN(len(seeds))]
			body = one[:random.IntN(len(one)+1)] + other[random.IntN(len(other)+1):]
		default:
			text := []byte(seeds[random.IntN(len(seeds))])
			for range 1 + random.IntN(3) {
				text[random.IntN(len(text))] = "\"{}[],:\\ \x00nNdD1u/"[random.IntN(17)]
			}
			body = string(text)
		}
		to.attack(t, []byte(body), headerSets[random.IntN(len(headerSets))])
	}
	if to.passed.Load() < 200 {
		t.Errorf("only %d of the bodies got past the Guard: the test proves nothing", to.passed.Load())
	}
}

// FuzzProtectAgainstSDK: no body makes a real server do what its caller may not,
// whatever the headers say.
func FuzzProtectAgainstSDK(f *testing.F) {
	for i, body := range smuggled() {
		f.Add([]byte(body), uint8(i))
		f.Add([]byte(body), uint8(0))
	}
	to := newTarget(f)
	f.Fuzz(func(t *testing.T, body []byte, headers uint8) {
		to.attack(t, body, headerSets[int(headers)%len(headerSets)])
	})
}

// FuzzHeadersNeverAllow: what the body alone is refused for, no header gets past
// the Guard. Field values come apart at line ends.
func FuzzHeadersNeverAllow(f *testing.F) {
	denied := append([]string{call("danger"), call("later"), ask("tasks/list", ""), "{", "[" + call("safe") + "," + call("danger") + "]", ""},
		modernCall("danger"), ask("resources/read", `{"uri":"file:///secret/a"}`), call("safe")+call("danger"))
	for i := range denied {
		f.Add(uint8(i), modern, "tools/call", "safe", "application/json", "", "X-Http-Method-Override", "GET")
		f.Add(uint8(i), "2025-11-25", "tools/list", "danger", "application/json; charset=utf-16", "gzip", "X-Original-Url", "/public")
		f.Add(uint8(i), modern+"\n2025-03-26", "tools/call\ntools/list", "=?base64?ZGFuZ2Vy?=\nsafe", "application/json\ntext/plain", "identity", "Content-Length", "0")
	}
	var ran int
	door := baseGuard(f).Protect(operationsPolicy())(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran++ }))
	f.Fuzz(func(t *testing.T, which uint8, version, method, name, contentType, encoding, field, value string) {
		body := denied[int(which)%len(denied)]
		r := httptest.NewRequest(http.MethodPost, "/mcp", io.MultiReader(strings.NewReader(body)))
		set := func(field, values string) {
			if values != "" {
				r.Header[http.CanonicalHeaderKey(field)] = strings.Split(values, "\n")
			}
		}
		set("Mcp-Protocol-Version", version)
		set("Mcp-Method", method)
		set("Mcp-Name", name)
		set("Content-Type", contentType)
		set("Content-Encoding", encoding)
		set(field, value)
		r.Header["Authorization"] = []string{"Bearer " + good}
		w := httptest.NewRecorder()
		door.ServeHTTP(w, r)
		if w.Code < 400 || ran > 0 {
			t.Fatalf("%d, the handler ran %d times, for %q with %v", w.Code, ran, body, r.Header)
		}
		if text := fmt.Sprint(w.Header(), w.Body); strings.Contains(text, good[:16]) {
			t.Fatalf("a piece of the token is in %s", text)
		}
	})
}
