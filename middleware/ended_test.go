package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// The token lives for a minute, and the leeway is 10 s.
func TestAnAnswerThatIsCutIsReportedOnce(t *testing.T) {
	wait := func(ctx context.Context) { <-ctx.Done() }
	for name, test := range map[string]struct {
		handler func(context.Context)
		parent  func(context.Context) (context.Context, context.CancelFunc)
		cut     bool
	}{
		"waits for the end":           {handler: wait, cut: true},
		"waits in a child":            {handler: func(ctx context.Context) { c, stop := context.WithCancel(ctx); defer stop(); <-c.Done() }, cut: true},
		"looks after the end":         {handler: func(ctx context.Context) { time.Sleep(untilTheEnd); _ = ctx.Err() }, cut: true},
		"goes on after the end":       {handler: func(ctx context.Context) { <-ctx.Done(); time.Sleep(time.Hour) }, cut: true},
		"panics at the end":           {handler: func(ctx context.Context) { <-ctx.Done(); panic(http.ErrAbortHandler) }, cut: true},
		"does not wait":               {handler: func(context.Context) {}},
		"is done in time":             {handler: func(ctx context.Context) { ctx.Done(); time.Sleep(time.Minute) }},
		"never looks":                 {handler: func(context.Context) { time.Sleep(time.Hour) }},
		"outlives its client":         {handler: func(ctx context.Context) { <-ctx.Done(); time.Sleep(time.Hour) }, parent: within(time.Second)},
		"is cut before its client is": {handler: func(ctx context.Context) { <-ctx.Done(); time.Sleep(time.Hour) }, parent: within(2 * time.Minute), cut: true},
		"has a server with a time limit": {handler: wait, parent: func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}},
		"only starts to wait when it is up": {handler: func(ctx context.Context) { time.Sleep(untilTheEnd + time.Second); <-ctx.Done() }, cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t, func(f *fixture) { f.verifier.token.Expiry = time.Now().Add(time.Minute) })
				f.next.bodies = func(r *http.Request) { test.handler(r.Context()) }
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				if test.parent != nil {
					ctx, stop = test.parent(t.Context())
					defer stop()
				}
				func() {
					defer func() { _ = recover() }()
					f.handler().ServeHTTP(httptest.NewRecorder(), request("Authorization: Bearer "+good).WithContext(ctx))
				}()
				want := []middleware.Event{{
					Resource: resource, Outcome: middleware.OutcomeAllowed, Issuer: issuerURL, Scheme: middleware.SchemeBearer,
					Token: f.verifier.token, Caller: f.verifier.token,
				}}
				if test.cut {
					want = append(want, middleware.Event{
						Resource: resource, Outcome: middleware.OutcomeEnded, Reason: verifier.ReasonExpired, Issuer: issuerURL,
						Scheme: middleware.SchemeBearer, Caller: f.verifier.token,
					})
				}
				for i := range f.events {
					f.events[i].Duration = 0 // it is measured
				}
				if !reflect.DeepEqual(f.events, want) {
					t.Errorf("events\n%+v\nwant\n%+v", f.events, want)
				}
			})
		})
	}
}

// within gives up after a while, as a client does.
func within(d time.Duration) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(d, cancel)
		return ctx, cancel
	}
}

func TestAnAnswerThatARecheckCutsIsReported(t *testing.T) {
	lesser := func(change func(*verifier.Token)) func() (*verifier.Token, error) {
		return func() (*verifier.Token, error) { token := goodToken("files:read"); change(token); return token, nil }
	}
	failing := func(err error) func() (*verifier.Token, error) {
		return func() (*verifier.Token, error) { return nil, err }
	}
	for name, test := range map[string]struct {
		later  func() (*verifier.Token, error)
		ended  bool
		reason verifier.Reason
	}{
		"revoked":          {failing(&verifier.InvalidTokenError{Reason: verifier.ReasonInactive}), true, verifier.ReasonInactive},
		"no Reason":        {failing(verifier.ErrInvalidToken), true, verifier.ReasonUnspecified},
		"invented Reason":  {failing(&verifier.InvalidTokenError{Reason: "mine"}), true, verifier.ReasonUnspecified},
		"panic":            {func() (*verifier.Token, error) { panic("boom") }, true, verifier.ReasonUnspecified},
		"another audience": {lesser(func(token *verifier.Token) { token.Audience = []string{"https://other.example"} }), true, verifier.ReasonAudience},
		"fewer scopes":     {lesser(func(token *verifier.Token) { token.Scopes = scopes.Set{} }), true, ""},
		"another subject":  {lesser(func(token *verifier.Token) { token.Subject = "mallory" }), true, ""},
		"the same":         {lesser(func(*verifier.Token) {}), false, ""},
		"an outage":        {failing(verifier.ErrUnavailable), false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				var events []middleware.Event
				guard := stepUpGuard(t, `{}`, func(c *middleware.Config) {
					c.Recheck = time.Second
					c.Observe = func(_ context.Context, e middleware.Event) { events = append(events, e) }
					c.Verifier = verifier.Func(func(context.Context, string) (*verifier.Token, error) {
						if time.Since(start) == 0 {
							return goodToken("files:read"), nil
						}
						return test.later()
					})
				})
				post(guard.Require("files:read")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					select {
					case <-r.Context().Done():
					case <-time.After(time.Minute):
					}
				})), toolCall, true)
				if ended := len(events) == 2; ended != test.ended || len(events) > 2 {
					t.Fatalf("events %+v", events)
				}
				if last := events[len(events)-1]; test.ended && (last.Outcome != middleware.OutcomeEnded || last.Reason != test.reason || last.Token != nil || last.Caller == nil) {
					t.Errorf("event %+v, want the reason %q", last, test.reason)
				}
			})
		})
	}
}
