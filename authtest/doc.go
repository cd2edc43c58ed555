// Package authtest is a fake OAuth 2.0 authorization server for tests, in the
// manner of net/http/httptest.
//
// [NewIssuer] runs it in memory, without sockets and inside testing/synctest
// bubbles; [NewServer] on a loopback socket; [New] is for programs. It mints any
// token, good or bad ([Issuer.Token], [Issuer.Mint], [Issuer.MintOpaque],
// [Key.Sign]), speaks enough of OAuth for real MCP clients and browsers to log
// in, answers introspection in JSON or signed, revokes, rotates its keys, and
// fails on demand ([Issuer.SetFault]).
//
// It authenticates nobody: whoever asks is let in as Config.Subject. Never let a
// service trust it outside tests and demonstrations.
package authtest
