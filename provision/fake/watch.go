package fake

import (
	"bytes"
	"context"
	"io"
	"sync"

	"plil.net/nuage/cloud"
)

type change struct {
	id      string
	running bool
}

// watcher is one call of Watch.
type watcher struct {
	changes chan change
	broken  chan error // at most one
}

func (w *watcher) cut(err error) {
	select {
	case w.broken <- err:
	default:
	}
}

// Watch implements cloud.Engine. Like Docker's it also tells what Up, Down and Remove did.
func (e *Engine) Watch(ctx context.Context, ready func(), changed func(id string, runs func() bool)) error {
	w := &watcher{changes: make(chan change, 1024), broken: make(chan error, 1)}
	e.mu.Lock()
	err := e.reachable()
	e.watchers[w] = true
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		delete(e.watchers, w)
		e.mu.Unlock()
	}()
	if err != nil {
		return err
	}
	ready()
	for {
		select {
		case c := <-w.changes:
			changed(c.id, func() bool { return c.running || e.runs(c.id) })
		case err := <-w.broken:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (e *Engine) runs(id string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.sites[id]
	return s != nil && s.server != nil
}

// Tell tells all watchers of a start or a stop. An engine tells of a start before the site's web server listens.
func (e *Engine) Tell(id string, running bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tell(id, running)
}

// tell tells all watchers, with e.mu held. One that is far behind is cut off rather than waited for.
func (e *Engine) tell(id string, running bool) {
	for w := range e.watchers {
		select {
		case w.changes <- change{id, running}:
		default:
			w.cut(away())
		}
	}
}

// Say makes a site's container print a line.
func (e *Engine) Say(id, line string) {
	e.mu.Lock()
	s := e.sites[id]
	e.mu.Unlock()
	if s != nil {
		s.log.say(line)
	}
}

// Logs implements cloud.Engine. All is stdout.
func (e *Engine) Logs(ctx context.Context, id string, o cloud.LogOptions, stdout, _ io.Writer) error {
	e.mu.Lock()
	err, s := e.reachable(), e.sites[id]
	e.mu.Unlock()
	if err != nil {
		return err
	}
	if s == nil {
		return cloud.Errorf(cloud.NotFound, "the site has no log: it has never run")
	}
	at := s.log.tail(o.Tail)
	for {
		text, more := s.log.from(at)
		at += len(text)
		if _, err := stdout.Write(text); err != nil {
			return err
		}
		if more == nil || !o.Follow {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// journal is what a container has printed.
type journal struct {
	mu   sync.Mutex
	text []byte
	more chan struct{} // closed when there is more; nil while the container is stopped
}

func newJournal() *journal { return &journal{} }

func (j *journal) begin() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.more = make(chan struct{})
}

func (j *journal) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.more)
	j.more = nil
}

func (j *journal) say(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, line+"\n"...)
	if j.more != nil {
		close(j.more)
		j.more = make(chan struct{})
	}
}

// from returns what was printed after the first n bytes, and what to wait on for more.
func (j *journal) from(n int) ([]byte, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Clone(j.text[n:]), j.more
}

// tail is where the last n lines begin.
func (j *journal) tail(n int) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if n < 0 {
		return 0
	}
	at := len(j.text)
	for ; n > 0 && at > 0; n-- {
		at = bytes.LastIndexByte(j.text[:at-1], '\n') + 1
	}
	return at
}
