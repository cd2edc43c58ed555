// Package eventlog writes the decisions of the front door to a [slog.Logger]:
//
//	events := eventlog.New(logger, eventlog.Config{})
//	guard, err := middleware.New(middleware.Config{..., Observe: events.Observe})
//	exchanger, err := exchange.New(exchange.Config{..., Observe: events.ObserveExchange})
//
// The keys are stable:
//
//	auth.outcome     a middleware.Outcome
//	auth.reason      a verifier.Reason, of tokens that were refused or have ended
//	auth.resource    the resource identifier
//	auth.operation   the tool, prompt or resource, by the policy's key
//	auth.scheme      how the token came
//	auth.status      the HTTP status of a refusal
//	auth.duration    how long the verifier took
//	auth.needed      the scopes that a 403 asks for
//	auth.held        the scopes that the caller holds, in audit records
//	auth.error       the cause of a refusal, for operators
//	auth.suppressed  like records that were left out since the last one
//	auth.audit       "denial" or "elevation", in audit records
//	iss, client_id   whose token it is
//	sub_hash, sub    the user: hashed, or plain if so configured
//	request_id, trace_id
//
// and of tokens for other APIs, besides iss, request_id and trace_id:
//
//	exchange.result      an exchange.Result
//	exchange.trigger     an exchange.Trigger
//	exchange.target      the API
//	exchange.duration    how long the token took
//	exchange.error       why there is none, for operators
//	exchange.suppressed  like records that were left out since the last one
//
// No credential is ever written, and no claim but the above. Values from tokens
// are cut to 64 characters, and what could forge or garble a line is escaped.
// Refusals that anybody can cause are limited in number; what a known caller was
// denied, or won by stepping up, is not, if there is an Audit logger.
package eventlog

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"time"

	"github.com/gatehouse-mcp/gatehouse/middleware"
)

// Config configures a Log. The zero value is ready to use.
type Config struct {
	_ [0]func() // unkeyed literals do not compile

	// RequestID and TraceID return the ids of the request that the context
	// belongs to, or "". Nil: none.
	RequestID func(context.Context) string
	TraceID   func(context.Context) string

	// Audit receives a record of every denial of a known caller, and of every
	// elevation: a caller who was asked for scopes and came back with them. Its
	// number is not limited: it takes a valid token to cause one. It may be the
	// same logger; records carry auth.audit. Nil: no such records.
	Audit *slog.Logger

	// SubjectKey is the key of the hash that stands for a subject (HMAC-SHA-256,
	// 16 characters). With the same key, all replicas write the same hash. Empty:
	// a random one, so that hashes compare within one process only. At least 16
	// octets; keep it secret, or subjects can be guessed.
	SubjectKey []byte

	// PerSecond limits the records of refusals, of ended streams and of tokens for
	// other APIs that could not be had, each class of outcome and reason, or result,
	// for itself, with bursts of ten times as many; what is left out is counted in
	// the next record. Zero: 1. Negative: no limit.
	PerSecond float64

	// PlainSubjects writes subjects as they are. They may be e-mail addresses:
	// mind what the law says about logs.
	PlainSubjects bool
}

// A Log writes events. Make it with New. It is safe for concurrent use as far as
// its loggers are. The zero value writes nothing.
type Log struct {
	logger    *slog.Logger
	audit     *slog.Logger
	requestID func(context.Context) string
	traceID   func(context.Context) string
	subject   func(issuer, subject string) slog.Attr
	limits    limits
	asked     memory
}

// New returns a Log that writes to logger: what is allowed at level Debug, what
// is refused at Info or Warn, and outages at Error. A nil logger writes nothing
// but audit records. It panics if SubjectKey is too short, as that is wiring.
func New(logger *slog.Logger, config Config) *Log {
	key := slices.Clone(config.SubjectKey)
	switch {
	case len(key) == 0:
		key = []byte(rand.Text())
	case len(key) < minSubjectKey:
		panic("eventlog: Config.SubjectKey has fewer than 16 octets")
	}
	l := &Log{logger: logger, audit: config.Audit, requestID: config.RequestID, traceID: config.TraceID}
	l.subject = hashed(key)
	if config.PlainSubjects {
		l.subject = plain
	}
	l.limits = newLimits(config.PerSecond)
	return l
}

// Observe writes one event. It fits [middleware.Config].Observe.
func (l *Log) Observe(ctx context.Context, event middleware.Event) {
	if l.logger != nil {
		l.write(ctx, event)
	}
	if l.audit == nil {
		return
	}
	switch {
	case event.Outcome == middleware.OutcomeInsufficientScope && event.Caller != nil:
		l.asked.add(event)
		l.record(ctx, event, "denial")
	case (event.Outcome == middleware.OutcomeDenied || event.Outcome == middleware.OutcomeWeakAuthentication) && event.Caller != nil:
		l.record(ctx, event, "denial")
	case event.Outcome == middleware.OutcomeAllowed:
		if needed, ok := l.asked.won(event); ok {
			event.Needed = needed
			l.record(ctx, event, "elevation")
		}
	}
}

// write writes the ordinary record, if it is wanted and not too many.
func (l *Log) write(ctx context.Context, event middleware.Event) {
	level := levelOf(event.Outcome)
	if !l.logger.Enabled(ctx, level) {
		return
	}
	var suppressed uint64
	if event.Status != 0 && event.Outcome != middleware.OutcomePreflight || event.Outcome == middleware.OutcomeEnded {
		var ok bool
		if suppressed, ok = l.limits.allow(class{outcome: event.Outcome, reason: event.Reason}, time.Now()); !ok {
			return
		}
	}
	attrs := l.attrs(ctx, event)
	if suppressed > 0 {
		attrs = append(attrs, slog.Uint64("auth.suppressed", suppressed))
	}
	l.logger.LogAttrs(ctx, level, message(event.Outcome), attrs...)
}

// record writes an audit record.
func (l *Log) record(ctx context.Context, event middleware.Event, kind string) {
	attrs := append(l.attrs(ctx, event),
		slog.String("auth.audit", kind),
		slog.String("auth.held", clean(event.Caller.Scopes.String(), maxScopes)))
	l.audit.LogAttrs(ctx, slog.LevelInfo, "authorization "+kind, attrs...)
}

func levelOf(outcome middleware.Outcome) slog.Level {
	switch outcome {
	case middleware.OutcomeAllowed, middleware.OutcomeAnonymous, middleware.OutcomePreflight, middleware.OutcomeCanceled:
		return slog.LevelDebug
	case middleware.OutcomeUnauthenticated, middleware.OutcomeInsufficientScope, middleware.OutcomeWeakAuthentication:
		return slog.LevelInfo // every login and every step-up begins so
	case middleware.OutcomeEnded:
		return slog.LevelInfo // every token expires
	case middleware.OutcomeUnavailable:
		return slog.LevelError
	}
	return slog.LevelWarn
}

func message(outcome middleware.Outcome) string {
	switch outcome {
	case middleware.OutcomeAllowed, middleware.OutcomeAnonymous, middleware.OutcomePreflight:
		return "request allowed"
	case middleware.OutcomeEnded:
		return "stream ended"
	}
	return "request refused"
}
