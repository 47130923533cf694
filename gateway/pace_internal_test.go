package gateway

import (
	"testing"
	"time"
)

// TestPace: so many at once, then one after the other, and no more than few who wait; all of it passes.
func TestPace(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	p := &pace{now: func() time.Time { return now }, limit: 120}
	takes := func(n int, account string) (waits []time.Duration) {
		for range n {
			wait, ok := p.take(account)
			if !ok {
				wait = -1
			}
			waits = append(waits, wait)
		}
		return waits
	}
	for i, wait := range takes(120, "ada") {
		if wait != 0 {
			t.Fatalf("login %d waits %s", i+1, wait)
		}
	}
	for i, wait := range takes(25, "ada") {
		want := time.Duration(i+1) * time.Second / 2
		if want > paceMost {
			want = -1
		}
		if wait != want {
			t.Errorf("login %d waits %s, want %s", 121+i, wait, want)
		}
	}
	if takes(1, "bob")[0] != 0 {
		t.Error("another account waits")
	}
	now = now.Add(paceMost + time.Second)
	if got := takes(3, "ada"); got[0] != 0 || got[1] != 0 || got[2] == 0 {
		t.Errorf("a second later: %v", got)
	}
	now = now.Add(2 * time.Minute)
	if got := takes(121, "ada"); got[119] != 0 || got[120] == 0 {
		t.Errorf("minutes later: %v", got)
	}
}
