//go:build e2e

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
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

	"github.com/gatehouse-mcp/gatehouse/authtest"
	"github.com/gatehouse-mcp/gatehouse/middleware"
	"github.com/gatehouse-mcp/gatehouse/scopes"
)

const (
	everythingServer = "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"

	// conformanceTimeout bounds one run of the suite, which takes about 4 s.
	conformanceTimeout = 2 * time.Minute
)

// Both policies read every message, and ask for a scope for all that there is,
// unknown methods included; the second looks at names too.
var (
	byMethod = scopes.Policy{Methods: map[string]scopes.Requirement{"*": scopes.All("mcp:tools")}}
	byName   = scopes.Policy{
		Base:      scopes.All("mcp:tools"),
		Methods:   map[string]scopes.Requirement{"*": scopes.All("mcp:tools")},
		Tools:     map[string]scopes.Requirement{"*": scopes.All("mcp:tools")},
		Prompts:   map[string]scopes.Requirement{"*": scopes.All("mcp:tools")},
		Resources: map[string]scopes.Requirement{"*": scopes.All("mcp:tools")},
	}
)

// namesNothing are the checks that send a subscription without a URI, to be told
// that the method is gone. Where resources have rules, what names none is denied,
// and the server is never asked.
var namesNothing = map[string]string{
	"SUCCESS sep-2575-http-server-method-not-found-404-resources-subscribe":   "FAILURE sep-2575-http-server-method-not-found-404-resources-subscribe",
	"SUCCESS sep-2575-http-server-method-not-found-404-resources-unsubscribe": "FAILURE sep-2575-http-server-method-not-found-404-resources-unsubscribe",
}

// The suite knows no tokens, so a proxy adds one. Each check must end as it does
// without the front door, those that this server fails included.
func TestPublicConformanceSuiteCannotTellThatThereIsAFrontDoor(t *testing.T) {
	program := filepath.Join(t.TempDir(), "everything-server")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, everythingServer).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	for _, run := range []struct {
		revision          string
		stateless         bool
		scenarios, passed int // at least
		differs           map[string]string
	}{
		{"2026-07-28", true, 45, 160, namesNothing},
		{"2025-11-25", false, 30, 80, nil},
	} {
		t.Run(run.revision, func(t *testing.T) {
			for name, policy := range map[string]scopes.Policy{"by method": byMethod, "by name": byName} {
				t.Run(name, func(t *testing.T) {
					differs := run.differs
					if name == "by method" {
						differs = nil
					}
					// Some checks wait for what the server sends, but not for long. What
					// differs gets another chance, on both sides.
					var differences map[string][]string
					for range 3 {
						plain := conform(t, run.revision, "http://"+startEverything(t, program, run.stateless)+"/mcp")
						if passed := plain.passed(); len(plain.checks) < run.scenarios || passed < run.passed {
							t.Fatalf("%d scenarios, %d checks passed without the front door, want at least %d and %d\n%s",
								len(plain.checks), passed, run.scenarios, run.passed, plain.text)
						}
						resource, s := guarded(t, startEverything(t, program, run.stateless), policy)
						found := compare(conform(t, run.revision, resource), plain, differs)
						if count := outcomes(s.events.all()); count[middleware.OutcomeAllowed] < run.scenarios || count[middleware.OutcomeUnauthenticated] > 0 {
							t.Fatalf("outcomes %v; want that it let in by a token what it let in", count)
						}
						if differences = inBoth(differences, found); len(differences) == 0 {
							return
						}
					}
					for _, scenario := range slices.Sorted(maps.Keys(differences)) {
						t.Errorf("%s:\n%s", scenario, strings.Join(differences[scenario], "\n"))
					}
				})
			}
		})
	}
}

// compare returns the checks that end in another way than without the front door,
// by scenario, except where that is known.
func compare(got, want report, differs map[string]string) map[string][]string {
	differences := map[string][]string{}
	for scenario := range want.checks {
		for i := range max(len(want.checks[scenario]), len(got.checks[scenario])) {
			a, b := at(got.checks[scenario], i), at(want.checks[scenario], i)
			if b = cmp.Or(differs[b], b); a != b {
				differences[scenario] = append(differences[scenario], a+", want "+b)
			}
		}
	}
	for scenario := range got.checks {
		if _, found := want.checks[scenario]; !found {
			differences[scenario] = []string{"it ran, and does not without the front door"}
		}
	}
	return differences
}

