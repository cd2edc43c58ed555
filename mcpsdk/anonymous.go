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
const maxUnowned = 1 << 16

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

// An opener is the ResponseWriter of an anonymous request that may open a session,
// which is to be remembered before the client learns its id.
type opener struct {
	http.ResponseWriter
	unowned unowned
	opened  bool
}

// begin remembers the session, if the header of the answer names one.
func (w *opener) begin() {
	if id := w.Header().Get(sessionID); id != "" && !w.opened {
		w.opened = true
		o := &ownership{}
		o.open, o.taken = context.WithCancel(context.Background())
		w.unowned.sessions.Add(id, o)
	}
}

func (w *opener) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

func (w *opener) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// FlushError serves http.ResponseController, as the SDK uses it.
func (w *opener) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush serves those who look for an http.Flusher.
func (w *opener) Flush() { _ = w.FlushError() }

// Unwrap serves http.ResponseController, deadlines for instance.
func (w *opener) Unwrap() http.ResponseWriter { return w.ResponseWriter }

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
