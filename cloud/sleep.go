package cloud

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	reapEvery = 2 * time.Second
	wakeTime  = 30 * time.Second
)

// reap puts to sleep, every now and then, the sites that nobody has held for their idle time. Of static ones the container goes.
func (c *Cloud) reap(ctx context.Context) {
	for wait(ctx, reapEvery); ctx.Err() == nil; wait(ctx, reapEvery) {
		for id, s := range *c.table.Load() {
			if !c.contains(*s) || s.State != Running || !c.tired(*s) {
				continue
			}
			if err := c.sleep(ctx, id, c.tired); err != nil && ctx.Err() == nil {
				c.Log.Warn("site not put to sleep", "site", s.Name, "err", err)
			}
		}
		c.relieve(ctx)
	}
}

// tired reports whether nobody holds the site and nobody has for its idle time.
func (c *Cloud) tired(s Site) bool {
	unused, held := c.holds.unused(s.ID, c.Now())
	if held || unused < time.Second {
		return false
	}
	idle := c.IdleOf(s)
	if s.Type != PHP {
		idle = within(idle, lodgingIdle)
	}
	return idle > 0 && unused >= idle
}

// sleep stops a site that stays on the web: whoever asks for it wakes it. It is published as asleep before it is
// stopped, so that who comes in between waits for it rather than meeting a container that is going.
func (c *Cloud) sleep(ctx context.Context, id string, may func(Site) bool) error {
	release, err := c.locks.take(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	s, err := c.byID(ctx, id)
	if err != nil || s.State != Running || !may(s) {
		return err
	}
	if s.Type != PHP {
		return c.depart(ctx, id)
	}
	if err := c.become(ctx, s, Asleep); err != nil {
		return err
	}
	if _, held := c.holds.unused(id, c.Now()); held {
		return c.become(ctx, s, Running)
	}
	return c.down(ctx, id)
}

func (c *Cloud) become(ctx context.Context, s Site, state State) error {
	s.State, s.Reason = state, ""
	if err := c.put(ctx, s); err != nil {
		return err
	}
	return c.publishAwake(ctx)
}

// wakes are the starts under way: one for a site, however many wait for it. The zero value is ready.
type wakes struct {
	mu      sync.Mutex
	current map[string]*waking
	all     sync.WaitGroup
}

type waking struct {
	done chan struct{}
	err  error // once done
}

// join waits for the start of a site, and starts it if nobody has. The start goes on when ctx ends: others wait for
// it, or will come.
func (w *wakes) join(ctx context.Context, id string, start func() error) error {
	w.mu.Lock()
	if w.current == nil {
		w.current = map[string]*waking{}
	}
	k := w.current[id]
	if k == nil {
		k = &waking{done: make(chan struct{})}
		w.current[id] = k
		w.all.Go(func() {
			k.err = start()
			w.mu.Lock()
			delete(w.current, id)
			w.mu.Unlock()
			close(k.done)
		})
	}
	w.mu.Unlock()
	select {
	case <-k.done:
		return k.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// count counts the starts under way.
func (w *wakes) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.current)
}

// ErrWaking is in the chain of the error of a site whose turn to wake has not come. Whoever asks again may find it awake.
var ErrWaking = errors.New("the site is still waking up")

// wake brings up a site that sleeps. What it finds awake is well.
func (c *Cloud) wake(ctx context.Context, id string) error { return c.begin(ctx, id, c.wakeNow) }

// begin brings up the container of a site, once for all who wait for it at the same time. It may have been done in another
// way than by start.
func (c *Cloud) begin(ctx context.Context, id string, start func(ctx context.Context, id string) error) error {
	return c.wakes.join(ctx, id, func() error {
		ctx, cancel := context.WithTimeout(c.life, c.WakeTime)
		defer cancel()
		err := start(ctx, id)
		if err != nil && ctx.Err() != nil && c.life.Err() == nil {
			return Errorf(Unavailable, "many sites are starting, and this one has not come up yet").
				WithHint("try again in a moment").Because(errors.Join(ErrWaking, err))
		}
		return err
	})
}

func (c *Cloud) wakeNow(ctx context.Context, id string) (err error) {
	start := c.Now()
	s, done, err := c.place(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	switch {
	case c.unsure(s):
		return c.confirm(ctx, s)
	case s.State != Asleep:
		return nil
	}
	defer func() {
		c.Witness.Woke(c.Now().Sub(start), err)
		if err != nil && c.life.Err() == nil { // no verb tells of it
			c.Log.Warn("site did not wake", "site", s.Name, "err", err, "cause", errors.Unwrap(err))
		}
	}()
	if err := c.Engine.Ping(ctx); err != nil {
		return err
	}
	s.State = Running
	if err := c.rise(ctx, s); err != nil {
		return err
	}
	c.holds.touch(id, c.Now())
	_, err = c.renew(ctx, s, false)
	if err != nil && ctx.Err() != nil { // it took too long: whoever asks next wakes it again
		err = errors.Join(err, c.become(context.WithoutCancel(ctx), s, Asleep))
	}
	return err
}

// place waits for the turn of a site that is to come up, and for a place among those that do.
func (c *Cloud) place(ctx context.Context, id string) (s Site, done func(), err error) {
	release, err := c.locks.take(ctx, id)
	if err != nil {
		return s, nil, err
	}
	leave, err := c.chore(ctx)
	if err != nil {
		release()
		return s, nil, err
	}
	done = func() { leave(); release() }
	if s, err = c.byID(ctx, id); err != nil {
		done()
		return s, nil, err
	}
	return s, done, nil
}
