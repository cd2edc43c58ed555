package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"

	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// The operator's questions: how did requests end, how were tokens judged, and how
// were those for the other API had?
var (
	requestsLine      = regexp.MustCompile(`(?m)^gatehouse_requests_total\{[^}]*outcome="([^"]*)"[^}]*\} (\S+)$`)
	verificationsLine = regexp.MustCompile(`(?m)^gatehouse_verification_duration_seconds_count\{[^}]*kind="([^"]*)"[^}]*\} (\S+)$`)
	exchangesLine     = regexp.MustCompile(`(?m)^gatehouse_exchanges_total\{[^}]*result="([^"]*)"[^}]*\} (\S+)$`)
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
	judged := verifier.SourceSignature
	if s.setup.introspect {
		judged = verifier.SourceIntrospection
	}
	s.out.row("requests", "by outcome:")
	if err := show(s.out, requestsLine, body, middleware.Outcomes(),
		middleware.OutcomeAllowed, middleware.OutcomeUnauthenticated, middleware.OutcomeInsufficientScope); err != nil {
		return err
	}
	s.out.row("tokens found valid", "by how:")
	if err := show(s.out, verificationsLine, body, verifier.Sources(), judged); err != nil {
		return err
	}
	s.out.row("tokens for the other API", "by result:")
	return show(s.out, exchangesLine, body, exchange.Results(), exchange.ResultObtained)
}

// show prints the samples of one metric by the label that line captures, and
// checks that those of want are not zero.
func show[T ~string](out *transcript, line *regexp.Regexp, body []byte, values []T, want ...T) error {
	counted, err := sums(line, body)
	if err != nil {
		return err
	}
	for _, value := range values {
		out.count(string(value), counted[string(value)])
		if counted[string(value)] == 0 && slices.Contains(want, value) {
			return fmt.Errorf("nothing is counted as %s", value)
		}
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
