package gateway

import (
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
)

// inUse is a channel whose input and output count as use of the session.
type inUse struct {
	ssh.Channel
	touch func()
}

func (c inUse) Read(p []byte) (int, error) {
	n, err := c.Channel.Read(p)
	c.touch()
	return n, err
}

func (c inUse) Write(p []byte) (int, error) {
	c.touch()
	return c.Channel.Write(p)
}

type touching struct {
	io.Writer
	touch func()
}

func (w touching) Write(p []byte) (int, error) {
	w.touch()
	return w.Writer.Write(p)
}

func (s *session) touch() { s.used.Store(int64(s.now().Sub(s.begun))) }

// endIdle ends the sessions that nothing has gone in or out of for the limit, and a connection that has had none for it.
func (c *conn) endIdle() {
	if c.limits.Idle <= 0 {
		return
	}
	for _, s := range c.idle(c.now().Add(-c.limits.Idle)) {
		c.group.Go(func() {
			told := make(chan struct{})
			c.group.Go(func() { // blocks while the client takes no output, until the session is cut
				defer close(told)
				s.tell(fmt.Sprintf("nothing came or went for %s: the session ends", c.limits.Idle))
			})
			within(told, lastWords)
			s.cut()
		})
	}
}

// idle are the sessions last used before then. Without any session it closes a connection that was not used since. A
// forward is use of its connection and of its sessions: an editor's long one says nothing for hours.
func (c *conn) idle(then time.Time) (found []*session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.forwards > 0 || !c.used.Before(then) {
		return nil
	}
	if len(c.sessions) == 0 {
		c.close()
	}
	for s := range c.sessions {
		if s.begun.Add(time.Duration(s.used.Load())).Before(then) {
			found = append(found, s)
		}
	}
	return found
}
