package gateway

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// lastWords is the time for programs that were cut to be killed and for their statuses to be sent.
const lastWords = 2 * time.Second

// Serve accepts connections until ctx ends. Then it accepts no more, tells the people on open sessions, gives
// them the grace to end, cuts what is left and returns nil. An error is that of a listener that broke.
func (g *Gateway) Serve(ctx context.Context, listener net.Listener) error {
	accepting, shut := context.WithCancel(ctx)
	living, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() { listener.Close() })()
	var conns sync.WaitGroup
	err := g.accept(accepting, listener, func(raw net.Conn) {
		conns.Go(func() {
			// The login's deep stack ends with its goroutine: idle connections are cheap.
			if c := g.login(accepting, raw); c != nil {
				conns.Go(func() { c.live(living, accepting.Done()) })
			}
		})
	})
	shut()
	gone := make(chan struct{})
	go func() {
		conns.Wait()
		close(gone)
	}()
	if !within(gone, g.limits.Grace) {
		cut()
		if !within(gone, 2*lastWords) {
			g.log.Error("sessions did not end")
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func within(done <-chan struct{}, d time.Duration) bool {
	select {
	case <-done:
		return true
	case <-time.After(d):
		return false
	}
}

// accept calls handle for each connection. Where too many have not logged in yet, it closes one of them. It returns when
// the listener is closed; other errors, such as too many open files, pass.
func (g *Gateway) accept(ctx context.Context, listener net.Listener, handle func(net.Conn)) error {
	const most = time.Second
	pause, full := time.Duration(0), false
	for {
		raw, err := listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			pause = min(max(2*pause, 5*time.Millisecond), most)
			g.log.Warn("accept", "err", err, "pause", pause)
			within(ctx.Done(), pause)
			continue
		}
		pause = 0
		if wait := g.sources.refuses(raw.RemoteAddr()); wait > 0 {
			g.turnAway(raw, wait)
			continue
		}
		late := g.logins.enter(raw)
		if late != nil {
			late.Close()
			if !full {
				g.log.Warn("too many connections that have not logged in", "limit", g.limits.Startups.String())
			}
		}
		full = late != nil
		handle(raw)
	}
}
