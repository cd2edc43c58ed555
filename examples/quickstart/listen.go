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

// loopback listens on an address that no other machine reaches.
func loopback() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// startBackEnd starts the API behind the MCP server.
func startBackEnd(listener net.Listener, setup setup) (*running, error) {
	handler, err := newBackEnd(setup)
	if err != nil {
		return nil, err
	}
	return start(listener, handler), nil
}

// startIssuer starts the embedded authorization server. It approves every login
// at once, so it listens on loopback only, whatever the MCP server does.
func startIssuer(setup setup) (*running, error) {
	listener, err := loopback()
	if err != nil {
		return nil, err
	}
	url := "http://" + listener.Addr().String()
	issuer, err := authtest.New(authtest.Config{
		URL:         url,
		Resources:   []string{setup.resource},
		Scopes:      setup.scopes(),
		AutoApprove: true,
		Clients: []authtest.Client{
			{ID: serverID, Secret: string(setup.secret)},
			{ID: backEndID, Secret: string(setup.secret)},
		},
		Exchanges: []authtest.Exchange{{
			ClientID: serverID, Resource: setup.resource,
			Targets: []string{setup.backEnd}, Scopes: []string{reportScope},
		}},
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
