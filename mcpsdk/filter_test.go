package mcpsdk_test

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// policy lets everyone use what is open, readers what is read, and writers what
// is written. Nobody may use what it does not name.
var policy = scopes.Policy{
	Discovery: scopes.Public(),
	Tools:     map[string]scopes.Requirement{"open": scopes.Public(), "read": scopes.All("read"), "write": scopes.All("write")},
	Prompts:   map[string]scopes.Requirement{"open": scopes.Public(), "read": scopes.All("read"), "write": scopes.All("write")},
	Resources: map[string]scopes.Requirement{
		"test://open/*": scopes.Public(), "test://read/*": scopes.All("read"), "test://write/*": scopes.All("write"),
		"test://write/draft": scopes.All("read"),
	},
}

// levels are the names of everything that a filtered server offers.
var levels = []string{"open", "read", "unnamed", "write"}

// newFilteredServer offers one of each kind for each level.
func newFilteredServer(t *testing.T, allow func(*verifier.Token, scopes.Operation) bool, sdkOptions *mcp.ServerOptions, options *mcp.StreamableHTTPOptions) *server {
	t.Helper()
	sdk := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, sdkOptions)
	for _, level := range levels {
		mcp.AddTool(sdk, &mcp.Tool{Name: level}, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{}, nil, nil
		})
		sdk.AddPrompt(&mcp.Prompt{Name: level}, nil)
		sdk.AddResource(&mcp.Resource{Name: level, URI: "test://" + level + "/1"}, nil)
		sdk.AddResourceTemplate(&mcp.ResourceTemplate{Name: level, URITemplate: "test://" + level + "/{id}"}, nil)
	}
	sdk.AddResource(&mcp.Resource{Name: "draft", URI: "test://write/draft"}, nil)
	sdk.AddResourceTemplate(&mcp.ResourceTemplate{Name: "any", URITemplate: "test://{level}/1"}, nil)
	sdk.AddReceivingMiddleware(mcpsdk.Filter(allow))
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return sdk }, options)
	listening := httptest.NewServer(newGuard(t).Protect(scopes.Policy{Base: scopes.Public()})(mcpsdk.Bind(handler)))
	t.Cleanup(listening.Close)
	return &server{url: listening.URL}
}

// listings returns the names in each listing, page after page.
func listings(t *testing.T, session *mcp.ClientSession) map[string][]string {
	t.Helper()
	listed := map[string][]string{}
	note := func(listing, name string, err error) {
		if err != nil {
			t.Fatalf("%s: %v", listing, err)
		}
		listed[listing] = append(listed[listing], name)
	}
	for tool, err := range session.Tools(t.Context(), nil) {
		note("tools", tool.Name, err)
	}
	for prompt, err := range session.Prompts(t.Context(), nil) {
		note("prompts", prompt.Name, err)
	}
	for resource, err := range session.Resources(t.Context(), nil) {
		note("resources", resource.Name, err)
	}
	for template, err := range session.ResourceTemplates(t.Context(), nil) {
		note("templates", template.Name, err)
	}
	for _, names := range listed {
		slices.Sort(names)
	}
	return listed
}

func same(a, b map[string][]string) bool {
	return maps.EqualFunc(a, b, func(a, b []string) bool { return slices.Equal(a, b) })
}

// What each caller sees.
var (
	seenByNobody = map[string][]string{"tools": {"open"}, "prompts": {"open"}, "resources": {"open"}, "templates": {"open"}}
	seenByReader = map[string][]string{
		"tools": {"open", "read"}, "prompts": {"open", "read"}, "resources": {"draft", "open", "read"}, "templates": {"open", "read"},
	}
	seenByWriter = map[string][]string{
		"tools": {"open", "read", "write"}, "prompts": {"open", "read", "write"},
		"resources": {"draft", "open", "read", "write"}, "templates": {"open", "read", "write"},
	}
)

