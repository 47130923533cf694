package cloud

import (
	"errors"
	"sync"
	"time"
)

// ErrTrouble is in the chain of an engine's error that is no fault of the site: it may come up the next time.
var ErrTrouble = errors.New("trouble of the engine's own")

// tries are sites that will be tried again. The zero value is ready.
type tries struct {
	mu    sync.Mutex
	sites map[string]*try
}

type try struct {
	wait    time.Duration
	pending bool
}

// next is how long to wait for the next try, first at the beginning, then ever longer; not ok if one is coming.
func (t *tries) next(id string, first time.Duration) (delay time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sites == nil {
		t.sites = map[string]*try{}
	}
	k := t.sites[id]
	if k == nil {
		k = &try{wait: first / 2}
		t.sites[id] = k
	}
	if k.pending {
		return 0, false
	}
	k.wait, k.pending = min(2*k.wait, reconcileEvery), true
	return k.wait, true
}

func (t *tries) begun(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if k := t.sites[id]; k != nil {
		k.pending = false
	}
}

func (t *tries) forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sites, id)
}

// tryAgain settles a site later: one that failed for no fault of its own, or that could not be taken away.
func (c *Cloud) tryAgain(id string) {
	delay, ok := c.tries.next(id, c.HealAfter)
	if !ok {
		return
	}
	c.wakes.all.Go(func() {
		wait(c.life, delay)
		c.tries.begun(id)
		s, err := c.byID(c.life, id)
		if err != nil || s.Settled() && s.State != Failed || c.life.Err() != nil {
			c.tries.forget(id)
			return
		}
		if err = c.settle(c.life, s, false); err == nil || c.life.Err() != nil {
			return
		}
		c.Log.Warn("site not settled yet", "site", s.Name, "state", s.State, "err", err)
		if !s.Settled() {
			c.tryAgain(id)
		}
	})
}
