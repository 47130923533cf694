package nuage_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestEveryDependencyHasAReason: docs/dependencies.md names each module that we import.
func TestEveryDependencyHasAReason(t *testing.T) {
	t.Parallel()
	reasons := read(t, "docs/dependencies.md")
	version := regexp.MustCompile(`/v[0-9]+$`)
	n := 0
	for line := range strings.Lines(read(t, "go.mod")) {
		module, _, found := strings.Cut(strings.TrimPrefix(line, "\t"), " v")
		if !found || !strings.HasPrefix(line, "\t") || strings.Contains(line, "// indirect") {
			continue
		}
		n++
		if name := version.ReplaceAllString(strings.TrimPrefix(module, "github.com/"), ""); !strings.Contains(reasons, name) {
			t.Errorf("docs/dependencies.md does not say why %s", module)
		}
	}
	if n < 10 {
		t.Fatalf("found only %d modules in go.mod", n)
	}
}

// TestLinks: what the manual leads to is there, to the heading.
func TestLinks(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("docs/*.md")
	if err != nil || len(pages) < 10 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	link := regexp.MustCompile(`\]\(([^):]*)\)`)
	for _, page := range append(pages, "README.md") {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			file, heading, _ := strings.Cut(m[1], "#")
			to := page
			if file != "" {
				to = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s leads to %s: %v", page, m[1], err)
			} else if heading != "" && !anchors(read(t, to))[heading] {
				t.Errorf("%s leads to %s, which has no such heading", page, m[1])
			}
		}
	}
}

// anchors are the headings of a page as links name them: small letters and digits, and - for spaces.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	dropped := regexp.MustCompile(`[^a-z0-9_ -]`)
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		all[strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return all
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
