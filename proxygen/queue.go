package proxygen

import (
	"context"
	"sync"
	"time"

	"plil.net/nuage/cloud"
)

// Queue gives tables to a proxy outside, one at a time and no more often than it likes: of those that come meanwhile the
// last goes, and all who brought one learn what became of it. Same and Write are called by one goroutine at a time.
type Queue struct {
	Every time.Duration // the least from one Write to the next, from beginning to beginning
	// Same reports whether the proxy serves the table already.
	Same func(routes []cloud.Route) bool
	// Write returns once the proxy serves the table.
	Write func(routes []cloud.Route) error

	mu      sync.Mutex
	next    *turn
	working bool
	written time.Time
}

// turn is a table that waits, with those who wait for it.
type turn struct {
	routes []cloud.Route
	done   chan struct{}
	err    error // once done
}

// Offer takes a table and returns what waits until it, or a later one, is served.
func (q *Queue) Offer(routes []cloud.Route) (served func(context.Context) error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next == nil {
		q.next = &turn{done: make(chan struct{})}
	}
	t := q.next
	t.routes = routes
	if !q.working {
		q.working = true
		go q.work()
	}
	return func(ctx context.Context) error {
		select {
		case <-t.done:
			return t.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// work ends when nothing waits.
func (q *Queue) work() {
	for {
		waiting := q.look(false)
		if waiting == nil {
			return
		}
		if !q.Same(waiting.routes) {
			time.Sleep(time.Until(q.written.Add(q.Every)))
			t := q.look(true)
			q.written = time.Now()
			t.err = q.Write(t.routes)
			close(t.done)
			continue
		}
		q.settle(waiting)
	}
}

// look finds what waits, and takes it so that who comes from now on waits for the next turn.
func (q *Queue) look(take bool) *turn {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := q.next
	if t == nil {
		q.working = false
		return nil
	}
	seen := *t // Offer may put another table in
	if take {
		q.next = nil
		return t
	}
	return &seen
}

// settle ends a turn whose table is served, unless another table has come for it since.
func (q *Queue) settle(seen *turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t := q.next; t.done == seen.done && sameTable(t.routes, seen.routes) {
		q.next = nil
		close(t.done)
	}
}

// sameTable tells tables apart by where they are: each is made anew.
func sameTable(a, b []cloud.Route) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}
