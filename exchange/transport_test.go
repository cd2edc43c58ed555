package exchange_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// http returns the user's http.Client for the API.
func (w *world) http() *http.Client {
	return &http.Client{Transport: w.client.Transport(w.api, target())}
}

func newRequest(t testing.TB, subject *verifier.Token, method, address string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(verifier.NewContext(context.Background(), subject), method, address, body)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// call makes one request and returns status and error.
func (w *world) call(client *http.Client, request *http.Request) (int, error) {
	w.t.Helper()
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_ = response.Body.Close()
	return response.StatusCode, nil
}

func TestTransportCarriesTheExchangedToken(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	request := newRequest(t, alice, http.MethodPost, api+"reports?x=1", strings.NewReader("the body"))
	request.Header.Set("Authorization", "Bearer "+alice.DangerouslyRaw()) // a handler's mistake
	request.Header.Set("X-Own", "kept")
	if _, err := w.call(w.http(), request); err != nil {
		t.Fatal(err)
	}
	want := call{api + "reports?x=1", "api.example.com", "Bearer " + w.mustExchange(alice).AccessToken(), "the body"}
	if w.api.calls[0] != want {
		t.Errorf("the API got %+v", w.api.calls[0])
	}
	if request.Header.Get("Authorization") != "Bearer "+alice.DangerouslyRaw() || len(request.Header) != 2 {
		t.Error("the caller's request was changed") // the contract of http.RoundTripper
	}
	w.wantAsked(1)
}

func TestNoSpellingOfAuthorizationGetsThrough(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	var sent http.Header
	transport := w.client.Transport(roundTrip(func(r *http.Request) (*http.Response, error) {
		sent = r.Header
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}), target())
	request := newRequest(t, alice, http.MethodGet, api, nil)
	for _, name := range []string{"authorization", "AUTHORIZATION", "Authorization"} {
		request.Header[name] = []string{"Bearer " + alice.DangerouslyRaw()}
	}
	request.Header["host"] = []string{"evil.example"}
	if _, err := transport.RoundTrip(request); err != nil {
		t.Fatal(err)
	}
	if want := "Bearer " + w.mustExchange(alice).AccessToken(); len(sent) != 1 || len(sent["Authorization"]) != 1 || sent["Authorization"][0] != want {
		t.Errorf("%d fields were sent", len(sent))
	}
}

// What handlers print of an answer, its request for example, has no token in it.
func TestTheTokenDoesNotComeBack(t *testing.T) {
	w := newWorld(t)
	w.api.answer = func(n int, _ *http.Request) (int, http.Header) {
		return map[bool]int{true: 401, false: 200}[n == 1], http.Header{}
	}
	request := newRequest(t, w.user("alice"), http.MethodGet, api, nil)
	response, err := w.client.Transport(w.api, target()).RoundTrip(request)
	if err != nil || response.StatusCode != 200 || w.api.count() != 2 {
		t.Fatalf("%v after %d calls", err, w.api.count())
	}
	if response.Request != request || request.Header.Get("Authorization") != "" {
		t.Error("the answer carries the token")
	}
}

// closed tells whether a body was closed.
type closed struct {
	io.Reader
	done bool
}

func (c *closed) Close() error {
	c.done = true
	return nil
}

func TestWhereTheTokenGoes(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	local := w.client.Transport(w.api, exchange.Target{Audience: []string{"reports"}, Hosts: []string{"127.0.0.1:8080", "API.example.net:443", "[::1]:9", "intranet"}})
	own := w.client.Transport(w.api, target())
	for _, c := range []struct {
		name      string
		transport http.RoundTripper
		url, host string
		goes      bool
	}{
		{"its own host", own, "https://api.example.com/x", "", true},
		{"with its port", own, "https://api.example.com:443/x", "", true},
		{"in another case", own, "https://API.Example.com/x", "", true},
		{"its name again in Host", own, "https://api.example.com/x", "api.example.com:443", true},
		{"another host", own, "https://evil.example/x", "", false},
		{"a subdomain", own, "https://a.api.example.com/x", "", false},
		{"its parent", own, "https://example.com/x", "", false},
		{"a suffix", own, "https://api.example.com.evil.example/x", "", false},
		{"another port", own, "https://api.example.com:8443/x", "", false},
		{"an empty port, which http.NewRequest drops", own, "https://api.example.com:/x", "", true},
		{"with a dot", own, "https://api.example.com./x", "", false},
		{"plain http", own, "http://api.example.com/x", "", false},
		{"plain http on 443", own, "http://api.example.com:443/x", "", false},
		{"another scheme", own, "ftp://api.example.com/x", "", false},
		{"user information", own, "https://api.example.com@evil.example/x", "", false},
		{"user information for it", own, "https://a:b@api.example.com/x", "", false},
		{"a letter whose lower case is ASCII", own, "https://ap\u0130.example.com/x", "", false},
		{"another Host", own, "https://api.example.com/x", "evil.example", false},
		{"opaque", own, "https:api.example.com/x", "", false},
		{"loopback", local, "http://127.0.0.1:8080/x", "", true},
		{"loopback by https", local, "https://127.0.0.1:8080/x", "", true},
		{"loopback on another port", local, "http://127.0.0.1:8081/x", "", false},
		{"loopback by another name", local, "http://localhost:8080/x", "", false},
		{"IPv6", local, "http://[::1]:9/x", "", true},
		{"listed in capitals with its port", local, "https://api.example.net/x", "", true},
		{"listed, but plain http", local, "http://intranet/x", "", false},
	} {
		before, asked := w.api.count(), w.asked()
		body := &closed{Reader: strings.NewReader("x")}
		request := newRequest(t, alice, http.MethodPost, c.url, nil)
		request.Body, request.Host = body, c.host
		response, err := c.transport.RoundTrip(request)
		if (err == nil) != c.goes || (response == nil) != (err != nil) {
			t.Errorf("%s: %v", c.name, err)
		}
		if w.api.count() > before != c.goes {
			t.Errorf("%s: the API was called", c.name)
		}
		if !body.done {
			t.Errorf("%s: the body was not closed", c.name)
		}
		if !c.goes {
			isClass(t, err, nil)
			if w.asked() != asked {
				t.Errorf("%s: a token was asked for", c.name)
			}
		}
	}
}

func TestRedirects(t *testing.T) {
	for name, c := range map[string]struct {
		location string
		followed bool
	}{
		"on the same host":            {"/elsewhere", true},
		"to a host of nobody":         {"https://evil.example/x", false},
		"to a host of the target too": {"https://api.example.net/x", false},
		"to another port":             {"https://api.example.com:444/x", false},
		"to plain http":               {"http://api.example.com/x", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.api.answer = func(n int, _ *http.Request) (int, http.Header) {
				if n == 1 {
					return http.StatusTemporaryRedirect, http.Header{"Location": {c.location}}
				}
				return http.StatusOK, http.Header{}
			}
			to := target()
			to.Hosts = []string{"api.example.com", "api.example.net"}
			client := &http.Client{Transport: w.client.Transport(w.api, to)}
			_, err := w.call(client, newRequest(t, w.user("alice"), http.MethodGet, api, nil))
			if (err == nil) != c.followed {
				t.Fatalf("%v", err)
			}
			if want := map[bool]int{true: 2, false: 1}[c.followed]; w.api.count() != want {
				t.Errorf("%d calls", w.api.count())
			}
		})
	}
}

