package cloud_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
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
	if err != nil || len(status.Warnings) != 1 || !strings.Contains(status.Warnings[0], "the clock is 1095 days ahead of") {
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

// TestAuditOfAClockAhead: what is dated years later goes with what came after it, and keeps none of that.
func TestAuditOfAClockAhead(t *testing.T) {
	t.Parallel()
	h := &hands{}
	c := newWorld(t).openWith(nil, func(o *cloud.Options) { o.Now, o.AuditKeep = h.now, year })
	defer c.Close()
	add := func(name string, at time.Duration) {
		t.Helper()
		h.set(at)
		if _, err := c.AddAccount(t.Context(), operator, cloud.NewAccount{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	add("ahead", 10*year)
	add("right", 0)
	add("later", year+time.Hour)
	var kept []string
	err := c.Audit(t.Context(), operator, cloud.EventFilter{}, false, func(e cloud.Event) error {
		if e.Action == cloud.AccountAdd {
			kept = append(kept, e.Target)
		}
		return nil
	})
	if err != nil || len(kept) != 1 || kept[0] != "later" {
		t.Errorf("the audit keeps %q, %v", kept, err)
	}
}

// TestKeysOfAClockThatJumps: one that goes ahead shuts nobody out, and a login of that time does not count for longer.
func TestKeysOfAClockThatJumps(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	e := newEnrolment(t, cloud.Rules{MaxAge: 90 * day})
	h := &hands{}
	e.Cloud.Now, e.Cloud.Clock = h.now, cloud.NewClock(h.now(), h.now, slog.New(slog.DiscardHandler))
	jean := e.enrols(person("1", "jean"))
	h.set(year)
	if _, err := e.Authenticate(t.Context(), jean.Key); err != nil {
		t.Errorf("the clock a year ahead: %v", err)
	}
	if lines, err := e.Greet(t.Context(), jean); err != nil || len(lines) != 0 {
		t.Errorf("the clock a year ahead, greeted with %q, %v", lines, err)
	}
	ann := e.enrols(person("2", "ann"))
	h.set(0)
	if err := e.EndStale(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.set(year)
	e.Cloud.Clock = nil // it is believed
	for _, who := range []cloud.Who{jean, ann} {
		if _, err := e.Authenticate(t.Context(), who.Key); !errors.Is(err, cloud.ErrStale) {
			t.Errorf("a year later %s: %v", who.Account, err)
		}
	}
}

// TestGreetByAClockThatJumps: of each key the others hear, and not for ever.
func TestGreetByAClockThatJumps(t *testing.T) {
	t.Parallel()
	e := newEnrolment(t, cloud.Rules{})
	h := &hands{}
	e.Cloud.Now = h.now
	first := e.enrols(person("1", "jean"))
	told := func() (n int) {
		t.Helper()
		lines, err := e.Greet(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(strings.Join(lines, "\n"), "your account got the key")
	}
	const day = 24 * time.Hour
	for i, step := range []struct {
		at, read time.Duration // by the clock: a key comes, the others are told
		comes    bool
		hears    bool
	}{
		{0, 0, false, false}, {year, year, true, true}, {0, 0, false, false}, {0, 0, true, true}, {day, day, false, false},
		{-year, day, true, true}, {2 * day, 2 * day, false, false}, {2 * day, 2 * day, true, true},
	} {
		h.set(step.at)
		if step.comes {
			e.enrols(person("1", "jean"))
		}
		h.set(step.read)
		if n := told(); (n > 0) != step.hears {
			t.Errorf("step %d: %d keys are told", i, n)
		}
		if n := told(); n != 0 {
			t.Errorf("step %d: %d keys are told again", i, n)
		}
	}
}

// TestDomainsOfAClockAhead are given up in their time once it is right, not in that time and years.
func TestDomainsOfAClockAhead(t *testing.T) {
	t.Parallel()
	s := newStreet(t)
	h := &hands{}
	s.Cloud.Now = h.now
	has := func() int {
		t.Helper()
		s.CheckDomains(t.Context())
		list, err := s.DomainList(t.Context(), s.ann)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	h.set(year)
	s.add(s.ann, "blog", "www.example.org")
	h.set(0)
	if has() != 1 {
		t.Error("forgotten as the clock came right")
	}
	h.set(15 * 24 * time.Hour)
	if has() != 0 {
		t.Error("not forgotten in its time")
	}
}
