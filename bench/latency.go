package main

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// A latency is what valid tokens see in one situation, relative to quiet.
type latency struct {
	situation, tokens string
	p50, p99          time.Duration
	ratio             float64 // of p99 to quiet's, median of rounds
}

// slice is enough for a percentile of some thousand tokens.
const slice = 300 * time.Millisecond

// A situation is what else happens while valid tokens are judged.
type situation struct {
	name    string
	warmed  http.Handler // remembers tokens
	cold    http.Handler // does not
	issuer  *issuer
	perSec  int // unknown ones
	valid   []*http.Request
	unknown []*http.Request
	sent    int // of the unknown ones
}

// latencies measures the tail of valid tokens in quiet, while the issuer accepts
// connections and never answers, and under a flood of unknown kids.
func latencies(rounds int) ([]latency, error) {
	quiet, err := newSituation("quiet", 0)
	if err != nil {
		return nil, err
	}
	defer quiet.issuer.Close()
	hanging, err := newSituation("issuer hangs, 20 unknown kids per second", 20)
	if err != nil {
		return nil, err
	}
	defer hanging.issuer.Close()
	flood, err := newSituation("1 000 unknown kids per second", 1000)
	if err != nil {
		return nil, err
	}
	defer flood.issuer.Close()
	if err := hanging.hang(); err != nil {
		return nil, err
	}
	all := []*situation{quiet, hanging, flood}
	found := compared("warm", rounds, all, func(s *situation) http.Handler { return s.warmed })
	return append(found, compared("cold", rounds, all, func(s *situation) http.Handler { return s.cold })...), nil
}

// compared observes every situation once a round, the first of which is the
// quiet one.
func compared(tokens string, rounds int, all []*situation, guard func(*situation) http.Handler) []latency {
	samples := make([][]time.Duration, len(all))
	ratios := make([][]float64, len(all))
	for range rounds {
		var base time.Duration
		for n, s := range all {
			observed := s.observe(guard(s))
			p99 := percentile(observed, 99)
			if n == 0 {
				base = p99
			}
			samples[n] = append(samples[n], observed...)
			ratios[n] = append(ratios[n], float64(p99)/float64(base))
		}
	}
	var found []latency
	for n, s := range all {
		found = append(found, latency{
			situation: s.name, tokens: tokens, ratio: median(ratios[n]),
			p50: percentile(samples[n], 50), p99: percentile(samples[n], 99),
		})
	}
	return found
}

func newSituation(name string, perSec int) (*situation, error) {
	i, err := newIssuer()
	if err != nil {
		return nil, err
	}
	s := &situation{name: name, issuer: i, perSec: perSec}
	if err := s.prepare(); err != nil {
		i.Close()
		return nil, err
	}
	return s, nil
}

func (s *situation) prepare() error {
	var err error
	if s.warmed, err = impatient(s.issuer, 0, bareHandler()); err != nil {
		return err
	}
	if s.cold, err = impatient(s.issuer, -1, bareHandler()); err != nil {
		return err
	}
	texts, err := s.issuer.pool("ES256", someTokens)
	if err != nil {
		return err
	}
	s.valid = newRequests(texts)
	for n := range 64 {
		token, err := s.issuer.mint("ES256", spec{kid: "unknown-" + strconv.Itoa(n)})
		if err != nil {
			return err
		}
		s.unknown = append(s.unknown, newRequest(token.text))
	}
	return errors.Join(prime(s.warmed, s.name, s.valid...), prime(s.cold, s.name, s.valid...))
}

// hang makes the issuer hang and waits until both Guards notice: before, the
// measurement would show nothing.
func (s *situation) hang() error {
	s.issuer.hang()
	for _, guard := range []http.Handler{s.warmed, s.cold} {
		before := s.issuer.hung.Load()
		deadline := time.Now().Add(5 * time.Second)
		for s.issuer.hung.Load() == before {
			if time.Now().After(deadline) {
				return errors.New("latency: the Guard never asked the hanging issuer")
			}
			go newReply().serve(guard, s.unknown[0])
			time.Sleep(20 * time.Millisecond)
		}
	}
	return nil
}

// observe returns how long each valid token took during one slice of time.
func (s *situation) observe(guard http.Handler) []time.Duration {
	stop := make(chan struct{})
	var wait sync.WaitGroup
	if s.perSec > 0 {
		wait.Go(func() { s.flood(guard, stop) })
	}
	r := newReply()
	samples := make([]time.Duration, 0, 1<<17)
	end := time.Now().Add(slice)
	for at, now := 0, time.Now(); now.Before(end); at++ {
		r.serve(guard, s.valid[at%len(s.valid)])
		then := now
		now = time.Now()
		samples = append(samples, now.Sub(then))
	}
	close(stop)
	wait.Wait()
	return samples
}

// flood sends unknown tokens at a steady rate, each on its own, as connections do:
// one that waits holds up no other.
func (s *situation) flood(guard http.Handler, stop <-chan struct{}) {
	tick := time.NewTicker(time.Second / time.Duration(s.perSec))
	defer tick.Stop()
	for ; ; s.sent++ {
		select {
		case <-stop:
			return
		case <-tick.C:
			go newReply().serve(guard, s.unknown[s.sent%len(s.unknown)])
		}
	}
}

// percentile sorts samples.
func percentile(samples []time.Duration, p int) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	slices.Sort(samples)
	return samples[min(len(samples)*p/100, len(samples)-1)]
}
