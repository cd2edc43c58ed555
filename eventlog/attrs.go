package eventlog

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/middleware"
)

const (
	minSubjectKey = 16
	maxValue      = 64  // characters of one value
	maxError      = 512 // of the cause: our own text, with addresses in it
	maxScopes     = 512
)

// list is the attributes of one record.
type list []slog.Attr

func (l *list) add(key, value string, limit int) {
	if value != "" {
		*l = append(*l, slog.String(key, clean(value, limit)))
	}
}

func (l *list) took(key string, d time.Duration) {
	if d > 0 {
		*l = append(*l, slog.Duration(key, d))
	}
}

// ids adds what ties a record to others of its request.
func (l *Log) ids(ctx context.Context, attrs *list) {
	if l.requestID != nil {
		attrs.add("request_id", l.requestID(ctx), maxValue)
	}
	if l.traceID != nil {
		attrs.add("trace_id", l.traceID(ctx), maxValue)
	}
}

// attrs returns what every record of event has.
func (l *Log) attrs(ctx context.Context, event middleware.Event) []slog.Attr {
	attrs := make(list, 0, 16)
	attrs.add("auth.outcome", string(event.Outcome), maxValue)
	attrs.add("auth.reason", string(event.Reason), maxValue)
	attrs.add("auth.resource", event.Resource, maxError)
	attrs.add("auth.operation", event.Operation, maxValue)
	attrs.add("auth.scheme", string(event.Scheme), maxValue)
	if event.Status != 0 {
		attrs = append(attrs, slog.Int("auth.status", event.Status))
	}
	attrs.took("auth.duration", event.Duration)
	attrs.add("auth.needed", event.Needed.String(), maxScopes)
	attrs.add("iss", event.Issuer, maxError)
	if caller := event.Caller; caller != nil {
		attrs.add("client_id", caller.ClientID, maxValue)
		if caller.Subject != "" {
			attrs = append(attrs, l.subject(caller.Issuer, caller.Subject))
		}
	}
	l.ids(ctx, &attrs)
	if event.Err != nil {
		attrs.add("auth.error", event.Err.Error(), maxError)
	}
	return attrs
}

// hashed names a subject by a hash that only the holder of key can make. It
// covers the issuer, because a subject is unique there only.
func hashed(key []byte) func(issuer, subject string) slog.Attr {
	return func(issuer, subject string) slog.Attr {
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write([]byte(strconv.Quote(issuer) + subject))
		return slog.String("sub_hash", hex.EncodeToString(mac.Sum(nil)[:8]))
	}
}

func plain(_, subject string) slog.Attr { return slog.String("sub", clean(subject, maxValue)) }

// clean returns at most limit characters of s, with everything escaped that ends
// a line, moves a cursor, or turns the direction of writing. The work is bounded
// by limit, however long s is.
func clean(s string, limit int) string {
	var b strings.Builder
	length := 0
	for i, r := range s {
		piece := string(r)
		if r == unicode.ReplacementChar || r != ' ' && !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' || unicode.Is(unicode.Cf, r) {
			quoted := strconv.QuoteRuneToASCII(r)
			piece = quoted[1 : len(quoted)-1]
		}
		size := utf8.RuneCountInString(piece)
		_, width := utf8.DecodeRuneInString(s[i:])
		if length+size > limit-1 && i+width < len(s) || length+size > limit {
			return b.String() + "…"
		}
		b.WriteString(piece)
		length += size
	}
	return b.String()
}
