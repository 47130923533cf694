package cloud

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	reconcileEvery = 3 * time.Minute
	watchAgain     = time.Second // after the engine's event stream broke
	turnTime       = 10 * time.Second
	atOnce         = 3 // sites that wake or are set right at the same time: an engine starts more, so that who makes a site has a place
)

// Run keeps the world as the store says until ctx ends: it reconciles at once, when the engine comes back, and
// every few minutes, and brings up again what died.
func (c *Cloud) Run(ctx context.Context) {
	defer c.healing.Wait()
	c.healing.Go(func() { c.reap(ctx) })
	c.healing.Go(func() { c.retire(ctx) })
	c.healing.Go(func() { c.checkDomains(ctx) })
	c.healing.Go(func() { c.guard(ctx) })
	c.healing.Go(func() { c.reviewCertificates(ctx) })
	for ctx.Err() == nil {
		err := c.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		c.Log.Warn("engine away", "engine", c.Engine.Name(), "err", err)
		wait(ctx, watchAgain)
	}
}

// watch reconciles for as long as the engine's events come.
func (c *Cloud) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var ticking sync.WaitGroup
	defer ticking.Wait()
	defer cancel()
	defer c.sure.broken()
	ready := func() { c.sure.broken(); ticking.Go(func() { c.tick(ctx) }) }
	return c.Engine.Watch(ctx, ready, func(id string, runs func() bool) { c.changed(ctx, id, runs) })
}

// changed is told by the engine that a container started or stopped.
func (c *Cloud) changed(ctx context.Context, id string, runs func() bool) {
	run := c.sure.run(id) // before the look: where a start comes in between, the stop was not of what is there now
	if runs() {
		if c.deaths.dead(id) { // it is open to visitors once its web server was seen
			c.healing.Go(func() { c.recheck(ctx, id) })
		}
		return
	}
	switch s, ok := c.published(id); {
	case !ok, s.State != Running:
		return // somebody stopped it
	case s.Type != PHP:
		c.sure.forget(id) // the next program has it come up again
		return
	}
	if run == 0 || run != c.sure.run(id) { // it is no death of what was seen
		c.healing.Go(func() { c.recheck(ctx, id) })
		return
	}
	c.died(ctx, id)
}

// died brings a site up again after a while, or gives it up.
func (c *Cloud) died(ctx context.Context, id string) {
	n, delay := c.deaths.another(id, c.Now(), c.HealAfter)
	c.healing.Go(func() {
		if n >= maxDeaths {
			c.giveUp(ctx, id)
			return
		}
		wait(ctx, delay)
		c.heal(ctx, id, n)
	})
}

func (c *Cloud) tick(ctx context.Context) {
	for first := true; ctx.Err() == nil; first = false {
		began := time.Now()
		if err := c.Reconcile(ctx); err != nil && ctx.Err() == nil {
			c.Log.Warn("reconcile", "err", err)
		}
		if first {
			c.Log.Info("reconciled", "took", time.Since(began).Round(time.Millisecond))
			wait(ctx, 10*c.HealAfter) // what a gateway that was killed had asked the engine for may come only now
			continue
		}
		wait(ctx, reconcileEvery)
	}
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Reconcile makes the world what the store says: it finishes or undoes what a crash cut, removes containers that
// belong to no site, and starts or stops what is not as it should be. One site that fails does not stop the others.
func (c *Cloud) Reconcile(ctx context.Context) error {
	if err := c.Publish(ctx); err != nil {
		return err
	}
	// Containers first: one listed before its record is read had that record when it was made.
	containers, err := c.Engine.List(ctx)
	if err != nil {
		return err
	}
	c.Engine.Tidy(ctx, containers)
	sites, err := c.sites(ctx)
	if err != nil {
		return err
	}
	known, running := map[string]bool{}, map[string]bool{}
	for _, s := range sites {
		known[s.ID] = c.contains(s)
	}
	var failed []error
	for _, k := range containers {
		running[k.ID] = k.Running
		if !known[k.ID] {
			failed = append(failed, c.removeOrphan(ctx, k))
		}
	}
	return errors.Join(append(failed, c.settleAll(ctx, sites, running)...)...)
}

func (c *Cloud) removeOrphan(ctx context.Context, k Container) error {
	release, err := c.turn(ctx, k.ID)
	if err != nil {
		return err
	}
	defer release()
	what := "is no site"
	s, err := c.byID(ctx, k.ID)
	if KindOf(err) != NotFound {
		if err != nil || c.contains(s) {
			return err // it became a site's since the look
		}
		what = "is static, and nobody is at work in it"
	}
	if err := c.remove(ctx, k.ID); err != nil {
		return err
	}
	c.repaired("removed the container of %q, which %s", k.Name, what)
	return nil
}

func (c *Cloud) settleAll(ctx context.Context, sites []Site, running map[string]bool) []error {
	var (
		group  sync.WaitGroup
		mu     sync.Mutex
		failed []error
	)
	slots := make(chan struct{}, atOnce)
	for _, s := range sites {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := c.settle(ctx, s, running[s.ID]); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, fmt.Errorf("site %s: %w", s.Name, err))
			}
		})
	}
	group.Wait()
	return failed
}