func TestARedirectFromHTTPSToHTTPIsNotFollowedOnLoopbackEither(t *testing.T) {
	w := newWorld(t)
	w.api.answer = func(int, *http.Request) (int, http.Header) {
		return http.StatusFound, http.Header{"Location": {"http://127.0.0.1:8080/"}}
	}
	client := &http.Client{Transport: w.client.Transport(w.api, exchange.Target{Audience: []string{"reports"}, Hosts: []string{"127.0.0.1:8080"}})}
	if _, err := w.call(client, newRequest(t, w.user("alice"), http.MethodGet, "https://127.0.0.1:8080/", nil)); err == nil || w.api.count() != 1 {
		t.Errorf("%v, %d calls", err, w.api.count())
	}
}

func Test401IsTriedOnceMore(t *testing.T) {
	for name, c := range map[string]struct {
		request func(*testing.T, *verifier.Token) *http.Request
		calls   int
		body    string
	}{
		"no body": {func(t *testing.T, u *verifier.Token) *http.Request {
			return newRequest(t, u, http.MethodGet, api, nil)
		}, 2, ""},
		"http.NoBody": {func(t *testing.T, u *verifier.Token) *http.Request {
			return newRequest(t, u, http.MethodGet, api, http.NoBody)
		}, 2, ""},
		"a body that can be sent again": {func(t *testing.T, u *verifier.Token) *http.Request {
			return newRequest(t, u, http.MethodPost, api, strings.NewReader("twice"))
		}, 2, "twice"},
		"a body that cannot": {func(t *testing.T, u *verifier.Token) *http.Request {
			return newRequest(t, u, http.MethodPost, api, io.MultiReader(strings.NewReader("once")))
		}, 1, "once"},
		"a body that fails to": {func(t *testing.T, u *verifier.Token) *http.Request {
			r := newRequest(t, u, http.MethodPost, api, strings.NewReader("once"))
			r.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("gone") }
			return r
		}, 1, "once"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			var first string
			w.api.answer = func(_ int, r *http.Request) (int, http.Header) {
				if first == "" {
					first = r.Header.Get("Authorization")
				}
				if r.Header.Get("Authorization") == first {
					return http.StatusUnauthorized, http.Header{}
				}
				return http.StatusOK, http.Header{}
			}
			status, err := w.call(w.http(), c.request(t, w.user("alice")))
			if want := map[int]int{1: 401, 2: 200}[c.calls]; err != nil || status != want {
				t.Errorf("%d, %v", status, err)
			}
			w.wantAsked(c.calls)
			if w.api.count() != c.calls || w.api.calls[c.calls-1].body != c.body {
				t.Errorf("the API got %+v", w.api.calls)
			}
		})
	}
}

