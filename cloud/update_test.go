package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision/fake"
)

// tries counts the containers that updates have made.
func (w *world) tries() *atomic.Int32 {
	var n atomic.Int32
	w.engine.SetFault(func(_, step string) {
		if step == "update.created" {
			n.Add(1)
		}
	})
	return &n
}

// asleep waits until a site sleeps: its record says so first, then the routes, then its container stops.
func (c live) asleep(t *testing.T, who cloud.Who, name string) {
	t.Helper()
	soon(t, name+" sleeps", func() bool {
		s, err := c.Site(context.Background(), who, name)
		if err != nil || s.State != cloud.Asleep {
			return false
		}
		all, err := c.Engine.List(context.Background())
		return err == nil && slices.ContainsFunc(all, func(k cloud.Container) bool { return k.ID == s.ID && !k.Running })
	})
}

func visit(t *testing.T, c live, s cloud.Site) {
	t.Helper()
	_, release, err := c.Hold(context.Background(), s.ID)
	if err != nil {
		t.Fatalf("visit of %s: %v", s.Name, err)
	}
	release()
}

// image is what the container of a site was made of.
func (w *world) image(t *testing.T, s cloud.Site) string {
	t.Helper()
	all, err := w.engine.List(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		if k.ID == s.ID {
			return k.Image
		}
	}
	return ""
}

// TestANewImageIsTakenAtAWake, and at a restart; one that does not come up is not, and is not tried at each wake.
func TestANewImageIsTakenAtAWake(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w, c, alice, s := drowsy(t)
	tries := w.tries()
	step := func(what, image string, tried int32, held string) {
		t.Helper()
		now, err := c.Site(ctx, alice, "blog")
		if err != nil || now.State != cloud.Running && now.State != cloud.Asleep { // again, on a slow machine
			t.Errorf("%s: %s, %v", what, now.State, err)
		}
		if got := w.image(t, s); got != image || tries.Load() != tried {
			t.Errorf("%s: it runs on %q after %d tries; want %q after %d", what, got, tries.Load(), image, tried)
		}
		if (held == "") != (now.Held == nil) || now.Held != nil && (now.Held.Image != held || now.Held.Reason != "its image is broken") {
			t.Errorf("%s: held %+v; want %q", what, now.Held, held)
		}
	}
	wake := func() { c.asleep(t, alice, "blog"); visit(t, c, s) }

	w.engine.SetImage("", "two", true)
	if err := c.Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	step("while it runs", "standard", 0, "")
	wake()
	step("a wake", "two", 1, "")
	w.engine.SetImage("", "broken", false)
	wake()
	step("a wake to one that does not come up", "two", 2, "broken")
	wake()
	step("the next wake", "two", 2, "broken")
	if err := c.RestartSite(ctx, alice, "blog"); err != nil {
		t.Fatal(err)
	}
	step("a restart", "two", 3, "broken")
	if st, err := c.Status(ctx, operator); err != nil || len(st.Held) != 1 || st.Held[0].Site != "blog.plil.net" || st.Held[0].Reason != "its image is broken" ||
		!strings.Contains(fmt.Sprint(st.Repairs), "stays on the image it had") {
		t.Errorf("status: %+v, %v, %v", st.Held, st.Repairs, err)
	}
	w.engine.SetImage("", "two", true)
	wake()
	step("the name leads back", "two", 3, "")
	w.engine.SetImage("", "four", true)
	if err := c.RestartSite(ctx, alice, "blog"); err != nil {
		t.Fatal(err)
	}
	step("a restart to one that does", "four", 4, "")
}

// many are sites of one account, all asleep.
func many(t *testing.T, c live, who cloud.Who, n int) (sites []cloud.Site) {
	t.Helper()
	ctx := context.Background()
	for i := range n {
		s, err := c.CreateSite(ctx, who, cloud.NewSite{Name: fmt.Sprintf("site%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		sites = append(sites, s)
	}
	return sites
}

func TestOnlyAFewTakeAnImageAtATime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) { o.Groups[0].MaxSites, o.Groups[0].Idle = 10, time.Second })
	alice := w.person(c, "alice")
	sites := many(t, c, alice, 5)
	run(t, c)
	for _, s := range sites {
		c.asleep(t, alice, s.Name)
	}
	w.engine.SetImage("", "two", true)
	began, goOn := make(chan bool, 10), make(chan bool)
	w.engine.SetFault(func(_, step string) {
		if step == "update.created" {
			began <- true
			<-goOn
		}
	})
	var visits sync.WaitGroup
	for _, s := range sites[:2] {
		visits.Go(func() { visit(t, c, s) })
		<-began
	}
	for _, s := range sites[2:] {
		visit(t, c, s) // does not wait for the two
		if image := w.image(t, s); image != "standard" {
			t.Errorf("a third one runs on %q", image)
		}
	}
	if st, err := c.Status(context.Background(), operator); err != nil || st.Outdated != 3 || st.Updating != 2 {
		t.Errorf("status: %d outdated, %d updating, %v", st.Outdated, st.Updating, err)
	}
	close(goOn)
	visits.Wait()
	for _, s := range sites {
		c.asleep(t, alice, s.Name)
		visit(t, c, s)
		if image := w.image(t, s); image != "two" {
			t.Errorf("at the next wake it runs on %q", image)
		}
	}
}

