package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

// running is a server that listens.
type running struct {
	server *http.Server
	url    string     // set for the embedded issuer
	failed chan error // receives once, when serving ends
}

func start(listener net.Listener, handler http.Handler) *running {
	r := &running{
		server: &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second},
		failed: make(chan error, 1),
	}
	go func() {
		err := r.server.Serve(listener)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		r.failed <- err
	}()
	return r
}

// stop lets requests finish for a moment, and cuts off what is left.
func (r *running) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	if err := r.server.Shutdown(ctx); err != nil {
		return r.server.Close()
	}
	return nil
}

// startIssuer starts the embedded authorization server. It approves every login
// at once, so it listens on loopback only, whatever the MCP server does.
func startIssuer(setup setup) (*running, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	url := "http://" + listener.Addr().String()
	issuer, err := authtest.New(authtest.Config{
		URL:          url,
		Resources:    []string{setup.resource},
		Scopes:       setup.scopes(),
		AutoApprove:  true,
		Clients:      []authtest.Client{{ID: introspector, Secret: string(setup.secret)}},
		Subject:      "alice",
		OpaqueTokens: setup.introspect,
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	r := start(listener, issuer)
	r.url = url
	return r, nil
}
