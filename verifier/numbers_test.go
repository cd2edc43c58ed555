package verifier_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

var update = flag.Bool("update", false, "write the measured numbers into ARCHITECTURE.md")

const (
	numbersBegin = "<!-- key lifecycle numbers -->"
	numbersEnd   = "<!-- end -->"
)

// TestKeyLifecycleNumbers measures the key lifecycle in virtual time, checks it
// against its bounds, and compares the table with the one in ARCHITECTURE.md.
func TestKeyLifecycleNumbers(t *testing.T) {
	var table strings.Builder
	table.WriteString("| situation | measured | bound |\n|---|---|---|\n")
	row := func(ok bool, situation string, measured any, bound string) {
		fmt.Fprintf(&table, "| %s | %v | %s |\n", situation, measured, bound)
		if !ok {
			t.Errorf("%s: %v, want %s", situation, measured, bound)
		}
	}
	n, slowest := measureFlood(t)
	row(n <= 6, "key fetches per minute while 100 clients send 12,000 random kids", n, "6")
	row(slowest <= 100*time.Millisecond, "slowest answer in that flood, keys served in 100 ms", slowest, "100ms")
	accepted, fetches := measureRotation(t)
	row(accepted <= 100*time.Millisecond && fetches == 1, "abrupt rotation to first accepted token, keys served in 100 ms",
		fmt.Sprintf("%v, %d fetch", accepted, fetches), "one fetch")
	flooded := measureRotationInFlood(t)
	row(flooded <= 10*time.Second, "the same right after the flood spent the cool-down", flooded, "10s")
	recovery := measureRecovery(t)
	row(recovery <= time.Second, "recovery of the provider to first accepted token, cold start", recovery, "1s")
	refused, asked := measureOutage(t)
	row(refused == 0, "valid tokens refused in a warm outage of 24 h", fmt.Sprintf("%d of %d", refused, asked), "0")
	touched := measureNeighbour(t)
	row(touched == 0, "slowest answer for one issuer while another hangs", touched, "0s")
	left := goroutinesAfterCancelledRequests(t)
	row(left == 0, "goroutines left by 10,000 cancelled requests", left, "0")
	t.Log("\n" + table.String())
	compareNumbers(t, filepath.Join("..", "ARCHITECTURE.md"), table.String())
}

// compareNumbers has nothing to compare before the page has the markers.
func compareNumbers(t *testing.T, page, table string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		return
	}
	before, rest, found := bytes.Cut(text, []byte(numbersBegin))
	written, after, closed := bytes.Cut(rest, []byte(numbersEnd))
	switch {
	case !found:
	case !closed:
		t.Errorf("%s: %s without %s", page, numbersBegin, numbersEnd)
	case *update:
		text = slices.Concat(before, []byte(numbersBegin+"\n"+table+numbersEnd), after)
		if err := os.WriteFile(page, text, 0o644); err != nil {
			t.Error(err)
		}
	case strings.TrimSpace(string(written)) != strings.TrimSpace(table):
		t.Errorf("%s differs; run the test with -update. Measured:\n%s", page, table)
	}
}

func measureFlood(t *testing.T) (fetches int, slowest time.Duration) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t).warm()
		w.issuer.SetFault(authtest.EndpointKeys, authtest.Slow(100*time.Millisecond))
		pass(10 * time.Second)
		before := w.keyHits()
		_, slowest = w.flood(time.Minute)
		fetches = w.keyHits() - before
	})
	return fetches, slowest
}

func measureRotation(t *testing.T) (accepted time.Duration, fetches int) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t).warm()
		w.issuer.SetFault(authtest.EndpointKeys, authtest.Slow(100*time.Millisecond))
		pass(time.Minute)
		w.issuer.Rotate(0)
		before := w.keyHits()
		accepted = w.untilAccepted(w.token(nil))
		fetches = w.keyHits() - before
	})
	return accepted, fetches
}

func measureRotationInFlood(t *testing.T) (accepted time.Duration) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t).warm()
		w.issuer.SetFault(authtest.EndpointKeys, authtest.Slow(100*time.Millisecond))
		pass(10 * time.Second)
		done := make(chan struct{})
		go func() { w.flood(30 * time.Second); close(done) }()
		time.Sleep(200 * time.Millisecond) // the flood has spent the cool-down
		w.issuer.Rotate(0)
		accepted = w.untilAccepted(w.token(nil))
		<-done
	})
	return accepted
}

// untilAccepted tries every 50 ms for a minute.
func (w *world) untilAccepted(token string) time.Duration {
	start := time.Now()
	for time.Since(start) < time.Minute {
		if _, err := w.jwt.Verify(context.Background(), token); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(start)
}

// measureRecovery returns the worst of twenty phases of the back-off.
func measureRecovery(t *testing.T) (worst time.Duration) {
	bubble(t, func(t *testing.T) {
		for phase := range 20 {
			w := newWorld(t)
			w.issuer.SetFault(authtest.EndpointAll, authtest.Down())
			token := w.token(nil)
			for range 100 + phase {
				_, err := w.verify(token)
				isUnavailable(t, err)
				time.Sleep(50 * time.Millisecond)
			}
			w.issuer.ClearFaults()
			worst = max(worst, w.untilAccepted(token))
		}
	})
	return worst
}

func measureOutage(t *testing.T) (refused, asked int) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, uncached).warm()
		token, start := w.token(nil), time.Now()
		w.issuer.SetFault(authtest.EndpointAll, authtest.Down())
		for time.Since(start) < 24*time.Hour {
			if _, err := w.jwt.Verify(context.Background(), token); err != nil {
				refused++
			}
			asked++
			time.Sleep(time.Minute)
		}
	})
	return refused, asked
}

func measureNeighbour(t *testing.T) (slowest time.Duration) {
	bubble(t, func(t *testing.T) {
		w, other := newPair(t)
		w.issuer.SetFault(authtest.EndpointAll, authtest.Hang())
		stuck := w.token(nil)
		for range 120 {
			for range 10 {
				go func() { _, _ = w.jwt.Verify(context.Background(), stuck) }()
			}
			synctest.Wait()
			start := time.Now()
			if _, err := verify(t, w.jwt, other.Token(nil)); err != nil {
				t.Error(err)
			}
			slowest = max(slowest, time.Since(start))
			time.Sleep(500 * time.Millisecond)
		}
	})
	return slowest
}