// TestAnImageThatComesUpNowhere is tried by three sites, and then by one now and then.
func TestAnImageThatComesUpNowhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var later atomic.Int64
	c := w.openWith(nil, func(o *cloud.Options) {
		o.Groups[0].MaxSites, o.Groups[0].Idle = 10, time.Second
		o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	alice := w.person(c, "alice")
	sites := many(t, c, alice, 6)
	run(t, c)
	tries := w.tries()
	w.engine.SetImage("", "broken", false)
	for i, want := range []int32{1, 2, 3, 3, 3, 4} {
		if i == 5 {
			later.Store(int64(11 * time.Minute))
		}
		c.asleep(t, alice, sites[i].Name)
		visit(t, c, sites[i])
		if got := tries.Load(); got != want {
			t.Errorf("%d tries after site %d; want %d", got, i, want)
		}
	}
	if err := c.RestartSite(context.Background(), alice, "site3"); err != nil || tries.Load() != 5 {
		t.Errorf("a restart does not try it: %d, %v", tries.Load(), err)
	}
}

// TestAChosenImageThatDoesNotComeUp is no longer the choice.
func TestAChosenImageThatDoesNotComeUp(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) { o.Images = map[string]string{"8.4": "eight-four", "7.4": "seven-four"} })
	defer c.Close()
	alice := w.person(c, "alice")
	s := w.site(c, alice, "blog", cloud.PHP)
	w.engine.SetImage("seven-four", "seven-four", false)
	_, err := c.SetSite(ctx, alice, "blog", []string{"php=7.4"})
	if cloud.KindOf(err) != cloud.Unavailable || !strings.Contains(err.Error(), `"7.4"`) {
		t.Errorf("set: %v", err)
	}
	now, err := c.Site(ctx, alice, "blog")
	if err != nil || now.Image != "" || now.State != cloud.Running || now.Held != nil || w.image(t, s) != "standard" {
		t.Errorf("then it is %+v on %q, %v", now, w.image(t, s), err)
	}
	if now, err = c.SetSite(ctx, alice, "blog", []string{"php=8.4"}); err != nil || now.Image != "8.4" || w.image(t, s) != "eight-four" {
		t.Errorf("set: %+v on %q, %v", now, w.image(t, s), err)
	}
}

// TestCrashInAnUpdate: whatever was there, after the next start the site runs, in one container.
func TestCrashInAnUpdate(t *testing.T) {
	t.Parallel()
	for _, works := range []bool{true, false} {
		for _, step := range []string{"update.aside", "update.created", "update.started", "update.ready", "revert.removed", "revert.renamed", "update.up"} {
			if works && strings.HasPrefix(step, "revert.") {
				continue
			}
			t.Run(fmt.Sprintf("%s/works=%v", step, works), func(t *testing.T) {
				t.Parallel()
				crashInUpdate(t, step, works)
			})
		}
	}
}

func crashInUpdate(t *testing.T, step string, works bool) {
	ctx := context.Background()
	w := newWorld(t)
	var dead atomic.Bool
	at := func(now string) {
		if now == step && !dead.Load() {
			dead.Store(true)
			runtime.Goexit()
		}
	}
	first := w.open(at)
	alice := w.person(first, "alice")
	s := w.site(first, alice, "blog", cloud.PHP)
	dead.Store(false)
	w.engine.SetFault(func(_, step string) { at(step) })
	w.engine.SetImage("", "two", works)
	crashing(func() { _ = first.RestartSite(ctx, alice, "blog") })
	if !dead.Load() {
		t.Fatalf("nothing was cut at %s", step)
	}
	w.engine.SetFault(func(string, string) {})

	next := w.open(nil)
	defer next.Close()
	if err := next.Reconcile(ctx); err != nil {
		t.Fatal(err)
	}
	if rests := w.rests(); rests != "record blog.plil.net running, home of blog.plil.net, container blog.plil.net running=true" {
		t.Errorf("cut at %s left: %s", step, rests)
	}
	if n := w.engine.Containers(s.ID); n != 1 {
		t.Errorf("cut at %s left %d containers", step, n)
	}
	visit(t, next, s)
	if err := next.RestartSite(ctx, alice, "blog"); err != nil {
		t.Error(err)
	}
	if image := w.image(t, s); works != (image == "two") {
		t.Errorf("after a restart it runs on %q", image)
	}
}

