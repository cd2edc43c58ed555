package discovery

import (
	"context"
	"sync/atomic"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

// An Endpoint finds an address once, for as many as ask, until it is forgotten. It
// is safe for concurrent use.
type Endpoint struct {
	known  atomic.Pointer[string]
	lock   chan struct{} // guards locate; a mutex could not be waited for with a deadline
	locate Locator
}

// NewEndpoint returns an Endpoint that searches by locate.
func NewEndpoint(locate Locator) *Endpoint {
	return &Endpoint{lock: make(chan struct{}, 1), locate: locate}
}

// Find returns the address, and waits for a search under way. ctx must carry a
// deadline.
func (e *Endpoint) Find(ctx context.Context, client *fetch.Client) (string, error) {
	if known := e.known.Load(); known != nil {
		return *known, nil
	}
	select {
	case e.lock <- struct{}{}:
		defer func() { <-e.lock }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if known := e.known.Load(); known != nil {
		return *known, nil
	}
	e.locate.Forget()
	found, err := e.locate.Address(ctx, client)
	if err == nil {
		e.known.Store(&found)
	}
	return found, err
}

// Forget makes the next Find search again.
func (e *Endpoint) Forget() { e.known.Store(nil) }
