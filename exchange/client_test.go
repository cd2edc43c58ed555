package exchange_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

func TestExchangeIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		first := w.mustExchange(alice)
		if first.Scheme != "Bearer" || first.Type != exchange.TypeAccessToken || first.Scopes.String() != "reports:read" {
			t.Errorf("got %s, %s, %s", first.Scheme, first.Type, first.Scopes)
		}
		if want := time.Now().Add(time.Hour); !first.Expiry.Equal(want) {
			t.Errorf("Expiry %v, want %v", first.Expiry, want)
		}
		if first.AccessToken() == alice.DangerouslyRaw() || first.AccessToken() == "" {
			t.Error("the token is the user's own, or empty")
		}
		if again := w.mustExchange(alice); again.AccessToken() != first.AccessToken() {
			t.Error("not remembered")
		}
		w.wantAsked(1)
	})
}

func TestWhatKeepsTokensApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice", authtest.Claims{"scope": "mcp:use reports:read"})
		actor := func(text string) func(context.Context) (*exchange.Token, error) {
			return func(context.Context) (*exchange.Token, error) {
				return exchange.ActorToken(text, exchange.TypeAccessToken, time.Now().Add(time.Hour)), nil
			}
		}
		actorA, actorB := w.issuer.Token(authtest.Claims{"sub": "robot-a"}), w.issuer.Token(authtest.Claims{"sub": "robot-b"})
		seen := make(map[string]string)
		for _, c := range []struct {
			name    string
			subject *verifier.Token
			target  exchange.Target
		}{
			{"the first", alice, target()},
			{"another user", w.user("bob"), target()},
			{"another token of the same user with fewer scopes", w.user("alice", authtest.Claims{"scope": "mcp:use"}), target()},
			{"another client of the same user", w.user("alice", authtest.Claims{"client_id": "other"}), target()},
			{"other scopes", alice, exchange.Target{Resource: []string{api}, Scopes: []string{"reports:write"}}},
			{"no scopes", alice, exchange.Target{Resource: []string{api}}},
			{"audience for resource", alice, exchange.Target{Audience: []string{api}, Scopes: []string{"reports:read"}}},
			{"another audience", alice, exchange.Target{Audience: []string{"reports"}, Scopes: []string{"reports:read"}}},
			{"another type", alice, exchange.Target{Resource: []string{api}, Scopes: []string{"reports:read"}, TokenType: exchange.TypeJWT}},
			{"an actor", alice, exchange.Target{Resource: []string{api}, Scopes: []string{"reports:read"}, Actor: actor(actorA)}},
			{"another actor", alice, exchange.Target{Resource: []string{api}, Scopes: []string{"reports:read"}, Actor: actor(actorB)}},
		} {
			token, err := exchangeFor(t, w.client, c.subject, c.target)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if other, taken := seen[token.AccessToken()]; taken {
				t.Errorf("%s got the token of %s", c.name, other)
			}
			seen[token.AccessToken()] = c.name
		}
		w.wantAsked(len(seen))
		service, err := w.client.ClientCredentials(t.Context(), exchange.Target{Resource: []string{mcpServer}, Scopes: []string{"reports:read"}})
		if err != nil || seen[service.AccessToken()] != "" {
			t.Errorf("client credentials: %v", err)
		}
	})
}

func TestOrderOfScopesDoesNotMatter(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	for _, scopes := range [][]string{{"reports:read", "reports:write"}, {"reports:write", "reports:read"}} {
		if _, err := exchangeFor(t, w.client, alice, exchange.Target{Resource: []string{api}, Scopes: scopes}); err != nil {
			t.Fatal(err)
		}
	}
	w.wantAsked(1)
}

func TestManyCallersMakeOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.issuer.SetFault(authtest.EndpointToken, authtest.Slow(time.Second))
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { w.mustExchange(alice) })
		}
		wg.Wait()
		w.wantAsked(1)
	})
}

func TestACallerThatLeavesTakesNobodyAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.issuer.SetFault(authtest.EndpointToken, authtest.Slow(time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := w.client.Exchange(ctx, exchange.Request{Subject: alice, Target: target()})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			isClass(t, err, nil)
		})
		time.Sleep(time.Microsecond) // virtual
		wg.Go(func() { w.mustExchange(alice) })
		wg.Wait()
		w.wantAsked(1)
	})
}

func TestTokensAreRefreshedAheadOfTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		first := w.mustExchange(alice)
		time.Sleep(44 * time.Minute) // virtual
		w.mustExchange(alice)
		synctest.Wait()
		w.wantAsked(1)
		time.Sleep(8 * time.Minute)
		w.issuer.SetFault(authtest.EndpointToken, authtest.Slow(2*time.Second))
		start := time.Now()
		for range 50 {
			if got := w.mustExchange(alice); got.AccessToken() != first.AccessToken() {
				t.Error("the old token is still good, and should serve")
			}
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("callers waited %v for a refresh ahead of time", waited)
		}
		time.Sleep(3 * time.Second)
		if got := w.mustExchange(alice); got.AccessToken() == first.AccessToken() {
			t.Error("the refreshed token is not used")
		}
		w.wantAsked(2)
	})
}

func TestAnOutageDuringARefreshIsNotSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.mustExchange(alice)
		time.Sleep(52 * time.Minute)
		w.issuer.SetFault(authtest.EndpointAll, authtest.Down())
		before := w.issuer.Hits(authtest.EndpointAll)
		for range 300 { // 5 minutes
			w.mustExchange(alice)
			time.Sleep(time.Second)
		}
		if attempts := w.issuer.Hits(authtest.EndpointAll) - before; attempts < 25 || attempts > 31 {
			t.Errorf("%d attempts in 5 minutes, want one every 10 s", attempts)
		}
		time.Sleep(3 * time.Minute) // beyond its end
		_, err := w.exchange(alice)
		isClass(t, err, verifier.ErrUnavailable)
		w.issuer.ClearFaults()
		w.mustExchange(alice)
	})
}

func TestARefusedRefreshEndsTheOldToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.mustExchange(alice)
		time.Sleep(52 * time.Minute)
		w.issuer.SetFault(authtest.EndpointToken, refusal(`{"error":"invalid_grant"}`))
		w.mustExchange(alice)
		synctest.Wait()
		_, err := w.exchange(alice)
		isClass(t, err, verifier.ErrInvalidToken)
	})
}

func TestATokenEndsWithTheUsersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The server does not bound what it issues by the subject token.
		server := &endpoint{answer: func(w http.ResponseWriter, _ url.Values) {
			respondJSON(w, 200, `{"access_token":"AT","issued_token_type":"`+exchange.TypeAccessToken+`","token_type":"bearer","expires_in":660}`)
		}}
		w := newWorld(t, func(c *exchange.Config) {
			c.TokenEndpoint, c.Transport = "https://as.example/token", authtest.Network{"https://as.example": server}
		})
		alice := w.user("alice", authtest.Claims{"exp": time.Now().Add(10 * time.Minute)})
		for range 10 {
			w.mustExchange(alice)
			time.Sleep(59 * time.Second)
			synctest.Wait()
		}
		if len(server.forms) != 1 {
			t.Errorf("asked %d times: a refresh by the same token is pointless", len(server.forms))
		}
		time.Sleep(time.Minute)
		_, err := w.exchange(alice)
		isClass(t, err, verifier.ErrInvalidToken)
		if len(server.forms) != 1 {
			t.Error("an expired token left this server")
		}
	})
}

func TestErrorsAreNeverRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		for n := range 5 {
			w.issuer.SetFault(authtest.EndpointToken, refusal(`{"error":"access_denied"}`))
			_, err := w.exchange(alice)
			isClass(t, err, nil)
			w.wantAsked(n + 1)
		}
		w.issuer.ClearFaults()
		w.mustExchange(alice)
	})
}

