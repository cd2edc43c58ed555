package gatehouse_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestReadmeIsCompiled wants the lines of every Go snippet of the README in the
// examples, where the compiler and their outputs keep them true.
func TestReadmeIsCompiled(t *testing.T) {
	examples := lines(t, "example_test.go")
	snippets := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(lines(t, "README.md"), -1)
	if len(snippets) < 5 {
		t.Errorf("%d snippets were found", len(snippets))
	}
	for _, snippet := range snippets {
		if !strings.Contains(examples, "\n"+snippet[1]) {
			t.Errorf("no example has these lines:\n%s", snippet[1])
		}
	}
}

// TestReadmeLinksExist follows the links that stay in the repository.
func TestReadmeLinksExist(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(lines(t, "README.md"), -1)
	if len(links) < 5 {
		t.Errorf("%d links were found", len(links))
	}
	for _, link := range links {
		if _, err := os.Stat(link[1]); err != nil {
			t.Error(err)
		}
	}
}

// lines returns a file with single blanks between words and none before a line.
func lines(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^[ \t]+`).ReplaceAll(text, nil)
	return regexp.MustCompile(`[ \t]+`).ReplaceAllString(string(text), " ")
}
