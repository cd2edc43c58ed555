//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

// TestPrometheusAnswersEveryPanel has a real Prometheus scrape the quickstart,
// with JWTs and with opaque tokens, and a server that calls another API; and asks
// it what the dashboard asks.
func TestPrometheusAnswersEveryPanel(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "quickstart")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", "..", "-o", binary, "./examples/quickstart").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	free := freeAddresses(t, 3)
	jwts, opaque := free[0], free[1]
	resource := "http://" + jwts + "/mcp"
	issuer := authtest.NewServer(t, authtest.Config{Resources: []string{resource}, Scopes: []string{"mcp:tools", "mcp:admin"}})
	serves(t, "quickstart", "http://"+jwts+"/metrics", exec.CommandContext(t.Context(), binary, "-listen", jwts, "-issuer", issuer.URL()))
	serves(t, "quickstart -introspect", "http://"+opaque+"/metrics", exec.CommandContext(t.Context(), binary, "-listen", opaque, "-introspect"))
	calling := newDownstream(t)
	p := startPrometheus(t, free[2], jwts, opaque, calling.address())

	ctx, stop := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	senders.Go(func() { traffic(ctx, issuer, resource, "http://"+opaque+"/mcp") })
	senders.Go(func() { calling.traffic(ctx) })
	t.Cleanup(func() { stop(); senders.Wait() })

	panels := dashboard(t)
	if len(panels) < 10 {
		t.Fatalf("the dashboard has %d queries", len(panels))
	}
	deadline := time.Now().Add(time.Minute)
	for _, panel := range panels {
		for {
			found, err := p.query(panel.expr)
			if err != nil {
				t.Fatalf("%s: %s: %v", panel.title, panel.expr, err)
			}
			if found {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%s: no data for %s", panel.title, panel.expr)
				break
			}
			<-time.After(time.Second)
		}
	}
	p.checkRules(t)
	if file := os.Getenv(picture); file != "" {
		<-time.After(covered)
		p.draw(t, file, panels)
	}
}

// A panel is one query of the dashboard.
type panel struct{ title, unit, legend, expr string }

// traffic sends what a day brings, until ctx ends.
func traffic(ctx context.Context, issuer *authtest.Issuer, resource, opaque string) {
	good := issuer.Token(authtest.Claims{"scope": "mcp:tools", "exp": time.Now().Add(time.Hour)})
	past := issuer.Token(authtest.Claims{"exp": time.Now().Add(-time.Hour)})
	other := issuer.Token(authtest.Claims{"aud": "https://other.example"})
	unknown := good
	if key, err := authtest.NewKey("ES256", "unknown"); err == nil {
		unknown, _ = issuer.Mint(authtest.TokenConfig{Key: key})
	}
	for i := 0; ctx.Err() == nil; i++ {
		send(ctx, resource, "protected_data", good)
		send(ctx, resource, "public_info", "")
		send(ctx, opaque, "protected_data", "opaque-token-"+strconv.Itoa(i/3))
		switch i % 10 {
		case 0:
			send(ctx, resource, "protected_data", "")
		case 1, 4:
			send(ctx, resource, "admin_report", good)
		case 2:
			send(ctx, resource, "protected_data", past)
		case 3, 7:
			send(ctx, resource, "protected_data", issuer.Token(nil))
		case 5:
			send(ctx, resource, "protected_data", other)
		case 6:
			send(ctx, resource, "nobody_knows", good)
		case 8:
			send(ctx, resource, "protected_data", good[:len(good)-4])
		case 9:
			send(ctx, resource, "protected_data", unknown)
		}
		select {
		case <-time.After(time.Duration(30+20*math.Sin(float64(i)/200)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func send(ctx context.Context, resource, tool, token string) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{}}}`, tool)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, resource, strings.NewReader(body))
	if err != nil {
		return
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if response, err := http.DefaultClient.Do(request); err == nil {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}

// freeAddresses returns loopback addresses where nobody listens. All are taken
// before the first is given back, so that they differ.
func freeAddresses(t *testing.T, n int) (all []string) {
	t.Helper()
	for range n {
		listener := listen(t)
		defer listener.Close()
		all = append(all, listener.Addr().String())
	}
	return all
}

// serves starts a program, waits until target answers 200, and ends the
// program with a signal, because it does not watch its standard input.
func serves(t *testing.T, name, target string, cmd *exec.Cmd) {
	t.Helper()
	p := start(t, name, stderr, cmd)
	go func() {
		for range p.lines { // nobody reads them
		}
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-p.pgid, syscall.SIGTERM)
		<-p.ended
	})
	deadline := time.Now().Add(startTimeout)
	for {
		response, err := http.Get(target)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
			err = errors.New(response.Status)
		}
		select {
		case <-p.ended:
			t.Fatalf("%s ended: %v", name, p.exit)
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

// prometheus is a running server.
type prometheus struct{ url string }

func startPrometheus(t *testing.T, address string, targets ...string) prometheus {
	t.Helper()
	path := executable(t, "prometheus", "apt-get install -y prometheus")
	dir := t.TempDir()
	rules, err := filepath.Abs("../deploy/prometheus/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\nscrape_configs:\n"+
		"  - {job_name: gatehouse, static_configs: [{targets: [%s]}]}\n", rules, strings.Join(targets, ", "))
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	url := "http://" + address
	serves(t, "prometheus", url+"/-/ready", exec.CommandContext(t.Context(), path,
		"--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address))
	return prometheus{url}
}

// get decodes the data of an answer of the API.
func (p prometheus) get(path string, query url.Values, data any) error {
	response, err := http.Get(p.url + path + "?" + query.Encode())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("%s: %w", bytes.TrimSpace(body), err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return nil
}

// query reports whether there is a value, and one that is a number.
func (p prometheus) query(expr string) (bool, error) {
	var data struct {
		Result []struct{ Value [2]any }
	}
	if err := p.get("/api/v1/query", url.Values{"query": {expr}}, &data); err != nil {
		return false, err
	}
	for _, series := range data.Result {
		if text, ok := series.Value[1].(string); ok && text != "NaN" {
			return true, nil
		}
	}
	return false, nil
}

// checkRules checks that every alert can be evaluated.
func (p prometheus) checkRules(t *testing.T) {
	t.Helper()
	var data struct {
		Groups []struct {
			Rules []struct{ Name, Health, LastError string }
		}
	}
	if err := p.get("/api/v1/rules", nil, &data); err != nil {
		t.Fatal(err)
	}
	healthy := 0
	for _, group := range data.Groups {
		for _, rule := range group.Rules {
			if rule.Health != "ok" {
				t.Errorf("%s is %s: %s", rule.Name, rule.Health, rule.LastError)
			}
			healthy++
		}
	}
	if healthy < 10 {
		t.Errorf("%d rules", healthy)
	}
}
