//go:build race

package middleware_test

// catalogueRace reports the race detector, under which neither time nor memory mean
// anything.
const catalogueRace = true
