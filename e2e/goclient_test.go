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

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const redirectURI = "http://127.0.0.1/callback"

// clientTimeout bounds the whole story of one client.
const clientTimeout = time.Minute

func TestOfficialGoSDKGoesFromNoTokenToStepUp(t *testing.T) {
	eachFront(t, "ES256", func(t *testing.T, f front, s *server, p *provider) {
		ctx, cancel := context.WithTimeout(t.Context(), clientTimeout)
		defer cancel()
		// This client refreshes by its own clock, 10 s ahead.
		p.nextToken(t, 5*time.Second)

		session := connectGoClient(t, ctx, f)
		listed, err := session.ListTools(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		var tools []string
		for _, tool := range listed.Tools {
			tools = append(tools, tool.Name)
		}
		slices.Sort(tools)
		if want := []string{"admin_report", "protected_data"}; !slices.Equal(tools, want) {
			t.Errorf("tools %q, want %q", tools, want)
		}
		for _, tool := range []string{"protected_data", "admin_report"} {
			result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool})
			if err != nil {
				t.Fatalf("%s: %v", tool, err)
			}
			text, ok := result.Content[0].(*mcp.TextContent)
			if want := tool + " for alice"; !ok || text.Text != want {
				t.Errorf("%s answered %+v, want %q", tool, result.Content[0], want)
			}
		}
		if err := session.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		expectStory(t, s, p)
	})
}

func connectGoClient(t *testing.T, ctx context.Context, f front) *mcp.ClientSession {
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
	return session
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
