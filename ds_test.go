package gatehouse_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// DS-20: a secret is not compared by operators that stop at the first difference.
// There is hardly any comparison of secrets here: they are sent, not received.
func TestSecretsAreNotComparedByOperators(t *testing.T) {
	secret := regexp.MustCompile(`(?i)(secret|password|hmac|\bmac$|nonce)$`)
	looked := 0
	for name, p := range packages(t) {
		if strings.HasPrefix(name, "examples/") {
			continue
		}
		for _, file := range p.GoFiles {
			set := token.NewFileSet()
			tree, err := parser.ParseFile(set, filepath.Join(p.Dir, file), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			looked++
			ast.Inspect(tree, func(n ast.Node) bool {
				comparison, ok := n.(*ast.BinaryExpr)
				if !ok || comparison.Op != token.EQL && comparison.Op != token.NEQ || isConstant(comparison.X) || isConstant(comparison.Y) {
					return true
				}
				if secret.MatchString(lastName(comparison.X)) || secret.MatchString(lastName(comparison.Y)) {
					t.Errorf("DS-20 %s: compare secrets with crypto/subtle", set.Position(n.Pos()))
				}
				return true
			})
		}
	}
	if looked < 50 {
		t.Errorf("only %d files were looked at", looked)
	}
}

// isConstant reports a literal or nil: whether there is a secret is no secret.
func isConstant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil"
	}
	return false
}

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// DS-27: each reader of hostile text has a fuzz target.
func TestReadersOfHostileTextAreFuzzed(t *testing.T) {
	for reader, target := range map[string][2]string{
		"compact JWS":          {"internal/jose", "FuzzParse"},
		"JOSE header":          {"internal/jose", "FuzzHeader"},
		"second JOSE parser":   {"internal/jose", "FuzzDifferential"},
		"key set":              {"internal/jose", "FuzzKeySet"},
		"claims":               {"verifier", "FuzzClaims"},
		"introspection answer": {"verifier", "FuzzIntrospectionAnswer"},
		"discovery document":   {"verifier", "FuzzDiscovery"},
		"Authorization":        {"middleware", "FuzzAuthorization"},
		"Mcp-Name":             {"middleware", "FuzzHeadersNeverAllow"},
		"JSON-RPC message":     {"internal/jsonrpc", "FuzzParse"},
		"strict JSON":          {"internal/strictjson", "FuzzUnmarshal"},
	} {
		files, err := filepath.Glob(filepath.Join(target[0], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), "func "+target[1]+"(")
		}
		if !found {
			t.Errorf("DS-27 %s: no %s in %s", reader, target[1], target[0])
		}
	}
}

// DS-28: the minimum Go version has the fixes that the parsers here rely on, and
// known vulnerabilities fail the build.
func TestMinimumGoVersion(t *testing.T) {
	checks, err := os.ReadFile(".ci/run")
	if err != nil || !strings.Contains(string(checks), "\"$tools/govulncheck\" ./...") {
		t.Errorf("DS-28 nobody looks for known vulnerabilities (%v)", err)
	}
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^go 1\.(2[6-9]|[3-9]\d)`).Match(text) {
		t.Error("DS-28 go.mod allows a Go before 1.26")
	}
}
