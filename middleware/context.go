package middleware

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/contextkey"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// tokenContext is the request's context with the token in it, and it ends when
// the token does. It behaves as the result of context.WithDeadline, but starts
// the timer only for those who wait: most handlers are done long before.
type tokenContext struct {
	context.Context // the request's
	token           *verifier.Token
	end             time.Time
	recheck         *recheck              // nil: never
	timed           atomic.Pointer[timed] // nil until somebody waits or all is over
}

// timed is what a tokenContext becomes for those who wait.
type timed struct {
	context.Context
	cancel context.CancelFunc
}

// over stands for the timed context of a request for which nobody waited.
var over = new(timed)

// recheck asks about a token again and again, as long as somebody waits.
type recheck struct {
	ask   func(context.Context) error
	every time.Duration
	lost  atomic.Pointer[error] // what it found
}

func newTokenContext(parent context.Context, token *verifier.Token, end time.Time) *tokenContext {
	return &tokenContext{Context: parent, token: token, end: end}
}

// Deadline returns the earlier one of the parent's and the token's.
func (c *tokenContext) Deadline() (time.Time, bool) {
	if parent, ok := c.Context.Deadline(); ok && parent.Before(c.end) {
		return parent, true
	}
	return c.end, true
}

// Done starts the timer.
func (c *tokenContext) Done() <-chan struct{} { return c.start().Done() }

// Err goes by the timer where there is one, so that it never contradicts Done.
func (c *tokenContext) Err() error {
	if c.timed.Load() == nil && c.recheck == nil && c.Context.Err() == nil && time.Now().Before(c.end) {
		return nil
	}
	return c.start().Err()
}

// Value has the token, and asks the timed context where there is one: package
// context finds the cancellation through it, and needs no goroutine for children.
func (c *tokenContext) Value(key any) any {
	if key == (contextkey.Token{}) {
		return c.token
	}
	if t := c.timed.Load(); t != nil && t != over {
		return t.Value(key)
	}
	return c.Context.Value(key)
}

// start returns the timed context, which it makes where there is none.
func (c *tokenContext) start() *timed {
	for {
		before := c.timed.Load()
		if before != nil && before != over {
			return before
		}
		made := new(timed)
		if before == over {
			made.Context, made.cancel = context.WithCancel(c.Context)
			made.cancel()
		} else {
			made.Context, made.cancel = context.WithDeadlineCause(c.Context, c.end, errTokenExpired)
		}
		switch {
		case !c.timed.CompareAndSwap(before, made):
			made.cancel()
		case before == nil && c.recheck != nil:
			go c.watch(made)
		}
	}
}

// watch ends the context early when the token is no longer good.
func (c *tokenContext) watch(t *timed) {
	ticker := time.NewTicker(c.recheck.every)
	defer ticker.Stop()
	// A Verifier's panic would end the process from here; it ends the stream.
	defer func() {
		if recover() != nil {
			c.lose(t, errNobodyKnows)
		}
	}()
	for {
		select {
		case <-t.Done():
			return
		case <-ticker.C:
			if err := c.recheck.ask(t); err != nil {
				c.lose(t, err)
				return
			}
		}
	}
}

func (c *tokenContext) lose(t *timed, err error) {
	c.recheck.lost.Store(&err)
	t.cancel()
}

// release ends the context when the handler is done. It returns why the token
// had ended it before; nil where it had not, or where nobody looked.
func (c *tokenContext) release() error {
	if c.timed.CompareAndSwap(nil, over) {
		return nil
	}
	t := c.timed.Load()
	defer t.cancel()
	if c.recheck != nil {
		if lost := c.recheck.lost.Load(); lost != nil {
			return *lost
		}
	}
	if context.Cause(t) == errTokenExpired {
		return errTokenExpired
	}
	return nil
}
