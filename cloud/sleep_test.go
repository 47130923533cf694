package cloud_test

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

func (c live) state(t *testing.T, who cloud.Who, name string) cloud.State {
	t.Helper()
	s, err := c.Site(context.Background(), who, name)
	if err != nil {
		t.Fatal(err)
	}
	return s.State
}

// drowsy is a site that sleeps after a second without use.
func drowsy(t *testing.T) (*world, live, cloud.Who, cloud.Site) {
	t.Helper()
	ctx := context.Background()
	w := newWorld(t)
	c := w.open(nil)
	alice := w.person(c, "alice")
	if err := c.SetAccount(ctx, operator, "alice", []string{"idle=1s"}); err != nil {
		t.Fatal(err)
	}
	s := w.site(c, alice, "blog", cloud.PHP)
	run(t, c)
	return w, c, alice, s
}

func TestSleepAndOneWakeForAll(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w, c, alice, s := drowsy(t)
	c.asleep(t, alice, "blog")
	if err := c.Reconcile(ctx); err != nil || c.state(t, alice, "blog") != cloud.Asleep {
		t.Errorf("Reconcile woke it, or failed: %v", err)
	}
	if home, _, err := c.Files(ctx, alice, "blog"); err != nil || c.state(t, alice, "blog") != cloud.Asleep {
		t.Errorf("files of a site that sleeps: %v", err)
	} else {
		home.Close()
	}

	witness := &seen{}
	c.Witness = witness
	before := w.engine.Ups(s.ID)
	const many = 200
	var visitors sync.WaitGroup
	releases := make(chan func(), many) // at the end: on a slow machine it would fall asleep before the last has come
	for range many {
		visitors.Go(func() {
			at, release, err := c.Hold(ctx, s.ID)
			if err != nil || at != s.Endpoint() {
				t.Errorf("hold: %v, %v", at, err)
				return
			}
			releases <- release
		})
	}
	visitors.Wait()
	close(releases)
	for release := range releases {
		release()
	}
	if starts := w.engine.Ups(s.ID) - before; starts != 1 {
		t.Errorf("%d starts for %d visitors", starts, many)
	}
	if len(witness.woken) != 1 || witness.woken[0] <= 0 {
		t.Errorf("the witness saw wakes of %v", witness.woken)
	}
}

// TestNobodyIsLedToASiteOnItsWayUpRegression: while a site wakes or is started, somebody else's verb publishes a table.
func TestNobodyIsLedToASiteOnItsWayUpRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w, c, alice, s := drowsy(t)
	sleeps := func() { c.asleep(t, alice, "blog") }
	stop := func() {
		if err := c.StopSite(ctx, alice, "blog"); err != nil {
			t.Fatal(err)
		}
	}
	for _, up := range []struct {
		how    string
		before func()
		do     func() error
	}{
		{"woken", sleeps, func() error {
			_, release, err := c.Hold(ctx, s.ID)
			if err == nil {
				release()
			}
			return err
		}},
		{"started", stop, func() error { return c.StartSite(ctx, alice, "blog") }},
		{"restarted", stop, func() error { return c.RestartSite(ctx, alice, "blog") }},
	} {
		up.before()
		w.engine.SlowUp(300 * time.Millisecond)
		done := make(chan error, 1)
		go func() { done <- up.do() }()
		soon(t, "the table tells of it", func() bool {
			return c.Publish(ctx) == nil && c.routes.hosts() == "blog.plil.net=running"
		})
		at, release, err := c.Hold(ctx, s.ID)
		if err != nil {
			t.Fatalf("%s: %v", up.how, err)
		}
		if conn, err := net.Dial("tcp", at.String()); err == nil {
			conn.Close()
		} else {
			t.Errorf("a visitor of a site that is being %s is led where nobody is: %v", up.how, err)
		}
		release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.engine.SlowUp(0)
	}
}

