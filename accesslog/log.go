// Package accesslog keeps what was asked of each site on the web, in <sites>/<id>/access.log: beside the home and
// not in it, so that only the gateway writes there, and gone with the site. Requests never wait for it: they put
// what they were in a queue of bounded length, and what finds it full is counted where it is missing. It knows
// neither HTTP nor who may read.
package accesslog

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"plil.net/nuage/cloud"
)

// Limits.
const (
	DefaultSize = 32 << 20 // bytes of one site's log, rotated files and all
	MinSize     = 1 << 20

	files     = 4                     // the log and the rotated ones, access.log.1 being the youngest
	keptFor   = 365 * 24 * time.Hour  // an address of a visitor is kept no longer
	queueSize = 8192                  // hits waiting to be written, of all sites
	batchSize = 256 << 10             // bytes written at once
	moment    = 20 * time.Millisecond // a hit waits for others to be written with
)

// Options may be zero.
type Options struct {
	Size int64 // bytes of one site's log; [DefaultSize] if 0
	// Steady reports whether the clock can be believed: else nothing goes for its age. May be nil.
	Steady func() bool
	Log    *slog.Logger
}

// Log keeps the logs of all sites. Its methods may be called concurrently.
type Log struct {
	dir     string
	max     int64 // bytes of one file
	log     *slog.Logger
	steady  func() bool
	queue   chan entry
	crowded chan struct{} // says that the queue is half full
	done    chan struct{}
	closing sync.Once
	stopped sync.WaitGroup
	dropped atomic.Int64
	warned  time.Time // of the writer

	mu      sync.Mutex               // also held while files are rotated or looked up
	missing map[string]int64         // by site: hits that its log has yet to say it lacks
	grown   map[string]chan struct{} // by site: closed when there is more to read
}

type entry struct {
	site string
	hit  cloud.Hit
}

var _ cloud.Hits = (*Log)(nil)

// New keeps logs below dir, the directory of all sites, until Close.
func New(dir string, o Options) *Log {
	if o.Size == 0 {
		o.Size = DefaultSize
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Steady == nil {
		o.Steady = func() bool { return true }
	}
	l := &Log{
		dir: dir, max: o.Size / files, log: o.Log, steady: o.Steady,
		queue: make(chan entry, queueSize), crowded: make(chan struct{}, 1), done: make(chan struct{}),
		missing: map[string]int64{}, grown: map[string]chan struct{}{},
	}
	l.stopped.Go(l.write)
	return l
}

// Close writes what is queued. Hits that come later are lost.
func (l *Log) Close() {
	l.closing.Do(func() { close(l.done) })
	l.stopped.Wait()
}

// Note queues a hit of a site. It never blocks.
func (l *Log) Note(siteID string, h cloud.Hit) {
	select {
	case l.queue <- entry{siteID, h}:
	default:
		l.miss(siteID, 1)
	}
	if len(l.queue) > queueSize/2 {
		select {
		case l.crowded <- struct{}{}:
		default:
		}
	}
}

// Dropped counts the hits that could not be kept.
func (l *Log) Dropped() int64 { return l.dropped.Load() }

func (l *Log) miss(siteID string, n int64) {
	l.dropped.Add(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.missing[siteID] += n
}

// Forget wakes those who follow the site, to find that it is gone.
func (l *Log) Forget(siteID string) {
	l.mu.Lock()
	delete(l.missing, siteID)
	l.mu.Unlock()
	l.wake(siteID)
}

// more is closed once there is more to read than now.
func (l *Log) more(siteID string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grown[siteID] == nil {
		l.grown[siteID] = make(chan struct{})
	}
	return l.grown[siteID]
}

func (l *Log) wake(siteID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.grown[siteID]; c != nil {
		close(c)
		delete(l.grown, siteID)
	}
}

// Read implements [cloud.Hits].
func (l *Log) Read(ctx context.Context, siteID string, f cloud.HitFilter, fn func(cloud.Hit) error) error {
	r := &reader{log: l, site: siteID, filter: f, fn: fn}
	defer r.close()
	return r.run(ctx)
}
