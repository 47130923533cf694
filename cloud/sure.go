package cloud

import (
	"context"
	"sync"
)

// sure knows which sites were seen at their addresses since the engine's events last came without a break, and were
// not stopped since. Of the others nobody knows what became of them, or who has their address by now. The zero value is
// ready, and sure of nothing.
type sure struct {
	mu    sync.Mutex
	era   int
	last  uint64
	sites map[string]uint64 // with the number of its run
}

func (s *sure) of(id string) bool { return s.run(id) != 0 }

// run is a number that no other run of a container has, 0 while it is not sure that there is one.
func (s *sure) run(id string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sites[id]
}

// look begins a look at a site; seen ends it, and counts unless there was a break in between.
func (s *sure) look() (era int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.era
}

func (s *sure) seen(id string, era int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if era != s.era || s.sites[id] != 0 {
		return
	}
	if s.sites == nil {
		s.sites = map[string]uint64{}
	}
	s.last++
	s.sites[id] = s.last
}

// broken forgets all: there was a break.
func (s *sure) broken() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.era++
	s.sites = nil
}

func (s *sure) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sites, id)
}

// down stops a container, which is not at its address any more.
func (c *Cloud) down(ctx context.Context, id string) error {
	c.sure.forget(id)
	return c.Engine.Down(ctx, id)
}

// unsure reports whether a site that shall run has to be looked at before somebody is led to its address.
func (c *Cloud) unsure(s Site) bool {
	return s.Type == PHP && s.State == Running && !c.sure.of(s.ID) && !c.deaths.dead(s.ID)
}

// rise records that a site shall run, before it does: a table that somebody publishes meanwhile tells of it, so until it
// was seen at its address who asks for it waits.
func (c *Cloud) rise(ctx context.Context, s Site) error {
	c.sure.forget(s.ID)
	return c.put(ctx, s)
}

// confirm sees that a site is at its address. While the engine is away nothing changes there, so what was there is.
func (c *Cloud) confirm(ctx context.Context, s Site) error {
	if c.Engine.Ping(ctx) != nil {
		return ctx.Err()
	}
	return c.raise(ctx, s)
}
