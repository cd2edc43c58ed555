package exchange

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

// Transport returns an http.RoundTripper that calls target for the user whose
// verified token is in the request's context, through base. Nil means
// http.DefaultTransport. It is safe for concurrent use. Like http.ServeMux.Handle
// it panics, at wiring, if the target is not valid or has no host; Check tells
// before.
//
// A request to a host that is not the target's, without https outside loopback, or
// that is a redirect from another origin fails, and no token is asked for. An
// Authorization field of the request is replaced; redirects are the business of
// the http.Client around it. An answer with status 401 is tried once more with a
// new token, if the body can be sent again (GetBody, or none) and the last such
// attempt for this user is some seconds ago. Errors are those of Exchange.
func (c *Client) Transport(base http.RoundTripper, target Target) http.RoundTripper {
	if c == nil || c.where == nil {
		panic(errUnmade.Error())
	}
	w, err := c.compile(target, c.dialect.grant)
	if err != nil {
		panic(fmt.Sprintf("exchange: invalid target: %v", err))
	}
	if len(w.hosts) == 0 {
		panic("exchange: invalid target: Hosts is required where Resource has no https URL")
	}
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{client: c, wanted: w, base: base}
}

type transport struct {
	client *Client
	wanted *wanted
	base   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	start, q := time.Now(), &question{wanted: t.wanted}
	e, err := t.credential(request, q, start)
	t.client.report(request.Context(), TriggerCall, q, start, err)
	if err != nil {
		if request.Body != nil {
			_ = request.Body.Close()
		}
		return nil, err
	}
	response, err := t.send(request, request, e.token)
	if err != nil || response == nil || response.StatusCode != http.StatusUnauthorized {
		return response, err
	}
	return t.again(request, response, q, e)
}

// send makes request with the token. The answer is to the caller's own request,
// so that the token does not come back with it.
func (t *transport) send(own, request *http.Request, token *Token) (*http.Response, error) {
	response, err := t.base.RoundTrip(authorized(request, token))
	if response != nil {
		response.Request = own
	}
	return response, err
}

func (t *transport) credential(request *http.Request, q *question, now time.Time) (*entry, error) {
	if problem := t.misdirected(request); problem != "" {
		return nil, t.client.misused(problem)
	}
	e, err := t.client.forUser(request.Context(), q, now)
	if err == nil && e.token.Scheme != "Bearer" {
		return nil, &Error{Issuer: t.client.issuer, Status: http.StatusOK, Err: badAnswer("token_type is not Bearer, and proofs are not supported here")}
	}
	return e, err
}

// misdirected says why a request must not carry the token, or nothing. Host decides
// as well as the URL: a shared front end goes by it.
func (t *transport) misdirected(request *http.Request) string {
	u := request.URL
	switch {
	case u == nil || u.Host == "" || u.Opaque != "" || u.User != nil:
		return "the request's URL has no host, is opaque, or has user information"
	case u.Scheme != "https" && !(u.Scheme == "http" && fetch.Loopback(u.Hostname())):
		return "the request is not https, and leaves this machine"
	case !slices.Contains(t.wanted.hosts, hostOf(u, u.Host)):
		return "the request goes to a host that is not among the target's"
	case request.Host != "" && hostOf(u, request.Host) != hostOf(u, u.Host):
		return "the request's Host is not the host of its URL"
	}
	// A client that follows a redirect says which answer made it do so.
	if from := request.Response; from != nil && (from.Request == nil || !sameOrigin(from.Request.URL, u)) {
		return "the request follows a redirect from another origin"
	}
	return ""
}

func sameOrigin(a, b *url.URL) bool {
	return a != nil && a.Scheme == b.Scheme && hostOf(a, a.Host) == hostOf(b, b.Host)
}

// authorized returns a copy of a request with the token. The map is a copy, the
// values of other fields are shared: nobody below may change them.
func authorized(request *http.Request, token *Token) *http.Request {
	copied := new(http.Request)
	*copied = *request
	copied.Header = make(http.Header, len(request.Header)+1)
	for name, values := range request.Header {
		// In any spelling: net/http writes what it does not know, and there would be two.
		if !strings.EqualFold(name, "Authorization") && !strings.EqualFold(name, "Host") {
			copied.Header[name] = values
		}
	}
	copied.Header["Authorization"] = []string{token.held.field}
	return copied
}

// again answers a 401: the token may have been revoked, or its keys removed.
func (t *transport) again(request *http.Request, refused *http.Response, q *question, used *entry) (*http.Response, error) {
	replay := *request
	switch {
	case request.Body == nil || request.Body == http.NoBody:
	case request.GetBody == nil:
		return refused, nil
	default:
		body, err := request.GetBody()
		if err != nil {
			return refused, nil
		}
		replay.Body = body
	}
	fresh, err := t.client.renew(request, q, used)
	if err != nil || fresh == nil {
		if replay.Body != nil {
			_ = replay.Body.Close()
		}
		if err != nil && refused.Body != nil {
			_ = refused.Body.Close()
		}
		if err != nil {
			return nil, err
		}
		return refused, nil
	}
	if refused.Body != nil {
		_ = refused.Body.Close()
	}
	return t.send(request, &replay, fresh.token)
}

// renew returns another token than used, which was refused; nil where there shall
// be none: an API that refuses everything must not cause an exchange per call.
func (c *Client) renew(request *http.Request, q *question, used *entry) (*entry, error) {
	now := time.Now()
	if e := c.memory.get(q, now); e != nil && e.token != used.token {
		q.how = ResultRemembered // somebody was faster
		c.report(request.Context(), TriggerUnauthorized, q, now, nil)
		return e, nil
	}
	if now.UnixNano() < used.renew.Load() {
		return nil, nil
	}
	next := now.Add(retryAfter).UnixNano()
	fresh, err := c.fetch(request.Context(), q, used)
	c.report(request.Context(), TriggerUnauthorized, q, now, err)
	if err != nil {
		used.renew.Store(next)
		return nil, err
	}
	fresh.renew.Store(next)
	if fresh.token == used.token || fresh.token.Scheme != "Bearer" {
		return nil, nil
	}
	return fresh, nil
}
