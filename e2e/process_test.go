//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second // a cold start on a busy machine
	stopTimeout  = 5 * time.Second
)

// A program is a child process. It ends when its context does, and when this
// process dies in whatever way, because it must watch its standard input.
type program struct {
	name  string
	lines chan string // closed at its end
	stdin io.WriteCloser
	ended chan struct{}
	exit  error // valid once ended is closed
	pgid  int
}

// output says which stream of a program the test reads; what is on the other one
// is shown if the test fails.
type output bool

const (
	stdout output = false
	stderr output = true
)

// start runs a command whose output is read line by line, and ends it by its id
// when the test is over.
func start(t *testing.T, name string, from output, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{name: name, lines: make(chan string, 1024), ended: make(chan struct{})}
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	// A pipe of our own: the standard library's is closed by Wait, read or not.
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var other synced[string]
	cmd.Stdout, cmd.Stderr = writer, &tail{&other}
	if from == stderr {
		cmd.Stdout, cmd.Stderr = cmd.Stderr, cmd.Stdout
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = p.stdin.Close
	cmd.WaitDelay = stopTimeout
	if err := cmd.Start(); err != nil {
		_ = reader.Close()
		_ = writer.Close()
		t.Fatalf("start %s: %v", name, err)
	}
	_ = writer.Close() // the child has its own
	p.pgid = cmd.Process.Pid

	go func() {
		defer close(p.lines)
		defer reader.Close()
		for scanner := bufio.NewScanner(reader); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	go func() {
		defer close(p.ended)
		p.exit = cmd.Wait()
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, strings.Join(other.all(), ""))
		}
	})
	return p
}

// stop asks the program to end, waits, and kills what is left of its group.
func (p *program) stop() {
	_ = p.stdin.Close()
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
	}
	_ = syscall.Kill(-p.pgid, syscall.SIGKILL)
	<-p.ended
}

// errEnded: there are no more lines.
var errEnded = errors.New("its output has ended")

// line returns the next line of output.
func (p *program) line(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case line, open := <-p.lines:
		if !open {
			return "", fmt.Errorf("%s: %w", p.name, errEnded)
		}
		return line, nil
	case <-ctx.Done():
		return "", fmt.Errorf("%s: no output: %w", p.name, ctx.Err())
	}
}

// executable finds a program or fails, because a test that skips proves nothing.
func executable(t *testing.T, name, install string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	// Debian keeps daemons where only root's PATH leads.
	if path := filepath.Join("/usr/sbin", name); isFile(path) {
		return path
	}
	t.Fatalf("%s is missing; install it with: %s", name, install)
	return ""
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// node returns the command that runs one of our Node programs.
func node(t *testing.T, ctx context.Context, script string, args ...string) *exec.Cmd {
	t.Helper()
	path := executable(t, "node", "apt-get install -y nodejs npm (version 20 or later)")
	for _, dependency := range []string{"oidc-provider", "@modelcontextprotocol/sdk", "playwright-core"} {
		if !isFile(filepath.Join("node", "node_modules", dependency, "package.json")) {
			t.Fatalf("%s is missing; install it with: npm ci --prefix e2e/node", dependency)
		}
	}
	return exec.CommandContext(ctx, path, append([]string{filepath.Join("node", script)}, args...)...)
}

// watched returns the command of a program that does not watch its standard input
// by itself: it runs for as long as that stays open. The shell gives background
// jobs /dev/null to read, so the program does not take it.
func watched(t *testing.T, path string, args ...string) *exec.Cmd {
	const script = `"$@" & pid=$!; read -r _; kill "$pid"; wait "$pid"`
	return exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", script, "sh", path}, args...)...)
}

// tail keeps what a program writes.
type tail struct{ texts *synced[string] }

func (t *tail) Write(p []byte) (int, error) {
	t.texts.add(string(p))
	return len(p), nil
}

// synced is a list that several goroutines append to and read.
type synced[T any] struct {
	mu     sync.Mutex
	values []T
}

func (s *synced[T]) add(value T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values = append(s.values, value)
}

func (s *synced[T]) all() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]T(nil), s.values...)
}
