package acme

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mholt/acmez/v3/acme"
)

// TestWants: a host that fails waits longer each time, others do not wait for it, and who is not allowed any more is forgotten.
func TestWants(t *testing.T) {
	t.Parallel()
	w, now := newWants(), time.Now()
	w.add("bad.test")
	for n, wait := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour, 24 * time.Hour, 24 * time.Hour} {
		if host, _ := w.due(now); host != "bad.test" {
			t.Fatalf("try %d: it is %q's turn", n, host)
		}
		if host, _ := w.due(now); host != "" {
			t.Fatalf("%q is tried twice at once", host)
		}
		w.tried("bad.test", now, errors.New("no route to host"))
		if host, _ := w.due(now.Add(wait - time.Second)); host != "" {
			t.Errorf("try %d: it is tried again before %s", n, wait)
		}
		now = now.Add(wait)
	}
	w.add("good.test")
	w.add("good.test")
	seen := map[string]bool{}
	for range 2 {
		host, _ := w.due(now)
		seen[host] = true
	}
	if !seen["bad.test"] || !seen["good.test"] {
		t.Errorf("due are %v", seen)
	}
	w.tried("good.test", now, nil)
	w.tried("bad.test", now, nil)
	gone := w.drop(now, func(host string) bool { return host != "good.test" })
	if len(gone) != 1 || gone[0].Subject != "good.test" || len(w.hosts) != 1 {
		t.Errorf("dropped are %v of %v", gone, w.hosts)
	}
}

// TestEnoughRegression: the authority has issued enough for the names that one person made up, and the others had to wait for
// an hour. Only where it says so of several domains do all.
func TestEnoughRegression(t *testing.T) {
	t.Parallel()
	w, now := newWants(), time.Now()
	enough := func(host string) {
		t.Helper()
		w.add(host)
		if due, _ := w.due(now); due != host {
			t.Fatalf("due is %q, not %q", due, host)
		}
		w.tried(host, now, fmt.Errorf("order: %w", acme.Problem{Type: acme.ProblemTypeRateLimited}))
	}
	enough("a.evil.test")
	w.add("b.evil.test")
	if host, _ := w.due(now.Add(14 * time.Minute)); host != "" {
		t.Errorf("%q asks an authority that has issued enough for it", host)
	}
	enough("good.test")
	enough("other.test")
	w.add("next.test")
	if host, wait := w.due(now.Add(59 * time.Minute)); host != "" || wait > lookEvery {
		t.Errorf("%q asks an authority that has issued enough for all; wait %s", host, wait)
	}
	if host, _ := w.due(now.Add(61 * time.Minute)); host == "" {
		t.Error("after an hour it is nobody's turn")
	}
}

// TestAgainRegression: a host that fails was tried at once, each time that it was taken away and added again.
func TestAgainRegression(t *testing.T) {
	t.Parallel()
	w, now := newWants(), time.Now()
	none := func(string) bool { return false }
	w.add("bad.test")
	for n, wait := range []time.Duration{15 * time.Minute, 30 * time.Minute} {
		if host, _ := w.due(now); host != "bad.test" {
			t.Fatalf("try %d: it is %q's turn", n, host)
		}
		w.tried("bad.test", now, errors.New("no route to host"))
		w.drop(now, none)
		if host, _ := w.due(now.Add(wait)); host != "" {
			t.Errorf("try %d: %q is tried, and is not here", n, host)
		}
		w.add("bad.test")
		if host, _ := w.due(now.Add(wait - time.Second)); host != "" {
			t.Errorf("try %d: it is tried again before %s", n, wait)
		}
		now = now.Add(wait)
	}
	if w.drop(now, none); len(w.hosts) != 0 {
		t.Errorf("%v are remembered for ever", w.hosts)
	}
}
