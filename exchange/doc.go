// Package exchange lets a resource server call other APIs for its user.
//
// The token that a client sent is for this server alone: the MCP rules forbid to
// pass it on. A [Client] trades it at the authorization server for one that is
// for the other API (RFC 8693, or Microsoft Entra's on-behalf-of flow), and its
// Transport does so inside of an ordinary http.Client:
//
//	client, err := exchange.New(exchange.Config{Issuer: issuer, Auth: auth})
//	...
//	api := &http.Client{Transport: client.Transport(nil, exchange.Target{
//		Resource: []string{"https://api.example.com/"},
//	})}
//
// A request made with the context of a protected handler then carries a token of
// the same user for that API, and for no other host. In a tool of the official Go
// SDK that context is mcpsdk.Context. Where there is no token to be had,
// middleware.Refuse tells the client what would help. Config.Observe is told of
// every need for a token.
package exchange
