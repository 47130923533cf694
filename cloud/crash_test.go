package cloud_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

// cut ends the goroutine that runs a verb at a step, as the end of the process would: nothing after it runs but
// deferred unlocks.
func cut(step string) func(string) {
	return func(at string) {
		if at == step {
			runtime.Goexit()
		}
	}
}

// crashing runs fn until it ends or is cut.
func crashing(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	<-done
}

var createSteps = []string{"create.reserved", "create.home", "create.up", "create.recorded"}
var deleteSteps = []string{"delete.recorded", "delete.unpublished", "delete.down", "delete.home"}

func TestCrashInCreate(t *testing.T) {
	t.Parallel()
	for _, kind := range []cloud.Type{cloud.PHP, cloud.Static} {
		for _, step := range createSteps {
			t.Run(string(kind)+"/"+step, func(t *testing.T) {
				t.Parallel()
				if kind == cloud.Static && step == "create.up" {
					return // it has no such step
				}
				crashInCreate(t, kind, step)
			})
		}
	}
}

func crashInCreate(t *testing.T, kind cloud.Type, step string) {
	ctx := context.Background()
	w := newWorld(t)
	first := w.open(cut(step))
	alice := w.person(first, "alice")
	told := false
	crashing(func() {
		_, err := first.CreateSite(ctx, alice, cloud.NewSite{Name: "blog", Type: kind})
		told = err == nil
	})
	if told {
		t.Fatalf("the verb went on behind %s", step)
	}
	if w.rests() == "" {
		t.Fatalf("nothing was there to cut at %s: the test tests nothing", step)
	}

	next := w.open(nil)
	defer next.Close()
	if err := next.Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	whole := "record blog.plil.net running, home of blog.plil.net"
	if kind == cloud.PHP {
		whole += ", container blog.plil.net running=true"
	}
	if rests := w.rests(); rests != "" && rests != whole {
		t.Fatalf("cut at %s left: %s", step, rests)
	}
	if step != "create.recorded" {
		if rests := w.rests(); rests != "" {
			t.Fatalf("cut at %s left: %s", step, rests)
		}
		if _, err := next.CreateSite(ctx, alice, cloud.NewSite{Name: "blog", Type: kind}); err != nil {
			t.Fatalf("the name is not free again: %v", err)
		}
	}
	if got := next.routes.hosts(); got != "blog.plil.net=running" {
		t.Errorf("routes: %q", got)
	}
}

func TestCrashInDelete(t *testing.T) {
	t.Parallel()
	for _, step := range deleteSteps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			ctx := context.Background()
			w := newWorld(t)
			first := w.open(cut(step))
			alice := w.person(first, "alice")
			w.site(first, alice, "blog", cloud.PHP)
			crashing(func() { _ = first.DeleteSite(ctx, alice, "blog") })
			if !strings.Contains(w.rests(), "deleting") {
				t.Fatalf("nothing was there to cut at %s: %q", step, w.rests())
			}
			next := w.open(nil)
			defer next.Close()
			if err := next.Publish(ctx); err != nil || next.routes.hosts() != "" {
				t.Errorf("a site that is being deleted has a route: %q, %v", next.routes.hosts(), err)
			}
			if err := next.Reconcile(ctx); err != nil {
				t.Fatal(err)
			}
			if rests := w.rests(); rests != "" {
				t.Fatalf("cut at %s left: %s", step, rests)
			}
		})
	}
}

// TestNoAddressTwice: cut creates must not lead to two sites at one address.
func TestNoAddressTwice(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	seen := map[string]string{}
	for i, step := range append(createSteps, "") {
		c := w.open(cut(step))
		name := string(rune('a' + i))
		who := w.person(c, name)
		crashing(func() { _, _ = c.CreateSite(ctx, who, cloud.NewSite{Name: name + "-site", Type: cloud.PHP}) })
	}
	next := w.open(nil)
	defer next.Close()
	if err := next.Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	containers, err := w.engine.List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(containers) != 2 { // create.recorded and the whole one
		t.Errorf("%d containers", len(containers))
	}
	for _, k := range containers {
		if other := seen[k.Address.String()]; other != "" {
			t.Errorf("%s and %s both have %s", other, k.Name, k.Address)
		}
		seen[k.Address.String()] = k.Name
	}
}

func TestAFailedCreateIsUndone(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	defer c.Close()
	alice := w.person(c, "alice")
	w.engine.FailUp(cloud.Errorf(cloud.Unavailable, "the site did not come up").WithHint("try again"))
	_, err := c.CreateSite(ctx, alice, cloud.NewSite{Name: "blog", Type: cloud.PHP})
	var e *cloud.Error
	if !errors.As(err, &e) || e.Kind != cloud.Unavailable || e.Message != "the site did not come up" {
		t.Errorf("the error is %v", err)
	}
	if rests := w.rests(); rests != "" {
		t.Errorf("left: %s", rests)
	}
	w.engine.FailUp(nil)
	if _, err := c.CreateSite(ctx, alice, cloud.NewSite{Name: "blog", Type: cloud.PHP}); err != nil {
		t.Errorf("again: %v", err)
	}
}

// TestAClientThatLeaves cancels a create in the middle: it is undone, though its own context is over.
func TestAClientThatLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	c := w.open(func(step string) {
		if step == "create.home" {
			leave()
		}
	})
	defer c.Close()
	alice := w.person(c, "alice")
	_, err := c.CreateSite(ctx, alice, cloud.NewSite{Name: "blog", Type: cloud.PHP})
	if cloud.KindOf(err) != cloud.Cancelled {
		t.Errorf("the error is %v", err)
	}
	if rests := w.rests(); rests != "" {
		t.Errorf("left: %s", rests)
	}
}
