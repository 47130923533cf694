package builtin

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

// A plain request, as most are, is written to its container, and its answer read, by the goroutine that has it. http.Transport
// keeps two more for each connection, and hands request and answer from one to the next: that took a third of all that such a
// request takes. What has a body, or asks for more than an answer, goes by http.Transport.

// lines make connections to containers and keep them between requests.
type lines struct {
	limits *limits // the proxy's
	dial   dialing
	texts  sync.Pool // of *bytes.Buffer: headers of requests

	mu       sync.Mutex
	kept     map[farEnd][]*line // who came back last is last
	sweeping bool
}

func newLines(l *limits, dial dialing) *lines {
	return &lines{limits: l, dial: dial, texts: sync.Pool{New: func() any { return new(bytes.Buffer) }}, kept: map[farEnd][]*line{}}
}

// ask sends a request that has no body and may be sent twice, and returns the answer, whose body is still to be read and
// closed. A kept line may have been closed at its other end while the request was on its way: then it is sent once more.
// When ctx ends, so does the line.
func (l *lines) ask(ctx context.Context, to farEnd, r *http.Request) (*answer, error) {
	text := l.texts.Get().(*bytes.Buffer)
	defer l.texts.Put(text)
	text.Reset()
	if err := r.Write(text); err != nil {
		return nil, err
	}
	if c := l.take(to); c != nil {
		a, answers, err := c.ask(ctx, r, text.Bytes())
		if err == nil || answers || isTimeout(err) || ctx.Err() != nil {
			return a, err
		}
	}
	conn, err := l.dial(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	a, _, err := l.newLine(to, conn).ask(ctx, r, text.Bytes())
	return a, err
}

// take finds a line that is still good: not too old, open, and silent. What its container said without being asked must not
// become the answer to the next request.
func (l *lines) take(to farEnd) *line {
	for {
		c := l.pop(to)
		if c == nil || time.Since(c.freed) < l.limits.containerIdle && c.quiet() {
			return c
		}
		c.conn.Close()
	}
}

func (l *lines) pop(to farEnd) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.kept[to]
	if len(all) == 0 {
		return nil
	}
	c := all[len(all)-1]
	all[len(all)-1] = nil
	l.kept[to] = all[:len(all)-1]
	return c
}

// keep takes a line back.
func (l *lines) keep(c *line) {
	c.freed = time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.kept[c.to]
	if len(all) >= l.limits.containerKept {
		c.conn.Close()
		return
	}
	l.kept[c.to] = append(all, c)
	if !l.sweeping {
		l.sweeping = true
		time.AfterFunc(l.limits.containerIdle/2, l.sweep)
	}
}

// sweep closes those that were not used for long.
func (l *lines) sweep() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeBefore(time.Now().Add(-l.limits.containerIdle))
	if l.sweeping = len(l.kept) > 0; l.sweeping {
		time.AfterFunc(l.limits.containerIdle/2, l.sweep)
	}
}

// closeIdle closes all that nobody uses.
func (l *lines) closeIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closeBefore(time.Now())
}

func (l *lines) closeBefore(then time.Time) {
	for to, all := range l.kept {
		old := 0
		for ; old < len(all) && !all[old].freed.After(then); old++ {
			all[old].conn.Close()
		}
		if l.kept[to] = slices.Delete(all, 0, old); len(l.kept[to]) == 0 {
			delete(l.kept, to)
		}
	}
}
