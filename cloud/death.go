package cloud

import (
	"sync"
	"time"
)

const (
	healAfter    = 2 * time.Second // until a site that died is started again; doubles with each death in a row
	healAtMost   = 5 * time.Minute // that this comes to
	maxDeaths    = 6               // in a row; then a site is failed
	failedAtMost = time.Hour       // between two tries of a site that is failed
)

// deaths remembers which sites died by themselves, and when. The zero value is ready.
type deaths struct {
	mu   sync.Mutex
	last map[string]death
}

type death struct {
	at   time.Time
	wait time.Duration // until it is brought up again
	dead bool          // it is not up yet
	many int           // in a row

	// Of a site that did not come up, which is no death:
	pause time.Duration
	next  time.Time // it is not tried again before
}

// another notes a death, says which in a row it is, and how long to wait before the site is brought up again: first at the
// beginning, doubled with each death, forgotten after a while.
func (d *deaths) another(id string, now time.Time, first time.Duration) (n int, delay time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		d.last = map[string]death{}
	}
	l := d.last[id]
	if l.wait == 0 || now.Sub(l.at) > 2*healAtMost {
		l.wait, l.many = first/2, 0
	}
	l = death{at: now, wait: min(2*l.wait, healAtMost), dead: true, many: l.many + 1}
	d.last[id] = l
	return l.many, l.wait
}

// stands reports whether a site has not come up since its n-th death in a row, nor died again, nor been stopped or started.
func (d *deaths) stands(id string, n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.last[id]
	return l.dead && l.many == n
}

// failed notes that a site did not come up, unless because it has died: deaths have a pace of their own. The next Reconcile
// tries it once more, the one after it in six minutes: each try of a site that cannot come up takes its time from those
// that can.
func (d *deaths) failed(id string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		d.last = map[string]death{}
	}
	l := d.last[id]
	l.next = now.Add(l.pause)
	l.pause = min(max(2*l.pause, 2*reconcileEvery), failedAtMost)
	d.last[id] = l
}

// leave reports whether a failed site is to be left alone: it is hopeless, or its time has not come.
func (d *deaths) leave(id string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.last[id]
	return l.many >= maxDeaths || now.Before(l.next)
}

// up ends it for a site that came up.
func (d *deaths) up(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if l, ok := d.last[id]; ok {
		l.dead, l.pause, l.next = false, 0, time.Time{}
		d.last[id] = l
	}
}

// forget is for a site that somebody stopped or started, which is no death.
func (d *deaths) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.last, id)
}

func (d *deaths) dead(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last[id].dead
}
