// Package oteltrace adds what the front door decided to the OpenTelemetry span of
// the request, as a span event, if a span is there and records. It needs the API
// modules only; the provider, and what becomes of spans, is the caller's:
//
//	guard, err := middleware.New(middleware.Config{..., Observe: oteltrace.Observe})
//	exchanger, err := exchange.New(exchange.Config{..., Observe: oteltrace.ObserveExchange})
//
// The middleware that starts spans, such as otelhttp, belongs outside the Guard.
// The keys are those of package eventlog, durations in nanoseconds, texts cut to 512
// octets. Nothing that a token or a request says is added: neither subject nor
// client. The functions are safe for concurrent use.
package oteltrace

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/gatehouse-mcp/gatehouse/exchange"
	"github.com/gatehouse-mcp/gatehouse/middleware"
)

// The names of the span events.
const (
	decision  = "auth.decision"
	exchanged = "auth.exchange"
)

const maxText = 512 // octets of one value

// Observe adds the event auth.decision. It fits [middleware.Config].Observe.
func Observe(ctx context.Context, event middleware.Event) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	attrs := make(list, 0, 10)
	attrs.add("auth.outcome", string(event.Outcome))
	attrs.add("auth.reason", string(event.Reason))
	attrs.add("auth.resource", event.Resource)
	attrs.add("auth.operation", event.Operation)
	attrs.add("auth.scheme", string(event.Scheme))
	if event.Status != 0 {
		attrs = append(attrs, attribute.Int("auth.status", event.Status))
	}
	if event.Duration > 0 { // nanoseconds, as slog writes them
		attrs = append(attrs, attribute.Int64("auth.duration", int64(event.Duration)))
	}
	attrs.add("auth.needed", event.Needed.String())
	attrs.add("iss", event.Issuer)
	attrs.failed("auth.error", event.Err)
	span.AddEvent(decision, trace.WithAttributes(attrs...))
}

// ObserveExchange adds the event auth.exchange. It fits [exchange.Config].Observe.
// A refresh ahead of time belongs to no request, and so to no span.
func ObserveExchange(ctx context.Context, event exchange.Event) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	attrs := make(list, 0, 6)
	attrs.add("exchange.result", string(event.Result))
	attrs.add("exchange.trigger", string(event.Trigger))
	attrs.add("exchange.target", event.Target)
	if event.Duration > 0 {
		attrs = append(attrs, attribute.Int64("exchange.duration", int64(event.Duration)))
	}
	attrs.add("iss", event.Issuer)
	attrs.failed("exchange.error", event.Err)
	span.AddEvent(exchanged, trace.WithAttributes(attrs...))
}

// TraceID returns the id of the trace that ctx belongs to, or "". It fits the
// TraceID of metrics.Config and of eventlog.Config.
func TraceID(ctx context.Context) string {
	span := trace.SpanContextFromContext(ctx)
	if !span.HasTraceID() {
		return ""
	}
	return span.TraceID().String()
}

// list is the attributes of one event.
type list []attribute.KeyValue

func (l *list) add(key, value string) {
	if value != "" {
		*l = append(*l, attribute.String(key, strings.ToValidUTF8(value[:min(len(value), maxText)], "\uFFFD")))
	}
}

func (l *list) failed(key string, err error) {
	if err != nil {
		l.add(key, err.Error())
	}
}
