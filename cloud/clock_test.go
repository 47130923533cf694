package cloud_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// hands are those of a clock that somebody sets.
type hands struct {
	mu  sync.Mutex
	off time.Duration
}

func (h *hands) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Now().Round(0).Add(h.off)
}

func (h *hands) set(off time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.off = off
}

const year = 365 * 24 * time.Hour

func TestClockIsBelieved(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	h := &hands{}
	k := cloud.NewClock(h.now().Add(-time.Minute), h.now, log)
	for _, step := range []struct {
		off  time.Duration
		want bool
	}{{0, true}, {30 * time.Minute, true}, {year, false}, {2 * year, false}, {30 * time.Minute, true}, {-5 * time.Hour, false}, {0, true}} {
		if h.set(step.off); k.Steady() != step.want {
			t.Errorf("set to %s: believed %v", step.off, !step.want)
		}
	}
	for gap, want := range map[time.Duration]bool{
		0: true, time.Minute: true, 23 * time.Hour: true, -time.Minute: true, // at its start, since the last record
		48 * time.Hour: false, year: false, -3 * time.Hour: false,
	} {
		if got := cloud.NewClock(time.Now().Add(-gap), time.Now, log).Steady(); got != want {
			t.Errorf("%s after the last record: believed %v", gap, got)
		}
	}
	if !cloud.NewClock(time.Time{}, time.Now, log).Steady() {
		t.Error("a new gateway does not believe its clock")
	}
}

// TestClockSetForthAndBack: nothing goes because of it. The audit keeps its order, keys that were too old by the wrong
// clock let in again, and sites are there.
func TestClockSetForthAndBackRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	h := &hands{}
	c := w.openWith(nil, func(o *cloud.Options) {
		o.Now, o.Clock, o.AuditKeep = h.now, cloud.NewClock(h.now(), h.now, slog.New(slog.DiscardHandler)), year
		o.Rules = cloud.Rules{MaxAge: 90 * 24 * time.Hour}
	})
	defer c.Close()
	alice := w.person(c, "alice")
	kept := func() (targets []string) {
		last := uint64(0)
		err := c.Audit(ctx, operator, cloud.EventFilter{}, false, func(e cloud.Event) error {
			if e.Seq <= last {
				t.Errorf("event %d comes after %d", e.Seq, last)
			}
			if last = e.Seq; e.Action == cloud.SiteCreate {
				targets = append(targets, e.Target)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return targets
	}
	create := func(name string) {
		t.Helper()
		w.site(c, alice, name, cloud.Static)
	}
	create("before")
	h.set(3 * year)
	create("forth") // its event is where the old ones would go
	if got := kept(); len(got) != 2 {
		t.Errorf("the clock three years ahead, the audit keeps %q", got)
	}
	status, err := c.Status(ctx, operator)
	if err != nil || len(status.Warnings) != 1 {
		t.Errorf("status warns of %q, %v", status.Warnings, err)
	}
	h.set(-5 * time.Hour)
	create("back")
	if got := kept(); len(got) != 3 || got[2] != "back.plil.net" {
		t.Errorf("the clock five hours behind, the audit keeps %q", got)
	}
	h.set(0)
	sites, err := c.Sites(ctx, alice, false)
	if err != nil || len(sites) != 3 {
		t.Errorf("%d sites, %v", len(sites), err)
	}
	if status, err = c.Status(ctx, operator); err != nil || len(status.Warnings) != 0 {
		t.Errorf("the clock is right again; status warns of %q, %v", status.Warnings, err)
	}
}
