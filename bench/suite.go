package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// The names of subjects that are not contenders, and the group of those that
// have no algorithm.
const (
	bareName    = "bare signature check"
	handlerName = "bare handler"
	warmName    = "Gatehouse, warm"
	coldName    = "Gatehouse, cold"
	general     = "general"
	scaleGroup  = "scale"
	hostilePart = "hostile/"

	oneName       = "1 issuer, 1 token"
	idleName      = "1 000 issuers, 1 token"
	issuersName   = "1 000 issuers, 1 token each"
	thousandsName = "1 issuer, 10 000 tokens"
	roomyName     = "1 issuer, 10 000 tokens, room for 20 000"

	// someTokens are taken in turn where each has to be verified.
	someTokens  = 64
	manyIssuers = 1000
	manyTokens  = 10000
)

// A benchmark is one row. It is also a Benchmark function of the test binary.
type benchmark struct {
	group, name string
	cores       []int
	run         func(*testing.B)
}

// length is in units of -benchtime. A remembered token is so cheap that in a short run
// the memory it begins with is a third of its time, and its garbage none; with two cores
// that takes longer to wear off. In the rows about scale each request has to come back.
func (b benchmark) length() int {
	switch {
	case strings.HasPrefix(b.name, warmName):
		return 40
	case b.group == scaleGroup:
		return 10
	}
	return 1
}

// A suite holds everything that is measured, ready: keys are loaded, tokens are
// signed, requests are built.
type suite struct {
	issuer     *issuer
	benchmarks []benchmark
}

