package gateway

import (
	"context"
	"time"
)

// missed is how many times in a row a client may owe a sign of life.
const missed = 3

// keepAlive asks a client that is silent whether it is there, and closes the connection of one that stays so. Any byte
// counts as an answer: behind a slow upload it may come late. Once ctx has ended it leaves the sessions their last words.
func (c *conn) keepAlive(ctx context.Context) {
	tick := time.NewTicker(c.limits.KeepAlive)
	defer tick.Stop()
	asking := make(chan struct{}, 1) // while an answer is owed
	for {
		select {
		case <-ctx.Done():
			within(c.gone, lastWords)
			c.close()
			return
		case <-tick.C:
			c.endIdle()
		}
		switch silence := c.line.silence(); {
		case silence >= missed*c.limits.KeepAlive:
			c.log.Info("client does not answer", "account", c.who.Account, "address", c.who.Address, "silence", silence)
			c.close()
			return
		case silence >= c.limits.KeepAlive/2:
			select {
			case asking <- struct{}{}:
				c.group.Go(func() { c.ask(); <-asking })
			default:
			}
		}
	}
}

// ask waits for an answer for ever: the end of the connection ends it.
func (c *conn) ask() {
	defer c.recovered("keepalive", c.ssh.RemoteAddr())
	_, _, _ = c.ssh.SendRequest("keepalive@openssh.com", true, nil)
}
