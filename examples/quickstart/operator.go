package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// The operator's questions: how did requests end, and how were tokens judged?
var (
	requestsLine      = regexp.MustCompile(`(?m)^gatehouse_requests_total\{[^}]*outcome="([^"]*)"[^}]*\} (\S+)$`)
	verificationsLine = regexp.MustCompile(`(?m)^gatehouse_verification_duration_seconds_count\{[^}]*kind="([^"]*)"[^}]*\} (\S+)$`)
)

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
	outcomes, err := sums(requestsLine, body)
	if err != nil {
		return err
	}
	s.out.row("requests", "by outcome:")
	for _, outcome := range middleware.Outcomes() {
		s.out.count(string(outcome), outcomes[string(outcome)])
	}
	for _, outcome := range []middleware.Outcome{
		middleware.OutcomeAllowed, middleware.OutcomeUnauthenticated, middleware.OutcomeInsufficientScope,
	} {
		if outcomes[string(outcome)] == 0 {
			return fmt.Errorf("no request is counted as %s", outcome)
		}
	}

	kinds, err := sums(verificationsLine, body)
	if err != nil {
		return err
	}
	s.out.row("tokens found valid", "by how:")
	for _, source := range verifier.Sources() {
		s.out.count(string(source), kinds[string(source)])
	}
	judged := verifier.SourceSignature
	if s.setup.introspect {
		judged = verifier.SourceIntrospection
	}
	if kinds[string(judged)] == 0 {
		return fmt.Errorf("no token is counted as %s", judged)
	}
	return nil
}

// sums adds up the samples of one metric by the label that line captures.
func sums(line *regexp.Regexp, body []byte) (map[string]float64, error) {
	counted := map[string]float64{}
	for _, match := range line.FindAllStringSubmatch(string(body), -1) {
		value, err := strconv.ParseFloat(match[2], 64)
		if err != nil {
			return nil, err
		}
		counted[match[1]] += value
	}
	return counted, nil
}
