package cloud_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// squat puts a foreign web server on a site's address.
func squat(t *testing.T, s cloud.Site) (leave func()) {
	t.Helper()
	var l net.Listener
	soon(t, "the address is free", func() bool { // a program that is just starting may still hold its socket
		var err error
		l, err = net.Listen("tcp", s.Endpoint().String())
		return err == nil
	})
	server := &http.Server{Handler: http.NotFoundHandler()}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return func() { server.Close() }
}

// TestNobodyIsLedToAForeignContainerRegression: while no gateway ran the containers went, and something else got the
// address of one. The doors open before Reconcile has come to it.
func TestNobodyIsLedToAForeignContainerRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	alice := w.person(c, "alice")
	s := w.site(c, alice, "blog", cloud.PHP)
	c.Close()
	if err := w.engine.Down(ctx, s.ID); err != nil {
		t.Fatal(err)
	}
	leave := squat(t, s)
	next := w.open(nil)
	defer next.Close()
	if err := next.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	if at, _, err := next.Hold(ctx, s.ID); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("a visitor is led to %s, %v", at, err)
	}
	leave()
	if err := next.Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	if _, release, err := next.Hold(ctx, s.ID); err != nil {
		t.Error(err)
	} else {
		release()
	}
}

// TestAfterABreakRegression: what the engine did while its events did not come is found out before a visitor is led
// anywhere; while it is away visitors are led where they were.
func TestAfterABreakRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	alice := w.person(c, "alice")
	s := w.site(c, alice, "blog", cloud.PHP)
	c.Close()
	next := w.open(nil)
	defer next.Close()
	if err := next.Publish(ctx); err != nil {
		t.Fatal(err)
	}
	w.engine.SetDown(true)
	at, release, err := next.Hold(ctx, s.ID)
	if err != nil || at != s.Endpoint() {
		t.Fatalf("while the engine is away: %s, %v", at, err)
	}
	release()
	w.engine.Die(s.ID)
	w.engine.SetDown(false)
	if at, release, err = next.Hold(ctx, s.ID); err != nil || at != s.Endpoint() || w.engine.Ups(s.ID) != 2 {
		t.Fatalf("once it is back: %s, %v, started %d times", at, err, w.engine.Ups(s.ID))
	}
	release()
	if _, release, err = next.Hold(ctx, s.ID); err != nil || w.engine.Ups(s.ID) != 2 {
		t.Fatalf("again: %v, started %d times", err, w.engine.Ups(s.ID))
	}
	release()
}

// TestTroubleOfTheEngineIsTriedAgainRegression: a site that the engine could not start is failed, and comes up by itself.
func TestTroubleOfTheEngineIsTriedAgainRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) { o.HealAfter = 2 * time.Millisecond })
	defer c.Close()
	alice := w.person(c, "alice")
	w.site(c, alice, "blog", cloud.PHP)
	if err := c.StopSite(ctx, alice, "blog"); err != nil {
		t.Fatal(err)
	}
	w.engine.FailUp(cloud.Errorf(cloud.Unavailable, "the container engine refused").Because(cloud.ErrTrouble))
	if err := c.StartSite(ctx, alice, "blog"); cloud.KindOf(err) != cloud.Unavailable {
		t.Fatalf("start: %v", err)
	}
	w.engine.FailUp(nil)
	soon(t, "it runs", func() bool { return c.state(t, alice, "blog") == cloud.Running })
	if got := c.routes.hosts(); !strings.Contains(got, "blog.plil.net=") {
		t.Errorf("routes: %q", got)
	}
}

// TestWhatCouldNotBeUndoneIsUndoneLaterRegression: the engine goes in the middle of a create and of a delete, and what is
// left is taken away once it is back, long before Reconcile comes round.
func TestWhatCouldNotBeUndoneIsUndoneLaterRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	var cutAt atomic.Value // the step, once
	cutAt.Store("")
	c := w.openWith(func(step string) {
		if cutAt.CompareAndSwap(step, "") {
			w.engine.SetDown(true)
		}
	}, func(o *cloud.Options) { o.HealAfter = 2 * time.Millisecond })
	defer c.Close()
	alice := w.person(c, "alice")
	for _, cut := range []struct {
		step string
		do   func() error
	}{
		{"create.home", func() error {
			_, err := c.CreateSite(ctx, alice, cloud.NewSite{Name: "blog", Type: cloud.PHP})
			return err
		}},
		{"delete.unpublished", func() error { return c.DeleteSite(ctx, alice, "blog") }},
	} {
		if cut.step == "delete.unpublished" {
			w.site(c, alice, "blog", cloud.PHP)
		}
		cutAt.Store(cut.step)
		if err := cut.do(); cloud.KindOf(err) != cloud.Unavailable {
			t.Errorf("%s: %v", cut.step, err)
		}
		w.engine.SetDown(false)
		soon(t, "nothing is left", func() bool { return w.rests() == "" })
	}
}
