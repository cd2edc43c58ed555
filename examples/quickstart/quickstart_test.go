package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/authtest"
)

// credential matches a JWT, or the start of one, and what follows a scheme.
var credential = regexp.MustCompile(`eyJ[\w-]{8,}|Bearer [\w-]{8,}`)

func TestTheWholeStoryHolds(t *testing.T) {
	transcript := tellOnce(t)
	inOrder(t, transcript,
		"JWTs (RFC 9068)",
		"1.  Without a login", "tools                     public_info\n",
		"2.  A public tool", "Everybody may read this.",
		"3.  A protected tool", "401 Unauthorized", `resource_metadata="http://127.0.0.1:`, `scope="mcp:tools"`,
		"4.  The resource's metadata", "scopes_supported          mcp:tools mcp:admin",
		"5.  The authorization server", "PKCE methods              S256",
		"6.  The client registers", "client_id",
		"7.  A person logs in", "code_challenge_method=S256", "302 Found", "code=(not shown)",
		"8.  The client trades", "access_token              (not shown)", "sub        alice", "scope      mcp:tools\n",
		"9.  With the token", "Hello alice, here is your data.",
		"10.  A tool calls the other API",
		"the MCP server got", "/mcp\n", "sub        alice", "scope      mcp:tools\n",
		"the other API got", "/reports\n", "sub        alice", "act        sub=gatehouse-quickstart\n", "scope      reports:read\n",
		"11.  That API refuses", "401 Unauthorized", `error="invalid_token"`, "for another resource",
		"12.  Another tool", "403 Forbidden", `error="insufficient_scope"`, `scope="mcp:admin mcp:tools"`,
		"13.  Step-up", "302 Found",
		"14.  The new token", "scope      mcp:admin mcp:tools\n",
		"15.  Now the tool answers", "Hello alice, here is the report.",
		"16.  And the list is complete", "tools                     admin_report downstream_report protected_data public_info\n",
		"17.  What the operator sees", "allowed", "anonymous", "unauthenticated", "insufficient_scope", "jwt_cold", "tokens for the other API", "obtained             1\n",
	)
	if strings.Contains(transcript, "introspect") {
		t.Error("it tells of introspection, and there is none")
	}
}

func TestTheSameStoryHoldsForOpaqueTokens(t *testing.T) {
	transcript := tellOnce(t, "-introspect")
	inOrder(t, transcript,
		"opaque, to be introspected (RFC 7662)",
		"1.  Without a login", "tools                     public_info\n",
		"3.  A protected tool", "401 Unauthorized",
		"8.  The client trades", "access_token              (not shown)", "scope                     mcp:tools\n", "none to see: it will be introspected",
		"9.  With the token", "Hello alice, here is your data.",
		"10.  A tool calls the other API",
		"the MCP server got", "/mcp\n", "sub        alice", "scope      mcp:tools\n",
		"the other API got", "/reports\n", "sub        alice", "act        sub=gatehouse-quickstart\n", "scope      reports:read\n",
		"11.  That API refuses", "401 Unauthorized", `error="invalid_token"`,
		"12.  Another tool", "403 Forbidden", `error="insufficient_scope"`, `scope="mcp:admin mcp:tools"`,
		"14.  The new token", "scope                     mcp:admin mcp:tools\n",
		"15.  Now the tool answers", "Hello alice, here is the report.",
		"16.  And the list is complete", "tools                     admin_report downstream_report protected_data public_info\n",
		"17.  What the operator sees", "insufficient_scope", "introspection  ", "tokens for the other API", "obtained             1\n",
	)
	if strings.Contains(transcript, "JWT") || strings.Contains(transcript, "jwt_") {
		t.Error("it tells of JWTs, and there are none")
	}
}

// tellOnce returns the transcript of a story that must hold and show no token.
func tellOnce(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), append([]string{"-once", "-listen", "127.0.0.1:0"}, args...), &stdout, &stderr)
	transcript := stdout.String()
	if status != 0 {
		t.Fatalf("exit status %d\n%s%s", status, transcript, &stderr)
	}
	if found := credential.FindString(transcript + stderr.String()); found != "" {
		t.Errorf("a token is printed: %s...", found[:8])
	}
	if strings.Contains(transcript, "stays up") {
		t.Error("-once says that the server stays up")
	}
	return transcript
}

