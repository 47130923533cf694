package cloud_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// run runs a Cloud as serve does, until the test ends.
func run(t *testing.T, c live) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
		c.Close()
	})
}

func TestReconcileRemovesOrphansAndStartsWhatStands(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	alice := w.person(c, "alice")
	for _, name := range []string{"up", "halted"} {
		w.site(c, alice, name, cloud.PHP)
	}
	if err := c.StopSite(ctx, alice, "halted"); err != nil {
		t.Fatal(err)
	}
	c.Close()

	// While no gateway runs: a container of no site appears, one that shall run stops, one that shall not runs.
	containers, err := w.engine.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	spec := cloud.Spec{ID: "0123456789abcdef", Name: "orphan", UID: 1, Home: t.TempDir(), Root: "www",
		Group: cloud.Group{Name: "students", Network: w.network}, Address: netip.AddrFrom4([4]byte{127, 70, w.network.Addr().As4()[2], 99})}
	if err := w.engine.Up(ctx, spec); err != nil {
		t.Fatal(err)
	}
	for _, k := range containers {
		if k.Name == "up.plil.net" {
			w.engine.Die(k.ID)
		}
	}

	next := w.open(nil)
	defer next.Close()
	if err := next.Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	rests := w.rests()
	if strings.Contains(rests, "orphan") || !strings.Contains(rests, "container up.plil.net running=true") ||
		!strings.Contains(rests, "container halted.plil.net running=false") {
		t.Errorf("after Reconcile: %s", rests)
	}
	status, err := next.Status(ctx, operator)
	if err != nil || len(status.Repairs) != 2 {
		t.Errorf("repairs: %+v, %v", status.Repairs, err)
	}
}

// TestWhatTheEngineMakesLateIsRemovedRegression: a gateway was killed while it made a site, and the engine came to the
// container only after the next one had looked.
func TestWhatTheEngineMakesLateIsRemovedRegression(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	orphan := func(id string, at byte) {
		t.Helper()
		if err := w.engine.Up(context.Background(), cloud.Spec{ID: id, Name: id, UID: 1, Home: t.TempDir(), Root: "www",
			Group: cloud.Group{Name: "students", Network: w.network}, Address: netip.AddrFrom4([4]byte{127, 70, w.network.Addr().As4()[2], at})}); err != nil {
			t.Fatal(err)
		}
	}
	orphan("early", 98)
	run(t, w.openWith(nil, func(o *cloud.Options) { o.HealAfter = time.Second })) // so the next look is in ten
	soon(t, "the first look is over", func() bool { return w.rests() == "" })
	orphan("late", 99)
	soon(t, "what came late is gone", func() bool { return w.rests() == "" })
}

func TestASiteThatDiesComesBack(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	alice := w.person(c, "alice")
	s := w.site(c, alice, "blog", cloud.PHP)
	run(t, c)
	watched := func() bool { // events come once Run listens
		w.engine.Die(s.ID)
		_, release, err := c.Hold(ctx, s.ID)
		if err == nil {
			release()
		}
		return cloud.KindOf(err) == cloud.Unavailable
	}
	soon(t, "a hold on a dead site fails", watched)
	soon(t, "the site is held again", func() bool {
		_, release, err := c.Hold(ctx, s.ID)
		if err == nil {
			release()
		}
		return err == nil
	})
}

// TestAStartIsNoWayInYetRegression: a site that died is being started again, which the engine tells before its web server
// listens.
func TestAStartIsNoWayInYetRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) { o.HealAfter = time.Millisecond })
	alice := w.person(c, "alice")
	s, err := c.CreateSite(ctx, alice, cloud.NewSite{Name: "blog", Type: cloud.PHP})
	if err != nil {
		t.Fatal(err)
	}
	run(t, c)
	w.engine.SlowUp(500 * time.Millisecond)
	soon(t, "a hold on a dead site fails", func() bool {
		w.engine.Die(s.ID)
		_, release, err := c.Hold(ctx, s.ID)
		if err == nil {
			release()
		}
		return cloud.KindOf(err) == cloud.Unavailable
	})
	w.engine.Tell(s.ID, true)
	soon(t, "the site is held again", func() bool {
		at, release, err := c.Hold(ctx, s.ID)
		if err != nil {
			return false
		}
		defer release()
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatalf("a visitor is led where nobody listens yet: %v", err)
		}
		conn.Close()
		return true
	})
}