func TestWhoseTokensLeaveThisServer(t *testing.T) {
	w := newWorld(t)
	other := authtest.NewIssuer(t, authtest.Config{URL: "https://other.example", Resources: []string{mcpServer}})
	jwt, err := verifier.NewJWT(verifier.JWTConfig{Resource: mcpServer, Issuers: []verifier.Issuer{{URL: other.URL()}}, Transport: other.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := jwt.Verify(t.Context(), other.Token(nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		ctx     context.Context
		subject *verifier.Token
		text    string
	}{
		"of another issuer":        {t.Context(), foreign, "SubjectIssuers"},
		"without credential":       {t.Context(), &verifier.Token{Issuer: w.issuer.URL(), Subject: "alice", Expiry: time.Now().Add(time.Hour)}, "credential"},
		"none at all":              {t.Context(), nil, "front door"},
		"none: anonymous context":  {verifier.NewContext(t.Context(), nil), nil, "front door"},
		"another's in the context": {verifier.NewContext(t.Context(), foreign), nil, "SubjectIssuers"},
	} {
		_, err := w.client.Exchange(c.ctx, exchange.Request{Subject: c.subject, Target: target()})
		isClass(t, err, nil)
		if !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.wantAsked(0)
	if _, err := w.client.Exchange(verifier.NewContext(t.Context(), w.user("alice")), exchange.Request{Target: target()}); err != nil {
		t.Errorf("from the context: %v", err)
	}
}

func TestClientCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		own := exchange.Target{Resource: []string{mcpServer}, Scopes: []string{"reports:read"}}
		for range 10 {
			token, err := w.client.ClientCredentials(t.Context(), own)
			if err != nil {
				t.Fatal(err)
			}
			verified, err := w.jwt.Verify(t.Context(), token.AccessToken())
			if err != nil || verified.Subject != serverID || verified.Actor != nil {
				t.Fatalf("%v, %v", verified, err)
			}
		}
		w.wantAsked(1)
		w.issuer.SetFault(authtest.EndpointToken, refusal(`{"error":"invalid_grant"}`))
		_, err := w.client.ClientCredentials(t.Context(), exchange.Target{Resource: []string{mcpServer}})
		isClass(t, err, verifier.ErrUnavailable) // no client is to blame
		if !errors.Is(err, verifier.ErrOurCredentials) {
			t.Error(err)
		}
	})
}

func TestTheActorsFailureIsNotTheUsers(t *testing.T) {
	w := newWorld(t)
	for name, fail := range map[string]error{
		"invalid token": &verifier.InvalidTokenError{Reason: verifier.ReasonExpired},
		"with a secret": errors.New("cannot open " + secret),
		"one of ours":   &exchange.Error{Issuer: "https://as.example", Code: "invalid_grant", Status: 400},
	} {
		to := target()
		to.Actor = func(context.Context) (*exchange.Token, error) { return nil, fail }
		_, err := exchangeFor(t, w.client, w.user("alice"), to)
		isClass(t, err, verifier.ErrUnavailable)
		if !errors.Is(err, verifier.ErrOurCredentials) {
			t.Errorf("%s: %v", name, err)
		}
	}
	to := target()
	to.Actor = func(context.Context) (*exchange.Token, error) { return nil, nil }
	_, err := exchangeFor(t, w.client, w.user("alice"), to)
	isClass(t, err, nil)
	w.wantAsked(0)
}

func TestDiscovery(t *testing.T) {
	for _, form := range []authtest.Discovery{authtest.OpenIDAppended, authtest.RFC8414Inserted} {
		issuer := authtest.NewIssuer(t, authtest.Config{
			URL: "https://issuer.example/tenant", Resources: []string{mcpServer}, Discovery: []authtest.Discovery{form},
			Clients: []authtest.Client{{ID: serverID, Secret: secret}},
		})
		client := newClient(t, exchange.Config{Issuer: issuer.URL(), Auth: clientauth.SecretBasic(serverID, secret), Transport: issuer.Transport()})
		if _, err := client.ClientCredentials(t.Context(), exchange.Target{}); err != nil {
			t.Errorf("%s: %v", form, err)
		}
		if _, err := client.ClientCredentials(t.Context(), exchange.Target{Resource: []string{mcpServer}}); err != nil || issuer.Hits(authtest.EndpointDiscovery) > 2 {
			t.Errorf("%s: %v, %d searches", form, err, issuer.Hits(authtest.EndpointDiscovery))
		}
	}
	for name, metadata := range map[string]map[string]any{
		"another issuer's":  {"issuer": "https://evil.example"},
		"to plain http":     {"token_endpoint": "http://issuer.example/token"},
		"to loopback":       {"token_endpoint": "http://127.0.0.1/token"},
		"without":           {"token_endpoint": authtest.Omit},
		"with a wrong type": {"token_endpoint": 7},
	} {
		issuer := authtest.NewIssuer(t, authtest.Config{Resources: []string{mcpServer}, Metadata: metadata, Clients: []authtest.Client{{ID: serverID, Secret: secret}}})
		network := authtest.Network{issuer.URL(): issuer, "http://127.0.0.1": http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			t.Errorf("%s: our credentials were sent to another server", name)
		})}
		client := newClient(t, exchange.Config{Issuer: issuer.URL(), Auth: clientauth.SecretBasic(serverID, secret), Transport: network})
		_, err := client.ClientCredentials(t.Context(), exchange.Target{})
		isClass(t, err, verifier.ErrUnavailable)
		if issuer.Hits(authtest.EndpointToken) != 0 {
			t.Errorf("%s: our credentials were sent", name)
		}
	}
}

func TestAnEndpointThatMovedIsFoundAgain(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	w.issuer.SetFault(authtest.EndpointToken, authtest.Respond(http.StatusNotFound, nil, ""))
	for range 2 {
		before := w.issuer.Hits(authtest.EndpointDiscovery)
		_, err := w.exchange(alice)
		isClass(t, err, verifier.ErrUnavailable)
		if w.issuer.Hits(authtest.EndpointDiscovery) != before+1 {
			t.Error("not searched for again")
		}
	}
	w.issuer.ClearFaults()
	w.mustExchange(alice)
}

func refusal(body string) authtest.Fault {
	return authtest.Respond(http.StatusBadRequest, http.Header{"Content-Type": {"application/json"}}, body)
}