func TestListingsShowWhatTheCallerMayUse(t *testing.T) {
	for mode, options := range modes {
		for _, size := range []int{0, 1} {
			s := newFilteredServer(t, newGuard(t).Filter(policy), &mcp.ServerOptions{PageSize: size}, options)
			for credential, want := range map[string]map[string][]string{"": seenByNobody, "alice": seenByReader, "bob": seenByWriter} {
				if got := listings(t, s.connect(t, credential)); !same(got, want) {
					t.Errorf("%s, pages of %d, credential %q: listed %v, want %v", mode, size, credential, got, want)
				}
			}
		}
	}
}

func TestListingsFollowTheTokenOfTheRequest(t *testing.T) {
	for mode, options := range modes {
		s := newFilteredServer(t, newGuard(t).Filter(policy), nil, options)
		credential := &credentials{}
		credential.use("alice")
		session := s.connectWith(t, credential)
		if got := listings(t, session); !same(got, seenByReader) {
			t.Errorf("%s, before the step-up: %v", mode, got)
		}
		credential.use("alice-stepped-up")
		if got := listings(t, session); !same(got, seenByWriter) {
			t.Errorf("%s, after the step-up: %v", mode, got)
		}
	}
}

// The front door judges calls; a filter that did too would hide its challenge.
func TestAFilterLeavesCallsAlone(t *testing.T) {
	s := newFilteredServer(t, func(*verifier.Token, scopes.Operation) bool { return false }, nil, nil)
	if _, err := s.connect(t, "alice").CallTool(t.Context(), &mcp.CallToolParams{Name: "write"}); err != nil {
		t.Error(err)
	}
}

func TestFilteredListingsOnTheWire(t *testing.T) {
	public := &mcp.ServerOptions{SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) {
		c.TTLMs, c.CacheScope = 60_000, "public"
	}}
	nothing := func(*verifier.Token, scopes.Operation) bool { return false }
	filtered := newFilteredServer(t, nothing, public, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	for method, member := range map[string]string{
		"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources", "resources/templates/list": "resourceTemplates",
	} {
		body := `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{"_meta":{` + modernMeta + `}}}`
		_, answer := filtered.send(t, http.MethodPost, body, "alice", "", "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", method)
		for _, want := range []string{`"` + member + `":[]`, `"cacheScope":"private"`, `"ttlMs":60000`} {
			if !strings.Contains(answer, want) {
				t.Errorf("%s: no %s in %s", method, want, answer)
			}
		}
	}
}

func TestAFilterDoesNotChangeWhatOthersGet(t *testing.T) {
	shared := map[string]mcp.Result{
		"tools/list":               &mcp.ListToolsResult{Tools: []*mcp.Tool{{Name: "write"}, {Name: "open"}, nil}},
		"prompts/list":             &mcp.ListPromptsResult{Prompts: []*mcp.Prompt{{Name: "write"}, {Name: "open"}, nil}},
		"resources/list":           &mcp.ListResourcesResult{Resources: []*mcp.Resource{{URI: "test://write/1"}, {URI: "test://open/1"}, nil}},
		"resources/templates/list": &mcp.ListResourceTemplatesResult{ResourceTemplates: []*mcp.ResourceTemplate{{URITemplate: "test://open/{x}"}, nil}},
	}
	handler := mcpsdk.Filter(newGuard(t).Filter(policy))(func(_ context.Context, method string, _ mcp.Request) (mcp.Result, error) {
		return shared[method], nil
	})
	kept := func(result mcp.Result) (int, string) {
		switch r := result.(type) {
		case *mcp.ListToolsResult:
			return len(r.Tools), r.CacheScope
		case *mcp.ListPromptsResult:
			return len(r.Prompts), r.CacheScope
		case *mcp.ListResourcesResult:
			return len(r.Resources), r.CacheScope
		case *mcp.ListResourceTemplatesResult:
			return len(r.ResourceTemplates), r.CacheScope
		}
		return 0, ""
	}
	for method, result := range shared {
		before, _ := kept(result)
		answer, err := handler(t.Context(), method, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, scope := kept(answer); n != 1 || scope != "private" {
			t.Errorf("%s: %d entries with cacheScope %q, want 1, private", method, n, scope)
		}
		if n, scope := kept(result); n != before || scope != "" {
			t.Errorf("%s: the shared result became %d entries with cacheScope %q", method, n, scope)
		}
	}
}

func TestAFilterNeedsAFunction(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	mcpsdk.Filter(nil)
}
