package builtin

import (
	"context"
	"maps"
	"sync"
	"time"
)

// A site that runs and was left alone runs no PHP: its first request has that started, which takes a core for half a second.
// Where hundreds of such sites are asked for in the same moment, all would begin at once and none be ready for a minute, nor
// anything else on the host: so only some do at a time, and visitors of the others wait as for a site that wakes.

// manyStirred is how many sites are remembered, before those that rest are forgotten.
const manyStirred = 4096

// stirs are the sites that are not at rest, and those whose first request waits for its turn.
type stirs struct {
	slots chan struct{} // full while as many begin as may
	limit time.Duration // after which one that has not answered lets the next begin: it is slow, or broken
	rests time.Duration // without a request, and PHP may have ended

	mu    sync.Mutex
	asked map[string]time.Time     // when a site was last asked for
	turns map[string]chan struct{} // closed when a first request goes
}

func newStirs(l limits) *stirs {
	return &stirs{slots: make(chan struct{}, l.stirs), limit: l.stirLimit, rests: l.rests,
		asked: map[string]time.Time{}, turns: map[string]chan struct{}{}}
}

// enter waits until a request may go to its site, or ctx ends. answered is called once the site has said something.
func (s *stirs) enter(ctx context.Context, site string, now func() time.Time) (answered func(), err error) {
	turn := s.turn(site, now())
	if turn == nil {
		return func() {}, nil
	}
	select {
	case <-turn:
		return func() {}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case s.slots <- struct{}{}:
	}
	s.begin(site, turn, now())
	free := sync.OnceFunc(func() { <-s.slots })
	limit := time.AfterFunc(s.limit, free)
	return func() { limit.Stop(); free() }, nil
}

// turn is what a request of a site at rest waits for; nil for a site that was asked for of late.
func (s *stirs) turn(site string, now time.Time) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, known := s.asked[site]; known && now.Sub(at) < s.rests {
		s.asked[site] = now
		return nil
	}
	if s.turns[site] == nil {
		s.turns[site] = make(chan struct{})
	}
	return s.turns[site]
}

// begin lets all go who wait for the same site.
func (s *stirs) begin(site string, turn chan struct{}, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns[site] == turn {
		close(turn)
		delete(s.turns, site)
	}
	if len(s.asked) >= manyStirred {
		maps.DeleteFunc(s.asked, func(_ string, at time.Time) bool { return now.Sub(at) >= s.rests })
	}
	s.asked[site] = now
}
