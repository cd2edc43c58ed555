package gatehouse_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-mcp/gatehouse"

// goPackage is what `go list -json` says of a package of this module.
type goPackage struct {
	ImportPath string
	Dir        string
	Doc        string
	Name       string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

func packages(t *testing.T) map[string]goPackage {
	t.Helper()
	output, err := exec.Command("go", "list", "-json=ImportPath,Dir,Doc,Name,GoFiles,Imports,Deps", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := make(map[string]goPackage)
	decoder := json.NewDecoder(strings.NewReader(string(output)))
	for {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")] = p
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

// layer is the height of a package; imports inside the module only point down.
func layer(name string) int {
	switch {
	case strings.HasPrefix(name, "internal/"), name == "scopes", name == "prm", name == "clientauth":
		return 0
	case name == "verifier", name == "scopes/policyfile":
		return 1
	case name == "idp", name == "exchange", name == "dpop":
		return 2
	case name == "middleware":
		return 3
	case name == "metrics", name == "eventlog", name == "oteltrace", name == "mcpsdk", name == "mcpgo", name == "authtest":
		return 4
	case strings.HasPrefix(name, "examples/"), name == "":
		return 5
	}
	return -1
}

func TestImportsPointDown(t *testing.T) {
	for name, p := range packages(t) {
		if layer(name) < 0 {
			t.Errorf("%s has no layer: give it one here", name)
		}
		for _, imported := range p.Imports {
			below, ours := strings.CutPrefix(imported, module+"/")
			if ours && layer(below) >= layer(name) && !(layer(below) == 0 && layer(name) == 0) {
				t.Errorf("%s imports %s, which is not below it", name, below)
			}
		}
	}
}

// bans lists who alone may import what, each with its reason.
var bans = []struct {
	prefix  string
	allowed []string
	reason  string
}{
	{"github.com/lestrrat-go/jwx", []string{"internal/jose"}, "version 2 is no longer maintained: leaving it must be one directory"},
	{"github.com/MicahParks/", []string{"internal/jose"}, "its own key cache cannot tell an outage from a bad token"},
	{"github.com/golang-jwt/", []string{"internal/jose"}, "its parser ignores crit and typ: only the gate in internal/jose may use it"},
	{"github.com/prometheus/", []string{"metrics", "examples/"}, "who does not scrape must not link it"},
	{"go.opentelemetry.io/", []string{"oteltrace"}, "who does not trace must not link it"},
	{"github.com/modelcontextprotocol/", []string{"mcpsdk", "examples/"}, "who uses another MCP library must not link it"},
	{"github.com/mark3labs/", []string{"mcpgo", "examples/"}, "who uses another MCP library must not link it"},
	{"github.com/go-json-experiment/", []string{"internal/strictjson"}, "one strict reader, and one place to change when it joins the standard library"},
	{"testing", nil, "production code must not carry test flags"},
	{"log", nil, "a library says what happened in errors and events"},
	{"unsafe", nil, "a reviewer must not have to reason about memory"},
}

func TestBannedImports(t *testing.T) {
	used := make(map[string]bool)
	for name, p := range packages(t) {
		for _, imported := range p.Imports {
			for _, ban := range bans {
				hit := imported == ban.prefix || strings.HasSuffix(ban.prefix, "/") && strings.HasPrefix(imported, ban.prefix) ||
					strings.HasPrefix(imported, ban.prefix+"/") && strings.Contains(ban.prefix, ".")
				if !hit {
					continue
				}
				used[ban.prefix] = true
				if !slices.ContainsFunc(ban.allowed, func(a string) bool { return name == a || strings.HasSuffix(a, "/") && strings.HasPrefix(name, a) }) {
					t.Errorf("%s imports %s: %s", name, imported, ban.reason)
				}
			}
		}
	}
	for _, ban := range bans {
		if len(ban.allowed) > 0 && !used[ban.prefix] {
			t.Errorf("nobody imports %s any more: remove its ban", ban.prefix)
		}
	}
}

// TestLeavesAreLinkedByTheirUsersOnly looks at the whole build of each package:
// what a leaf brings along reaches nobody who does not import the leaf.
func TestLeavesAreLinkedByTheirUsersOnly(t *testing.T) {
	leaves := map[string]string{
		"metrics": "github.com/prometheus/", "oteltrace": "go.opentelemetry.io/",
		"mcpsdk": "github.com/modelcontextprotocol/", "mcpgo": "github.com/mark3labs/",
	}
	for name, p := range packages(t) {
		for leaf, foreign := range leaves {
			uses := name == leaf || slices.Contains(p.Deps, path.Join(module, leaf)) || strings.HasPrefix(name, "examples/")
			links := slices.ContainsFunc(p.Deps, func(d string) bool { return strings.HasPrefix(d, foreign) })
			if links && !uses {
				t.Errorf("%s links %s, and does not import %s", name, foreign, leaf)
			}
			if name == leaf && !links {
				t.Errorf("%s does not link %s: is the test blind?", name, foreign)
			}
		}
		if slices.ContainsFunc(p.Deps, func(d string) bool { return strings.HasPrefix(d, "go.opentelemetry.io/otel/sdk") }) {
			t.Errorf("%s links the SDK of OpenTelemetry: that is the caller's", name)
		}
	}
}

func TestVocabularyIsStandardLibraryOnly(t *testing.T) {
	all := packages(t)
	for _, name := range []string{"scopes", "prm"} {
		for _, dependency := range all[name].Deps {
			if strings.Contains(strings.Split(dependency, "/")[0], ".") {
				t.Errorf("%s depends on %s", name, dependency)
			}
		}
	}
}

func TestEveryPackageHasDocumentation(t *testing.T) {
	for name, p := range packages(t) {
		if p.Doc == "" {
			t.Errorf("package %s has no package comment", path.Join(module, name))
		}
	}
}

// TestNoForeignTypesInExportedSignatures keeps a change of library from becoming
// a change of our API.
func TestNoForeignTypesInExportedSignatures(t *testing.T) {
	adapters := []string{"metrics", "mcpsdk", "mcpgo"}
	for name, p := range packages(t) {
		if p.Name == "main" || strings.HasPrefix(name, "internal/") || slices.Contains(adapters, name) {
			continue
		}
		for _, file := range p.GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range foreignTypes(parsed) {
				t.Errorf("%s/%s: an exported declaration uses %s", name, file, found)
			}
		}
	}
}

// foreignTypes lists the types of third parties, and of internal packages, in
// the exported declarations of a file.
func foreignTypes(file *ast.File) (found []string) {
	foreign := make(map[string]bool)
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		if !strings.Contains(strings.Split(imported, "/")[0], ".") {
			continue
		}
		if strings.HasPrefix(imported, module) && !strings.Contains(imported, "/internal/") {
			continue
		}
		base := path.Base(imported)
		if spec.Name != nil {
			base = spec.Name.Name
		} else {
			base = strings.TrimPrefix(base, "go-")
		}
		foreign[base] = true
	}
	inspect := func(node ast.Node) {
		ast.Inspect(node, func(n ast.Node) bool {
			if field, ok := n.(*ast.Field); ok && len(field.Names) > 0 && !slices.ContainsFunc(field.Names, (*ast.Ident).IsExported) {
				if _, inFunc := node.(*ast.FuncType); !inFunc {
					return false
				}
			}
			if selector, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := selector.X.(*ast.Ident); ok && foreign[pkg.Name] {
					found = append(found, pkg.Name+"."+selector.Sel.Name)
				}
			}
			return true
		})
	}
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || exportedReceiver(d.Recv)) {
				inspect(d.Type)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok && s.Name.IsExported() {
					inspect(s.Type)
				}
			}
		}
	}
	return found
}

func exportedReceiver(receiver *ast.FieldList) bool {
	exported := false
	ast.Inspect(receiver, func(n ast.Node) bool {
		if name, ok := n.(*ast.Ident); ok && name.IsExported() {
			exported = true
		}
		return true
	})
	return exported
}

func TestFilesStayReadable(t *testing.T) {
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			if lines := countLines(t, name); lines > 400 {
				t.Errorf("%s has %d lines: one idea each, at most 400", name, lines)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func countLines(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "\n")
}