func TestEngineAway(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	alice := w.person(c, "alice")
	w.site(c, alice, "blog", cloud.PHP)
	run(t, c)
	w.engine.SetDown(true)
	for verb, fn := range map[string]func() error{
		"create": func() error {
			_, err := c.CreateSite(ctx, alice, cloud.NewSite{Name: "more", Type: cloud.PHP})
			return err
		},
		"stop":    func() error { return c.StopSite(ctx, alice, "blog") },
		"start":   func() error { return c.StartSite(ctx, alice, "blog") },
		"restart": func() error { return c.RestartSite(ctx, alice, "blog") },
		"delete":  func() error { return c.DeleteSite(ctx, alice, "blog") },
		"set":     func() error { _, err := c.SetSite(ctx, alice, "blog", []string{"root=x"}); return err },
		"exec":    func() error { _, err := c.Exec(ctx, alice, "blog", cloud.Exec{Argv: []string{"true"}}); return err },
	} {
		if err := fn(); cloud.KindOf(err) != cloud.Unavailable {
			t.Errorf("%s without an engine: %v", verb, err)
		}
	}
	if got := c.routes.hosts(); got != "blog.plil.net=running" {
		t.Errorf("routes without an engine: %q", got)
	}
	if _, err := c.CreateSite(ctx, alice, cloud.NewSite{Name: "plain", Type: cloud.Static}); err != nil {
		t.Errorf("a static site without an engine: %v", err)
	}
	w.engine.SetDown(false)
	soon(t, "creating works again", func() bool {
		_, err := c.CreateSite(ctx, alice, cloud.NewSite{Name: "more", Type: cloud.PHP})
		return err == nil
	})
}

func TestASiteThatDoesNotComeUpIsFailed(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice := w.person(c, "alice")
	w.site(c, alice, "blog", cloud.PHP)
	if err := c.StopSite(ctx, alice, "blog"); err != nil {
		t.Fatal(err)
	}
	w.engine.FailUp(cloud.Errorf(cloud.Unavailable, "it exits at once"))
	if err := c.StartSite(ctx, alice, "blog"); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("start: %v", err)
	}
	if s, err := c.Site(ctx, alice, "blog"); err != nil || s.State != cloud.Failed || s.Reason != "it exits at once" {
		t.Errorf("site is %+v, %v", s, err)
	}
	if got := c.routes.hosts(); got != "blog.plil.net=failed" {
		t.Errorf("routes: %q", got)
	}
	w.engine.FailUp(nil)
	if err := c.Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	if s, err := c.Site(ctx, alice, "blog"); err != nil || s.State != cloud.Running || s.Reason != "" {
		t.Errorf("after Reconcile: %+v, %v", s, err)
	}
}

// TestACrashLoopEnds in a failed site, and not in a storm of starts; who starts it begins anew.
func TestACrashLoopEnds(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) { o.HealAfter = 2 * time.Millisecond })
	alice := w.person(c, "alice")
	s := w.site(c, alice, "blog", cloud.PHP)
	run(t, c)
	soon(t, "it is failed", func() bool {
		w.engine.Die(s.ID)
		return c.state(t, alice, "blog") == cloud.Failed
	})
	if s, err := c.Site(ctx, alice, "blog"); err != nil || s.Reason != "its web server ended by itself 6 times in a row" {
		t.Errorf("reason %q, %v", s.Reason, err)
	}
	ups := w.engine.Ups(s.ID)
	if err := c.Reconcile(ctx); err != nil || w.engine.Ups(s.ID) != ups || c.state(t, alice, "blog") != cloud.Failed {
		t.Errorf("Reconcile started it again, %v", err)
	}
	if err := c.StartSite(ctx, alice, "blog"); err != nil || c.state(t, alice, "blog") != cloud.Running {
		t.Errorf("it does not start: %v", err)
	}
}
