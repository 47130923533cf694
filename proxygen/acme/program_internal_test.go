package acme

import (
	"strings"
	"testing"
)

// TestProgramThatSaysTooMuchRegression: all of it was kept until its end.
func TestProgramThatSaysTooMuchRegression(t *testing.T) {
	t.Parallel()
	var said tail
	for _, text := range []string{strings.Repeat("x", 3*tailSize), "\n", "the zone", " is locked\n"} {
		if n, err := said.Write([]byte(text)); n != len(text) || err != nil || len(said) > tailSize {
			t.Errorf("%d bytes of %d are taken, %d kept, %v", n, len(text), len(said), err)
		}
	}
	if line := lastLine(said); line != ": the zone is locked" {
		t.Errorf("got %q", line)
	}
}
