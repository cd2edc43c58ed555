package metrics

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/verifier"
	"github.com/prometheus/client_golang/prometheus"
)

var update = flag.Bool("update", false, "write docs/operations.md")

const (
	pagePath  = "../docs/operations.md"
	rulesPath = "../deploy/prometheus/rules.yml"
)

const pageHead = `# Operations

This page is made from the code's own tables by ` + "`go test ./metrics -run TestOperationsPage -update`" + `; the same test
fails where it is out of date.

- **Wiring**: ` + "`examples/operations`" + ` shows metrics, log, audit trail, traces, probes and the answer to "why was this refused?".
  Each client of package ` + "`exchange`" + ` has an ` + "`Observe`" + ` of its own: give it the ` + "`ObserveExchange`" + ` of ` + "`metrics`" + `, which
  the panels and alerts of exchanges need, of ` + "`eventlog`" + ` and of ` + "`oteltrace`" + `.
- **Dashboard**: import ` + "`deploy/grafana/gatehouse.json`" + `. **Alerts**: load ` + "`deploy/prometheus/rules.yml`" + `.
- **Why was this token refused?** Give it to ` + "`Guard.Explain`" + `, on a route for administrators only: it lists every check
  with what was expected and found, and what to change.
- **Readiness** is ` + "`Guard.Ready`" + `, its detail ` + "`Guard.Status().Issuers()`" + `. Liveness must not ask either: a restart throws
  away the keys that outlive an outage of the provider.
- **Logs**: package ` + "`eventlog`" + ` lists its keys. Refusals that anybody can cause are limited in number; denials of known
  callers, and elevations, go to the audit logger, all of them.
- **Traces**: ` + "`oteltrace.Observe`" + ` adds each decision to the request's OpenTelemetry span, if a middleware outside the
  Guard has started one; ` + "`oteltrace.TraceID`" + ` gives metrics their exemplars, and the log its ` + "`trace_id`" + `.

![The dashboard's panels, from a real Prometheus](dashboard.png)

Panels use the classic buckets of the histograms. Where native histograms are scraped, keep the classic ones
(` + "`scrape_classic_histograms`" + `, later ` + "`always_scrape_classic_histograms`" + `).

## When logins fail

1. The panel of decisions says what became of the requests; the table of outcomes below, what to do about each. Where no
   requests are counted at all, they do not arrive: look at DNS, TLS and the proxy in front.
2. For ` + "`invalid_token`" + `, the panel of reasons names the check, and the table of reasons the remedy.
3. The log has each kind of refusal, at level Info and above, with ` + "`auth.reason`" + ` and the cause in ` + "`auth.error`" + `; ` + "`request_id`" + ` and
   ` + "`trace_id`" + ` lead to one request. It is there even if administrators are refused too, and ` + "`/explain`" + ` with them.
4. Readiness names the issuer that cannot be reached, and its last error.
5. Give a token that is refused to ` + "`Guard.Explain`" + `.

Where users get in and a tool that calls another API fails, look at the panel of exchanges, and at the table of results.

`

