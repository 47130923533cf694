package cloud

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Hold wakes a site if it sleeps, looks at one that may have gone while nobody watched the engine, keeps it awake until
// release is called, and returns where its web server listens. Unavailable if it does not run.
func (c *Cloud) Hold(ctx context.Context, id string) (at netip.AddrPort, release func(), err error) {
	if _, ok := c.published(id); !ok {
		return at, nil, Errorf(NotFound, "no such site")
	}
	release = c.holds.take(id, c.Now) // first: what is found awake from now on stays so, also when it took long to wake
	if at, err = c.awake(ctx, id); err != nil {
		release()
		return at, nil, err
	}
	return at, release, nil
}

// RunOf is a number of the present run of a site's container, 0 while nobody is sure that there is one. While it is the same,
// nobody has stopped that container; one that died by itself may have come again.
func (c *Cloud) RunOf(id string) uint64 { return c.sure.run(id) }

// wakeAgain is how often who waits for a site has it woken that somebody stops each time.
const wakeAgain = 5

// awake wakes a site that is held.
func (c *Cloud) awake(ctx context.Context, id string) (at netip.AddrPort, err error) {
	s, ok := c.published(id)
	for n := 0; ok && n < wakeAgain && (s.State == Asleep || n == 0 && c.unsure(s)); n++ {
		if err := c.wake(ctx, id); KindOf(err) == NotFound { // in words of the store, which knows ids
			return at, Errorf(NotFound, "no such site")
		} else if err != nil {
			return at, err
		}
		s, ok = c.published(id)
	}
	switch {
	case !ok:
		return at, Errorf(NotFound, "no such site")
	case s.State == Asleep:
		return at, Errorf(Unavailable, "%q is being restarted", s.Name).WithHint("try again").Because(ErrWaking)
	case s.State != Running:
		return at, c.notRunning(s)
	case s.Type != PHP: // since somebody was led here, or while they waited
		return at, Errorf(Unavailable, "%q has just become a static site", s.Name).WithHint("try again").Because(ErrWaking)
	case c.deaths.dead(id):
		return at, Errorf(Unavailable, "the container of %q has died and is being started again", s.Name).
			WithHint("try again in a moment; the reason is in %s", c.Door.SSH("site logs "+s.Name))
	}
	return s.Endpoint(), nil
}

func (c *Cloud) notRunning(s Site) error {
	if s.State == Failed {
		return Errorf(Unavailable, "%s", s.Reason).WithHint("the reason is in %s; once that is mended: %s",
			c.Door.SSH("site logs "+s.Name), c.Door.SSH("site start "+s.Name))
	}
	e := Errorf(Unavailable, "site %q is %s", s.Name, s.State).WithHint("start it: %s", c.Door.SSH("site start "+s.Name))
	if s.State == Stopped {
		e = e.Because(ErrStopped)
	}
	return e
}

// ErrStopped is in the chain of the error of a site that somebody stopped.
var ErrStopped = errors.New("the site is stopped")

// holds knows who uses a site right now (requests, shells) and since when nobody does. The zero value is ready.
type holds struct {
	mu    sync.Mutex
	sites map[string]*use
}

type use struct {
	count int
	last  time.Time // end of the last one
}

// take counts a user until release is called.
func (h *holds) take(id string, now func() time.Time) (release func()) {
	h.add(id, 1, now())
	return sync.OnceFunc(func() { h.add(id, -1, now()) })
}

// touch counts as a use that has just ended.
func (h *holds) touch(id string, now time.Time) { h.add(id, 0, now) }

func (h *holds) add(id string, n int, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sites == nil {
		h.sites = map[string]*use{}
	}
	u := h.sites[id]
	if u == nil {
		u = &use{}
		h.sites[id] = u
	}
	u.count += n
	u.last = now
}

// unused is for how long nobody has held the site. A site that was never held counts from the first question.
func (h *holds) unused(id string, now time.Time) (d time.Duration, held bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u := h.sites[id]
	if u == nil {
		if h.sites == nil {
			h.sites = map[string]*use{}
		}
		h.sites[id] = &use{last: now}
		return 0, false
	}
	return now.Sub(u.last), u.count > 0
}

func (h *holds) forget(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if u := h.sites[id]; u != nil && u.count == 0 {
		delete(h.sites, id)
	}
}

// held counts the sites that somebody holds.
func (h *holds) held() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, u := range h.sites {
		if u.count > 0 {
			n++
		}
	}
	return n
}
