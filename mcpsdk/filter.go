package mcpsdk

import (
	"context"

	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Filter returns receiving middleware that leaves out of tools/list,
// prompts/list, resources/list and resources/templates/list what the caller may
// not use, and lets nobody but the caller's own client cache the rest:
//
//	server.AddReceivingMiddleware(mcpsdk.Filter(guard.Filter(policy)))
//
// allow is asked about the operation that each entry is for: tools/call,
// prompts/get or resources/read, with the name or URI; of a resource template,
// with the template as it is written, braces included, so that it is shown to
// whom a rule for its beginning lets in. The token is nil for an anonymous
// caller, who sees what is public. allow must be safe for concurrent use.
//
// Listings only: calls are judged by the front door, with the same policy. A page
// may have fewer entries than others, or none, and still a next one. How long a
// client may keep a list remains as it was, and is how late it learns of a tool
// after a step-up.
//
// Filter panics if allow is nil.
func Filter(allow func(caller *verifier.Token, op scopes.Operation) bool) mcp.Middleware {
	if allow == nil {
		panic("mcpsdk: Filter needs a function")
	}
	return func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			result, err := next(ctx, method, req)
			if err != nil {
				return nil, err
			}
			caller, _ := FromRequest(req)
			return filtered(result, func(method, name string) bool {
				return allow(caller, scopes.Operation{Method: method, Name: name})
			}), nil
		}
	}
}

// filtered returns a listing with what is allowed, and any other result as it
// is. It changes copies, since result may be what other callers get too.
func filtered(result mcp.Result, allowed func(method, name string) bool) mcp.Result {
	const private = "private"
	switch listed := result.(type) {
	case *mcp.ListToolsResult:
		own := *listed
		own.CacheScope = private
		own.Tools = only(listed.Tools, func(t *mcp.Tool) bool { return allowed("tools/call", t.Name) })
		return &own
	case *mcp.ListPromptsResult:
		own := *listed
		own.CacheScope = private
		own.Prompts = only(listed.Prompts, func(p *mcp.Prompt) bool { return allowed("prompts/get", p.Name) })
		return &own
	case *mcp.ListResourcesResult:
		own := *listed
		own.CacheScope = private
		own.Resources = only(listed.Resources, func(r *mcp.Resource) bool { return allowed("resources/read", r.URI) })
		return &own
	case *mcp.ListResourceTemplatesResult:
		own := *listed
		own.CacheScope = private
		own.ResourceTemplates = only(listed.ResourceTemplates, func(r *mcp.ResourceTemplate) bool {
			return allowed("resources/read", r.URITemplate)
		})
		return &own
	}
	return result
}

// only returns the entries that are allowed; never nil, which would be null in
// JSON, where the schema wants a list.
func only[T any](all []*T, allowed func(*T) bool) []*T {
	kept := make([]*T, 0, len(all))
	for _, one := range all {
		if one != nil && allowed(one) {
			kept = append(kept, one)
		}
	}
	return kept
}
