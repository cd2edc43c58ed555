package main

import (
	"slices"
	"strings"
	"testing"
)

// BenchmarkValid judges good tokens; -cpu 1,2 compares cores.
func BenchmarkValid(b *testing.B) {
	each(b, newSuite, func(group string) bool { return group == general || slices.Contains(algorithms, group) })
}

// BenchmarkHostile refuses tokens that nobody should accept.
func BenchmarkHostile(b *testing.B) {
	each(b, newSuite, func(group string) bool { return strings.HasPrefix(group, hostilePart) })
}

// BenchmarkScale judges tokens with much configured or remembered.
func BenchmarkScale(b *testing.B) {
	each(b, newScaleSuite, func(group string) bool { return group == scaleGroup })
}

func each(b *testing.B, prepare func() (*suite, error), wanted func(group string) bool) {
	s, err := prepare()
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for _, benchmark := range s.benchmarks {
		if wanted(benchmark.group) {
			name := strings.TrimPrefix(benchmark.group, hostilePart) + "/" + strings.ReplaceAll(benchmark.name, "/", "_")
			b.Run(name, benchmark.run)
		}
	}
}