// TestSitesWakeAFewAtATime, and who makes one meanwhile does not wait for them.
func TestSitesWakeAFewAtATime(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w := newWorld(t)
	c := w.openWith(nil, func(o *cloud.Options) { o.Groups[0].Idle, o.Groups[0].MaxSites = time.Second, 20 })
	alice := w.person(c, "alice")
	var sites []cloud.Site
	for n := range 16 {
		s, err := c.CreateSite(ctx, alice, cloud.NewSite{Name: fmt.Sprintf("blog%d", n)})
		if err != nil {
			t.Fatal(err)
		}
		sites = append(sites, s)
	}
	run(t, c)
	for _, s := range sites {
		c.asleep(t, alice, s.Name)
	}
	w.engine.SlowUp(time.Second) // so that the last wakes long after one was made
	var visitors sync.WaitGroup
	for _, s := range sites {
		visitors.Go(func() {
			_, release, err := c.Hold(ctx, s.ID)
			if err != nil {
				t.Errorf("%s: %v", s.Name, err)
				return
			}
			release()
		})
	}
	soon(t, "sites wake", func() bool { return w.engine.Most() > 1 })
	var told []string
	_, err := c.CreateSite(ctx, alice, cloud.NewSite{Name: "more", Progress: func(step string) { told = append(told, step) }})
	if err != nil {
		t.Error(err)
	}
	if status, err := c.Status(ctx, operator); err != nil || status.Waking == 0 {
		t.Errorf("whoever makes a site waits for those that wake: %d left, %v", status.Waking, err)
	}
	if got := strings.Join(told, ", "); !regexp.MustCompile("starting the container, while [0-9]+ other sites wake").MatchString(got) {
		t.Errorf("told %q", got)
	}
	visitors.Wait()
	if most := w.engine.Most(); most > 4 { // one of them was made
		t.Errorf("%d started at once", most)
	}
}

func TestWhatIsHeldStaysAwake(t *testing.T) {
	t.Parallel()
	_, c, alice, s := drowsy(t)
	_, release, err := c.Hold(context.Background(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.StartSite(context.Background(), alice, "blog"); err != nil { // who was just putting it to sleep is done
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if c.state(t, alice, "blog") != cloud.Running {
			t.Fatal("it sleeps while it is held")
		}
	}
	release()
	soon(t, "it sleeps once it is released", func() bool { return c.state(t, alice, "blog") == cloud.Asleep })
}

// TestAVisitorWhoLeavesDoesNotStopTheWake: the next one finds it up.
func TestAVisitorWhoLeavesDoesNotStopTheWake(t *testing.T) {
	t.Parallel()
	w, c, alice, s := drowsy(t)
	c.asleep(t, alice, "blog")
	w.engine.SlowUp(2 * time.Second)
	ctx, leave := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer leave()
	if _, _, err := c.Hold(ctx, s.ID); cloud.KindOf(err) != cloud.Cancelled {
		t.Errorf("a hold that was given up: %v", err)
	}
	soon(t, "it is up all the same", func() bool { return c.state(t, alice, "blog") == cloud.Running })
}

// TestAWakeThatTakesLongerThanItsIdleTimeRegression: who waits for it counts as one who uses the site.
func TestAWakeThatTakesLongerThanItsIdleTimeRegression(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w, c, alice, s := drowsy(t)
	c.asleep(t, alice, "blog")
	w.engine.SlowUp(5 * time.Second)
	waits := goesOn(func() error {
		_, release, err := c.Hold(ctx, s.ID)
		if err == nil {
			defer release()
			if state := c.state(t, alice, "blog"); state != cloud.Running {
				t.Errorf("it is %s while it is held", state)
			}
		}
		return err
	})
	soon(t, "the wake has begun", func() bool { return c.state(t, alice, "blog") == cloud.Running })
	if err := c.Publish(ctx); err != nil { // now the reaper sees it run
		t.Fatal(err)
	}
	if err := <-waits; err != nil {
		t.Error(err)
	}
	if ups := w.engine.Ups(s.ID); ups != 2 {
		t.Errorf("started %d times", ups)
	}
}

func TestAWakeThatFails(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	w, c, alice, s := drowsy(t)
	c.asleep(t, alice, "blog")
	w.engine.SetDown(true)
	if _, _, err := c.Hold(ctx, s.ID); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("a wake without an engine: %v", err)
	}
	if state := c.state(t, alice, "blog"); state != cloud.Asleep {
		t.Errorf("then it is %s", state)
	}
	w.engine.SetDown(false)
	w.engine.FailUp(cloud.Errorf(cloud.Unavailable, "it exits at once"))
	if _, _, err := c.Hold(ctx, s.ID); cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("a wake that fails: %v", err)
	}
	soon(t, "it is failed", func() bool { return c.state(t, alice, "blog") == cloud.Failed })
	w.engine.FailUp(nil)
	if err := c.DeleteSite(ctx, alice, "blog"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Hold(ctx, s.ID); cloud.KindOf(err) != cloud.NotFound {
		t.Errorf("a wake of a deleted site: %v", err)
	}
}
