package cloud_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// runLooked runs a Cloud, and returns once Reconcile has looked at the engine, whose events come by then; or twice.
func (w *world) runLooked(c live, times int) {
	w.t.Helper()
	gone := w.orphan("first")
	run(w.t, c)
	if gone(); times > 1 {
		w.orphan("second")()
	}
}

// orphan makes a container of no site, and gone waits until it is removed.
func (w *world) orphan(orphan string) (gone func()) {
	w.t.Helper()
	if err := w.engine.Up(context.Background(), cloud.Spec{ID: orphan, Name: orphan, UID: 1, Home: w.t.TempDir(), Root: "www",
		Group: cloud.Group{Name: "students", Network: w.network}, Address: netip.AddrFrom4([4]byte{127, 70, w.network.Addr().As4()[2], 99})}); err != nil {
		w.t.Fatal(err)
	}
	return func() {
		w.t.Helper()
		soon(w.t, orphan+" is removed", func() bool { return !strings.Contains(w.rests(), "container "+orphan) })
	}
}

// TestARestartThatFailsIsTriedAgainRegression: a site died, and its container was killed once more while it was being started.
// It comes up with the next try, which does not wait for Reconcile to come round.
func TestARestartThatFailsIsTriedAgainRegression(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) { o.HealAfter = 200 * time.Millisecond })
	alice := w.person(c, "alice")
	s := w.site(c, alice, "blog", cloud.PHP)
	w.runLooked(c, 2) // the third look comes in minutes
	w.engine.FailUp(cloud.Errorf(cloud.Unavailable, "its web server ended with status 137"))
	w.engine.Die(s.ID)
	soon(t, "its restart has failed", func() bool { return c.state(t, alice, "blog") == cloud.Failed })
	w.engine.FailUp(nil)
	soon(t, "it runs", func() bool { return c.state(t, alice, "blog") == cloud.Running })
}

// TestRestartsThatFailAreGivenUp: the reason stays that of the last one.
func TestRestartsThatFailAreGivenUp(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) { o.HealAfter = 2 * time.Millisecond })
	alice := w.person(c, "alice")
	s := w.site(c, alice, "blog", cloud.PHP)
	w.runLooked(c, 1)
	w.engine.FailUp(cloud.Errorf(cloud.Unavailable, "it exits at once"))
	w.engine.Die(s.ID)
	soon(t, "it is given up", func() bool {
		s, err := c.Site(ctx, alice, "blog")
		return err == nil && s.Reason == "it exits at once, 6 times in a row"
	})
	w.engine.FailUp(nil)
	ups := w.engine.Ups(s.ID)
	if err := c.Reconcile(ctx); err != nil || w.engine.Ups(s.ID) != ups || c.state(t, alice, "blog") != cloud.Failed {
		t.Errorf("Reconcile started it again, %v", err)
	}
	if err := c.StartSite(ctx, alice, "blog"); err != nil || c.state(t, alice, "blog") != cloud.Running {
		t.Errorf("it does not start: %v", err)
	}
}
