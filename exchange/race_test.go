//go:build race

package exchange_test

// raceDetector: under it, times mean nothing.
const raceDetector = true
