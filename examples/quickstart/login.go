package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
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
	claims, err := grant.claims()
	if err != nil {
		return err
	}
	s.out.row("claims", "of the token, unverified:")
	for _, name := range []string{"iss", "aud", "sub", "client_id", "scope", "exp"} {
		if value, ok := claims[name]; ok {
			s.out.hang(fmt.Sprintf("%-10s %s", name, display(name, value)))
		}
	}
	if claims["aud"] != s.setup.resource {
		return errors.New("the token is for another resource")
	}
	held, _ := claims["scope"].(string)
	for wanted := range strings.FieldsSeq(s.scope) {
		if !strings.Contains(" "+held+" ", " "+wanted+" ") {
			return fmt.Errorf("the token lacks %s", wanted)
		}
	}
	return nil
}

func display(name string, value any) string {
	if seconds, ok := value.(float64); ok && name == "exp" {
		return time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339)
	}
	return fmt.Sprint(value)
}

// requestsLine is one line of the text format, with the labels in their order.
var requestsLine = regexp.MustCompile(`(?m)^gatehouse_requests_total\{outcome="([^"]*)",reason="[^"]*",resource="[^"]*"\} (\S+)$`)

// readMetrics shows the counters that are not zero, and checks that they tell
// this story.
func (s *story) readMetrics(ctx context.Context) error {
	s.out.row("GET", s.at(metricsPath))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.at(metricsPath), nil)
	if err != nil {
		return err
	}
	_, body, err := s.client.do(request)
	if err != nil {
		return err
	}
	counted := map[middleware.Outcome]float64{}
	for _, match := range requestsLine.FindAllStringSubmatch(string(body), -1) {
		value, err := strconv.ParseFloat(match[2], 64)
		if err != nil {
			return err
		}
		counted[middleware.Outcome(match[1])] += value
	}
	s.out.row("gatehouse_requests_total", "by outcome:")
	for _, outcome := range middleware.Outcomes() {
		if counted[outcome] > 0 {
			s.out.hang(fmt.Sprintf("%-20s %v", outcome, counted[outcome]))
		}
	}
	for _, outcome := range []middleware.Outcome{
		middleware.OutcomeAllowed, middleware.OutcomeUnauthenticated, middleware.OutcomeInsufficientScope,
	} {
		if counted[outcome] == 0 {
			return fmt.Errorf("no request is counted as %s", outcome)
		}
	}
	return nil
}
