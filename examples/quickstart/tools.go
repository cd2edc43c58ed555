package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-mcp/gatehouse/mcpsdk"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The tools, by name.
const (
	publicInfo       = "public_info"
	protectedData    = "protected_data"
	adminReport      = "admin_report"
	downstreamReport = "downstream_report"
)

func addTools(server *mcp.Server) {
	tool := &mcp.Tool{Name: publicInfo, Description: "What this server is. Needs no login."}
	mcp.AddTool(server, tool, func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return text("Everybody may read this."), nil, nil
	})
	tool = &mcp.Tool{Name: protectedData, Description: "Data for whoever is logged in."}
	mcp.AddTool(server, tool, greet("here is your data"))
	tool = &mcp.Tool{Name: adminReport, Description: "A report for administrators."}
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