// turn waits for a site's lock only for a while: a verb that takes long on one site must not hold up the others. The
// next round comes.
func (c *Cloud) turn(ctx context.Context, id string) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, turnTime)
	defer cancel()
	return c.locks.take(ctx, id)
}

// settle brings one site, as it was seen, to where its record says.
func (c *Cloud) settle(ctx context.Context, seen Site, running bool) error {
	release, err := c.turn(ctx, seen.ID)
	if err != nil {
		return err
	}
	defer release()
	s, err := c.byID(ctx, seen.ID)
	switch {
	case KindOf(err) == NotFound, err == nil && s.State != seen.State:
		return nil // a verb was at it since, and saw to it
	case err != nil:
		return err
	case !s.Settled():
		if err := c.demolish(ctx, s); err != nil {
			return err
		}
		c.repaired("site %q was %s: removed what there was of it", s.Name, s.State)
		return nil
	case s.Type != PHP, !s.shallRun() && !running, s.State == Failed && c.deaths.leave(s.ID, c.Now()):
		return nil
	case !s.shallRun():
		c.repaired("site %q ran though it was %s", s.Name, s.State)
		return c.down(ctx, s.ID)
	}
	return c.revive(ctx, s, running)
}

// revive makes sure that a site that shall run does so.
func (c *Cloud) revive(ctx context.Context, s Site, running bool) error {
	was := s.State
	s.State, s.Reason = Running, ""
	if was != Running {
		if err := c.rise(ctx, s); err != nil {
			return err
		}
	}
	done, err := c.chore(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := c.raise(ctx, s); err != nil {
		return err
	}
	if !running {
		c.repaired("started site %q", s.Name)
	}
	return nil
}

// recheck makes sure of a site that stopped before it was seen to run. Who is just starting it has its turn first.
func (c *Cloud) recheck(ctx context.Context, id string) {
	s, err := c.byID(ctx, id)
	if err != nil || s.State != Running {
		return
	}
	if err := c.settle(ctx, s, true); err != nil && ctx.Err() == nil {
		c.Log.Warn("site did not come up", "site", s.Name, "err", err)
	}
}

// chore waits for a place among the starts that nobody has asked for by a verb.
func (c *Cloud) chore(ctx context.Context) (done func(), err error) {
	select {
	case c.chores <- struct{}{}:
		return func() { <-c.chores }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// heal brings up a site that died by itself, for the n-th time in a row. One that was stopped or deleted stays as it is. A
// start that fails is one more death: the engine's events tell of it only where the container ended, and not always in time.
func (c *Cloud) heal(ctx context.Context, id string, n int) {
	s, err := c.byID(ctx, id)
	if KindOf(err) == NotFound {
		c.deaths.forget(id)
	}
	if err != nil || !s.shallRun() || !c.deaths.stands(id, n) {
		return
	}
	err = c.settle(ctx, s, false)
	if err == nil || ctx.Err() != nil {
		return
	}
	c.Log.Warn("site died and did not come up", "site", s.Name, "err", err)
	if errors.Is(err, ErrTrouble) { // it is tried again anyway
		return
	}
	if s, err = c.byID(ctx, id); err == nil && s.State == Failed && c.deaths.stands(id, n) {
		c.died(ctx, id)
	}
}

// giveUp ends a loop of crashes: the site is failed until somebody starts it.
func (c *Cloud) giveUp(ctx context.Context, id string) {
	release, err := c.turn(ctx, id)
	if err != nil {
		return
	}
	defer release()
	s, err := c.byID(ctx, id)
	if err != nil || !s.shallRun() {
		return
	}
	if s.State == Failed { // at its start
		s.Reason += fmt.Sprintf(", %d times in a row", maxDeaths)
	} else {
		s.Reason = fmt.Sprintf("its web server ended by itself %d times in a row", maxDeaths)
	}
	s.State = Failed
	err = errors.Join(c.put(ctx, s), c.Publish(ctx), c.down(ctx, id))
	c.repaired("gave up on site %q: %s", s.Name, s.Reason)
	if err != nil && ctx.Err() == nil {
		c.Log.Warn("site not given up", "site", s.Name, "err", err)
	}
}
