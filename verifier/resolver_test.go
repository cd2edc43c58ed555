package verifier_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// tenants is a directory of issuers that are known only at run time.
type tenants struct {
	issuer *authtest.Issuer
	calls  atomic.Int64
	gone   atomic.Bool
	err    atomic.Pointer[error]
	slow   time.Duration
}

func (d *tenants) resolve(ctx context.Context, iss string) (*verifier.Issuer, error) {
	d.calls.Add(1)
	select {
	case <-time.After(d.slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err := d.err.Load(); err != nil {
		return nil, *err
	}
	if iss != d.issuer.URL() || d.gone.Load() {
		return nil, nil
	}
	return &verifier.Issuer{URL: iss}, nil
}

func newTenants(t *testing.T) (*tenants, *verifier.JWT) {
	t.Helper()
	directory := &tenants{issuer: authtest.NewIssuer(t, authtest.Config{Resources: []string{resource}, TokenLifetime: time.Hour})}
	return directory, newJWT(t, verifier.JWTConfig{
		Resource: resource, Resolve: directory.resolve, Transport: directory.issuer.Transport(),
	})
}

func TestResolveFindsATenantOnceForAllWhoAsk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		directory, jwt := newTenants(t)
		directory.slow = time.Second
		var group sync.WaitGroup
		for range 50 {
			group.Go(func() {
				token, err := jwt.Verify(t.Context(), directory.issuer.Token(nil))
				if err != nil || token.Issuer != directory.issuer.URL() {
					t.Errorf("%v, %v", token, err)
				}
			})
		}
		group.Wait()
		if n := directory.calls.Load(); n != 1 {
			t.Errorf("Resolve was called %d times", n)
		}
		if _, ok := jwt.Lookup(directory.issuer.URL()); !ok {
			t.Error("Lookup does not know the tenant")
		}
		if _, ok := jwt.Lookup("https://other.example"); ok {
			t.Error("Lookup knows a stranger")
		}
	})
}

func TestAResolvedTenantThatIsRemovedIsRefusedWithinFiveMinutes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		directory, jwt := newTenants(t)
		token := directory.issuer.Token(nil)
		if _, err := jwt.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		directory.gone.Store(true)
		time.Sleep(5 * time.Minute)
		_, err := jwt.Verify(t.Context(), token) // remembered or not
		isInvalid(t, err, verifier.ReasonIssuer)
		directory.gone.Store(false)
		time.Sleep(time.Minute)
		if _, err := jwt.Verify(t.Context(), token); err != nil {
			t.Errorf("after it came back: %v", err)
		}
		if n := directory.issuer.Hits(authtest.EndpointKeys); n != 1 {
			t.Errorf("keys were fetched %d times although nothing about them changed", n)
		}
	})
}

// The front door looks the issuer up after a verification that waited for keys.
func TestATenantIsKnownWhenItsTokenIsVerified(t *testing.T) {
	bubble(t, func(t *testing.T) {
		directory, jwt := newTenants(t)
		if _, err := jwt.Verify(t.Context(), directory.issuer.Token(nil)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5*time.Minute - time.Second)
		directory.issuer.Rotate(0)
		directory.issuer.SetFault(authtest.EndpointKeys, authtest.Slow(4*time.Second))
		token, err := jwt.Verify(t.Context(), directory.issuer.Token(nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := jwt.Lookup(token.Issuer); !ok {
			t.Error("Lookup does not know the issuer of a token that was just verified")
		}
		time.Sleep(time.Minute)
		if _, ok := jwt.Lookup(token.Issuer); ok {
			t.Error("Lookup knows it for ever")
		}
	})
}

// As many tenants as are promised, whatever their names hash to: one that drops out
// early loses its keys, and with them the pause between fetches.
func TestAThousandTenantsAreRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const tenants = 1000
		w := newWorld(t)
		calls := 0
		jwt := newJWT(t, verifier.JWTConfig{
			Resource: resource, Transport: w.issuer.Transport(), CacheSize: -1,
			Resolve: func(_ context.Context, iss string) (*verifier.Issuer, error) {
				calls++
				return &verifier.Issuer{URL: iss, JWKSURI: w.issuer.URL() + "/jwks"}, nil
			},
		})
		for range 2 {
			for n := range tenants {
				iss := fmt.Sprintf("https://tenant%d.example", n)
				if _, err := jwt.Verify(t.Context(), w.token(raw{"iss": quote(iss)})); err != nil {
					t.Fatal(err)
				}
			}
		}
		if calls != tenants || w.keyHits() != tenants {
			t.Errorf("%d calls of Resolve and %d fetches of keys for %d tenants", calls, w.keyHits(), tenants)
		}
	})
}