func TestAnAPIThatRefusesEverythingCausesNoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.api.answer = func(int, *http.Request) (int, http.Header) { return http.StatusUnauthorized, http.Header{} }
		client := w.http()
		for range 600 { // a minute
			response, err := client.Do(newRequest(t, alice, http.MethodGet, api, nil))
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(response.Body)
			if response.StatusCode != 401 || err != nil || len(text) == 0 {
				t.Errorf("%d %q %v: the API's own answer should arrive", response.StatusCode, text, err)
			}
			_ = response.Body.Close()
			time.Sleep(100 * time.Millisecond)
		}
		if asked := w.asked(); asked < 6 || asked > 8 {
			t.Errorf("%d exchanges in a minute, want one every 10 s", asked)
		}
	})
}

func TestOneNewTokenForAllWhoseOldOneWasRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		old := "Bearer " + w.mustExchange(alice).AccessToken()
		w.api.answer = func(_ int, r *http.Request) (int, http.Header) {
			time.Sleep(time.Millisecond)
			if r.Header.Get("Authorization") == old {
				return http.StatusUnauthorized, http.Header{}
			}
			return http.StatusOK, http.Header{}
		}
		w.issuer.SetFault(authtest.EndpointToken, authtest.Slow(time.Second))
		client := w.http()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if status, err := w.call(client, newRequest(t, alice, http.MethodGet, api, nil)); err != nil || status != 200 {
					t.Errorf("%d, %v", status, err)
				}
			})
		}
		wg.Wait()
		w.wantAsked(2)
	})
}

func TestA401AndAServerThatIssuesNoMore(t *testing.T) {
	for name, c := range map[string]struct {
		fault authtest.Fault
		class error
	}{
		"the user's token has ended": {refusal(`{"error":"invalid_grant"}`), verifier.ErrInvalidToken},
		"the server is down":         {authtest.Down(), verifier.ErrUnavailable},
		"the user has to act":        {refusal(`{"error":"interaction_required"}`), exchange.ErrInteractionRequired},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			alice := w.user("alice")
			w.mustExchange(alice)
			w.api.answer = func(int, *http.Request) (int, http.Header) { return http.StatusUnauthorized, http.Header{} }
			w.issuer.SetFault(authtest.EndpointToken, c.fault)
			_, err := w.call(w.http(), newRequest(t, alice, http.MethodGet, api, nil))
			isClass(t, err, c.class)
		})
	}
}

func TestNoCallWithoutAUser(t *testing.T) {
	w := newWorld(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.call(w.http(), request)
	isClass(t, err, nil)
	if w.api.count() != 0 || !strings.Contains(err.Error(), "front door") {
		t.Errorf("%v", err)
	}
}

func TestABoundTokenIsNotSentAsBearer(t *testing.T) {
	w := newWorld(t)
	w.issuer.SetFault(authtest.EndpointToken, authtest.JSON(answer("token_type", `"DPoP"`)))
	_, err := w.call(w.http(), newRequest(t, w.user("alice"), http.MethodGet, api, nil))
	isClass(t, err, verifier.ErrUnavailable)
	if w.api.count() != 0 {
		t.Error("sent")
	}
}

func TestFailuresOfTheAPIAreItsOwn(t *testing.T) {
	w := newWorld(t)
	boom := errors.New("boom")
	transport := w.client.Transport(failing{boom}, target())
	if _, err := transport.RoundTrip(newRequest(t, w.user("alice"), http.MethodGet, api, nil)); !errors.Is(err, boom) {
		t.Error(err)
	}
	w.wantAsked(1)
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }
