package builtin

import (
	"bytes"
	"errors"
	"math"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

var errLongHeader = errors.New("the header of the container's answer is too long")

// lineCost is what a line of a header takes in memory, however short it is. With bytes alone to pay for, a container could make
// each request take 6 MiB.
const lineCost = 256

// allowance is what a container may still say of a header.
type allowance struct{ left atomic.Int64 }

const unbounded = math.MaxInt64

func (a *allowance) set(bytes int64) { a.left.Store(bytes) }
func (a *allowance) spent() bool     { return a.left.Load() <= 0 }

func (a *allowance) spend(said []byte) {
	if a.left.Load() != unbounded {
		a.left.Add(-int64(len(said) + lineCost*bytes.Count(said, []byte("\n"))))
	}
}

// bounded is a connection of a transport, which by itself counts the bytes of a header, and not its lines.
type bounded struct {
	net.Conn
	header allowance
}

func newBounded(conn net.Conn) *bounded {
	c := &bounded{Conn: conn}
	c.header.set(unbounded) // until it has a request
	return c
}

func (c *bounded) Read(b []byte) (int, error) {
	if c.header.spent() {
		return 0, errLongHeader
	}
	n, err := c.Conn.Read(b)
	c.header.spend(b[:n])
	return n, err
}

// CloseWrite is for WebSockets.
func (c *bounded) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// bounding bounds the header of the answer on whatever connection a request gets, until heard is called.
func bounding(limit int64) (trace *httptrace.ClientTrace, heard func()) {
	heard = func() {}
	return &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if c, ok := got.Conn.(*bounded); ok {
			c.header.set(limit)
			heard = func() { c.header.set(unbounded) }
		}
	}}, func() { heard() }
}
