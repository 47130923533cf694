package nuage_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "plil.net/nuage/"

// rooms is the picture of docs/architecture.md: what each folder may import of ours. A folder that is not
// here does not belong in the house.
var rooms = map[string][]string{
	"cloud":           {},
	"store":           {"cloud"},
	"provision":       {"cloud"},
	"proxygen":        {"cloud"},
	"home":            {"cloud"},
	"archive":         {"cloud"},
	"sftpfs":          {"cloud"},
	"accesslog":       {"cloud"},
	"login":           {"cloud"},
	"trail":           {"cloud"},
	"metrics":         {"cloud"},
	"gateway/command": {"cloud"},
	"gateway":         {"cloud", "sftpfs", "gateway/command"},
	"cmd/nuage":       {"*"},
	"bench":           {"*"},
}

// suites are test packages: they hold what all implementations of an interface must do.
var suites = []string{"proxygen/acme/pebbletest", "proxygen/proxygentest", "cloud/dnstest", "login/logintest", "store/storetest", "provision/provisiontest"}

// outside says who alone may import modules of others.
var outside = map[string][]string{
	"github.com/moby/moby":         {"provision"},
	"golang.org/x/crypto/ssh":      {"gateway", "cloud/key.go", "bench"},
	"github.com/pkg/sftp":          {}, // tests only
	"github.com/coreos/go-oidc":    {"login"},
	"github.com/prometheus":        {"metrics"},
	"golang.org/x/oauth2":          {"login"},
	"github.com/zitadel/oidc":      {}, // tests only
	"rsc.io/qr":                    {"gateway"},
	"github.com/quic-go":           {"proxygen"},
	"go.etcd.io/bbolt":             {"store"},
	"github.com/spf13/cobra":       {"gateway/command", "cmd/nuage"},
	"github.com/pelletier/go-toml": {"cmd/nuage"},
	"github.com/caddyserver":       {"proxygen", "cmd/nuage"},
	"github.com/libdns":            {"proxygen", "cmd/nuage"},
}

var badNames = []string{"util", "utils", "common", "helper", "helpers", "manager", "service", "shared", "misc", "base"}

// source is one Go file that is part of the program: no test.
type source struct {
	path string // slash-separated, from the root of the module
	file *ast.File
}

func (s source) room() string {
	dir := filepath.ToSlash(filepath.Dir(s.path))
	for _, suite := range suites {
		if dir == suite {
			return suite
		}
	}
	for room := dir; room != "."; room = filepath.ToSlash(filepath.Dir(room)) {
		if _, ok := rooms[room]; ok {
			return room
		}
	}
	return ""
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "var") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		all = append(all, source{filepath.ToSlash(path), f})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("found only %d files: is this the root of the module?", len(all))
	}
	return all
}

func imports(f *ast.File) []string {
	var paths []string
	for _, i := range f.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		paths = append(paths, p)
	}
	return paths
}

func TestImportsFollowThePicture(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if complaint := checkImports(s); complaint != "" {
			t.Error(complaint)
		}
	}
}

func checkImports(s source) string {
	room := s.room()
	if room == "" {
		return fmt.Sprintf("%s is in a folder that docs/architecture.md does not show", s.path)
	}
	for _, p := range imports(s.file) {
		if ours, ok := strings.CutPrefix(p, module); ok && !mayImport(room, ours) {
			return fmt.Sprintf("%s imports %s: the picture has no arrow from %s to it", s.path, ours, room)
		}
		for prefix, allowed := range outside {
			if strings.HasPrefix(p, prefix) && !slices.Contains(allowed, room) && !slices.Contains(allowed, s.path) && !slices.Contains(suites, room) {
				return fmt.Sprintf("%s imports %s, which only %v may", s.path, p, allowed)
			}
		}
	}
	return ""
}

func mayImport(room, ours string) bool {
	if ours == room || strings.HasPrefix(ours, room+"/") && !slices.Contains(suites, ours) {
		return true // its own inner folders
	}
	if slices.Contains(suites, room) {
		return ours == "cloud"
	}
	return slices.Contains(rooms[room], "*") || slices.Contains(rooms[room], ours)
}

func TestTheHouseTestSeesAWrongImport(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ path, imports string }{
		{"cloud/site.go", module + "store"},
		{"store/bolt.go", module + "proxygen"},
		{"gateway/command/site.go", module + "gateway"},
		{"cloud/site.go", "golang.org/x/crypto/ssh"},
		{"store/bolt.go", "github.com/moby/moby/client"},
		{"attic/old.go", "fmt"},
		{"cloud/site.go", module + "store/storetest"},
	} {
		f, err := parser.ParseFile(token.NewFileSet(), tc.path, fmt.Sprintf("package p\nimport _ %q\n", tc.imports), 0)
		if err != nil {
			t.Fatal(err)
		}
		if checkImports(source{tc.path, f}) == "" {
			t.Errorf("%s importing %s was not noticed", tc.path, tc.imports)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	docs := map[string]string{}
	for _, s := range sources(t) {
		dir := filepath.Dir(s.path)
		docs[dir] += s.file.Doc.Text()
		if slices.Contains(badNames, s.file.Name.Name) {
			t.Errorf("%s: a package named %s says nothing", s.path, s.file.Name.Name)
		}
	}
	for dir, doc := range docs {
		if len(doc) < 60 {
			t.Errorf("package in %s has no comment that says what it is and what it is not", dir)
		}
	}
}

// TestNoInitAndNoGlobals lets a package have tables, errors, patterns, templates and embeds, and nothing else
// at its top level: what can change belongs to somebody.
func TestNoInitAndNoGlobals(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init()", s.path)
			}
			if complaint := mutable(d); complaint != "" {
				t.Errorf("%s: %s", s.path, complaint)
			}
		}
	}
}

// mutable finds package variables without a value: they wait for somebody to set them.
func mutable(d ast.Decl) string {
	g, ok := d.(*ast.GenDecl)
	if !ok || g.Tok != token.VAR {
		return ""
	}
	for _, spec := range g.Specs {
		v := spec.(*ast.ValueSpec)
		embedded := g.Doc != nil && strings.Contains(docText(g.Doc)+docText(v.Doc), "go:embed")
		if len(v.Values) == 0 && !embedded {
			return fmt.Sprintf("package variable %s has no value: what can change belongs to somebody", v.Names[0].Name)
		}
	}
	return ""
}

func docText(c *ast.CommentGroup) string {
	if c == nil {
		return ""
	}
	var b strings.Builder
	for _, line := range c.List {
		b.WriteString(line.Text)
	}
	return b.String()
}

// TestWhoIsNeverInAContext: who is acting is an argument.
func TestWhoIsNeverInAContext(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "WithValue" {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "context" {
					t.Errorf("%s keeps something in a context: pass it as an argument", s.path)
				}
			}
			return true
		})
	}
}
