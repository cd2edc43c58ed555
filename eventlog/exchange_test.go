package eventlog_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-mcp/gatehouse/eventlog"
	"github.com/gatehouse-mcp/gatehouse/exchange"
)

func need(result exchange.Result) exchange.Event {
	event := exchange.Event{
		Issuer: issuer, Target: "https://reports.example.com/", Trigger: exchange.TriggerCall, Result: result, Duration: time.Millisecond,
	}
	switch result {
	case exchange.ResultObtained, exchange.ResultRemembered, exchange.ResultShared:
	default:
		event.Err = &exchange.Error{Issuer: issuer, Status: 401, Code: "invalid_client"}
	}
	return event
}

func TestExchangesHaveStableKeys(t *testing.T) {
	var out sink
	log := eventlog.New(out.logger(), eventlog.Config{
		RequestID: func(context.Context) string { return "r-1" },
		TraceID:   func(context.Context) string { return "t-1" },
	})
	log.ObserveExchange(t.Context(), need(exchange.ResultOurCredentials))
	record := out.records(t)[0]
	delete(record, "time")
	want := map[string]any{
		"level": "ERROR", "msg": "token not obtained", "exchange.result": "our_credentials", "exchange.trigger": "call",
		"exchange.target": "https://reports.example.com/", "exchange.duration": 1e6, "iss": issuer, "request_id": "r-1", "trace_id": "t-1",
		"exchange.error": "exchange: " + issuer + ": status 401 invalid_client",
	}
	if fmt.Sprint(record) != fmt.Sprint(want) {
		t.Errorf("record\n%v, want\n%v", record, want)
	}
}

func TestExchangesHaveLevels(t *testing.T) {
	want := map[exchange.Result]string{
		exchange.ResultRemembered: "DEBUG token obtained", exchange.ResultObtained: "DEBUG token obtained",
		exchange.ResultShared: "DEBUG token obtained", exchange.ResultCanceled: "DEBUG token not obtained",
		exchange.ResultInvalidGrant: "INFO token not obtained", exchange.ResultInteractionRequired: "INFO token not obtained",
		exchange.ResultRefused: "WARN token not obtained", exchange.ResultMisused: "WARN token not obtained",
		exchange.ResultOurCredentials: "ERROR token not obtained", exchange.ResultUnavailable: "ERROR token not obtained",
	}
	for _, result := range exchange.Results() {
		var out sink
		eventlog.New(out.logger(), eventlog.Config{}).ObserveExchange(t.Context(), need(result))
		record := out.records(t)[0]
		if got := fmt.Sprint(record["level"], " ", record["msg"]); got != want[result] {
			t.Errorf("%s: %s, want %s", result, got, want[result])
		}
	}
	new(eventlog.Log).ObserveExchange(t.Context(), need(exchange.ResultRefused))
}

func TestExchangeFailuresAreLimitedByResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out sink
		log := eventlog.New(out.logger(), eventlog.Config{})
		for range 1000 {
			log.ObserveExchange(t.Context(), need(exchange.ResultUnavailable))
		}
		log.ObserveExchange(t.Context(), need(exchange.ResultOurCredentials))
		if n := len(out.records(t)); n != 11 {
			t.Errorf("%d records, want the burst of 10 and the other result", n)
		}
		time.Sleep(time.Second)
		log.ObserveExchange(t.Context(), need(exchange.ResultUnavailable))
		if !strings.Contains(out.String(), `"exchange.suppressed":990`) {
			t.Error("nothing says that records were left out")
		}
	})
}
