package middleware_test

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"testing"
	"time"
)

// TestCatalogue sends the catalogue of bad inputs, row by row, through a Guard
// with the JWT verifier and two fake issuers. Every row meets every oracle.
func TestCatalogue(t *testing.T) {
	c := &catalogue{covered: make(map[string]bool)}
	for _, group := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"form", c.form},
		{"alphabet", c.alphabet},
		{"size and depth", c.size},
		{"header JSON", c.headerJSON},
		{"claims JSON", c.claimsJSON},
		{"numbers", c.numbers},
		{"algorithm", c.algorithm},
		{"HMAC", c.hmac},
		{"HMAC beside introspection", c.introspection},
		{"header parameters", c.parameters},
		{"type", c.types},
		{"encryption", c.encryption},
		{"signatures", c.signatures},
		{"choice of key", c.keyChoice},
		{"RSA keys", c.rsaKeys},
		{"Ed25519 keys", c.edKeys},
		{"issuer", c.issuers},
		{"audience", c.audience},
		{"times", c.times},
		{"clock", c.clock},
		{"identifiers", c.identifiers},
		{"scope", c.scope},
		{"confirmation and actors", c.confirmation},
		{"credentials", c.credentials},
		{"wire", c.wire},
		{"labels", c.labels},
		{"logs", c.logs},
		{"printing", c.printing},
	} {
		t.Run(group.name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			group.run(t)
			catalogueDrain(t, before)
		})
	}
	t.Run("every row is covered", c.complete)
}

// catalogue knows which rows have a test.
type catalogue struct{ covered map[string]bool }

var catalogueIDs = regexp.MustCompile(`\b(TS|HA|CL|HT|DS)-[0-9]+`)

// row runs a subtest whose name begins with the ids of the rows it covers.
func (c *catalogue) row(t *testing.T, name string, run func(*testing.T)) {
	ids := catalogueIDs.FindAllString(name, -1)
	if len(ids) == 0 {
		t.Errorf("%q names no row", name)
	}
	for _, id := range ids {
		c.covered[id] = true
	}
	t.Run(name, run)
}

// catalogueElsewhere lists the rows that are about what a Guard with a JWT
// verifier does not do.
var catalogueElsewhere = map[string]string{
	"HA-35": "DPoP: an access token as proof needs a server that reads proofs",
	"CL-23": "no replay or revocation list goes by jti in the JWT verifier",
	"CL-37": "no revocation hook in the JWT verifier; for introspection there is Revoked",
}

// complete compares the rows with the list that they are from.
func (c *catalogue) complete(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "shared", "reference", "bad-inputs.md"))
	if err != nil {
		t.Skip("the list of rows is not beside this project")
	}
	found := regexp.MustCompile(`(?m)^\| ((?:TS|HA|CL)-[0-9]+) \|`).FindAllStringSubmatch(string(text), -1)
	if len(found) < 100 {
		t.Fatalf("only %d rows in the list: has its form changed?", len(found))
	}
	var listed []string
	for _, match := range found {
		id := match[1]
		listed = append(listed, id)
		if reason := catalogueElsewhere[id]; (reason != "") == c.covered[id] {
			t.Errorf("%s: covered %t, excused %q", id, c.covered[id], reason)
		}
	}
	for _, id := range []string{"HT-05", "HT-12", "HT-13", "HT-14", "DS-11", "DS-15", "DS-17"} {
		if !c.covered[id] {
			t.Errorf("%s has no test", id)
		}
	}
	for id := range catalogueElsewhere {
		if !slices.Contains(listed, id) {
			t.Errorf("%s is excused and does not exist", id)
		}
	}
	t.Logf("%d rows listed, %d excused", len(listed), len(catalogueElsewhere))
}

// catalogueDrain is O2: what a group started has ended.
func catalogueDrain(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 64<<10)
			t.Fatalf("O2: %d goroutines, %d before\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
