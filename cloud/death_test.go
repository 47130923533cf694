package cloud_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision/fake"
)

// looked is an engine that counts how often it has seen to it that a site is up.
type looked struct {
	*fake.Engine
	ups atomic.Int32
}

func (l *looked) Up(ctx context.Context, s cloud.Spec) error {
	defer l.ups.Add(1)
	return l.Engine.Up(ctx, s)
}

// runLooked is a Cloud that runs, with one site. Reconcile has seen that twice, and comes again in minutes only: what happens
// now the engine's events tell.
func (w *world) runLooked(healAfter time.Duration) (c live, alice cloud.Who, s cloud.Site) {
	w.t.Helper()
	engine := &looked{Engine: w.engine}
	c = w.openWith(nil, func(o *cloud.Options) { o.Engine, o.HealAfter = engine, healAfter })
	alice = w.person(c, "alice")
	s = w.site(c, alice, "blog", cloud.PHP)
	made := engine.ups.Load()
	run(w.t, c)
	soon(w.t, "both looks are over", func() bool { return engine.ups.Load() == made+2 })
	return c, alice, s
}

// TestARestartThatFailsIsTriedAgainRegression: a site died, and its container was killed once more while it was being started.
// It comes up with the next try, which does not wait for Reconcile to come round.
func TestARestartThatFailsIsTriedAgainRegression(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c, alice, s := w.runLooked(200 * time.Millisecond)
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
	c, alice, s := w.runLooked(2 * time.Millisecond)
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
