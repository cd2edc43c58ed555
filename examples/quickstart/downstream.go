package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// reportScope is what the API behind the MCP server needs.
const reportScope = "reports:read"

// newReports returns a client for the API behind the MCP server. It trades the
// user's token, which is for the MCP server alone, for one for that API, and tells
// observe how that went.
func newReports(setup setup, observe func(context.Context, exchange.Event)) (*http.Client, error) {
	exchanger, err := exchange.New(exchange.Config{
		Issuer:  setup.issuer,
		Auth:    clientauth.SecretBasic(serverID, string(setup.secret)),
		Observe: observe,
	})
	if err != nil {
		return nil, err
	}
	return &http.Client{
		Timeout: 10 * time.Second,
		Transport: exchanger.Transport(nil, exchange.Target{
			Resource: []string{setup.backEnd},
			Scopes:   []string{reportScope},
		}),
	}, nil
}

// claimsSeen is what the tool answers: the claims of the token that each server
// got, as its own Gatehouse verified them.
type claimsSeen struct {
	MCPServer json.RawMessage `json:"mcp_server"`
	BackEnd   json.RawMessage `json:"back_end"`
}

// downstream returns a tool that calls the API as its own caller.
func downstream(reports *http.Client, address string) mcp.ToolHandlerFor[struct{}, any] {
	return func(ctx context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		caller, ok := mcpsdk.FromRequest(req)
		if !ok {
			return nil, nil, errors.New("nobody is logged in")
		}
		var seen claimsSeen
		if err := caller.Claims(&seen.MCPServer); err != nil {
			return nil, nil, err
		}
		// The transport looks for the user in the context, and Refuse for the request.
		ctx = mcpsdk.Context(ctx, req)
		var err error
		if seen.BackEnd, err = get(ctx, reports, address); err != nil {
			// Where another token or login helps, the client is asked for it. It
			// never sees the cause.
			_ = middleware.Refuse(ctx, err)
			return nil, nil, errors.New("the report cannot be had now")
		}
		both, err := json.Marshal(seen)
		return text(string(both)), nil, err
	}
}

// get returns what the API answers.
func get(ctx context.Context, reports *http.Client, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := reports.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, answerLimit))
}

// newBackEnd wires that API: another resource server, with an audience and scopes
// of its own. Its report is what it knows about its caller.
func newBackEnd(setup setup) (http.Handler, error) {
	judge, err := newVerifier(setup, setup.backEnd, backEndID)
	if err != nil {
		return nil, err
	}
	guard, err := middleware.New(middleware.Config{
		Metadata: prm.Metadata{
			Resource:             setup.backEnd,
			AuthorizationServers: []string{setup.issuer},
			ScopesSupported:      []string{reportScope},
		},
		Verifier: judge,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(guard.Metadata().Path(), guard.Metadata())
	mux.Handle("/reports", guard.Require(reportScope)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var claims json.RawMessage
		caller, ok := verifier.FromContext(r.Context())
		if !ok || caller.Claims(&claims) != nil {
			http.Error(w, "no claims", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(claims)
	})))
	return mux, nil
}
