package mcpgo

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/mark3labs/mcp-go/server"
)

// A SessionsConfig configures [NewSessions]. Its zero value is right for a
// server of one process. It prints redacted.
type SessionsConfig struct {
	_ [0]func()

	// Key signs session ids: at least 32 random bytes, kept as a secret, the same
	// on all replicas that serve one endpoint. Whoever has it can make ids for
	// any user, but still needs that user's token. With a new key, all sessions
	// end. Nil: a random key that lives as long as the Sessions.
	Key []byte `json:"-"`
}

// Format writes a constant for every verb.
func (SessionsConfig) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "mcpgo.SessionsConfig(redacted)")
}

// minKey is the size of the MAC: a shorter key would be its weakest part (RFC
// 2104 §3).
const minKey = sha256.Size

// Sessions makes and judges the session ids of one endpoint. An id carries a
// signature over the issuer and the subject of the user who opened the session,
// so that no replica has to remember it. It is immutable and safe for concurrent
// use. The zero value gives out no id and accepts none.
type Sessions struct {
	// A closure, because a key in a field would be printed with the struct.
	newMAC func() hash.Hash
}

// NewSessions checks config and returns its Sessions. It copies Key.
func NewSessions(config SessionsConfig) (*Sessions, error) {
	key := append([]byte(nil), config.Key...)
	switch {
	case config.Key == nil:
		key = make([]byte, minKey)
		_, _ = rand.Read(key) // never fails
	case len(key) < minKey:
		return nil, fmt.Errorf("mcpgo: SessionsConfig.Key has %d bytes, fewer than %d", len(key), minKey)
	}
	return &Sessions{newMAC: func() hash.Hash { return hmac.New(sha256.New, key) }}, nil
}

// Bind returns a handler that passes on to next, a [server.StreamableHTTPServer],
// the requests of sessions that belong to their caller, and those without a
// session. A user is an issuer and a subject: the same subject from two issuers
// is two users. Anyone else who presents a session id, and any id that is not
// one of ours, gets 404, upon which a client opens a session of its own (MCP
// Streamable HTTP, Session Management). DELETE ends a session's state, and its
// user alone could still present the id.
//
// Bind belongs inside the front door, directly around next. A request that still
// carries credentials but no verified token shows that it is not there, and is
// answered 500. Without Bind, a next that uses these Sessions opens none.
//
// Who opens a session anonymously owns nothing: any anonymous caller may present
// its id. A user who does so, after a login in mid-session, goes on in a session
// that is theirs, under the same id; what the server keeps by session id starts
// anew. A token without a Subject opens no session, because nothing tells its
// owner from others; MCP 2026-07-28, which has no sessions, is open to it.
//
// A GET without a session, which no message could ever be meant for, gets 405.
//
// Bind panics, at wiring, if next is nil or a [server.SSEServer], or if the
// Sessions do not come from NewSessions.
func (s *Sessions) Bind(next http.Handler) http.Handler {
	switch next.(type) {
	case nil:
		panic("mcpgo: Bind needs a handler")
	case *server.SSEServer:
		panic("mcpgo: the SSE transport does not separate users; use server.NewStreamableHTTPServer")
	}
	if s == nil || s.newMAC == nil {
		panic("mcpgo: Bind needs Sessions from NewSessions")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, verified := verifier.FromContext(r.Context())
		if !verified && (len(r.Header.Values("Authorization")) > 0 || len(r.Header.Values("DPoP")) > 0) {
			http.Error(w, "mcpgo: Bind is outside the front door", http.StatusInternalServerError)
			return
		}
		caller := ownerOf(token)
		bound := r.WithContext(context.WithValue(r.Context(), managerKey{}, manager{s, caller}))

		presented := r.Header[server.HeaderKeySessionID]
		if len(presented) == 0 || len(presented) == 1 && presented[0] == "" {
			if r.Method == http.MethodGet {
				// 405 rather than 400: clients take it for "no stream here".
				w.Header().Set("Allow", http.MethodPost)
				http.Error(w, "a stream needs a session", http.StatusMethodNotAllowed)
				return
			}
			next.ServeHTTP(w, bound)
			return
		}
		id, ok := "", false
		if len(presented) == 1 {
			id, ok = s.admit(presented[0], caller)
		}
		if !ok {
			http.Error(w, "unknown session", http.StatusNotFound)
			return
		}
		if id != presented[0] {
			bound.Header = maps.Clone(r.Header)
			bound.Header[server.HeaderKeySessionID] = []string{id}
		}
		next.ServeHTTP(w, bound)
	})
}
