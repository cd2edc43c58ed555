//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// An answer is what curl saw.
type answer struct {
	status int
	header http.Header
	body   string
}

// curl runs the real program. Arguments come before the URL.
func curl(t *testing.T, f front, target string, args ...string) answer {
	t.Helper()
	path := executable(t, "curl", "apt-get install -y curl")
	dir := t.TempDir()
	head, body := filepath.Join(dir, "head"), filepath.Join(dir, "body")
	version, options := "HTTP/1.1 ", []string{"--http1.1"}
	if f.caFile != "" {
		version, options = "HTTP/2 ", []string{"--http2", "--cacert", f.caFile}
	}
	args = slices.Concat(options, args, []string{"--silent", "--show-error", "--noproxy", "*", "--max-time", "20",
		"--dump-header", head, "--output", body})
	if out, err := exec.CommandContext(t.Context(), path, append(args, target)...).CombinedOutput(); err != nil {
		t.Fatalf("curl: %v: %s", err, out)
	}
	written, err := os.ReadFile(head)
	if err != nil {
		t.Fatal(err)
	}
	statusLine, fields, _ := bytes.Cut(written, []byte("\r\n"))
	rest, is := strings.CutPrefix(string(statusLine), version)
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	if !is || err != nil {
		t.Fatalf("status line %q, want %sand a status", statusLine, version)
	}
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(fields))).ReadMIMEHeader()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(body)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if slices.Contains(args, "--head") {
		content = nil // curl puts the header there once more
	}
	return answer{status: status, header: http.Header(header), body: string(content)}
}

// anyValue stands for a header value that a case leaves to others.
const anyValue = "*"

// description finds the texts in challenges. They are for people and may be
// reworded.
var description = regexp.MustCompile(`error_description="[A-Z][^"\\]*\."`)

// expectHeader compares the whole header. nginx adds two fields of its own.
func expectHeader(t *testing.T, f front, got http.Header, want map[string]string) {
	t.Helper()
	for name, values := range got {
		if f.caFile != "" && (name == "Server" || name == "Connection") {
			continue
		}
		expected, known := want[name]
		value := description.ReplaceAllString(strings.Join(values, " | "), `error_description="*"`)
		switch {
		case !known:
			t.Errorf("%s: %s is too much", name, value)
		case expected != anyValue && value != expected:
			t.Errorf("%s: %s\n\twant %s", name, value, expected)
		}
	}
	for name := range want {
		if got.Get(name) == "" {
			t.Errorf("%s is missing", name)
		}
	}
}
