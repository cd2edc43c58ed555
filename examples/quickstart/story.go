package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// A story is the client's side, step by step. Each step shows what really
// happened, fails if it was not what should happen, and leaves what the next
// ones need.
type story struct {
	setup  setup
	out    *transcript
	client *client
	origin *url.URL // of the resource

	metadataURL string                  // from the challenge
	scope       string                  // from the latest challenge
	server      *oauthex.AuthServerMeta // from its discovery
	login       *login
}

func newStory(setup setup, out *transcript) (*story, error) {
	origin, err := url.Parse(setup.resource)
	if err != nil {
		return nil, err
	}
	return &story{setup: setup, out: out, client: newClient(), origin: origin}, nil
}

// A step is one numbered part of the transcript.
type step struct {
	title string
	play  func(*story, context.Context) error
}

func (s *story) steps() []step {
	discovery := []step{
		{"Without a login, the server shows what is public.", (*story).listPublic},
		{"A public tool needs no login.", (*story).callPublic},
		{"A protected tool answers 401, and says where to look.", (*story).meetChallenge},
		{"The resource's metadata names its authorization server (RFC 9728).", (*story).readMetadata},
		{"The authorization server describes itself (RFC 8414).", (*story).discoverServer},
	}
	if s.setup.external {
		return append(discovery, step{"The rest needs a person: log in with an MCP client.", (*story).handOver})
	}
	return append(discovery,
		step{"The client registers itself (RFC 7591).", (*story).register},
		step{"A person logs in: authorization code with PKCE, in the browser.", (*story).authorize},
		step{"The client trades the code for a token for this resource only.", (*story).exchange},
		step{"With the token, the tool answers.", (*story).callProtected},
		step{"A tool calls the other API as the user, by token exchange (RFC 8693).", (*story).callDownstream},
		step{"That API refuses the client's own token, which is for the MCP server.", (*story).meetBackEnd},
		step{"Another tool needs more: 403, and the scopes to ask for.", (*story).meetInsufficientScope},
		step{"Step-up: the client logs in again with those scopes.", (*story).authorize},
		step{"The new token holds them.", (*story).exchange},
		step{"Now the tool answers.", (*story).callAdmin},
		step{"And the list is complete.", (*story).listAll},
		step{"What the operator sees.", (*story).readMetrics},
	)
}

// tell plays the steps, up to the first one that does not hold.
func (s *story) tell(ctx context.Context) error {
	s.out.title(s.setup)
	for _, step := range s.steps() {
		s.out.step(step.title)
		if err := step.play(s, ctx); err != nil {
			s.out.failed(err)
			return fmt.Errorf("step %d did not hold: %w", s.out.steps, err)
		}
	}
	return nil
}

func (s *story) at(path string) string {
	return (&url.URL{Scheme: s.origin.Scheme, Host: s.origin.Host, Path: path}).String()
}

func (s *story) listPublic(ctx context.Context) error {
	return s.list(ctx, publicInfo)
}

func (s *story) listAll(ctx context.Context) error {
	return s.list(ctx, adminReport, downstreamReport, protectedData, publicInfo)
}

func (s *story) list(ctx context.Context, want ...string) error {
	names, err := s.client.list(ctx, s.setup.resource)
	if err != nil {
		return err
	}
	s.out.row("tools", strings.Join(names, " "))
	if !slices.Equal(names, want) {
		return fmt.Errorf("want %s", strings.Join(want, " "))
	}
	return nil
}

func (s *story) callPublic(ctx context.Context) error { return s.call(ctx, publicInfo) }

func (s *story) callProtected(ctx context.Context) error { return s.call(ctx, protectedData) }

func (s *story) callAdmin(ctx context.Context) error { return s.call(ctx, adminReport) }

func (s *story) call(ctx context.Context, tool string) error {
	s.out.row("tool", tool)
	result, err := s.client.call(ctx, s.setup.resource, tool)
	if err != nil {
		return err
	}
	s.out.row("result", result)
	return nil
}

func (s *story) meetChallenge(ctx context.Context) error {
	parameters, err := s.refused(ctx, protectedData, http.StatusUnauthorized)
	if err != nil {
		return err
	}
	if code := parameters["error"]; code != "" {
		return fmt.Errorf("nothing was sent, yet the challenge says error=%q", code)
	}
	s.metadataURL = parameters["resource_metadata"]
	return nil
}

func (s *story) meetInsufficientScope(ctx context.Context) error {
	parameters, err := s.refused(ctx, adminReport, http.StatusForbidden)
	if err != nil {
		return err
	}
	if code := parameters["error"]; code != "insufficient_scope" {
		return fmt.Errorf("the challenge says error=%q, want insufficient_scope", code)
	}
	return nil
}

// refused calls a tool that must be refused, keeps the scope of the challenge,
// and returns its parameters.
func (s *story) refused(ctx context.Context, tool string, want int) (map[string]string, error) {
	s.out.row("tool", tool)
	response, err := s.client.post(ctx, s.setup.resource, tool)
	if err != nil {
		return nil, err
	}
	s.out.status(response)
	for _, field := range response.Header.Values("WWW-Authenticate") {
		s.out.challenge(field)
	}
	if response.StatusCode != want {
		return nil, fmt.Errorf("want status %d", want)
	}
	challenges, err := oauthex.ParseWWWAuthenticate(response.Header.Values("WWW-Authenticate"))
	if err != nil {
		return nil, err
	}
	if len(challenges) != 1 || challenges[0].Scheme != "bearer" {
		return nil, errors.New("want one Bearer challenge")
	}
	s.scope = challenges[0].Params["scope"]
	return challenges[0].Params, nil
}

func (s *story) readMetadata(ctx context.Context) error {
	s.out.row("GET", s.metadataURL)
	metadata, err := oauthex.GetProtectedResourceMetadata(ctx, s.metadataURL, s.setup.resource, s.client.http)
	if err != nil {
		return err
	}
	s.out.row("resource", metadata.Resource)
	s.out.row("authorization_servers", strings.Join(metadata.AuthorizationServers, " "))
	s.out.row("scopes_supported", strings.Join(metadata.ScopesSupported, " "))
	if !slices.Contains(metadata.AuthorizationServers, s.setup.issuer) {
		return fmt.Errorf("the metadata does not name %s", s.setup.issuer)
	}
	return nil
}

func (s *story) discoverServer(ctx context.Context) error {
	server, err := auth.GetAuthServerMetadata(ctx, s.setup.issuer, s.client.http)
	if err != nil {
		return err
	}
	if server == nil {
		return fmt.Errorf("no metadata at %s", s.setup.issuer)
	}
	s.server = server
	s.out.row("issuer", server.Issuer)
	s.out.row("authorization_endpoint", server.AuthorizationEndpoint)
	s.out.row("token_endpoint", server.TokenEndpoint)
	if server.RegistrationEndpoint != "" {
		s.out.row("registration_endpoint", server.RegistrationEndpoint)
	}
	s.out.row("PKCE methods", strings.Join(server.CodeChallengeMethodsSupported, " "))
	return nil
}

// handOver ends the story with an identity provider whose login page we cannot
// fill in.
func (s *story) handOver(context.Context) error {
	s.out.row("MCP server", s.setup.resource)
	s.out.row("scope", s.scope)
	if s.server.RegistrationEndpoint == "" {
		s.out.row("registration", "the provider offers none: register a client there,")
		s.out.row("", "and give its client_id to the MCP client")
	}
	s.out.row("audience", "the provider must put the MCP server's URL into aud")
	return nil
}