// TestOperationsPage keeps docs/operations.md true.
func TestOperationsPage(t *testing.T) {
	rules, err := os.ReadFile(rulesPath)
	if err != nil {
		t.Fatal(err)
	}
	var page strings.Builder
	page.WriteString(pageHead)
	writeMetrics(&page)
	writeReasons(&page)
	page.WriteString("## Outcomes\n\n`outcome` of a request, and `auth.outcome` in the log.\n")
	writeList(t, &page, "../middleware/event.go", "Outcome", outcomeRemedies)
	page.WriteString("## Exchange results\n\n`result` of a token for another API, and `exchange.result` in the log.\n")
	writeList(t, &page, "../exchange/event.go", "Result", exchangeRemedies)
	writeAlerts(t, &page, string(rules))
	if *update {
		if err := os.WriteFile(pagePath, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(pagePath)
	if err != nil || string(have) != page.String() {
		t.Errorf("%s is not what the code says (%v): run this test with -update", pagePath, err)
	}
}

func writeMetrics(page *strings.Builder) {
	page.WriteString("## Metrics\n\nNo label takes its value from a request.\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n")
	row := func(name, kind string, labels []string, help string) {
		fmt.Fprintf(page, "| `%s` | %s | %s | %s |\n", name, kind, strings.Join(labels, ", "), help)
	}
	kinds := map[prometheus.ValueType]string{prometheus.CounterValue: "counter", prometheus.GaugeValue: "gauge"}
	row(requestsTotal.name, "counter", requestsTotal.labels, requestsTotal.help)
	for _, h := range histograms() {
		row(h.name, "histogram", h.labels, h.help)
	}
	for _, d := range append(eventDefinitions()[1:], statusDefinitions()...) {
		row(d.name, kinds[d.kind], d.labels, d.help)
	}
	var sources []string
	for _, source := range verifier.Sources() {
		sources = append(sources, "`"+string(source)+"`")
	}
	fmt.Fprintf(page, "\nA good token's `kind` is one of %s.\n\n", strings.Join(sources, ", "))
}

func writeReasons(page *strings.Builder) {
	page.WriteString("## Reasons\n\n`reason` of `invalid_token`, in the order of the checks.\n\n| reason | meaning | remedy |\n|---|---|---|\n")
	for _, reason := range verifier.Reasons() {
		fmt.Fprintf(page, "| `%s` | %s | %s |\n", reason, reason.Meaning(), reason.Remedy())
	}
	page.WriteByte('\n')
}

// writeAlerts reads the rules line by line: the comment above an alert is its
// runbook.
func writeAlerts(t *testing.T, page *strings.Builder, rules string) {
	t.Helper()
	page.WriteString("## Alerts\n")
	_, rules, _ = strings.Cut(rules, "rules:\n")
	alerts := 0
	for _, block := range strings.Split(rules, "\n\n") {
		var runbook []string
		fields := map[string]string{}
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			if text, isComment := strings.CutPrefix(line, "# "); isComment {
				runbook = append(runbook, text)
			} else if key, value, found := strings.Cut(strings.TrimPrefix(line, "- "), ": "); found {
				fields[key] = strings.Trim(value, `"`)
			}
		}
		name := fields["alert"]
		if name == "" || len(runbook) == 0 || fields["summary"] == "" || fields["runbook"] != "docs/operations.md#"+strings.ToLower(name) {
			t.Errorf("an alert is incomplete:\n%s", block)
		}
		severity := strings.Trim(strings.TrimPrefix(fields["labels"], "{severity: "), "}")
		summary := strings.NewReplacer("{{ $labels.", "*", "{{ $value | humanizeDuration }}", "*hours*", " }}", "*").Replace(fields["summary"])
		fmt.Fprintf(page, "\n### %s\n\n**%s.** %s\n\n%s\n", name, severity, summary, strings.Join(runbook, "\n"))
		alerts++
	}
	if alerts < 10 {
		t.Errorf("%d alerts were found", alerts)
	}
}

// TestEveryAlertIsTested wants of each alert that it fires once and is quiet once.
func TestEveryAlertIsTested(t *testing.T) {
	rules, err := os.ReadFile(rulesPath)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := os.ReadFile("../deploy/prometheus/rules_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	alerts := regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1)
	if len(alerts) < 10 {
		t.Errorf("%d alerts were found", len(alerts))
	}
	for _, alert := range alerts {
		quiet := regexp.MustCompile(`alertname: ` + alert[1] + `, exp_alerts: \[\]`)
		fires := regexp.MustCompile(`alertname: ` + alert[1] + `\n\s+exp_alerts:\n\s+- exp_labels:`)
		if !quiet.Match(tests) || !fires.Match(tests) {
			t.Errorf("%s: quiet in a test: %v, fires in a test: %v", alert[1], quiet.Match(tests), fires.Match(tests))
		}
	}
}

// TestAlertsAndPanelsUseMetricsThatExist finds typing errors and renamings.
func TestAlertsAndPanelsUseMetricsThatExist(t *testing.T) {
	known := map[string]bool{}
	for _, h := range histograms() {
		known[h.name+"_bucket"] = true
	}
	for _, d := range append(eventDefinitions(), statusDefinitions()...) {
		known[d.name] = true
	}
	for _, path := range []string{rulesPath, "../deploy/prometheus/rules_test.yml", "../deploy/grafana/gatehouse.json"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`gatehouse_[a-z_]+`).FindAllString(string(text), -1)
		if len(names) < 10 {
			t.Errorf("%s names %d metrics", path, len(names))
		}
		for _, name := range names {
			if !known[name] {
				t.Errorf("%s: there is no metric %s", path, name)
			}
		}
	}
}
