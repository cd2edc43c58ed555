//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// picture names a PNG file for the panels over two minutes:
//
//	GATEHOUSE_DASHBOARD=$PWD/docs/dashboard.png go test -C e2e -tags e2e -run TestPrometheusAnswersEveryPanel .
const picture = "GATEHOUSE_DASHBOARD"

// What the picture covers, and its measures in pixels.
const (
	covered                             = 2 * time.Minute
	columns, panelWidth, panelHeight    = 4, 330, 235
	left, right, top, bottom, lineSpace = 48, 12, 30, 22, 11
)

// A drawn panel is all that its queries answered.
type drawn struct {
	title, unit string
	series      []series
}

type series struct {
	name   string
	points [][2]float64 // seconds before now, value
}

// draw writes the picture, with a browser that turns SVG into PNG.
func (p prometheus) draw(t *testing.T, file string, panels []panel) {
	t.Helper()
	now := time.Now()
	var all []drawn
	for _, panel := range panels {
		if len(all) == 0 || all[len(all)-1].title != panel.title {
			all = append(all, drawn{title: panel.title, unit: panel.unit})
		}
		last := &all[len(all)-1]
		last.series = append(last.series, p.series(t, panel, now)...)
	}
	width, height := columns*panelWidth, (len(all)+columns-1)/columns*panelHeight
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="9" fill="#ccc">`+
		`<rect width="100%%" height="100%%" fill="#111217"/>`, width, height)
	for i, panel := range all {
		fmt.Fprintf(&svg, `<g transform="translate(%d %d)">`, i%columns*panelWidth, i/columns*panelHeight)
		panel.draw(&svg)
		svg.WriteString("</g>\n")
	}
	svg.WriteString("</svg>\n")
	source := filepath.Join(t.TempDir(), "dashboard.svg")
	if err := os.WriteFile(source, []byte(svg.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), browserTimeout)
	defer cancel()
	chromium := executable(t, "chromium", "apt-get install -y chromium")
	out, err := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--user-data-dir="+t.TempDir(), fmt.Sprintf("--window-size=%d,%d", width, height), "--screenshot="+file, "file://"+source).CombinedOutput()
	if err != nil {
		t.Fatalf("chromium: %v: %s", err, out)
	}
}

// series asks for what one query of a panel shows.
func (p prometheus) series(t *testing.T, panel panel, now time.Time) (all []series) {
	t.Helper()
	var data struct {
		Result []struct {
			Metric map[string]string
			Values [][2]any
		}
	}
	err := p.get("/api/v1/query_range", url.Values{
		"query": {panel.expr}, "step": {"1"},
		"start": {strconv.FormatInt(now.Add(-covered).Unix(), 10)}, "end": {strconv.FormatInt(now.Unix(), 10)},
	}, &data)
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range data.Result {
		name := panel.legend
		for label, value := range result.Metric {
			name = strings.ReplaceAll(name, "{{"+label+"}}", value)
		}
		var one series
		for _, sample := range result.Values {
			at, _ := sample[0].(float64)
			text, _ := sample[1].(string)
			if value, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(value) {
				one.points = append(one.points, [2]float64{at - float64(now.Unix()), value})
			}
		}
		one.name = strings.TrimSpace(noLabel.ReplaceAllString(name, ""))
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b series) int { return strings.Compare(a.name, b.name) })
	return all
}

// noLabel is a label of the legend that the series does not have.
var noLabel = regexp.MustCompile(`\{\{\w+\}\}`)

var colours = []string{"#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#f2495c", "#b877d9", "#8ab8ff", "#ffa6b0", "#96d98d", "#c4162a"}

func (d drawn) draw(svg *strings.Builder) {
	low, high := 0.0, 0.0
	for _, s := range d.series {
		for _, point := range s.points {
			high = max(high, point[1])
			if point[1] > 0 && (low == 0 || point[1] < low) {
				low = point[1]
			}
		}
	}
	if high == 0 {
		high = 1
	}
	logarithmic := d.unit == "s" && high > 20*low && low > 0 && high < 10 // times of all sizes
	width, height := float64(panelWidth-left-right), float64(panelHeight-top-bottom)
	y := func(value float64) float64 {
		share := value / high
		if logarithmic {
			share = math.Log(max(value, low)/low) / math.Log(high/low)
		}
		return top + height*(1-share)
	}
	fmt.Fprintf(svg, `<rect x="3" y="3" width="%d" height="%d" rx="2" fill="#181b1f"/><text x="10" y="19" font-size="11" fill="#fff">%s</text>`,
		panelWidth-6, panelHeight-6, html.EscapeString(d.title))
	for i := range 5 {
		value := high * float64(i) / 4
		if logarithmic {
			value = low * math.Pow(high/low, float64(i)/4)
		}
		fmt.Fprintf(svg, `<path d="M%d %.1fh%.0f" stroke="#2c3235"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`,
			left, y(value), width, left-4, y(value)+3, scale(value, d.unit))
	}
	for i := range 5 {
		fmt.Fprintf(svg, `<text x="%.0f" y="%d" text-anchor="middle">%.0f s</text>`,
			left+width*float64(i)/4, panelHeight-9, covered.Seconds()*(float64(i)/4-1))
	}
	var legend strings.Builder // above the lines
	for i, s := range d.series {
		colour := colours[i%len(colours)]
		var path strings.Builder
		for _, point := range s.points {
			fmt.Fprintf(&path, "%.1f,%.1f ", left+width*(1+point[0]/covered.Seconds()), y(point[1]))
		}
		fmt.Fprintf(svg, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.3"/>`, path.String(), colour)
		fmt.Fprintf(&legend, `<text x="%d" y="%d" fill="%s" stroke="#181b1f" stroke-width="4" paint-order="stroke">%s</text>`,
			left+6, top+9+lineSpace*i, colour, html.EscapeString(s.name))
	}
	svg.WriteString(legend.String())
}

// scale writes a value of an axis in the panel's unit.
func scale(value float64, unit string) string {
	switch {
	case unit == "percentunit":
		return fmt.Sprintf("%.3g %%", 100*value)
	case unit == "s" && value > 0 && value < 1e-3:
		return fmt.Sprintf("%.3g µs", 1e6*value)
	case unit == "s" && value > 0 && value < 1:
		return fmt.Sprintf("%.3g ms", 1e3*value)
	case unit == "s":
		return fmt.Sprintf("%.3g s", value)
	}
	return fmt.Sprintf("%.3g", value)
}

// dashboard returns the queries of the dashboard, as Grafana would ask them.
func dashboard(t *testing.T) (all []panel) {
	t.Helper()
	text, err := os.ReadFile("../deploy/grafana/gatehouse.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title       string
			FieldConfig struct{ Defaults struct{ Unit string } }
			Targets     []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	// What Grafana puts in, for all resources and for a scrape every second.
	fill := strings.NewReplacer("$__rate_interval", "10s", "$resource", ".+")
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			all = append(all, panel{p.Title, p.FieldConfig.Defaults.Unit, target.LegendFormat, fill.Replace(target.Expr)})
		}
	}
	return all
}
