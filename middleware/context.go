package middleware

import (
	"context"
	"sync"
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

	recheck *recheck // nil: never

	mu       sync.Mutex
	released bool
	timed    context.Context // nil until somebody waits
	cancel   context.CancelFunc
}

// recheck asks about a token again and again, as long as somebody waits.
type recheck struct {
	ask   func(context.Context) error
	every time.Duration
	lost  error // what it found
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
	c.mu.Lock()
	idle := c.timed == nil && !c.released && c.recheck == nil
	c.mu.Unlock()
	if idle && c.Context.Err() == nil && time.Now().Before(c.end) {
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
	c.mu.Lock()
	timed := c.timed
	c.mu.Unlock()
	if timed != nil {
		return timed.Value(key)
	}
	return c.Context.Value(key)
}

func (c *tokenContext) start() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timed == nil {
		c.timed, c.cancel = context.WithDeadlineCause(c.Context, c.end, errTokenExpired)
		if c.released {
			c.cancel()
		} else if c.recheck != nil {
			go c.watch(c.timed, c.cancel)
		}
	}
	return c.timed
}

// watch ends the context early when the token is no longer good.
func (c *tokenContext) watch(ctx context.Context, cancel context.CancelFunc) {
	ticker := time.NewTicker(c.recheck.every)
	defer ticker.Stop()
	// A Verifier's panic would end the process from here; it ends the stream.
	defer func() {
		if recover() != nil {
			c.lose(errNobodyKnows)
			cancel()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := c.recheck.ask(ctx); err != nil {
				c.lose(err)
				cancel()
				return
			}
		}
	}
}

func (c *tokenContext) lose(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recheck.lost = err
}

// release ends the context when the handler is done. It returns why the token
// had ended it before; nil where it had not, or where nobody looked.
func (c *tokenContext) release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.released = true
	if c.cancel == nil {
		return nil
	}
	var ended error
	switch {
	case c.recheck != nil && c.recheck.lost != nil:
		ended = c.recheck.lost
	case context.Cause(c.timed) == errTokenExpired:
		ended = errTokenExpired
	}
	c.cancel()
	return ended
}
