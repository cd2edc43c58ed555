package mcpsdk

import (
	"context"
	"hash/maphash"
	"net/http"
	"sync"

	"github.com/elastic/go-freelru"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const sessionID = "Mcp-Session-Id"

// maxUnowned bounds the sessions in unowned. One that makes room for others is the
// SDK's alone again, and to the SDK it is nobody's. Whoever wants that to happen
// has to open as many sessions of the SDK, which are much larger.
const maxUnowned = 1 << 14

// unowned knows the sessions that were opened by nobody, where initialize is
// public. The SDK would serve them to anybody for good; here they belong to the
// first user who comes with their id, that is, to the client that has logged in.
type unowned struct {
	sessions *freelru.SyncedLRU[string, *ownership]
}

func newUnowned() unowned {
	seed := maphash.MakeSeed()
	// The only error is a capacity of zero.
	sessions, _ := freelru.NewSynced[string, *ownership](maxUnowned, func(id string) uint32 { return uint32(maphash.String(seed, id)) })
	return unowned{sessions}
}

// An ownership says whose a session is.
type ownership struct {
	open  context.Context // ends when a user takes the session
	taken context.CancelFunc

	mu   sync.Mutex
	user string // empty: nobody's
}

// opened remembers the session that an anonymous request has opened, if the header
// of its answer names one.
func (u unowned) opened(answer http.Header) {
	if id := answer.Get(sessionID); id != "" {
		o := &ownership{}
		o.open, o.taken = context.WithCancel(context.Background())
		u.sessions.Add(id, o)
	}
}

// opening is the ResponseWriter of a request that may open a session: what it opens is
// known before the client has its id, which may be long before the answer ends.
type opening struct {
	http.ResponseWriter
	sessions unowned
	once     sync.Once
}

func (o *opening) begin() { o.once.Do(func() { o.sessions.opened(o.Header()) }) }

func (o *opening) WriteHeader(status int) {
	if status >= http.StatusOK {
		o.begin()
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *opening) Write(p []byte) (int, error) {
	o.begin()
	return o.ResponseWriter.Write(p)
}

// Flush serves those who look for an http.Flusher.
func (o *opening) Flush() { _ = o.FlushError() }

// FlushError serves http.ResponseController, by which the SDK flushes.
func (o *opening) FlushError() error {
	o.begin()
	return http.NewResponseController(o.ResponseWriter).Flush()
}

// Unwrap serves http.ResponseController.
func (o *opening) Unwrap() http.ResponseWriter { return o.ResponseWriter }

// admit returns the request of a caller, with token or anonymous, as it may go on;
// nil where its session is another's.
func (u unowned) admit(r *http.Request, token *verifier.Token) (*http.Request, context.CancelFunc) {
	done := func() {}
	id := r.Header.Get(sessionID)
	if id == "" {
		return r, done
	}
	o, ok := u.sessions.Get(id)
	switch {
	case !ok:
		return r, done
	case token != nil:
		if !o.take(userID(token)) {
			return nil, done
		}
	case o.open.Err() != nil:
		return nil, done
	case r.Method == http.MethodGet:
		// A stream that hears what is meant for the session, until it is a user's.
		ctx, cancel := context.WithCancel(r.Context())
		stop := context.AfterFunc(o.open, cancel)
		return r.WithContext(ctx), func() { stop(); cancel() }
	}
	return r, done
}

// take reports whether the session is this user's, who gets it if it is nobody's.
func (o *ownership) take(user string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.user == "" {
		o.user = user
		o.taken()
	}
	return o.user == user
}
