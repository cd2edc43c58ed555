package eventlog

import (
	"context"
	"log/slog"
	"time"

	"github.com/gatehouse-mcp/gatehouse/exchange"
)

// ObserveExchange writes one need for a token for another API: at level Debug
// where there is one or the caller went away, at Info where the user has to log in
// again or act, at Warn where this server asked for the wrong thing, and at Error
// where it cannot authenticate or there is an outage. It fits
// [exchange.Config].Observe.
func (l *Log) ObserveExchange(ctx context.Context, event exchange.Event) {
	level := levelOfExchange(event.Result)
	if l.logger == nil || !l.logger.Enabled(ctx, level) {
		return
	}
	var suppressed uint64
	if event.Err != nil {
		var ok bool
		if suppressed, ok = l.limits.allow(class{result: event.Result}, time.Now()); !ok {
			return
		}
	}
	attrs := make(list, 0, 10)
	attrs.add("exchange.result", string(event.Result), maxValue)
	attrs.add("exchange.trigger", string(event.Trigger), maxValue)
	attrs.add("exchange.target", event.Target, maxError)
	attrs.took("exchange.duration", event.Duration)
	attrs.add("iss", event.Issuer, maxError)
	l.ids(ctx, &attrs)
	if event.Err != nil {
		attrs.add("exchange.error", event.Err.Error(), maxError)
	}
	message := "token obtained"
	if event.Err != nil {
		message = "token not obtained"
	}
	if suppressed > 0 {
		attrs = append(attrs, slog.Uint64("exchange.suppressed", suppressed))
	}
	l.logger.LogAttrs(ctx, level, message, attrs...)
}

func levelOfExchange(result exchange.Result) slog.Level {
	switch result {
	case exchange.ResultRemembered, exchange.ResultObtained, exchange.ResultShared, exchange.ResultCanceled:
		return slog.LevelDebug
	case exchange.ResultInvalidGrant, exchange.ResultInteractionRequired:
		return slog.LevelInfo
	case exchange.ResultOurCredentials, exchange.ResultUnavailable:
		return slog.LevelError
	}
	return slog.LevelWarn
}
