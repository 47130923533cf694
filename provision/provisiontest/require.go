package provisiontest

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Skip skips a test for want of a tool, or fails it where NUAGE_MUST, a list with commas, promises the tool.
func Skip(t *testing.T, tool, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("NUAGE_MUST"), ","), tool) {
		t.Fatalf("%s, which NUAGE_MUST promises: %s", tool, why)
	}
	t.Skipf("%s: %s", tool, why)
}
