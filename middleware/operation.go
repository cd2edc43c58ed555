package middleware

import (
	"context"
	"maps"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/internal/jsonrpc"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

// authorize decides whether caller, nil for nobody, may do what r asks for. It
// reads the body only where the policy depends on it, and then puts it back.
func (ru *rules) authorize(r *http.Request, route *route, d *decision) {
	if !route.policy.NeedsBody() {
		d.refusal = ru.compare(route, d.caller, route.policy.Base())
		return
	}
	withoutUpgrade(r)
	if r.Method != http.MethodPost {
		ru.authorizeTransport(r, route, d)
		return
	}
	message, refusal := ru.readMessage(r, d, route.policy.Decides())
	if refusal != nil {
		d.refusal = refusal
		return
	}
	// All elements of a batch, or none (MCP 2025-03-26 transports).
	needed := make([]scopes.Requirement, 0, 8)
	judged := 0
	for i := range message.Messages {
		for op := range operations(&message.Messages[i]) {
			if judged++; judged > maxOperations || r.Context().Err() != nil {
				d.refusal = ru.unreadable(http.StatusBadRequest, jsonrpc.CodeInvalidRequest, nil, tooManyOperations)
				return
			}
			if ru.observe != nil && (i == 0 || d.operation == "") {
				d.operation = route.label(op)
			}
			needs, refusal := ru.needs(r.Context(), route, d.caller, op)
			if refusal != nil {
				d.refusal, d.operation = refusal, route.label(op)
				return
			}
			needed = append(needed, needs)
		}
	}
	d.refusal = ru.compare(route, d.caller, needed...)
}

// withoutUpgrade takes back what asks for another protocol on the connection (RFC
// 9110 §7.8), WebSocket or h2c: nobody would read the calls that come over it. A
// server need not follow, and some clients ask every time.
func withoutUpgrade(r *http.Request) {
	if _, asks := r.Header["Upgrade"]; !asks {
		return
	}
	r.Header = maps.Clone(r.Header)
	for _, field := range []string{"Upgrade", "Http2-Settings"} {
		delete(r.Header, field)
	}
}

// maxOperations bounds what one body may ask for: Decide may take its time.
const maxOperations = 1000

// authorizeTransport decides about a request that is no message: a stream, or the
// end of a session. Whatever else a handler might take for a call is denied,
// because nobody has read it.
func (ru *rules) authorizeTransport(r *http.Request, route *route, d *decision) {
	known := r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodDelete
	needs := route.policy.Transport()
	switch {
	case (!known || r.ContentLength != 0) && d.caller == nil:
		d.refusal = ru.unauthenticated(route.start)
	case !known || r.ContentLength != 0:
		d.refusal = ru.deny(nil)
	case route.policy.Decides() && (d.caller != nil || needs.IsPublic()):
		var err error
		if needs, err = route.policy.Decide(verifier.NewContext(r.Context(), d.caller), scopes.Operation{Method: r.Method}, needs); err != nil {
			d.refusal = ru.undecided(route, err)
			return
		}
		fallthrough
	default:
		d.refusal = ru.compare(route, d.caller, needs)
	}
}

// operations lists what one message asks for: one operation, except for a
// subscription, which may be for several resources and tasks.
func operations(m *jsonrpc.Message) func(yield func(scopes.Operation) bool) {
	return func(yield func(scopes.Operation) bool) {
		if m.Method != "subscriptions/listen" {
			name := m.Name
			if name == "" {
				name = m.URI
			}
			if name == "" {
				name = m.TaskID
			}
			yield(scopes.Operation{Method: m.Method, Name: name, Ref: m.Ref, Arguments: m.Arguments})
			return
		}
		for _, uri := range m.URIs {
			if !yield(scopes.Operation{Method: m.Method, Name: uri}) {
				return
			}
		}
		for _, task := range m.TaskIDs {
			if !yield(scopes.Operation{Method: "tasks/get", Name: task}) {
				return
			}
		}
		yield(scopes.Operation{Method: m.Method})
	}
}

// needs returns what an operation needs, Decide included.
func (ru *rules) needs(ctx context.Context, route *route, caller *verifier.Token, op scopes.Operation) (scopes.Requirement, *Refusal) {
	needs, allowed := route.policy.Judge(op)
	if !allowed {
		// Who has not shown a token does not learn what there is.
		if caller == nil {
			return needs, ru.unauthenticated(route.start)
		}
		return needs, ru.deny(nil)
	}
	if !route.policy.Decides() || caller == nil && !needs.IsPublic() {
		return needs, nil
	}
	needs, err := route.policy.Decide(verifier.NewContext(ctx, caller), op, needs)
	if err != nil {
		return needs, ru.undecided(route, err)
	}
	return needs, nil
}

// compare returns the refusal of a caller who lacks anything of needed, nil if
// nothing is lacking. The challenge names the scopes of all at once.
func (ru *rules) compare(route *route, caller *verifier.Token, needed ...scopes.Requirement) *Refusal {
	var granted, lacking scopes.Set
	if caller != nil {
		granted = ru.implied.Expand(caller.Scopes)
	}
	refused := false
	for _, needs := range needed {
		switch {
		case needs.IsPublic():
		case caller == nil:
			refused = true
			lacking = lacking.Union(needs.Needed(granted))
		case !needs.Allows(granted):
			refused = true
			fallthrough
		default:
			if len(needed) > 1 || refused {
				lacking = lacking.Union(needs.Needed(granted))
			}
		}
	}
	switch {
	case !refused:
		return nil
	case caller == nil:
		return ru.unauthenticated(lacking)
	}
	return ru.insufficientScope(route, caller.Scopes, lacking)
}
