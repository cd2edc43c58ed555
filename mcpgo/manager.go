package mcpgo

import (
	"errors"
	"net/http"

	"github.com/mark3labs/mcp-go/server"
)

// managerKey is where Bind leaves the manager of a request.
type managerKey struct{}

// ResolveSessionIdManager makes Sessions a [server.SessionIdManagerResolver]. The
// manager it returns speaks for the caller of r alone. For a request that did
// not come through Bind, and for nil, it is one that gives out no id and accepts
// none.
func (s *Sessions) ResolveSessionIdManager(r *http.Request) server.SessionIdManager {
	if r != nil {
		if bound, ok := r.Context().Value(managerKey{}).(manager); ok && bound.sessions == s {
			return bound
		}
	}
	return manager{}
}

// A manager judges session ids for one caller. The zero value refuses.
type manager struct {
	sessions *Sessions
	caller   owner
}

var errUnknownSession = errors.New("mcpgo: unknown session")

// Generate returns a new id for the caller. To "" mcp-go adds no session.
func (m manager) Generate() string { return m.sessions.mint(m.caller) }

// Validate never says "terminated": that would need a memory.
func (m manager) Validate(id string) (isTerminated bool, err error) {
	if !m.sessions.owns(id, m.caller) {
		return false, errUnknownSession
	}
	return false, nil
}

// Terminate allows mcp-go to drop what it holds for the caller's own session.
func (m manager) Terminate(id string) (isNotAllowed bool, err error) {
	return !m.sessions.owns(id, m.caller), nil
}
