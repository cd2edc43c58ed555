package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// claims are those of a token, as a server verified them.
type claims map[string]any

// is reports whether a claim has one value, for aud also as the only one of a list.
func (c claims) is(name, want string) bool {
	if list, ok := c[name].([]any); ok && len(list) == 1 {
		return list[0] == want
	}
	return c[name] == want
}

func (s *story) callDownstream(ctx context.Context) error {
	s.out.row("tool", downstreamReport)
	result, err := s.client.call(ctx, s.setup.resource, downstreamReport)
	if err != nil {
		return err
	}
	var seen struct {
		Here  claims `json:"mcp_server"`
		There claims `json:"back_end"`
	}
	if err := json.Unmarshal([]byte(result), &seen); err != nil {
		return err
	}
	s.out.row("the MCP server got", "a token with these claims, verified:")
	s.out.claims(seen.Here)
	s.out.row("the other API got", "another token:")
	s.out.claims(seen.There)
	actor, _ := seen.There["act"].(map[string]any)
	switch {
	case !seen.Here.is("aud", s.setup.resource) || !seen.There.is("aud", s.setup.backEnd):
		return errors.New("a token has another audience than the server that got it")
	case seen.Here["sub"] == nil || seen.Here["sub"] != seen.There["sub"]:
		return errors.New("the tokens are not of the same user")
	case !claims(actor).is("sub", serverID):
		return errors.New("the actor is not the MCP server")
	}
	return nil
}

// meetBackEnd sends the client's token where it does not belong.
func (s *story) meetBackEnd(ctx context.Context) error {
	s.out.row("GET", s.setup.backEnd)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.setup.backEnd, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+string(s.client.token))
	response, _, err := s.client.do(request)
	if err != nil {
		return err
	}
	s.out.status(response)
	fields := response.Header.Values("WWW-Authenticate")
	for _, field := range fields {
		s.out.challenge(field)
	}
	challenges, err := oauthex.ParseWWWAuthenticate(fields)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusUnauthorized || len(challenges) != 1 || challenges[0].Params["error"] != "invalid_token" {
		return fmt.Errorf("want status %d and error=invalid_token", http.StatusUnauthorized)
	}
	return nil
}