// Whoever can name a thousand tenants can drive another one out. A token of that one,
// although remembered, comes with its issuer again: the front door looks it up.
func TestATenantThatWasDrivenOutIsKnownWhenItsTokenIsVerified(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		jwt := newJWT(t, verifier.JWTConfig{
			Resource: resource, Transport: w.issuer.Transport(),
			Resolve: func(_ context.Context, iss string) (*verifier.Issuer, error) {
				return &verifier.Issuer{URL: iss, JWKSURI: w.issuer.URL() + "/jwks"}, nil
			},
		})
		byShape, err := verifier.ByShape(verifier.ByShapeConfig{JWT: jwt, Opaque: new(verifier.Introspection)})
		if err != nil {
			t.Fatal(err)
		}
		token := w.token(nil)
		for name, v := range map[string]verifier.Verifier{"alone": jwt, "by shape": byShape} {
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			for n := range 1000 {
				forged := w.token(raw{"iss": quote(fmt.Sprintf("https://tenant%d.example", n))})
				_, err := jwt.Verify(t.Context(), forged+"AAAA")
				isInvalid(t, err, verifier.ReasonSignature)
			}
			if _, ok := jwt.Lookup(w.issuer.URL()); ok {
				t.Fatal("nobody was driven out")
			}
			if _, err := v.Verify(t.Context(), token); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, ok := jwt.Lookup(w.issuer.URL()); !ok {
				t.Errorf("%s: Lookup does not know the issuer of a token that was just verified", name)
			}
		}
	})
}

func TestStrangersAreAskedForOnceAMinuteAndNeverFetched(t *testing.T) {
	bubble(t, func(t *testing.T) {
		directory, jwt := newTenants(t)
		token := directory.issuer.Token(authtest.Claims{"iss": "https://stranger.example"})
		for range 100 {
			_, err := jwt.Verify(t.Context(), token)
			isInvalid(t, err, verifier.ReasonIssuer)
		}
		for i := range 3000 { // more than are remembered
			_, err := jwt.Verify(t.Context(), directory.issuer.Token(authtest.Claims{"iss": fmt.Sprintf("https://stranger%d.example", i)}))
			isInvalid(t, err, verifier.ReasonIssuer)
		}
		if n := directory.calls.Load(); n != 3001 {
			t.Errorf("Resolve was called %d times", n)
		}
		if n := directory.issuer.Hits(authtest.EndpointAll); n != 0 {
			t.Errorf("%d requests for tokens of strangers", n)
		}
	})
}

// A directory that hangs on strangers, of whom a flood comes: few calls and few
// goroutines, and a tenant that is due for another look is not kept waiting.
func TestAFloodOfStrangersLeavesTenantsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		issuer := authtest.NewIssuer(t, authtest.Config{Resources: []string{resource}, TokenLifetime: time.Hour})
		var hanging, most atomic.Int64
		jwt := newJWT(t, verifier.JWTConfig{
			Resource: resource, Transport: issuer.Transport(),
			Resolve: func(ctx context.Context, iss string) (*verifier.Issuer, error) {
				if iss == issuer.URL() {
					return &verifier.Issuer{URL: iss}, nil
				}
				most.Store(max(most.Load(), hanging.Add(1)))
				defer hanging.Add(-1)
				<-ctx.Done()
				return nil, ctx.Err()
			},
		})
		good := issuer.Token(nil)
		if _, err := jwt.Verify(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		before := runtime.NumGoroutine()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for i := range 2000 {
			_, _ = jwt.Verify(gone, issuer.Token(authtest.Claims{"iss": fmt.Sprintf("https://stranger%d.example", i)}))
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 16+64 {
			t.Errorf("%d goroutines", n)
		}
		start := time.Now()
		if _, err := jwt.Verify(t.Context(), good); err != nil || time.Since(start) != 0 {
			t.Errorf("a tenant: %v after %v", err, time.Since(start))
		}
		_, err := jwt.Verify(t.Context(), issuer.Token(authtest.Claims{"iss": "https://last.example"}))
		isUnavailable(t, err)
		time.Sleep(time.Minute)
		if most.Load() != 16 {
			t.Errorf("%d calls at a time", most.Load())
		}
	})
}

func TestAFailingDirectoryIsUnavailableAndIsNotRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		directory, jwt := newTenants(t)
		token := directory.issuer.Token(nil)
		down := errors.New("database at db.internal is down")
		directory.err.Store(&down)
		_, err := jwt.Verify(t.Context(), token)
		isUnavailable(t, err)
		directory.err.Store(nil)
		if _, err := jwt.Verify(t.Context(), token); err != nil {
			t.Errorf("after recovery: %v", err)
		}

		directory, jwt = newTenants(t)
		directory.slow = time.Hour
		_, err = jwt.Verify(t.Context(), directory.issuer.Token(nil))
		isUnavailable(t, err)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := jwt.Verify(ctx, directory.issuer.Token(nil)); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
	})
}

// The keys of another issuer would be there, and would fit.
func TestResolveCannotAnswerWithAnotherIssuer(t *testing.T) {
	for name, answer := range map[string]verifier.Issuer{
		"another issuer": {URL: otherIssuer},
		"a template":     {URL: authtest.DefaultURL + "/{tenantid}", AnyTenant: true, JWKSURI: otherIssuer + "/jwks"},
		"a mistake":      {URL: authtest.DefaultURL, Algorithms: []string{"HS256"}, JWKSURI: otherIssuer + "/jwks"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				other := authtest.NewIssuer(t, authtest.Config{URL: otherIssuer, Resources: []string{resource}})
				jwt := newJWT(t, verifier.JWTConfig{
					Resource: resource, Transport: authtest.Network{w.issuer.URL(): w.issuer, other.URL(): other},
					Resolve: func(context.Context, string) (*verifier.Issuer, error) { return &answer, nil },
				})
				_, err := jwt.Verify(t.Context(), signWith(t, other.Key(), nil, w.payload(nil)))
				isUnavailable(t, err)
				if n := other.Hits(authtest.EndpointAll); n != 0 {
					t.Errorf("%d requests to the other issuer", n)
				}
			})
		})
	}
}