func TestAnExternalIssuerIsShownAsFarAsItGoes(t *testing.T) {
	issuer := authtest.NewServer(t, authtest.Config{Resources: []string{"http://127.0.0.1:1/mcp"}})
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"-once", "-listen", "127.0.0.1:0", "-issuer", issuer.URL(), "-scope", "files:read"}, &stdout, &stderr)
	if status != 0 {
		t.Fatalf("exit status %d\n%s%s", status, &stdout, &stderr)
	}
	inOrder(t, stdout.String(),
		"(external)", "401 Unauthorized", `scope="files:read"`,
		"authorization_servers     "+issuer.URL(), "scopes_supported          files:read\n",
		"token_endpoint            "+issuer.URL()+"/token",
		"6.  The rest needs a person", "files:read",
	)
	if strings.Contains(stdout.String(), "reports") {
		t.Error("it tells of the API behind the MCP server, which the external provider knows nothing of")
	}
	if hits := issuer.Hits(authtest.EndpointRegister) + issuer.Hits(authtest.EndpointAuthorize); hits != 0 {
		t.Errorf("the external provider saw %d requests that write or log in", hits)
	}
}

func TestAStepThatDoesNotHoldIsAFailure(t *testing.T) {
	issuer := authtest.NewServer(t, authtest.Config{Resources: []string{"http://127.0.0.1:1/mcp"}})
	issuer.SetFault(authtest.EndpointDiscovery, authtest.HTML())
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), []string{"-once", "-listen", "127.0.0.1:0", "-issuer", issuer.URL()}, &stdout, &stderr)
	if status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	inOrder(t, stdout.String(), "5.  The authorization server", "FAILED")
	if !strings.Contains(stderr.String(), "step 5 did not hold") {
		t.Errorf("stderr %q", &stderr)
	}
}

func TestWrongCommandLines(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	const free = "-listen=127.0.0.1:0"
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"unknown flag":     {[]string{"-nonsense"}, 2, "-nonsense"},
		"stray argument":   {[]string{"serve"}, 2, `"serve"`},
		"help":             {[]string{"-h"}, 0, "-issuer"},
		"port taken":       {[]string{"-listen", taken.Addr().String()}, 1, "-listen"},
		"path taken":       {[]string{free, "-resource", "http://127.0.0.1/metrics"}, 1, "/metrics"},
		"plain http":       {[]string{free, "-resource", "http://mcp.example.com/mcp"}, 1, "http://mcp.example.com/mcp"},
		"issuer not a URL": {[]string{free, "-issuer", "login"}, 1, `"login"`},
		"scope not one":    {[]string{free, "-scope", "a b"}, 1, `"a b"`},
		"scope no rule":    {[]string{free, "-scope", "offline_access"}, 1, "offline_access"},
		"no credentials":   {[]string{free, "-introspect", "-issuer", "https://login.example.com"}, 2, "https://login.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := run(t.Context(), append([]string{"-once"}, test.args...), &stdout, &stderr)
			if status != test.status || !strings.Contains(stderr.String(), test.says) {
				t.Errorf("exit status %d, want %d; stderr %q, want %q in it", status, test.status, &stderr, test.says)
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout %q", &stdout)
			}
		})
	}
}

func TestTheServerStaysUpUntilInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	stdout := &awaited{text: "Ctrl-C ends it.", seen: make(chan struct{})}
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"-listen", "127.0.0.1:0"}, stdout, &stderr) }()

	select {
	case <-stdout.seen:
	case status := <-ended:
		t.Fatalf("it ended with %d\n%s%s", status, stdout, &stderr)
	}
	address := regexp.MustCompile(`MCP server +(\S+)`).FindStringSubmatch(stdout.String())
	if address == nil {
		t.Fatalf("no address in\n%s", stdout)
	}
	response, err := newClient().post(t.Context(), address[1], protectedData)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", response.StatusCode)
	}

	interrupt()
	if status := <-ended; status != 0 {
		t.Errorf("exit status %d after the interrupt: %s", status, &stderr)
	}
	if _, err := http.Get(address[1]); err == nil {
		t.Error("the server still answers")
	}
}

func TestSecretsCannotBePrinted(t *testing.T) {
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if got := fmt.Sprintf(verb, secret("hidden")); got != notShown {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}

// inOrder checks that every piece occurs in text, after the one before.
func inOrder(t *testing.T, text string, pieces ...string) {
	t.Helper()
	rest := text
	for _, piece := range pieces {
		_, after, found := strings.Cut(rest, piece)
		if !found {
			t.Errorf("%q is missing or out of order in\n%s", piece, text)
			return
		}
		rest = after
	}
}

// awaited collects output and tells when a text has appeared in it.
type awaited struct {
	text string
	seen chan struct{}
	once sync.Once
	mu   sync.Mutex
	all  bytes.Buffer
}

func (a *awaited) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all.Write(p)
	if strings.Contains(a.all.String(), a.text) {
		a.once.Do(func() { close(a.seen) })
	}
	return len(p), nil
}

func (a *awaited) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.all.String()
}