// TestAWakeThatTakesTooLong leaves the site asleep, for the next visitor to wake.
func TestAWakeThatTakesTooLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) { o.WakeTime, o.Groups[0].Idle = 100*time.Millisecond, time.Second })
	alice := w.person(c, "alice")
	s := w.site(c, alice, "blog", cloud.PHP)
	run(t, c)
	c.asleep(t, alice, "blog")
	w.engine.SlowUp(time.Minute)
	if _, _, err := c.Hold(context.Background(), s.ID); cloud.KindOf(err) != cloud.Unavailable || !errors.Is(err, cloud.ErrWaking) {
		t.Errorf("the visitor is told %v, not to come again", err)
	}
	w.engine.SlowUp(0)
	if state := c.state(t, alice, "blog"); state != cloud.Asleep {
		t.Errorf("it is %s", state)
	}
	soon(t, "a visitor is let in", func() bool { // on a slow machine a start that is not slowed may take too long too
		_, release, err := c.Hold(context.Background(), s.ID)
		if err == nil {
			release()
		}
		return err == nil
	})
}

// late is an engine whose site comes up when the time for it has just passed.
type late struct{ *fake.Engine }

func (e late) Update(ctx context.Context, s cloud.Spec, may func(string) bool) error {
	<-ctx.Done()
	return e.Engine.Update(context.WithoutCancel(ctx), s, may)
}

// TestAWakeThatJustTookTooLongRegression: what is up is not said to be asleep.
func TestAWakeThatJustTookTooLongRegression(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) {
		o.Engine, o.WakeTime, o.Groups[0].Idle = late{w.engine}, 100*time.Millisecond, time.Second
	})
	alice := w.person(c, "alice")
	s, err := c.CreateSite(context.Background(), alice, cloud.NewSite{Name: "blog"})
	if err != nil {
		t.Fatal(err)
	}
	run(t, c)
	c.asleep(t, alice, "blog")
	visit(t, c, s)
}

// TestAFailedSiteIsNotTriedAllTheTime.
func TestAFailedSiteIsNotTriedAllTheTime(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	var later atomic.Int64
	c := w.openWith(nil, func(o *cloud.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	defer c.Close()
	alice := w.person(c, "alice")
	s := w.site(c, alice, "blog", cloud.PHP)
	w.engine.SetImage("", "standard", false) // the one it has
	w.engine.Die(s.ID)
	tries := 0
	for range 20 * 24 { // a day of rounds
		before := c.state(t, alice, "blog")
		if err := c.Reconcile(ctx); err != nil {
			tries++
		} else if before != cloud.Failed {
			t.Fatalf("it is %s", c.state(t, alice, "blog"))
		}
		later.Add(int64(3 * time.Minute))
	}
	if tries < 20 || tries > 30 {
		t.Errorf("%d tries in a day", tries)
	}
	w.engine.SetImage("", "standard", true)
	if err := c.StartSite(ctx, alice, "blog"); err != nil || c.state(t, alice, "blog") != cloud.Running {
		t.Errorf("a start: %v", err)
	}
}

// listed is an engine that counts how often it was asked for all its containers.
type listed struct {
	*fake.Engine
	asked atomic.Int32
}

func (l *listed) List(ctx context.Context) ([]cloud.Container, error) {
	l.asked.Add(1)
	return l.Engine.List(ctx)
}

// TestStatusAsksOnce: whoever asks for the status again and again makes the engine list its containers once, until one
// of them has another image.
func TestStatusAsksOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	engine := &listed{Engine: w.engine}
	c := w.openWith(nil, func(o *cloud.Options) { o.Engine = engine })
	defer c.Close()
	sites := many(t, c, w.person(c, "alice"), 2)
	w.engine.SetImage("", "two", true)
	outdated := func(want int) {
		t.Helper()
		if st, err := c.Status(t.Context(), operator); err != nil || st.Outdated != want {
			t.Errorf("%d outdated (%v), want %d", st.Outdated, err, want)
		}
	}
	before := engine.asked.Load()
	start := time.Now()
	for range 10 {
		outdated(2)
	}
	if n := engine.asked.Load() - before; n != 1 && time.Since(start) < 2*time.Second {
		t.Errorf("the engine was asked %d times", n)
	}
	if err := c.RestartSite(t.Context(), operator, sites[0].Name); err != nil {
		t.Fatal(err)
	}
	outdated(1)
}
