package middleware

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/contextkey"
	"github.com/gatehouse-mcp/gatehouse/prm"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// A Guard protects one resource. It is immutable and safe for concurrent use.
// The zero value refuses every request with 401.
type Guard struct {
	rules *rules // nil: refuse everything
}

// New checks config and returns its Guard. It does no I/O and starts no
// goroutine; keys are fetched when the first token needs them. The error joins
// every mistake in config.
func New(config Config) (*Guard, error) {
	rules, err := config.compile()
	if err != nil {
		return nil, err
	}
	return &Guard{rules: rules}, nil
}

// Metadata returns the RFC 9728 document of the resource, to be mounted at its
// Path. It is public: never wrap it. That of the zero Guard answers 404.
func (g *Guard) Metadata() *prm.Document {
	if rules := g.compiled(); rules != nil {
		return rules.document
	}
	return new(prm.Document)
}

// Require wraps a handler that needs every one of scopeTokens. Without any, every
// valid token will do. It panics like Protect.
func (g *Guard) Require(scopeTokens ...string) func(http.Handler) http.Handler {
	return g.Protect(scopes.Policy{Base: scopes.All(scopeTokens...)})
}

// Protect wraps a handler with a policy. Like http.ServeMux.Handle it panics,
// at wiring, if the policy is not valid, if its scopes do not fit into a
// challenge of 4 KiB, or if the handler is nil.
//
// The ResponseWriter reaches the handler unwrapped, unless Config.LateStepUp is
// set. The request it gets is a copy without Authorization and DPoP headers, with
// the token in its context; the context ends when the token expires, or a
// Config.Recheck finds it no longer good.
func (g *Guard) Protect(policy scopes.Policy) func(http.Handler) http.Handler {
	rules := g.compiled()
	route := rules.mustRoute(policy)
	return func(next http.Handler) http.Handler {
		if f, isFunc := next.(http.HandlerFunc); next == nil || isFunc && f == nil {
			panic("middleware: nil handler")
		}
		return &door{rules: rules, route: route, next: next}
	}
}

// mustRoute compiles a policy at wiring.
func (ru *rules) mustRoute(policy scopes.Policy) *route {
	route, err := ru.route(policy)
	if err != nil {
		panic(fmt.Sprintf("middleware: invalid policy: %v", err))
	}
	return route
}

// compiled returns nil for the zero and the nil Guard.
func (g *Guard) compiled() *rules {
	if g == nil {
		return nil
	}
	return g.rules
}

// A door is one protected handler: it delivers what the rules decide.
type door struct {
	rules *rules
	route *route
	next  http.Handler
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.rules != nil && d.rules.bodies || d.route.policy.NeedsBody() {
		r = r.WithContext(r.Context()) // the body is replaced, and r is the caller's
	}
	decision := d.rules.decide(r, d.route)
	defer decision.endBody()
	d.rules.report(r.Context(), decision)
	if decision.refusal != nil {
		decision.refusal.ServeHTTP(w, r)
		return
	}
	d.rules.allowOrigin(w.Header(), r)
	if d.rules.late {
		late := &lateAnswer{ResponseWriter: w, request: r, rules: d.rules, route: d.route, decided: decision, header: w.Header().Clone()}
		defer late.finish()
		w, r = late, r.WithContext(context.WithValue(r.Context(), contextkey.Late{}, late))
	}
	if decision.token == nil {
		d.next.ServeHTTP(w, d.rules.anonymous(r))
		return
	}
	ctx := newTokenContext(r.Context(), decision.token, decision.token.Expiry.Add(d.rules.leeway))
	if d.rules.recheckTime > 0 {
		ctx.recheck = &recheck{ask: d.rules.recheckOf(decision.credential, decision.token), every: d.rules.recheckTime}
	}
	defer d.rules.end(r.Context(), ctx, d.route, decision)
	d.next.ServeHTTP(w, d.rules.admit(r, ctx))
}

// recheckOf returns a function that returns nil while a credential is good for
// what it was good for: the same caller with no fewer scopes. That nobody can say
// so now is no reason to break off.
func (ru *rules) recheckOf(credential string, before *verifier.Token) func(context.Context) error {
	return func(ctx context.Context) error {
		token, _, err := ru.verify(ctx, credential)
		switch {
		case errors.Is(err, verifier.ErrInvalidToken):
			return err
		case err != nil:
			return nil
		}
		if _, err = ru.recheck(token); err != nil {
			return err
		}
		if token.Issuer != before.Issuer || token.Subject != before.Subject || !token.Scopes.Contains(before.Scopes) {
			return errGrantsLess
		}
		return nil
	}
}

// admit returns the request for the handler behind the door.
func (ru *rules) admit(r *http.Request, ctx *tokenContext) *http.Request {
	admitted := r.WithContext(ctx)
	if !ru.forward {
		admitted.Header = ru.withoutCredentials(r.Header)
	}
	return admitted
}

// anonymous returns the request of a caller without a token. Credentials of a
// scheme we do not speak are removed, even where tokens are forwarded, because
// nobody has judged them; so is a token that somebody else put into the context.
func (ru *rules) anonymous(r *http.Request) *http.Request {
	ctx := r.Context()
	_, carries := verifier.FromContext(ctx)
	if !carries && !ru.hasCredentials(r.Header) {
		return r
	}
	if carries {
		ctx = verifier.NewContext(ctx, nil)
	}
	stripped := r.WithContext(ctx)
	stripped.Header = ru.withoutCredentials(r.Header)
	return stripped
}

func (ru *rules) hasCredentials(h http.Header) bool {
	return len(h["Authorization"]) > 0 || len(h["Dpop"]) > 0 || len(h[ru.tokenHeader]) > 0
}

// withoutCredentials copies the map and shares the values: a handler that sets
// or adds fields does not touch the caller's, for half of what Clone costs.
func (ru *rules) withoutCredentials(h http.Header) http.Header {
	clean := maps.Clone(h)
	delete(clean, "Authorization")
	delete(clean, "Dpop") // the canonical form of DPoP
	if ru.tokenHeader != "" {
		delete(clean, ru.tokenHeader)
	}
	return clean
}

// What bounds Config.Leeway and Config.MaxBody, and what stands for zero there.
const (
	defaultMaxBody = 4 << 20
	maxMaxBody     = 64 << 20
	defaultLeeway  = 10 * time.Second
	maxLeeway      = 2 * time.Minute
)
