package exchange_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// observer keeps the events of a client.
type observer struct {
	mu     sync.Mutex
	events []exchange.Event
	users  []*verifier.Token
}

func (o *observer) observe(ctx context.Context, e exchange.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	user, _ := verifier.FromContext(ctx)
	o.events, o.users = append(o.events, e), append(o.users, user)
}

// take returns the events since the last call, as "trigger result".
func (o *observer) take() (seen []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.events {
		seen = append(seen, string(e.Trigger)+" "+string(e.Result))
	}
	o.events, o.users = nil, nil
	return seen
}

func (o *observer) want(t *testing.T, name string, want ...string) {
	t.Helper()
	if got := o.take(); !slices.Equal(got, want) {
		t.Errorf("%s: events %q, want %q", name, got, want)
	}
}

func newObservedWorld(t *testing.T, edit ...func(*exchange.Config)) (*world, *observer) {
	o := &observer{}
	return newWorld(t, append(edit, func(c *exchange.Config) { c.Observe = o.observe })...), o
}

func TestEveryCallIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newObservedWorld(t)
		alice := w.user("alice")
		w.issuer.SetFault(authtest.EndpointToken, authtest.Slow(time.Second))
		w.mustExchange(alice)
		event := o.events[0]
		if event.Issuer != w.issuer.URL() || event.Target != api || event.Duration != time.Second || event.Err != nil {
			t.Errorf("%+v", event)
		}
		o.want(t, "the first", "call obtained")
		w.issuer.ClearFaults()
		w.mustExchange(alice)
		o.want(t, "the second", "call remembered")
		own := exchange.Target{Audience: []string{mcpServer}}
		for _, want := range []string{"call obtained", "call remembered"} {
			if _, err := w.client.ClientCredentials(t.Context(), own); err != nil || o.events[0].Target != mcpServer {
				t.Error(err)
			}
			o.want(t, "client credentials", want)
		}
		if _, err := w.call(w.http(), newRequest(t, alice, http.MethodGet, api, nil)); err != nil || o.users[0] != alice {
			t.Errorf("%v, or not the call's context", err)
		}
		o.want(t, "Transport", "call remembered")

		w.issuer.SetFault(authtest.EndpointToken, authtest.Slow(time.Second))
		bob := w.user("bob")
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { w.mustExchange(bob) })
		}
		wg.Wait()
		seen := o.take()
		slices.Sort(seen)
		if !slices.Equal(seen, []string{"call obtained", "call shared", "call shared", "call shared", "call shared"}) {
			t.Errorf("five at once: %q", seen)
		}
	})
}

func TestWhatFailsIsReportedByItsClass(t *testing.T) {
	for name, c := range map[string]struct {
		fault  authtest.Fault
		result exchange.Result
	}{
		"invalid_grant":        {refusal(`{"error":"invalid_grant"}`), exchange.ResultInvalidGrant},
		"interaction_required": {refusal(`{"error":"interaction_required"}`), exchange.ResultInteractionRequired},
		"invalid_target":       {refusal(`{"error":"invalid_target"}`), exchange.ResultRefused},
		"invalid_request":      {refusal(`{"error":"invalid_request"}`), exchange.ResultRefused},
		"invalid_client":       {refusal(`{"error":"invalid_client"}`), exchange.ResultOurCredentials},
		"down":                 {authtest.Down(), exchange.ResultUnavailable},
		"HTML":                 {authtest.HTML(), exchange.ResultUnavailable},
	} {
		w, o := newObservedWorld(t)
		w.issuer.SetFault(authtest.EndpointToken, c.fault)
		_, err := w.exchange(w.user("alice"))
		if event := o.events[0]; event.Err != err || event.Err == nil {
			t.Errorf("%s: %v, want %v", name, event.Err, err)
		}
		o.want(t, name, "call "+string(c.result))
	}
}

func TestWhatIsNotAskedIsReportedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newObservedWorld(t)
		alice := w.user("alice", authtest.Claims{"exp": time.Now().Add(time.Minute)})
		gone, leave := context.WithCancel(t.Context())
		leave()
		failing := target()
		failing.Actor = func(context.Context) (*exchange.Token, error) { return nil, errors.New("no") }
		for _, c := range []struct {
			name   string
			do     func() error
			result exchange.Result
		}{
			{"no user", func() error {
				_, err := w.client.Exchange(t.Context(), exchange.Request{Target: target()})
				return err
			}, exchange.ResultMisused},
			{"a bad target", func() error {
				_, err := w.client.Exchange(t.Context(), exchange.Request{Subject: alice, Target: exchange.Target{Scopes: []string{""}}})
				return err
			}, exchange.ResultMisused},
			{"a bad target of our own", func() error {
				_, err := w.client.ClientCredentials(t.Context(), exchange.Target{TokenType: exchange.TypeJWT})
				return err
			}, exchange.ResultMisused},
			{"another host", func() error {
				_, err := w.call(w.http(), newRequest(t, alice, http.MethodGet, "https://evil.example/", nil))
				return err
			}, exchange.ResultMisused},
			{"an actor that fails", func() error {
				_, err := w.client.Exchange(t.Context(), exchange.Request{Subject: alice, Target: failing})
				return err
			}, exchange.ResultOurCredentials},
			{"a caller who left", func() error {
				_, err := w.client.Exchange(gone, exchange.Request{Subject: alice, Target: target()})
				return err
			}, exchange.ResultCanceled},
			{"a token that has expired", func() error {
				time.Sleep(2 * time.Minute)
				_, err := w.client.Exchange(t.Context(), exchange.Request{Subject: alice, Target: target()})
				return err
			}, exchange.ResultInvalidGrant},
		} {
			if err := c.do(); err == nil {
				t.Errorf("%s: no error", c.name)
			}
			o.want(t, c.name, "call "+string(c.result))
		}
		w.wantAsked(0)
	})
}

func TestRefreshesAndRenewalsAreReportedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, o := newObservedWorld(t)
		alice := w.user("alice")
		w.mustExchange(alice)
		o.want(t, "the first", "call obtained")
		time.Sleep(52 * time.Minute)
		w.issuer.SetFault(authtest.EndpointToken, authtest.Down())
		w.mustExchange(alice)
		synctest.Wait()
		o.want(t, "a refresh that fails", "call remembered", "ahead unavailable")
		w.issuer.ClearFaults()
		time.Sleep(11 * time.Second)
		w.mustExchange(alice)
		synctest.Wait()
		o.want(t, "a refresh", "call remembered", "ahead obtained")

		w.api.answer = func(n int, _ *http.Request) (int, http.Header) {
			return map[bool]int{true: 401, false: 200}[n == 1], http.Header{}
		}
		if status, err := w.call(w.http(), newRequest(t, alice, http.MethodGet, api, nil)); err != nil || status != 200 {
			t.Errorf("%d, %v", status, err)
		}
		o.want(t, "a 401", "call remembered", "unauthorized obtained")
		w.api.answer = func(int, *http.Request) (int, http.Header) { return 401, http.Header{} }
		if _, err := w.call(w.http(), newRequest(t, alice, http.MethodGet, api, nil)); err != nil {
			t.Error(err)
		}
		o.want(t, "a 401 that is too soon for another token", "call remembered")
	})
}

func TestLabelsAreFromClosedLists(t *testing.T) {
	for _, list := range [][]string{names(exchange.Results()), names(exchange.Triggers())} {
		slices.Sort(list)
		if slices.Contains(list, "") || len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("%q", list)
		}
	}
}

func names[T ~string](list []T) (all []string) {
	for _, one := range list {
		all = append(all, string(one))
	}
	return all
}

// A panic in another goroutine would end the process, and nobody would be told.
func TestAnObserversPanicEndsNoRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *exchange.Config) {
			c.Observe = func(_ context.Context, e exchange.Event) {
				if e.Trigger == exchange.TriggerAhead {
					panic("observer")
				}
			}
		})
		alice := w.user("alice")
		first := w.mustExchange(alice)
		time.Sleep(time.Hour - 12*time.Second)
		w.issuer.SetFault(authtest.EndpointToken, authtest.Slow(4*time.Second))
		if w.mustExchange(alice).AccessToken() != first.AccessToken() {
			t.Error("the old token is still good, and should serve")
		}
		time.Sleep(3 * time.Second) // now it is not, and who comes waits for the refresh
		if w.mustExchange(alice).AccessToken() == first.AccessToken() {
			t.Error("the refreshed token is not used")
		}
		w.wantAsked(2)
	})
}

func TestObservingCostsNoAllocation(t *testing.T) {
	response := &http.Response{StatusCode: 200, Body: http.NoBody}
	plain := roundTrip(func(*http.Request) (*http.Response, error) { return response, nil })
	count := func(observe func(context.Context, exchange.Event)) float64 {
		w := newWorld(t, func(c *exchange.Config) { c.Observe = observe })
		transport := w.client.Transport(plain, target())
		request := newRequest(t, w.user("alice"), http.MethodGet, api, nil)
		return testing.AllocsPerRun(1000, func() {
			if _, err := transport.RoundTrip(request); err != nil {
				t.Fatal(err)
			}
		})
	}
	events := 0
	without, with := count(nil), count(func(context.Context, exchange.Event) { events++ })
	if with != without || events < 1000 {
		t.Errorf("%v allocations with an observer, %v without; %d events", with, without, events)
	}
}

func TestAPanicOfWhatIsGivenIsAnError(t *testing.T) {
	panicking := func(context.Context) (string, error) { panic("with " + secret) }
	var missing *http.Transport
	for name, c := range map[string]struct {
		config func(*exchange.Config)
		target func(*exchange.Target)
		result exchange.Result
	}{
		"Auth": {func(c *exchange.Config) { c.Auth = clientauth.BearerToken(panicking) }, nil, exchange.ResultUnavailable},
		"Transport": {func(c *exchange.Config) {
			c.Transport = roundTrip(func(*http.Request) (*http.Response, error) { panic("x") })
		}, nil, exchange.ResultUnavailable},
		"a nil in Transport": {func(c *exchange.Config) { c.Transport = missing }, nil, exchange.ResultUnavailable},
		"Actor": {func(*exchange.Config) {}, func(to *exchange.Target) {
			to.Actor = func(context.Context) (*exchange.Token, error) { panic(secret) }
		}, exchange.ResultOurCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, o := newObservedWorld(t, c.config)
				alice, to := w.user("alice"), target()
				if c.target != nil {
					c.target(&to)
				}
				var wg sync.WaitGroup
				for range 5 {
					wg.Go(func() {
						_, err := exchangeFor(t, w.client, alice, to)
						isClass(t, err, verifier.ErrUnavailable)
					})
				}
				wg.Wait()
				want := "call " + string(c.result)
				o.want(t, name, want, want, want, want, want)
			})
		})
	}
}
