//go:build !race

package middleware_test

const catalogueRace = false
