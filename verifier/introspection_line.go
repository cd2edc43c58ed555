package verifier

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/gatehouse-mcp/gatehouse/clientauth"
	"github.com/gatehouse-mcp/gatehouse/internal/discovery"
	"github.com/gatehouse-mcp/gatehouse/internal/fetch"
)

// ErrOurCredentials is in an *UnavailableError, or an *exchange.Error, when the
// authorization server does not accept this resource's own credentials, or there
// are none to send. No client can do anything about it, and no token is to blame:
// wake the operator.
var ErrOurCredentials = errors.New("verifier: this resource's own credentials do not work at the authorization server")

const (
	// The breaker opens when half of at least tripCalls failed within tripWindow,
	// and lets one question through after openFor.
	tripCalls  = 5
	tripWindow = 30 * time.Second
	openFor    = 2 * time.Second
	// maxHold bounds how long the server can make us wait by Retry-After.
	maxHold = time.Minute
)

var (
	errNotAsked = errors.New("not asked")
	errBusy     = fmt.Errorf("%w: too many questions at a time", errNotAsked)
)

// line is the way to the server: who we are, where it is, and how much of it we
// may use. Whatever tokens come, no more questions are under way than slots.
type line struct {
	issuer  string
	auth    clientauth.Method
	client  *fetch.Client
	accept  string
	where   *discovery.Endpoint
	slots   *slots
	breaker *gobreaker.CircuitBreaker[*fetch.Answer]

	closed    atomic.Int64 // no question before, in ns since 1970
	lastError atomic.Pointer[error]
}

func newLine(issuer, address string, auth clientauth.Method, client *fetch.Client, most int, signed bool) *line {
	l := &line{issuer: issuer, auth: auth, client: client, accept: "application/json", slots: newSlots(most)}
	if signed {
		l.accept = "application/" + signedType // RFC 9701 §4
	}
	l.where = discovery.NewEndpoint(discovery.Locator{Issuer: issuer, Member: discovery.Introspection, Fixed: address})
	l.breaker = gobreaker.NewCircuitBreaker[*fetch.Answer](gobreaker.Settings{
		Interval:     tripWindow,
		BucketPeriod: tripWindow / 10,
		Timeout:      openFor,
		ReadyToTrip: func(counts gobreaker.Counts) bool {
			judged := counts.TotalSuccesses + counts.TotalFailures
			return judged >= tripCalls && 2*counts.TotalFailures >= judged
		},
		OnStateChange: func(_ string, _, state gobreaker.State) {
			if state == gobreaker.StateOpen {
				l.hold(openFor)
			}
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errAnswer) },
	})
	return l
}

// ask puts one question and returns the answer with the time of the question. ctx
// must carry a deadline. The error is an *UnavailableError.
func (l *line) ask(ctx context.Context, token string) (*fetch.Answer, time.Time, error) {
	if err := l.open(time.Now()); err != nil {
		return nil, time.Time{}, err
	}
	if !l.slots.enter(ctx) {
		return nil, time.Time{}, l.unavailable(errBusy)
	}
	defer l.slots.leave()
	// A slot may have come free because the server just failed.
	if err := l.open(time.Now()); err != nil {
		return nil, time.Time{}, err
	}
	asked := time.Now()
	received, err := l.breaker.Execute(func() (*fetch.Answer, error) { return l.post(ctx, token) })
	if err != nil {
		return nil, time.Time{}, l.failed(err)
	}
	l.lastError.Store(nil)
	return received, asked, nil
}

// open refuses while the server is to be left alone.
func (l *line) open(now time.Time) error {
	left := time.Unix(0, l.closed.Load()).Sub(now)
	if left <= 0 {
		return nil
	}
	return &UnavailableError{Issuer: l.issuer, RetryAfter: left, Err: l.paused()}
}

// hold leaves the server alone for d at least.
func (l *line) hold(d time.Duration) {
	until := time.Now().Add(d).UnixNano()
	for {
		before := l.closed.Load()
		if before >= until || l.closed.CompareAndSwap(before, until) {
			return
		}
	}
}

// paused names the failure because of which nothing is asked, so that whoever
// looks for ErrOurCredentials finds it then as well.
func (l *line) paused() error {
	if last := l.lastError.Load(); last != nil {
		return fmt.Errorf("%w, after: %w", errNotAsked, *last)
	}
	return fmt.Errorf("%w, after failures", errNotAsked)
}

// post sends the question (RFC 7662 §2.1).
func (l *line) post(ctx context.Context, token string) (*fetch.Answer, error) {
	address, err := l.where.Find(ctx, l.client)
	if err != nil {
		return nil, err
	}
	header := http.Header{"Accept": {l.accept}}
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if err := l.auth.Apply(ctx, header, form, l.issuer); err != nil {
		// As text: what class the source of our credentials gave it means nothing here.
		return nil, fmt.Errorf("%w: %s", ErrOurCredentials, err)
	}
	received, err := l.client.Post(ctx, address, header, form)
	if err != nil {
		return nil, l.classify(err)
	}
	return received, nil
}

// classify says whose failure a failed request is.
func (l *line) classify(err error) error {
	status, answered := errors.AsType[*fetch.StatusError](err)
	if !answered {
		l.where.Forget() // it may have moved
		return err
	}
	// RFC 7662 §2.3, RFC 6749 §5.2, RFC 6750 §3.1: this is about us.
	if refused, ok := errors.AsType[*fetch.OAuthError](err); ok && (refused.Code == "invalid_client" || refused.Code == "unauthorized_client") {
		return fmt.Errorf("%w: %w", ErrOurCredentials, err)
	}
	switch code := status.Status; {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("%w: %w", ErrOurCredentials, err)
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed, code == http.StatusGone:
		l.where.Forget()
		return err
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code < 400, code > 499:
		return err
	}
	// The server is well and dislikes this question: no reason to stop others.
	return fmt.Errorf("%w: %w", errAnswer, err)
}

// failed notes why there is no answer.
func (l *line) failed(err error) error {
	if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
		return &UnavailableError{Issuer: l.issuer, RetryAfter: time.Second, Err: l.paused()}
	}
	if !errors.Is(err, errAnswer) {
		l.lastError.Store(&err)
	}
	outage := l.unavailable(err)
	if outage.RetryAfter > 0 { // RFC 9110 §10.2.3
		l.hold(min(outage.RetryAfter, maxHold))
	}
	return outage
}

func (l *line) unavailable(err error) *UnavailableError {
	outage := &UnavailableError{Issuer: l.issuer, Err: err}
	if status, ok := errors.AsType[*fetch.StatusError](err); ok {
		outage.RetryAfter = status.RetryAfter
	}
	return outage
}
