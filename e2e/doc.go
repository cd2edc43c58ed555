// Package e2e proves Gatehouse against real counterparts: a certified identity
// provider, the official MCP clients, nginx and curl. It holds tests only, and
// these behind the build tag e2e; README.md beside this file says how to run
// them.
package e2e
