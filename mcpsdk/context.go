package mcpsdk

import (
	"context"

	"github.com/gatehouse-mcp/gatehouse/internal/contextkey"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Context returns ctx, the context of a handler of the SDK, with the values of the
// HTTP request that carried req, among them the caller and the front door:
// [verifier.FromContext], [middleware.RequireMore], [middleware.Refuse] and the
// transports of package exchange then work in a tool as in an http.Handler. It ends
// when ctx does. For a request that did not come through Bind, or is anonymous, it
// is ctx.
//
// What refuses by way of the front door needs an answer that has not begun: the SDK
// begins one with the first message that a tool sends, or with its result.
//
// [middleware.RequireMore]: https://pkg.go.dev/github.com/gatehouse-mcp/gatehouse/middleware#RequireMore
// [middleware.Refuse]: https://pkg.go.dev/github.com/gatehouse-mcp/gatehouse/middleware#Refuse
func Context(ctx context.Context, req mcp.Request) context.Context {
	if req == nil {
		return ctx
	}
	extra := req.GetExtra()
	if extra == nil || extra.TokenInfo == nil {
		return ctx
	}
	if request, ok := extra.TokenInfo.Extra[requestKey].(context.Context); ok {
		return carried{ctx, request}
	}
	return ctx
}

// requestKey is where the request's context lies in auth.TokenInfo.Extra.
const requestKey = "github.com/gatehouse-mcp/gatehouse/request"

// carried is a context that has, besides its own values, those of a request, and
// first of all what the front door knows: its own is of the session.
type carried struct {
	context.Context
	request context.Context
}

func (c carried) Value(key any) any {
	if key == (contextkey.Token{}) || key == (contextkey.Late{}) {
		return c.request.Value(key)
	}
	if value := c.Context.Value(key); value != nil {
		return value
	}
	return c.request.Value(key)
}
