// Command bench compares Gatehouse with what else a Go team would put in front
// of an MCP server, in one process, and prints Markdown.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

func main() {
	// testing.Benchmark takes its duration from a flag of the test binary.
	testing.Init()
	rounds := flag.Int("rounds", 45, "interleaved rounds; medians are over them")
	benchtime := flag.Duration("benchtime", 5*time.Millisecond, "length of one benchmark in one round; forty times that of one remembered token, ten times that of scale")
	soak := flag.Int("soak", 100_000, "distinct valid tokens of the memory test; 0 leaves it out")
	tail := flag.Bool("tail", true, "measure the p99 of valid tokens while something else goes wrong")
	check := flag.Bool("check", false, "exit with status 1 if a bar misses")
	flag.Parse()

	missed, err := run(*rounds, *benchtime, *soak, *tail)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	if *check && missed > 0 {
		fmt.Fprintf(os.Stderr, "bench: %d bars miss\n", missed)
		os.Exit(1)
	}
}

// run measures everything, prints the report and returns how many bars miss.
func run(rounds int, benchtime time.Duration, soak int, tail bool) (missed int, err error) {
	if rounds < 1 || soak < 0 || benchtime <= 0 {
		return 0, errors.New("-rounds and -benchtime must be positive, -soak not negative")
	}
	progress := func(text string) { fmt.Fprintln(os.Stderr, text) }
	rs := make(results)
	for _, prepare := range []func() (*suite, error){newSuite, newScaleSuite} {
		progress("keys and tokens")
		if err := rs.measureSuite(prepare, rounds, benchtime, progress); err != nil {
			return 0, err
		}
	}
	if err := trulyCold(rs); err != nil {
		return 0, err
	}
	var tails []latency
	if tail {
		progress("latency")
		if tails, err = latencies(rounds); err != nil {
			return 0, err
		}
		opaque, err := opaqueLatencies(rounds)
		if err != nil {
			return 0, err
		}
		tails = append(tails, opaque...)
	}
	var m memory
	if soak > 0 {
		progress("memory")
		if m, err = remembered(soak); err != nil {
			return 0, err
		}
	}
	all := bars(rs, tails, m)
	for _, b := range all {
		if !b.holds() {
			missed++
		}
	}
	out := bufio.NewWriter(os.Stdout)
	writeConditions(out, rounds, benchtime)
	writeReport(out, rs, tails, m, all)
	return missed, out.Flush()
}

// measureSuite adds the results of one suite and lets go of it.
func (rs results) measureSuite(prepare func() (*suite, error), rounds int, benchtime time.Duration, progress func(string)) error {
	s, err := prepare()
	if err != nil {
		return err
	}
	defer s.Close()
	found, err := measure(s.benchmarks, rounds, benchtime, progress)
	rs.merge(found)
	return err
}

// trulyCold refuses numbers that cannot be: whoever is much faster than the
// signature check remembered the token.
func trulyCold(rs results) error {
	for _, algorithm := range algorithms {
		if rs.ratio(key{algorithm, coldName, 1}, key{algorithm, bareName, 1}, key{}) < 0.5 {
			return fmt.Errorf("%s: the cold benchmark is served from a cache", algorithm)
		}
	}
	return nil
}