// inBoth returns those of before, nil for any, that are among now.
func inBoth(before, now map[string][]string) map[string][]string {
	if before == nil {
		return now
	}
	still := map[string][]string{}
	for scenario, list := range now {
		if _, found := before[scenario]; found {
			still[scenario] = list
		}
	}
	return still
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}

// startEverything starts the SDK's own server for the suite, and returns its
// address.
func startEverything(t *testing.T, program string, stateless bool) string {
	t.Helper()
	address := "127.0.0.1:" + freePort(t)
	p := start(t, "everything-server", stderr, watched(t, program, "-http", address, "-stateless="+strconv.FormatBool(stateless)))
	if line, err := p.line(t.Context()); err != nil || !strings.Contains(line, "listening") {
		t.Fatalf("everything-server did not start: %q, %v", line, err)
	}
	// It says so before it does.
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodOptions, "http://"+address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
			return address
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("everything-server does not answer: %v", err)
		}
	}
}

// guarded puts a front door before the server at address, and before that a proxy
// that adds a token. It returns the proxy's URL, which is the resource.
func guarded(t *testing.T, address string, policy scopes.Policy) (resource string, s *server) {
	t.Helper()
	public, inner := listen(t), listen(t)
	resource = "http://" + public.Addr().String() + "/mcp"
	issuer := authtest.NewServer(t, authtest.Config{Resources: []string{resource}, Scopes: []string{"mcp:tools"}})
	token := issuer.Token(nil)
	serveHTTP(t, public, passOn(inner.Addr().String(), func(header http.Header) { header.Set("Authorization", "Bearer "+token) }))
	s = serveWith(t, inner, serverConfig{
		resource: resource, issuer: issuer.URL(), policy: policy,
		next: passOn(address, func(http.Header) {}),
	})
	return resource, s
}

// passOn is a reverse proxy that leaves everything as it is, Host included, but
// what change does.
func passOn(address string, change func(http.Header)) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: address})
			r.Out.Host = r.In.Host
			change(r.Out.Header)
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}

// stamp is the time in the name of a scenario's directory.
var stamp = regexp.MustCompile(`-\d{4}-\d{2}-\d{2}T[\d-]+Z$`)

// A report is what the suite found: the status and id of each check by scenario,
// and what it printed.
type report struct {
	checks map[string][]string
	text   string
}

// conform runs the suite against target.
func conform(t *testing.T, revision, target string) report {
	t.Helper()
	const directory = "node/node_modules"
	node, suite := filepath.Join(directory, ".bin", "node"), filepath.Join(directory, "@modelcontextprotocol", "conformance", "dist", "index.js")
	for _, file := range []string{node, suite} {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("%s is missing; install it with: npm ci --prefix e2e/node", file)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), conformanceTimeout)
	defer cancel()
	results := t.TempDir()
	cmd := exec.CommandContext(ctx, node, suite, "server", "--requirements", revision, "--url", target, "-o", results)
	cmd.WaitDelay = stopTimeout
	out, err := cmd.CombinedOutput()
	if err != nil {
		// The status says whether the server conforms, which is not the question.
		t.Logf("conformance: %v", err)
	}
	scenarios, err := os.ReadDir(results)
	if err != nil {
		t.Fatal(err)
	}
	found := report{checks: map[string][]string{}, text: string(out)}
	for _, scenario := range scenarios {
		content, err := os.ReadFile(filepath.Join(results, scenario.Name(), "checks.json"))
		if err != nil {
			t.Fatal(err)
		}
		var made []struct{ ID, Status string }
		if err := json.Unmarshal(content, &made); err != nil {
			t.Fatalf("%s: %v", scenario.Name(), err)
		}
		name := stamp.ReplaceAllString(scenario.Name(), "")
		found.checks[name] = []string{}
		for _, check := range made {
			found.checks[name] = append(found.checks[name], check.Status+" "+check.ID)
		}
	}
	return found
}

var total = regexp.MustCompile(`Total: (\d+) passed`)

// passed is the number of checks that the suite counted.
func (r report) passed() int {
	match := total.FindStringSubmatch(r.text)
	if match == nil {
		return 0
	}
	n, _ := strconv.Atoi(match[1])
	return n
}
