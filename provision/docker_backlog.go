package provision

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"github.com/moby/moby/client"
)

// A daemon closes the pipes of a program 2 s after its end, read or not: what does not fit into its buffers by then is lost,
// and the status says nothing. Some also tell of no other program's end in the container, until that output is taken. So
// where the client is slow, the gateway looks whether the program has ended, and takes what the daemon still holds into its
// own memory, in time.
const (
	backlogEvery  = 250 * time.Millisecond
	backlogAnswer = time.Second // that a daemon may take
	backlogAhead  = 2 << 20     // kept of a program that may still run
	backlogLimit  = 6 << 20     // of one that has ended: a daemon holds 1.3 MiB of each stream, and a child left behind may go on
	backlogsLimit = 64 << 20    // of all
	backlogsShare = 8 << 20     // of one site's: the slow clients of one must leave room for those of others
)

// backlogs counts what is kept, by site. The zero value is ready.
type backlogs struct {
	mu    sync.Mutex
	all   int
	sites map[string]int
}

func (b *backlogs) add(site string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sites == nil {
		b.sites = map[string]int{}
	}
	b.all += n
	if b.sites[site] += n; b.sites[site] == 0 {
		delete(b.sites, site)
	}
}

// room reports whether more may be kept for a site.
func (b *backlogs) room(site string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all < backlogsLimit && b.sites[site] < backlogsShare
}

// backlog is the output of one program as the daemon sends it. One goroutine reads it; take reads ahead of that one while
// it is busy elsewhere.
type backlog struct {
	from io.Reader
	site string
	all  *backlogs

	mu      sync.Mutex
	moved   sync.Cond
	reading bool // somebody is in from.Read
	kept    bytes.Buffer
	err     error // that from ended with
}

func newBacklog(from io.Reader, site string, all *backlogs) *backlog {
	b := &backlog{from: from, site: site, all: all}
	b.moved.L = &b.mu
	return b
}

func (b *backlog) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.kept.Len() == 0 && b.err == nil && b.reading {
		b.moved.Wait()
	}
	if b.kept.Len() > 0 {
		n, _ := b.kept.Read(p)
		b.all.add(b.site, -n)
		return n, nil
	}
	return b.read(p)
}

// read is called with the lock, and lets go of it meanwhile.
func (b *backlog) read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	b.reading = true
	b.mu.Unlock()
	n, err = b.from.Read(p)
	b.mu.Lock()
	b.reading, b.err = false, err
	b.moved.Broadcast()
	return n, err
}

// behind reports whether the reader is busy with what it has, and more may come.
func (b *backlog) behind() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.reading && b.err == nil
}

// take keeps what comes until the end of it, or until so much is kept.
func (b *backlog) take(limit int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := make([]byte, 32<<10)
	for !b.reading && b.err == nil && b.kept.Len() < limit && b.all.room(b.site) {
		n, _ := b.read(p)
		b.kept.Write(p[:n])
		b.all.add(b.site, n)
	}
}

// drop forgets what nobody will read.
func (b *backlog) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all.add(b.site, -b.kept.Len())
	b.kept.Reset()
}

// hurry takes the rest of the output where the program has ended and the client is behind. A daemon that does not answer
// may wait for us: newer ones lock a program that has ended until its output is through.
func (s *session) hurry(ctx context.Context, b *backlog) {
	for pause(ctx, backlogEvery) == nil {
		if !b.behind() {
			continue
		}
		switch runs, err := s.runs(ctx); {
		case err != nil:
			b.take(backlogAhead)
		case !runs:
			b.take(backlogLimit)
		}
	}
}

func (s *session) runs(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, backlogAnswer)
	defer cancel()
	i, err := s.d.api.ExecInspect(ctx, s.exec, client.ExecInspectOptions{})
	return i.Running, err
}
