package main

import (
	"flag"
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"
)

// A key names one measurement.
type key struct {
	group, name string
	cores       int
}

// results holds, by key, one result a round.
type results map[key][]testing.BenchmarkResult

// merge adds the results of another suite.
func (rs results) merge(other results) { maps.Copy(rs, other) }

// measure runs every benchmark once a round, so that what else the machine does
// hits all of them alike, and reverses the order every other round.
func measure(benchmarks []benchmark, rounds int, benchtime time.Duration, progress func(string)) (results, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	type step struct {
		benchmark
		key key
	}
	var steps []step
	for _, b := range benchmarks {
		for _, cores := range b.cores {
			steps = append(steps, step{b, key{b.group, b.name, cores}})
		}
	}
	all := make(results, len(steps))
	for round := range rounds {
		progress(fmt.Sprintf("round %d of %d, %d benchmarks", round+1, rounds, len(steps)))
		for _, s := range steps {
			runtime.GOMAXPROCS(s.key.cores)
			if err := flag.Set("test.benchtime", (benchtime * time.Duration(s.length())).String()); err != nil {
				return nil, err
			}
			result := testing.Benchmark(s.run)
			if result.N == 0 {
				return nil, fmt.Errorf("%s, %s: the benchmark failed", s.group, s.name)
			}
			all[s.key] = append(all[s.key], result)
		}
		slices.Reverse(steps)
	}
	return all, nil
}

// has reports whether k was measured; what a peer cannot do was not.
func (rs results) has(k key) bool { return len(rs[k]) > 0 }

// nanoseconds returns the median time of one operation.
func (rs results) nanoseconds(k key) float64 { return rs.median(k, perOperation) }

func (rs results) bytes(k key) float64 {
	return rs.median(k, func(r testing.BenchmarkResult) float64 { return float64(r.AllocedBytesPerOp()) })
}

func (rs results) allocations(k key) float64 {
	return rs.median(k, func(r testing.BenchmarkResult) float64 { return float64(r.AllocsPerOp()) })
}

// ratio returns the median of a/b within each round, after the time of less was
// taken from both. A zero key takes nothing.
func (rs results) ratio(a, b, less key) float64 {
	var ratios []float64
	for round := range rs[a] {
		base := 0.0
		if rs.has(less) {
			base = perOperation(rs[less][round])
		}
		ratios = append(ratios, (perOperation(rs[a][round])-base)/(perOperation(rs[b][round])-base))
	}
	return median(ratios)
}

func (rs results) median(k key, value func(testing.BenchmarkResult) float64) float64 {
	var values []float64
	for _, r := range rs[k] {
		values = append(values, value(r))
	}
	return median(values)
}

// perOperation is processor time: this is about work, not about who else works.
// Where there is no such clock, it is the time on the wall.
func perOperation(r testing.BenchmarkResult) float64 {
	if used, ok := r.Extra[processorMetric]; ok {
		return used
	}
	return onTheWall(r)
}

func onTheWall(r testing.BenchmarkResult) float64 {
	return float64(r.T.Nanoseconds()) / float64(r.N)
}

// gain returns how many times the throughput of one core two cores give. It
// takes the best round of each: most others show who else wanted the cores.
func (rs results) gain(group, name string) float64 {
	return rs.best(key{group, name, 1}) / rs.best(key{group, name, 2})
}

func (rs results) best(k key) float64 {
	best := math.Inf(1)
	for _, r := range rs[k] {
		best = min(best, onTheWall(r))
	}
	return best
}

// median sorts values and returns the middle; zero without any.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 0 {
		return (values[middle-1] + values[middle]) / 2
	}
	return values[middle]
}
