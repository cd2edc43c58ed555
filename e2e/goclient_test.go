//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const redirectURI = "http://127.0.0.1/callback"

// clientTimeout bounds the whole story of one client.
const clientTimeout = time.Minute

func TestOfficialGoSDKGoesFromNoTokenToStepUp(t *testing.T) {
	eachFront(t, setup{alg: "ES256"}, goStory)
}

// goStory plays the client from its first request to a step-up.
func goStory(t *testing.T, f front, s *server, p *provider) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientTimeout)
	defer cancel()
	// This client refreshes by its own clock, 10 s ahead.
	p.nextToken(t, 5*time.Second)

	session, _ := connectGoClient(t, ctx, f)
	expectTools(t, ctx, session, "protected_data", "public_info")
	callGo(t, ctx, session, "protected_data", "alice")
	callGo(t, ctx, session, "admin_report", "alice")
	expectTools(t, ctx, session, "admin_report", "protected_data", "public_info")
	if err := session.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	expectStory(t, s, p)
}

// Whoever only looks around needs no login.
func TestOfficialGoSDKLogsInWhenAToolNeedsIt(t *testing.T) {
	eachFront(t, setup{alg: "ES256", open: true}, func(t *testing.T, f front, s *server, p *provider) {
		ctx, cancel := context.WithTimeout(t.Context(), clientTimeout)
		defer cancel()
		session, _ := connectGoClient(t, ctx, f)
		expectTools(t, ctx, session, "public_info")
		callGo(t, ctx, session, "public_info", "nobody")
		if log := p.log(t); len(log) > 0 || len(s.metadata.all()) > 0 {
			t.Errorf("before a tool needs a login: %+v, %d looks at the metadata", log, len(s.metadata.all()))
		}
		callGo(t, ctx, session, "protected_data", "alice")
		expectTools(t, ctx, session, "protected_data", "public_info")
		callGo(t, ctx, session, "admin_report", "alice")
		expectTools(t, ctx, session, "admin_report", "protected_data", "public_info")
		if err := session.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		expectLogins(t, s, p, "mcp:tools", "mcp:admin mcp:tools")
		refused := outcomes(s.events.all())
		if refused[middleware.OutcomeUnauthenticated] != 1 || refused[middleware.OutcomeInsufficientScope] != 1 {
			t.Errorf("outcomes %v; want one 401 and one 403", refused)
		}
	})
}

// expectTools checks what the caller is shown.
func expectTools(t *testing.T, ctx context.Context, session *mcp.ClientSession, want ...string) {
	t.Helper()
	listed, err := session.ListTools(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	var tools []string
	for _, tool := range listed.Tools {
		tools = append(tools, tool.Name)
	}
	slices.Sort(tools)
	if !slices.Equal(tools, want) {
		t.Errorf("tools %q, want %q", tools, want)
	}
}

// callGo calls a tool, which must know its caller.
func callGo(t *testing.T, ctx context.Context, session *mcp.ClientSession, tool, caller string) {
	t.Helper()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	text, ok := result.Content[0].(*mcp.TextContent)
	if want := tool + " for " + caller; !ok || text.Text != want {
		t.Errorf("%s answered %+v, want %q", tool, result.Content[0], want)
	}
}

func connectGoClient(t *testing.T, ctx context.Context, f front) (*mcp.ClientSession, *auth.AuthorizationCodeHandler) {
	t.Helper()
	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{
			Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName:              "gatehouse e2e",
				RedirectURIs:            []string{redirectURI},
				GrantTypes:              []string{"authorization_code", "refresh_token"},
				TokenEndpointAuthMethod: "none",
			},
		},
		AuthorizationCodeFetcher: login,
		Client:                   f.client,
	})
	if err != nil {
		t.Fatal(err)
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "gatehouse-e2e", Version: "1.0.0"}, nil)
	session, err := client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint:     f.resource,
		HTTPClient:   f.client,
		OAuthHandler: handler,
	}, nil)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	return session, handler
}

// login is the part of the person: it follows every redirect with cookies, as a
// browser does, up to the client's own redirect URI, where nobody listens.
func login(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	browser := &http.Client{
		Jar:     jar,
		Timeout: requestTimeout,
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if strings.HasPrefix(next.URL.String(), redirectURI) {
				return http.ErrUseLastResponse
			}
			if len(via) > 20 {
				return errors.New("too many redirects")
			}
			return nil
		},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, args.URL, nil)
	if err != nil {
		return nil, err
	}
	response, err := browser.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	location, err := response.Location()
	if err != nil {
		return nil, fmt.Errorf("login stopped at %s with %s", response.Request.URL.Path, response.Status)
	}
	answer := location.Query()
	if answer.Get("code") == "" {
		return nil, fmt.Errorf("no code: %s: %s", answer.Get("error"), answer.Get("error_description"))
	}
	return &auth.AuthorizationResult{Code: answer.Get("code"), State: answer.Get("state"), Iss: answer.Get("iss")}, nil
}

func sameScopes(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}
