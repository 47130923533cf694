package builtin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

var errSwitched = errors.New("the container switched to a protocol that nobody asked for")

// line is a connection to a container. One request at a time is on it, and nothing of it is shared but the way to close it.
type line struct {
	lines   *lines
	to      farEnd
	conn    net.Conn
	raw     syscall.RawConn // nil: such a connection is not kept
	in      *bufio.Reader   // of Read
	header  allowance
	armed   time.Time   // when its deadline was last set
	freed   time.Time   // when it came back
	unwatch func() bool // stops the watch on the request's context
	dry     func()      // is called before a wait for the body; may be nil
	cut     func()      // closes it; a deadline would not do, as others set it too

	// Of a Read under way: what try is called with, and what came of it.
	buf  []byte
	n    int
	err  error
	wait bool
	try  func(fd uintptr) bool
}

func (l *lines) newLine(to farEnd, conn net.Conn) *line {
	c := &line{lines: l, to: to, conn: conn}
	if s, ok := conn.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	c.try, c.cut = c.tryRead, func() { c.conn.Close() }
	c.in = bufio.NewReader(c)
	return c
}

// ask sends a request's text and reads the header of its answer. answers reports whether anything of one came.
func (c *line) ask(ctx context.Context, r *http.Request, text []byte) (a *answer, answers bool, err error) {
	c.header.set(c.lines.limits.responseHeader)
	c.arm()
	c.unwatch = context.AfterFunc(ctx, c.cut)
	if _, err = c.conn.Write(text); err == nil {
		_, err = c.in.Peek(1)
	}
	if err == nil {
		answers = true
		a, err = c.hear(r)
	}
	if err != nil {
		c.end(false)
	}
	return a, answers, err
}

// hear reads headers until one is an answer: what comes before (1xx) is for nobody.
func (c *line) hear(r *http.Request) (*answer, error) {
	for {
		res, err := http.ReadResponse(c.in, r)
		switch {
		case err != nil:
			return nil, err
		case res.StatusCode == http.StatusSwitchingProtocols:
			return nil, errSwitched
		case res.StatusCode < 100:
			return nil, errNonsense
		case res.StatusCode < 200:
			continue
		}
		c.header.set(unbounded)
		a := &answer{Response: res, line: c}
		if res.Body == http.NoBody {
			a.end(true)
		}
		return a, nil
	}
}

// end gives the line back, or closes it.
func (c *line) end(good bool) {
	unwatched := c.unwatch()
	c.dry = nil
	if !good || !unwatched || c.raw == nil || c.in.Buffered() > 0 {
		c.conn.Close()
		return
	}
	c.lines.keep(c)
}

// quiet reports whether the line is open and nothing has come that nobody asked for.
func (c *line) quiet() bool {
	quiet := false
	err := c.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN
		return true
	})
	return err == nil && quiet
}

// arm sets a deadline for what follows. It may be a little old, as that of an exchange.
func (c *line) arm() {
	now := time.Now()
	if now.Sub(c.armed) < c.lines.limits.silence/16 {
		return
	}
	c.armed = now
	_ = c.conn.SetDeadline(now.Add(c.lines.limits.silence))
}

// Read is for in.
func (c *line) Read(b []byte) (int, error) {
	if c.header.spent() {
		return 0, errLongHeader
	}
	n, err := c.read(b)
	c.header.spend(b[:n])
	return n, err
}

// read calls dry before it waits, so that the visitor has what is there. It is the read of a net.Conn else.
func (c *line) read(b []byte) (int, error) {
	if c.raw == nil {
		if c.dry != nil {
			c.dry()
		}
		return c.conn.Read(b)
	}
	c.buf, c.wait = b, c.dry == nil
	err := c.raw.Read(c.try)
	if err == nil && c.err == syscall.EAGAIN {
		c.dry()
		c.wait = true
		err = c.raw.Read(c.try)
	}
	c.buf = nil
	switch {
	case err != nil:
		return 0, err
	case c.err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", c.err)}
	case c.n == 0 && len(b) > 0:
		return 0, io.EOF
	}
	return c.n, nil
}

// tryRead reads what is there; false: come again when there is something.
func (c *line) tryRead(fd uintptr) bool {
	for {
		c.n, c.err = syscall.Read(int(fd), c.buf)
		switch {
		case c.err == syscall.EINTR:
		case c.err == syscall.EAGAIN:
			return !c.wait
		default:
			return true
		}
	}
}

// answer is what a container says. Its body gives the line back at its end, and closes it if it is closed before.
type answer struct {
	*http.Response
	line *line // nil once it was given back
}

func (a *answer) end(whole bool) {
	if a.line != nil {
		a.line.end(whole && !a.Close)
		a.line = nil
	}
}

// read reads of the body. Each read may wait as long as a container may be silent.
func (a *answer) read(b []byte) (int, error) {
	if a.line == nil {
		return 0, io.EOF
	}
	a.line.arm()
	n, err := a.Body.Read(b)
	if err != nil {
		a.end(err == io.EOF)
	}
	return n, err
}
