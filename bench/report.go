package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// writeReport writes Markdown.
func writeReport(w io.Writer, rs results, tails []latency, m memory, all []bar) {
	for _, algorithm := range algorithms {
		writeValid(w, rs, algorithm)
	}
	writeHostile(w, rs)
	writeScale(w, rs)
	writeTails(w, tails)
	if m.tokens > 0 {
		fmt.Fprintf(w, "## Memory\n\n| distinct valid tokens | heap growth, MiB |\n|---:|---:|\n| %d | %.1f |\n| %d | %.1f |\n\n",
			m.tokens/2, m.half, m.tokens, m.whole)
	}
	writeBars(w, all)
}

// writeConditions names what the numbers depend on.
func writeConditions(w io.Writer, rounds int, benchtime time.Duration) {
	fmt.Fprintf(w, "# Side by side\n\n%s, %s/%s, %d CPUs. Median of %d interleaved rounds of %v, forty times that for one remembered token, ten times that for scale; ratios are medians of the ratios within a round. Times of one core are processor time; the gain of two cores is by the time on the wall, best round against best round.\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), rounds, benchtime)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	compared := []string{
		"github.com/modelcontextprotocol/go-sdk", "github.com/MicahParks/keyfunc/v3", "github.com/golang-jwt/jwt/v5",
		"github.com/auth0/go-jwt-middleware/v2", "github.com/coreos/go-oidc/v3", "github.com/lestrrat-go/jwx/v2",
	}
	var versions []string
	for _, module := range info.Deps {
		if slices.Contains(compared, module.Path) {
			versions = append(versions, strings.TrimPrefix(module.Path, "github.com/")+" "+module.Version)
		}
	}
	fmt.Fprintf(w, "%s.\n\n", strings.Join(versions, ", "))
}

// writeValid writes the rows of one algorithm in the order of the suite.
func writeValid(w io.Writer, rs results, algorithm string) {
	fmt.Fprintf(w, "## %s, valid tokens\n\n", algorithm)
	fmt.Fprintln(w, "| | ns | over bare check | over Gatehouse cold | over Gatehouse warm | bytes | allocations | two cores, gain |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|---:|---:|")
	names := []string{bareName, warmName, coldName}
	if rs.has(key{algorithm, introspectedName, 1}) {
		names = append(names, introspectedName)
	}
	for _, c := range peers() {
		names = append(names, c.name)
	}
	writeRow(w, rs, algorithm, key{general, handlerName, 1})
	for _, name := range names {
		writeRow(w, rs, algorithm, key{algorithm, name, 1})
	}
	fmt.Fprintln(w)
}

func writeRow(w io.Writer, rs results, algorithm string, k key) {
	if !rs.has(k) {
		fmt.Fprintf(w, "| %s |%s\n", k.name, strings.Repeat(" n/a |", 7))
		return
	}
	against := func(name string) string {
		return fmt.Sprintf("%.2f", rs.ratio(k, key{algorithm, name, 1}, key{}))
	}
	fmt.Fprintf(w, "| %s | %.0f | %s | %s | %s | %.0f | %.0f | %.2f× |\n", k.name, rs.nanoseconds(k),
		against(bareName), against(coldName), against(warmName), rs.bytes(k), rs.allocations(k), rs.gain(k.group, k.name))
}

func writeHostile(w io.Writer, rs results) {
	fmt.Fprint(w, "## Refusals, RS256, one core: ns / bytes / allocations\n\n|")
	all := contenders()
	for _, c := range all {
		fmt.Fprintf(w, " | %s", c.name)
	}
	fmt.Fprintf(w, " |\n|---|%s\n", strings.Repeat("---:|", len(all)))
	for _, name := range []string{garbage, dots, unknownIssuer, wrongAlg, unknownKid, badSignature} {
		fmt.Fprintf(w, "| %s |", name)
		for _, c := range all {
			k := key{hostilePart + name, c.name, 1}
			fmt.Fprintf(w, " %.0f / %.0f / %.0f |", rs.nanoseconds(k), rs.bytes(k), rs.allocations(k))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w)
}

func writeScale(w io.Writer, rs results) {
	fmt.Fprint(w, "## Scale, ES256, same tokens again, one core\n\n| Gatehouse with | ns | over the first | bytes | allocations |\n|---|---:|---:|---:|---:|\n")
	for _, name := range []string{oneName, idleName, issuersName, thousandsName, roomyName} {
		k := key{scaleGroup, name, 1}
		fmt.Fprintf(w, "| %s | %.0f | %.2f | %.0f | %.0f |\n", name, rs.nanoseconds(k),
			rs.ratio(k, key{scaleGroup, oneName, 1}, key{}), rs.bytes(k), rs.allocations(k))
	}
	fmt.Fprintln(w)
}

func writeTails(w io.Writer, tails []latency) {
	if len(tails) == 0 {
		return
	}
	fmt.Fprint(w, "## Latency of valid tokens, ES256 or opaque, two cores\n\n| meanwhile | tokens | p50, µs | p99, µs | p99 over quiet |\n|---|---|---:|---:|---:|\n")
	for _, t := range tails {
		fmt.Fprintf(w, "| %s | %s | %.1f | %.1f | %.2f |\n", t.situation, t.tokens, microseconds(t.p50), microseconds(t.p99), t.ratio)
	}
	fmt.Fprintln(w)
}

func microseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

func writeBars(w io.Writer, all []bar) {
	fmt.Fprint(w, "## Bars\n\n| | measured | limit | |\n|---|---:|---:|---|\n")
	for _, b := range all {
		verdict, sign, note := "holds", "≤", ""
		if b.least {
			sign = "≥"
		}
		if !b.holds() {
			verdict = "**misses**"
		}
		if b.note != "" {
			note = " (" + b.note + ")"
		}
		fmt.Fprintf(w, "| %s | %.2f%s%s | %s %.4g%s | %s |\n", b.name, b.value, b.unit, note, sign, b.limit, b.unit, verdict)
	}
}
