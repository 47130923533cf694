package cloud_test

import (
	"context"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/provision/fake"
)

// told is an engine whose events the test tells, and whose Up answers when the test lets it.
type told struct {
	*fake.Engine
	changed chan func(id string, runs func() bool)
	looked  chan struct{} // gets something for each Up that has done its work
	answer  chan struct{} // closed: Up answers
}

func (e told) Watch(ctx context.Context, ready func(), changed func(id string, runs func() bool)) error {
	ready()
	e.changed <- changed
	<-ctx.Done()
	return ctx.Err()
}

func (e told) Up(ctx context.Context, s cloud.Spec) error {
	err := e.Engine.Up(ctx, s)
	e.looked <- struct{}{}
	<-e.answer
	return err
}

// watched is a running Cloud with a site, on such an engine.
func watched(t *testing.T, idle time.Duration) (live, told, cloud.Who, cloud.Site) {
	t.Helper()
	w := newWorld(t)
	e := told{w.engine, make(chan func(string, func() bool), 1), make(chan struct{}, 100), make(chan struct{})}
	c := w.openWith(nil, func(o *cloud.Options) { o.Groups[0].Idle = idle })
	alice := w.person(c, "alice")
	s, err := c.CreateSite(context.Background(), alice, cloud.NewSite{Name: "blog"})
	if err != nil {
		t.Fatal(err)
	}
	c.Engine = e
	run(t, c)
	return c, e, alice, s
}

// TestALateStopRegression: a site was put to sleep, and is awake again when the engine's word of the stop is heeded.
func TestALateStopRegression(t *testing.T) {
	t.Parallel()
	c, e, alice, s := watched(t, time.Second)
	close(e.answer)
	c.asleep(t, alice, "blog")
	changed := <-e.changed
	changed(s.ID, func() bool {
		visit(t, c, s) // right after the look
		return false
	})
	visit(t, c, s)
}

// TestADeathBeforeItIsSeenRegression: a site dies between the engine's look at it and the end of the start that asked for it.
func TestADeathBeforeItIsSeenRegression(t *testing.T) {
	t.Parallel()
	c, e, _, s := watched(t, time.Hour)
	changed := <-e.changed
	<-e.looked
	e.Die(s.ID)
	changed(s.ID, func() bool { return false })
	close(e.answer)
	soon(t, "it is up again", func() bool { return e.Ups(s.ID) == 2 })
	visit(t, c, s)
}
