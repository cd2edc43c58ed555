package verifier_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// catalogueElsewhere lists the rows about keys and introspection that have no
// test, and why.
var catalogueElsewhere = map[string]string{
	"KS-15": "no list of forbidden addresses: what a configured issuer names is asked by https alone, and a Transport can refuse to dial",
	"KS-40": "there is nothing to close: a goroutine lives as long as one fetch, which TestKeyLifecycleNumbers counts",
}

// Every row about keys and introspection is named by the test that covers it. The
// other groups are in TestCatalogue of package middleware.
func TestEveryRowAboutKeysAndIntrospectionHasATest(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "shared", "reference", "bad-inputs.md"))
	if err != nil {
		t.Skip("the list of rows is not beside this project")
	}
	tests := make(map[string]bool)
	for _, pattern := range []string{"*_test.go", filepath.Join("..", "internal", "*", "*_test.go")} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if file == "catalogue_test.go" {
				continue
			}
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range regexp.MustCompile(`\b(?:KS|IN)-[0-9]+`).FindAllString(string(source), -1) {
				tests[id] = true
			}
		}
	}
	rows := regexp.MustCompile(`(?m)^\| ((?:KS|IN)-[0-9]+) \|`).FindAllStringSubmatch(string(text), -1)
	if len(rows) < 50 {
		t.Fatalf("only %d rows in the list: has its form changed?", len(rows))
	}
	for _, row := range rows {
		if id := row[1]; tests[id] == (catalogueElsewhere[id] != "") {
			t.Errorf("%s: has a test %t, excused %q", id, tests[id], catalogueElsewhere[id])
		}
	}
}
