package cloud

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Exec runs a program in a site's container; see [Engine.Exec].
func (c *Cloud) Exec(ctx context.Context, who Who, name string, x Exec) (status int, err error) {
	err = c.doSiteAbout(ctx, who, SiteExec, name, "", func(_ Account, s Site, e *Event) error {
		release, err := c.holdContainer(ctx, s, x.Progress)
		if err != nil {
			return err
		}
		defer release()
		leased, done := c.Lease(ctx, who, SiteExec, s)
		defer done()
		run := c.sure.run(s.ID)
		status, err = c.watched(leased, who, s, x, e)
		if err == nil && status == killed && run != 0 && run != c.sure.run(s.ID) { // an engine may be late to tell
			err = Errorf(Unavailable, "the site stopped while the program ran").WithHint("start it: %s", c.Door.SSH("site start "+s.Name))
		}
		if err != nil && ctx.Err() == nil {
			return c.lost(ctx, s, err, context.Cause(leased))
		}
		return err
	})
	return status, err
}

// killed is the status of a program that SIGKILL ended.
const killed = 128 + 9

// holdContainer holds a site with the container of its programs, and tells progress, if there is one, when that has to come up.
func (c *Cloud) holdContainer(ctx context.Context, s Site, progress func(string)) (release func(), err error) {
	if progress != nil && c.rests(s) {
		progress(c.starting())
		defer progress("")
	}
	if s.Type == PHP {
		_, release, err = c.Hold(ctx, s.ID)
	} else {
		release, err = c.lodge(ctx, s)
	}
	if KindOf(err) == NotFound { // it was deleted since it was found
		err = c.noSite(s.Name)
	}
	return release, err
}

// rests reports whether a program has to wait for its container.
func (c *Cloud) rests(s Site) bool {
	if s.Type != PHP {
		return !c.sure.of(s.ID)
	}
	now, ok := c.published(s.ID)
	return ok && now.State == Asleep
}

// lost says what became of a site, or of the right to it, under a program that failed; why is the end of its lease.
func (c *Cloud) lost(ctx context.Context, s Site, err, why error) error {
	now, gone := c.byID(ctx, s.ID)
	switch {
	case KindOf(gone) == NotFound, gone == nil && now.State == Deleting:
		return Errorf(Unavailable, "site %q was deleted while the program ran", s.Name).Because(err)
	case KindOf(why) == NotFound:
		return c.noSite(s.Name) // any more
	case why != nil:
		return why
	case gone == nil && now.Type != s.Type:
		return Errorf(Unavailable, "%q became a %s site while the program ran", s.Name, now.Type).WithHint("start the program again").Because(err)
	case gone == nil && now.Full && !s.Full:
		return Errorf(Unavailable, "%q has outgrown its disk limit while the program ran: it is read-only now", s.Name).
			WithHint("delete some files: %s", c.Door.SFTP(s.Name)).Because(err)
	}
	return err
}

// watched runs a program. The audit tells that it began, and the event of its end for how long it ran and how many
// bytes went in and out.
func (c *Cloud) watched(ctx context.Context, who Who, s Site, x Exec, e *Event) (status int, err error) {
	c.record(newEvent(who, SiteExecStart, s.Name), nil)
	start := c.Now()
	var in, out, errs atomic.Int64
	if x.Stdin != nil {
		x.Stdin = countedReader{x.Stdin, &in}
	}
	if x.Stdout != nil {
		x.Stdout = countedWriter{x.Stdout, &out}
	}
	if x.Stderr != nil {
		x.Stderr = countedWriter{x.Stderr, &errs}
	}
	status, err = c.Engine.Exec(ctx, s.ID, x)
	e.Received, e.Sent = in.Load(), out.Load()+errs.Load()
	e.Detail = fmt.Sprintf("status %d after %s", status, c.Now().Sub(start).Round(time.Second))
	return status, err
}

type countedReader struct {
	io.Reader
	n *atomic.Int64
}

func (c countedReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n.Add(int64(n))
	return n, err
}

type countedWriter struct {
	io.Writer
	n *atomic.Int64
}

func (c countedWriter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n.Add(int64(n))
	return n, err
}
