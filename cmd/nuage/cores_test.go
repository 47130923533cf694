package main

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// look is what one look finds: how busy the cores were, and how often a second their threads went to sleep.
type look struct {
	busy   float64
	sleeps int64
	want   bool
	asked  int64 // requests a second
}

func TestCores(t *testing.T) {
	t.Parallel()
	many := func(n int, l look) (all []look) {
		for range n {
			all = append(all, l)
		}
		return all
	}
	restlessOne := look{busy: 0.4, sleeps: 20_000, want: true}
	for name, looks := range map[string][]look{
		"idle":                       many(50, look{busy: 0.001, sleeps: 20, want: false}),
		"large files":                many(50, look{busy: 0.6, sleeps: 6000, want: false}),
		"much to do":                 many(50, look{busy: 1.4, sleeps: 50_000, want: false}),
		"small files":                many(50, restlessOne),
		"small files, fewer threads": append(many(3, restlessOne), many(50, look{busy: 0.3, sleeps: 8000, want: true})...),
		"a full moment":              append(many(3, restlessOne), look{busy: 1, sleeps: 40_000, want: true}, restlessOne),
		"another joins":              append(many(3, restlessOne), look{busy: 1, sleeps: 40_000, want: true}, look{busy: 1, sleeps: 40_000, want: false}, look{busy: 0.4, sleeps: 20_000, want: false}),
		"back after a while": append(append(many(3, restlessOne), look{busy: 1, sleeps: 40_000, want: true}, look{busy: 1, sleeps: 40_000, want: false}),
			append(many(25, look{busy: 1.5, sleeps: 40_000, want: false}), restlessOne)...),
		"a short rest":     append(many(3, restlessOne), append(many(9, look{busy: 0, sleeps: 0, want: true}), restlessOne)...),
		"visitors":         many(50, look{busy: 0.2, sleeps: 20_000, asked: 2000}),
		"visitors come":    append(many(3, restlessOne), look{busy: 0.4, sleeps: 20_000, asked: 2000}),
		"hardly a visitor": many(50, look{busy: 0.4, sleeps: 20_000, want: true, asked: 50}),
		"the end":          append(many(3, restlessOne), append(many(9, look{busy: 0, sleeps: 0, want: true}), look{busy: 0, sleeps: 0, want: false})...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := time.Unix(0, 0)
			c := cores{last: used{at: at}}
			now := used{}
			for i, l := range looks {
				at = at.Add(lookOne)
				now.at, now.cpu, now.sleeps = at, now.cpu+time.Duration(l.busy*float64(lookOne)), now.sleeps+l.sleeps/50
				now.asked += l.asked / 50
				if i == 0 { // all cores may come and go only after a while
					c.needed = at.Add(-time.Hour)
				}
				if got := c.next(now); got != l.want {
					t.Fatalf("look %d: one core is enough: %v, want %v", i, got, l.want)
				}
			}
		})
	}
}

// TestFollow sees the cores go, and come back, as what was used says.
func TestFollow(t *testing.T) {
	all := runtime.GOMAXPROCS(0)
	if all < 2 {
		t.Skip("needs two cores") // nothing is promised of a host's
	}
	var small atomic.Bool
	now := used{at: time.Unix(0, 0)}
	look := func() used {
		now.at, now.cpu = now.at.Add(time.Second), now.cpu+time.Second/4
		if small.Load() {
			now.sleeps += 20_000
		}
		return now
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); follow(ctx, look) }()
	small.Store(true)
	untilCores(t, 1)
	small.Store(false)
	untilCores(t, all)
	small.Store(true)
	untilCores(t, 1)
	cancel()
	<-done
	untilCores(t, all)
}

func untilCores(t *testing.T, want int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); runtime.GOMAXPROCS(0) != want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d cores, want %d", runtime.GOMAXPROCS(0), want)
		}
	}
}
