package command

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

func TestProgressWaitsASecond(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := NewProgress(&out)
	p.Step("first")
	p.Step("second")
	p.End()
	p.Step("after the end")
	p.End()
	if out.Len() > 0 {
		t.Errorf("told at once: %q", out.String())
	}
	nobody := NewProgress(nil)
	nobody.Step("x")
	nobody.End()
}

// TestProgress makes a site slowly: with a terminal a person is told why beside the output, without one nobody is.
func TestProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.engine.SlowUp(3 * time.Second)
	for _, c := range []struct {
		name, line, told string
		tty              bool
	}{
		{"slow", "site create slow", "nuage: starting the container…\n", true},
		{"restarted", "site restart slow", "nuage: stopping the container and starting it again…\n", true},
		{"quiet", "site create quiet", "", false},
	} {
		var stdout, stderr, told bytes.Buffer
		call := Call{Cloud: w.Cloud, Who: w.who["alice"], Stdout: &stdout, Stderr: &stderr, TTY: c.tty}
		if c.tty {
			call.Progress = &told
		}
		if status := Run(context.Background(), call, c.line); status != 0 {
			t.Fatalf("%s: status %d: %s%s", c.line, status, stdout.String(), stderr.String())
		}
		if !strings.Contains(told.String(), c.told) || !c.tty && told.Len() > 0 {
			t.Errorf("%s: told %q, want %q", c.line, told.String(), c.told)
		}
		if strings.Contains(stdout.String()+stderr.String(), "…") {
			t.Errorf("%s: %q %q", c.line, stdout.String(), stderr.String())
		}
	}
}
