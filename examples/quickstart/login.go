package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

func (s *story) register(ctx context.Context) error {
	s.out.row("POST", s.server.RegistrationEndpoint)
	s.out.row("redirect_uris", redirectURI)
	if err := s.client.register(ctx, s.server); err != nil {
		return err
	}
	s.out.row("client_id", s.client.id)
	return nil
}

// authorize asks for the scopes of the latest challenge, and for nothing else.
func (s *story) authorize(ctx context.Context) error {
	login, err := s.client.authorize(ctx, s.server, s.setup.resource, s.scope)
	if login != nil {
		s.out.query("GET", login.request)
		s.out.row("status", login.status)
	}
	if err != nil {
		return err
	}
	s.out.query("Location", login.redirect, "code")
	s.login = login
	return nil
}

func (s *story) exchange(ctx context.Context) error {
	s.out.row("POST", s.server.TokenEndpoint)
	grant, err := s.client.exchange(ctx, s.server, s.setup.resource, s.login)
	if err != nil {
		return err
	}
	s.out.row("access_token", fmt.Sprint(grant.Token))
	s.out.row("token_type", grant.TokenType)
	s.out.row("expires_in", fmt.Sprintf("%d s", grant.ExpiresIn))
	held := grant.Scope
	if s.setup.introspect {
		s.out.row("scope", held)
		s.out.row("claims", "none to see: it will be introspected")
	} else if held, err = s.showClaims(grant); err != nil {
		return err
	}
	for wanted := range strings.FieldsSeq(s.scope) {
		if !strings.Contains(" "+held+" ", " "+wanted+" ") {
			return fmt.Errorf("the token lacks %s", wanted)
		}
	}
	return nil
}

// showClaims shows what a JWT says, and returns its scope.
func (s *story) showClaims(grant *grant) (string, error) {
	claims, err := grant.claims()
	if err != nil {
		return "", err
	}
	s.out.row("claims", "of the token, unverified:")
	s.out.claims(claims)
	if claims["aud"] != s.setup.resource {
		return "", errors.New("the token is for another resource")
	}
	held, _ := claims["scope"].(string)
	return held, nil
}
