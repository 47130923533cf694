package main

import (
	"io"
	"net"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// engineRelay passes connections on to the engine's socket, so that a script can cut the gateway off without
// stopping the engine of the machine.
type engineRelay struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	done     sync.WaitGroup
}

func newRelay(at, engine string) (*engineRelay, error) {
	l, err := net.Listen("unix", at)
	if err != nil {
		return nil, err
	}
	r := &engineRelay{listener: l}
	r.done.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("unix", engine)
			if err != nil {
				near.Close()
				continue
			}
			r.keep(near, far)
			r.done.Go(func() { pass(near, far) })
			r.done.Go(func() { pass(far, near) })
		}
	})
	return r, nil
}

func (r *engineRelay) keep(conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns = append(r.conns, conns...)
}

// pass copies one direction and hands its end on.
func pass(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	_ = to.(*net.UnixConn).CloseWrite()
}

// cut closes the socket and all that goes through it.
func (r *engineRelay) cut() {
	r.listener.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.done.Wait()
}

// relay stands between the gateway and the engine's socket, at ./engine.sock, until "relay cut".
func relay(ts *testscript.TestScript, _ bool, args []string) {
	g := of(ts)
	if len(args) == 1 && args[0] == "cut" {
		g.relay.cut()
		g.relay = nil
		return
	}
	var err error
	g.relay, err = newRelay(g.path("engine.sock"), "/var/run/docker.sock")
	ts.Check(err)
}