// newSuite prepares the comparison.
func newSuite() (*suite, error) {
	i, err := newIssuer()
	if err != nil {
		return nil, err
	}
	s := &suite{issuer: i}
	s.add(general, handlerName, []int{1, 2}, handling(bareHandler(), []*http.Request{newRequest("none")}, accepted))
	for _, algorithm := range algorithms {
		if err := s.addValid(algorithm); err != nil {
			s.Close()
			return nil, err
		}
	}
	if err := errors.Join(s.addIntrospected("ES256"), s.addHostile("RS256")); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// newScaleSuite prepares what needs many issuers and tokens. It is apart, because
// a large heap makes garbage cheap for everybody.
func newScaleSuite() (*suite, error) {
	i, err := newIssuer()
	if err != nil {
		return nil, err
	}
	s := &suite{issuer: i}
	if err := s.addScale("ES256"); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close stops the issuer.
func (s *suite) Close() { s.issuer.Close() }

func (s *suite) add(group, name string, cores []int, run func(*testing.B)) {
	s.benchmarks = append(s.benchmarks, benchmark{group, name, cores, run})
}

// addValid adds everything that judges good tokens of one algorithm.
func (s *suite) addValid(algorithm string) error {
	tokens, err := s.issuer.pool(algorithm, someTokens)
	if err != nil {
		return err
	}
	requests := newRequests(tokens)
	checks := make([]func() bool, len(tokens))
	for n, token := range tokens {
		checks[n] = s.issuer.bareCheck(algorithm, token)
	}
	cores := []int{1, 2}
	s.add(algorithm, bareName, cores, checking(checks))
	warm := gatehouse()
	warm.name = warmName
	if err := s.addContender(warm, algorithm, requests[:1]); err != nil {
		return err
	}
	for _, c := range append([]contender{gatehouseCold()}, peers()...) {
		if err := s.addContender(c, algorithm, requests); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) addContender(c contender, algorithm string, requests []*http.Request) error {
	if !slices.Contains(c.algorithms, algorithm) {
		return nil
	}
	h, err := s.primed(c, algorithm, requests[0])
	if err != nil {
		return err
	}
	s.add(algorithm, c.name, []int{1, 2}, handling(h, requests, accepted))
	return nil
}

// primed returns the contender with its keys loaded, proven by a good token.
func (s *suite) primed(c contender, algorithm string, valid *http.Request) (http.Handler, error) {
	h, err := c.protect(s.issuer, algorithm, bareHandler())
	if err != nil {
		return nil, err
	}
	return h, prime(h, c.name, valid)
}

func prime(h http.Handler, name string, requests ...*http.Request) error {
	r := newReply()
	for _, request := range requests {
		if status := r.serve(h, request); status != accepted {
			return fmt.Errorf("%s answers a valid token with %d", name, status)
		}
	}
	return nil
}

// addHostile adds refusals. Whatever a contender answers is fine, as long as it
// is always the same and not the handler's answer.
func (s *suite) addHostile(algorithm string) error {
	valid, err := s.issuer.mint(algorithm, spec{})
	if err != nil {
		return err
	}
	tokens, err := s.issuer.hostileTokens(algorithm)
	if err != nil {
		return err
	}
	for _, token := range tokens {
		for _, c := range contenders() {
			h, err := s.primed(c, algorithm, newRequest(valid.text))
			if err != nil {
				return err
			}
			request := newRequest(token.text)
			status := newReply().serve(h, request)
			if status == accepted {
				return fmt.Errorf("%s accepts: %s", c.name, token.name)
			}
			s.add(hostilePart+token.name, c.name, []int{1}, handling(h, []*http.Request{request}, status))
		}
	}
	return nil
}

// addScale adds what has to stay as fast with much configured or remembered.
func (s *suite) addScale(algorithm string) error {
	all := make([]verifier.Issuer, manyIssuers)
	ofEach := make([]signed, manyIssuers)
	for n := range all {
		all[n] = verifier.Issuer{URL: s.issuer.tenant(n)}
		var err error
		if ofEach[n], err = s.issuer.mint(algorithm, spec{issuer: all[n].URL, id: strconv.Itoa(n)}); err != nil {
			return err
		}
	}
	tokens, err := s.issuer.pool(algorithm, manyTokens)
	if err != nil {
		return err
	}
	single := []verifier.Issuer{{URL: s.issuer.URL}}
	roomy := verifier.JWTConfig{Resource: resource, Issuers: single, CacheSize: 2 * manyTokens}
	crowd := make([]*http.Request, manyTokens)
	for n := range crowd {
		crowd[n] = newRequest("none")
	}
	row := func(name string, tokens []signed) func(http.Handler, error) error {
		return s.addScaled(name, crowd, tokens)
	}
	return errors.Join(
		row(oneName, tokens[:1])(guard(single, nil, bareHandler())),
		row(idleName, ofEach[manyIssuers-1:])(guard(all, nil, bareHandler())),
		row(issuersName, ofEach)(guard(all, nil, bareHandler())),
		row(thousandsName, tokens)(guard(single, nil, bareHandler())),
		row(roomyName, tokens)(guardWith(roomy, bareHandler())),
	)
}

// addScaled adds a row in which the crowd comes with the tokens in turn. The requests
// are the same in all rows, and each has a text of its own: what it costs to touch
// them is not in the difference.
func (s *suite) addScaled(name string, crowd []*http.Request, tokens []signed) func(http.Handler, error) error {
	return func(h http.Handler, err error) error {
		if err != nil {
			return err
		}
		carry := carrying(crowd, tokens)
		carry()
		run := handling(h, crowd, accepted)
		s.add(scaleGroup, name, []int{1}, func(b *testing.B) {
			carry()
			run(b)
		})
		return prime(h, name, crowd...)
	}
}

// carrying returns what gives the requests the tokens in turn. Their texts lie side by
// side, because where a heap with holes puts them one by one is chance.
func carrying(requests []*http.Request, tokens []signed) func() {
	var all strings.Builder
	ends := make([]int, len(requests))
	for n := range requests {
		all.WriteString("Bearer " + tokens[n%len(tokens)].text)
		ends[n] = all.Len()
	}
	return func() {
		start := 0
		for n, r := range requests {
			r.Header["Authorization"][0] = all.String()[start:ends[n]]
			start = ends[n]
		}
	}
}

// handling measures h with the requests in turn, and proves each answer.
func handling(h http.Handler, requests []*http.Request, want int) func(*testing.B) {
	var starts atomic.Int64
	return measuring(func(b *testing.B, pb *testing.PB) {
		r := newReply()
		// Goroutines start apart: none profits from what another just did.
		at := int(starts.Add(1)) * (len(requests)/2 + 1) % len(requests)
		for pb.Next() {
			if status := r.serve(h, requests[at]); status != want {
				b.Errorf("status %d, want %d", status, want)
				return
			}
			if at++; at == len(requests) {
				at = 0
			}
		}
	})
}

// checking measures the checks in turn: a processor would learn a single one by heart.
func checking(checks []func() bool) func(*testing.B) {
	return measuring(func(b *testing.B, pb *testing.PB) {
		for at := 0; pb.Next(); at++ {
			if !checks[at%len(checks)]() {
				b.Error("the signature does not verify")
				return
			}
		}
	})
}

// measuring runs loop on every core and adds the processor time to the result.
func measuring(loop func(*testing.B, *testing.PB)) func(*testing.B) {
	return func(b *testing.B) {
		b.ReportAllocs()
		start := processorTime()
		b.RunParallel(func(pb *testing.PB) { loop(b, pb) })
		if used := processorTime() - start; used > 0 {
			b.ReportMetric(float64(used.Nanoseconds())/float64(b.N), processorMetric)
		}
	}
}

// processorMetric is processor time, of all cores together.
const processorMetric = "cpu-ns/op"
