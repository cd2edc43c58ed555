package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

func publicInfo(server *mcp.Server) {
	tool := &mcp.Tool{Name: "public_info", Description: "What this server is. Needs no login."}
	mcp.AddTool(server, tool, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return text("Everybody may read this."), nil, nil
	})
}

func protectedData(server *mcp.Server) {
	tool := &mcp.Tool{Name: "protected_data", Description: "Data for whoever is logged in."}
	mcp.AddTool(server, tool, greet("here is your data"))
}

func adminReport(server *mcp.Server) {
	tool := &mcp.Tool{Name: "admin_report", Description: "A report for administrators."}
	mcp.AddTool(server, tool, greet("here is the report"))
}

// greet returns a tool that knows its caller.
func greet(message string) mcp.ToolHandlerFor[struct{}, any] {
	return func(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
		// From the request, never from the context: see package mcpsdk.
		caller, ok := mcpsdk.FromRequest(req)
		if !ok {
			return nil, nil, errors.New("nobody is logged in")
		}
		return text(fmt.Sprintf("Hello %s, %s.", caller.Subject, message)), nil, nil
	}
}

func text(message string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: message}}}
}
