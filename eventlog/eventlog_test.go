package eventlog_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-mcp/gatehouse/eventlog"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/scopes"
	"github.com/gatehouse-mcp/gatehouse/verifier"
)

const (
	resource = "https://mcp.example.com/mcp"
	issuer   = "https://login.example.com"
)

// sink is a JSON log in memory.
type sink struct{ bytes.Buffer }

func (s *sink) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(s, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (s *sink) records(t *testing.T) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(s.String()) {
		record := map[string]any{}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, record)
	}
	return all
}

func set(t *testing.T, text string) scopes.Set {
	t.Helper()
	s, err := scopes.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func callerWith(t *testing.T, granted string) *verifier.Token {
	return &verifier.Token{Issuer: issuer, Subject: "alice@example.com", ClientID: "desk", Scopes: set(t, granted)}
}

func denial(t *testing.T) middleware.Event {
	return middleware.Event{
		Resource: resource, Outcome: middleware.OutcomeInsufficientScope, Issuer: issuer, Status: 403,
		Scheme: middleware.SchemeBearer, Operation: "write_file", Duration: time.Millisecond,
		Caller: callerWith(t, "files:read"), Needed: set(t, "files:write"),
	}
}

func allowed(t *testing.T, granted string) middleware.Event {
	caller := callerWith(t, granted)
	return middleware.Event{
		Resource: resource, Outcome: middleware.OutcomeAllowed, Issuer: issuer,
		Scheme: middleware.SchemeBearer, Token: caller, Caller: caller,
	}
}

func TestKeysAreStable(t *testing.T) {
	var out sink
	log := eventlog.New(out.logger(), eventlog.Config{
		RequestID: func(context.Context) string { return "r-1" },
		TraceID:   func(context.Context) string { return "t-1" },
	})
	log.Observe(t.Context(), denial(t))
	record := out.records(t)[0]
	for key, want := range map[string]any{
		"level": "INFO", "msg": "request refused", "auth.outcome": "insufficient_scope", "auth.resource": resource,
		"auth.operation": "write_file", "auth.scheme": "bearer", "auth.status": 403.0, "auth.duration": 1e6,
		"auth.needed": "files:write", "iss": issuer, "client_id": "desk", "request_id": "r-1", "trace_id": "t-1",
	} {
		if record[key] != want {
			t.Errorf("%s is %v, want %v", key, record[key], want)
		}
		delete(record, key)
	}
	delete(record, "time")
	if hash, _ := record["sub_hash"].(string); len(hash) != 16 || len(record) != 1 {
		t.Errorf("besides, the record has %v; want sub_hash alone", record)
	}
}

func TestSubjectsAreHashed(t *testing.T) {
	key := []byte("0123456789abcdef")
	hash := func(config eventlog.Config) string {
		var out sink
		eventlog.New(out.logger(), config).Observe(t.Context(), allowed(t, ""))
		if strings.Contains(out.String(), "alice") != config.PlainSubjects {
			t.Errorf("PlainSubjects %v wrote %s", config.PlainSubjects, out.String())
		}
		return fmt.Sprint(out.records(t)[0]["sub_hash"])
	}
	one := hash(eventlog.Config{SubjectKey: key})
	if one != hash(eventlog.Config{SubjectKey: key}) {
		t.Error("two replicas with one key write two hashes")
	}
	if first, second := hash(eventlog.Config{}), hash(eventlog.Config{}); first == one || first == second {
		t.Error("without a key the hash can be guessed")
	}
	hash(eventlog.Config{PlainSubjects: true})
	defer func() {
		if recover() == nil {
			t.Error("a short SubjectKey is taken")
		}
	}()
	eventlog.New(nil, eventlog.Config{SubjectKey: []byte("short")})
}

func TestRefusalsAreLimitedByClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sink
		log := eventlog.New(out.logger(), eventlog.Config{})
		flood := middleware.Event{Resource: resource, Outcome: middleware.OutcomeInvalidToken, Reason: verifier.ReasonSignature, Status: 401}
		for range 100_000 {
			log.Observe(t.Context(), flood)
		}
		if n := len(out.records(t)); n != 10 {
			t.Errorf("DS-15 a flood wrote %d records, want the burst of 10", n)
		}
		flood.Reason = verifier.ReasonExpired
		log.Observe(t.Context(), flood)
		if records := out.records(t); len(records) != 11 || records[10]["auth.reason"] != "expired" {
			t.Error("the flood hides another reason")
		}
		time.Sleep(time.Second)
		flood.Reason = verifier.ReasonSignature
		log.Observe(t.Context(), flood)
		records := out.records(t)
		if last := records[len(records)-1]; last["auth.suppressed"] != 100_000.0-10 {
			t.Errorf("auth.suppressed is %v", last["auth.suppressed"])
		}
		for range 100 {
			log.Observe(t.Context(), middleware.Event{Outcome: middleware.Outcome(rand(t)), Status: 401})
		}
		if n := len(out.records(t)); n != 12+10 {
			t.Errorf("invented outcomes wrote %d records, want 10", n-12)
		}
	})
}

func TestEndedStreamsAreLoggedAndLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out, audit sink
		log := eventlog.New(out.logger(), eventlog.Config{Audit: audit.logger()})
		ended := middleware.Event{
			Resource: resource, Outcome: middleware.OutcomeEnded, Reason: verifier.ReasonExpired, Issuer: issuer,
			Caller: callerWith(t, "files:read"),
		}
		for range 1000 {
			log.Observe(t.Context(), ended)
		}
		ended.Reason = verifier.ReasonInactive
		log.Observe(t.Context(), ended)
		records := out.records(t)
		if len(records) != 11 || audit.Len() != 0 {
			t.Fatalf("%d records, audit %s", len(records), audit.String())
		}
		last := records[10]
		for key, want := range map[string]any{
			"level": "INFO", "msg": "stream ended", "auth.outcome": "ended", "auth.reason": "inactive", "iss": issuer, "client_id": "desk",
		} {
			if last[key] != want {
				t.Errorf("%s is %v, want %v", key, last[key], want)
			}
		}
	})
}

func rand(t *testing.T) string { return fmt.Sprint(t.Name(), time.Now().UnixNano()) }

func TestAuditIsNeverSampled(t *testing.T) {
	var ordinary, audit sink
	log := eventlog.New(ordinary.logger(), eventlog.Config{Audit: audit.logger()})
	for range 5000 {
		log.Observe(t.Context(), denial(t))
	}
	denials := audit.records(t)
	if len(denials) != 5000 || len(ordinary.records(t)) >= 100 {
		t.Errorf("%d audit and %d ordinary records of 5000 denials", len(denials), len(ordinary.records(t)))
	}
	if first := denials[0]; first["auth.audit"] != "denial" || first["auth.needed"] != "files:write" || first["auth.held"] != "files:read" {
		t.Errorf("denial %v", first)
	}
	audit.Reset()
	for _, granted := range []string{"files:read", "files:read files:write", "files:read files:write"} {
		log.Observe(t.Context(), allowed(t, granted))
	}
	elevations := audit.records(t)
	if len(elevations) != 1 {
		t.Fatalf("%d elevations, want 1", len(elevations))
	}
	if first := elevations[0]; first["auth.audit"] != "elevation" || first["auth.needed"] != "files:write" ||
		first["auth.held"] != "files:read files:write" || first["sub_hash"] != denials[0]["sub_hash"] {
		t.Errorf("elevation %v", first)
	}
	audit.Reset()
	log.Observe(t.Context(), middleware.Event{Resource: resource, Outcome: middleware.OutcomeInvalidToken, Reason: verifier.ReasonSignature, Status: 401})
	if audit.Len() != 0 {
		t.Errorf("anybody can cause an audit record: %s", audit.String())
	}
}

func TestElevationsAreRememberedWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var audit sink
		log := eventlog.New(nil, eventlog.Config{Audit: audit.logger()})
		for i := range 5000 {
			event := denial(t)
			event.Caller.Subject = fmt.Sprint("user-", i)
			log.Observe(t.Context(), event)
		}
		log.Observe(t.Context(), denial(t))
		time.Sleep(20 * time.Minute)
		audit.Reset()
		log.Observe(t.Context(), allowed(t, "files:write"))
		if audit.Len() != 0 {
			t.Errorf("an elevation after 20 minutes: %s", audit.String())
		}
	})
}

func TestDS15HostileTextIsEscapedAndCut(t *testing.T) {
	hostile := "evil\r\nlevel=ERROR \x1b[31m\u202e\u2028\xff\"" + strings.Repeat("x", 1<<20)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	} {
		t.Run("DS-15 "+name, func(t *testing.T) {
			var out bytes.Buffer
			log := eventlog.New(slog.New(handler(&out)), eventlog.Config{
				PlainSubjects: true,
				RequestID:     func(context.Context) string { return hostile },
				TraceID:       func(context.Context) string { return hostile },
			})
			log.Observe(t.Context(), middleware.Event{
				Outcome: middleware.OutcomeInvalidToken, Reason: verifier.Reason(hostile), Status: 401, Operation: hostile,
				Err: fmt.Errorf("%s", hostile), Caller: &verifier.Token{Subject: hostile, ClientID: hostile, Issuer: hostile},
			})
			text := out.String()
			if strings.Count(text, "\n") != 1 || strings.ContainsAny(text, "\r\x1b\u202e\u2028") || !utf8.ValidString(text) {
				t.Errorf("the record is garbled: %q", text)
			}
			if len(text) > 4000 {
				t.Errorf("%d octets for one record", len(text))
			}
		})
	}
	var out sink
	log := eventlog.New(out.logger(), eventlog.Config{PlainSubjects: true})
	for _, subject := range []string{"Zoë Ångström", strings.Repeat("é", 64), strings.Repeat("é", 65), strings.Repeat("\xff", 80)} {
		log.Observe(t.Context(), middleware.Event{Outcome: middleware.OutcomeAllowed, Caller: &verifier.Token{Subject: subject}})
	}
	var lengths []int
	for _, record := range out.records(t) {
		lengths = append(lengths, utf8.RuneCountInString(record["sub"].(string)))
	}
	if !slices.Equal(lengths[:3], []int{12, 64, 64}) || lengths[3] > 64 {
		t.Errorf("DS-15 subjects of %v characters", lengths)
	}
}

func TestNothingIsDoneForALevelThatIsOff(t *testing.T) {
	log := eventlog.New(slog.New(slog.NewJSONHandler(&bytes.Buffer{}, nil)), eventlog.Config{Audit: slog.New(slog.DiscardHandler)})
	event := allowed(t, "files:read")
	if n := testing.AllocsPerRun(100, func() { log.Observe(t.Context(), event) }); n != 0 {
		t.Errorf("%v allocations for an accepted request that is not logged", n)
	}
	new(eventlog.Log).Observe(t.Context(), event)
}
