package cloud

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Disk limits are held by the file system where that has quotas: see [Homes.Limit]. Elsewhere, what comes through the gateway is
// counted before it is written, and what a site's own programs write is counted every few seconds. A home that has outgrown its limit
// is mounted read-only in the site's container until a twentieth of the limit is free; files are deleted over SFTP, which never sees that mount.
const (
	guardEvery   = 3 * time.Second
	guardAll     = 20 // rounds until sites that nobody uses are counted too
	lately       = 4 * guardEvery
	emptyFile    = 4096 // bytes that a file, a directory or a link counts for at least: see [Home.Used]
	guardAtOnce  = 4    // homes that are counted
	countMost    = 2 * time.Minute
	guardRests   = 3 // times as long as a round took, at most until sites that nobody uses are due
	limitHolds   = time.Second
	freeToResume = 20 // a part of the limit
)

// DiskFull is the error of a home that has no room left.
func DiskFull(s Space) *Error {
	return Errorf(Quota, "disk is full: %s of %s", FormatSize(s.Used), FormatSize(s.Limit)).WithHint("delete some files (each counts for 4KiB at least), or ask your admin for more")
}

// allowance is a limit that was looked up, for a moment: uploads ask for it with each packet. The zero value is ready.
type allowance struct {
	mu    sync.Mutex
	limit int64
	until time.Time
}

func (a *Access) limit() int64 {
	a.allowed.mu.Lock()
	defer a.allowed.mu.Unlock()
	if now := time.Now(); now.After(a.allowed.until) {
		a.allowed.limit, a.allowed.until = a.cloud.LimitsOf(a.Site).Disk, now.Add(limitHolds)
	}
	return a.allowed.limit
}

// Grow is to be asked before n more bytes are written to the home. Quota if they would go beyond the limit.
func (a *Access) Grow(ctx context.Context, n int64) error {
	limit := a.limit()
	if limit == 0 || n <= 0 {
		return nil
	}
	used, ok, err := a.Home.Claim(ctx, n, limit)
	if err == nil && !ok {
		err = DiskFull(Space{Used: used, Limit: limit})
	}
	return err
}

// OpenFile is Home.OpenFile within the limit: a new file needs room before there is anything in it.
func (a *Access) OpenFile(name string, flag int, mode fs.FileMode) (*os.File, error) {
	if flag&os.O_CREATE != 0 {
		if err := a.Grow(context.Background(), emptyFile); err != nil {
			if _, missing := a.Home.Stat(name); missing != nil {
				return nil, err
			}
		}
	}
	return a.Home.OpenFile(name, flag, mode)
}

// Mkdir is Home.Mkdir within the limit.
func (a *Access) Mkdir(name string, mode fs.FileMode) error {
	if err := a.Grow(context.Background(), emptyFile); err != nil {
		return err
	}
	return a.Home.Mkdir(name, mode)
}

// Symlink is Home.Symlink within the limit.
func (a *Access) Symlink(target, name string) error {
	if err := a.Grow(context.Background(), emptyFile); err != nil {
		return err
	}
	return a.Home.Symlink(target, name)
}

// diskLimits says what holds them.
func (c *Cloud) diskLimits() string {
	if fs := c.Homes.Quotas(); fs != "" {
		return "kernel quotas (" + fs + ")"
	}
	return "counted"
}

// limitDisk has the file system hold the site's limit, and tells whether it does: then nobody has to count. Who sets a limit
// that was changed meanwhile is followed by who changed it.
func (c *Cloud) limitDisk(s Site) (held bool) {
	c.disks.Lock()
	defer c.disks.Unlock()
	held, err := c.Homes.Limit(s, c.LimitsOf(s).Disk)
	if err != nil {
		c.Log.Warn("disk limit not set", "site", s.Name, "err", err)
	}
	return held
}

// limitDisks is limitDisk for all sites that some account owns.
func (c *Cloud) limitDisks(of func(owner string) bool) {
	if c.Homes.Quotas() == "" {
		return
	}
	for _, s := range *c.table.Load() {
		if of(s.Owner) {
			c.limitDisk(*s)
		}
	}
}

// guard looks after the disk limits until ctx ends.
func (c *Cloud) guard(ctx context.Context) {
	w := weighing{slots: make(chan struct{}, guardAtOnce), now: map[string]bool{}}
	defer w.group.Wait()
	c.Log.Info("disk limits", "held", c.diskLimits())
	var took time.Duration
	for round := 1; ctx.Err() == nil; round++ {
		if round%guardAll == 1 { // what an admin or a restore has left is made right
			c.limitDisks(func(string) bool { return true })
		}
		wait(ctx, min(max(guardEvery, guardRests*took), guardAll*guardEvery))
		began := time.Now()
		for _, s := range *c.table.Load() {
			if !s.Full && !c.mayGrow(*s, round) {
				continue
			}
			w.begin(ctx, s.ID, func() {
				if err := c.weigh(ctx, *s); err != nil && ctx.Err() == nil {
					c.Log.Warn("disk use not looked after", "site", s.Name, "err", err)
				}
			})
		}
		took = time.Since(began)
	}
}

// weighing are the homes that are being counted. A site with very many files takes one of few slots, and is let be until
// that is over: it holds up no other.
type weighing struct {
	slots chan struct{}
	group sync.WaitGroup

	mu  sync.Mutex
	now map[string]bool // by id of the site
}

// begin runs fn beside others, unless it still runs for the site. It waits for a slot.
func (w *weighing) begin(ctx context.Context, id string, fn func()) {
	if !w.mark(id, true) {
		return
	}
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	w.group.Go(func() {
		defer func() { w.mark(id, false); <-w.slots }()
		fn()
	})
}

// mark reports whether it changed anything.
func (w *weighing) mark(id string, on bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	was := w.now[id]
	if on {
		w.now[id] = true
	} else {
		delete(w.now, id)
	}
	return was != on
}

// mayGrow reports whether programs of the site may have written since the last round.
func (c *Cloud) mayGrow(s Site, round int) bool {
	if s.State != Running || !c.contains(s) {
		return false
	}
	unused, held := c.holds.unused(s.ID, c.Now())
	return held || unused < lately || round%guardAll == 0
}

// weigh shuts a home that has outgrown its limit, or opens it again.
func (c *Cloud) weigh(ctx context.Context, s Site) error {
	if c.limitDisk(s) {
		if !s.Full {
			return nil
		}
		return c.setFull(ctx, s.ID, false, nil) // since it was counted
	}
	counting, stop := context.WithTimeout(ctx, c.CountMost)
	defer stop()
	space, err := c.space(counting, s)
	switch {
	case counting.Err() != nil && ctx.Err() == nil && c.LimitsOf(s).Disk > 0:
		err = Errorf(Conflict, "its files could not be counted in %s", c.CountMost).Because(err)
		return c.setFull(ctx, s.ID, true, err)
	case errors.Is(err, ErrRestless): // what cannot be counted has no limit: its programs must rest first
		return c.setFull(ctx, s.ID, true, err)
	case err != nil:
		return err
	}
	full := space.Used > space.Limit
	if s.Full {
		full = space.Used > space.Limit-space.Limit/freeToResume
	}
	if full == s.Full {
		return nil
	}
	return c.setFull(ctx, s.ID, full, DiskFull(space))
}

// setFull records it and, if the site runs, has it sleep and wake in another container: who comes in between waits. What runs in
// the one of before ends.
func (c *Cloud) setFull(ctx context.Context, id string, full bool, why error) error {
	release, err := c.turn(ctx, id)
	if err != nil {
		return err
	}
	defer release()
	s, err := c.byID(ctx, id)
	if err != nil || !s.Settled() || s.Full == full {
		return err
	}
	s.Full = full
	if full {
		c.repaired("site %q is read-only: %s", s.Name, Explain(why, func() string { return "-" }).Message)
	} else {
		c.repaired("site %q has room again", s.Name)
	}
	if s.Type != PHP || s.State != Running {
		if err := c.put(ctx, s); err != nil {
			return err
		}
		if err := c.Publish(ctx); err != nil {
			return err
		}
		return c.vacate(ctx, id) // its next one is mounted anew
	}
	if err := c.become(ctx, s, Asleep); err != nil {
		return err
	}
	if err := c.down(ctx, id); err != nil {
		return err
	}
	s.State = Running
	if err := c.put(ctx, s); err != nil {
		return err
	}
	c.holds.touch(id, c.Now())
	return c.raise(ctx, s)
}

// space is the room that a site's home has.
func (c *Cloud) space(ctx context.Context, s Site) (Space, error) {
	h, err := c.Homes.Inspect(s)
	if err != nil {
		return Space{}, err
	}
	defer h.Close()
	return spaceOf(ctx, h, c.LimitsOf(s).Disk)
}

// spaceOf is the room of a home with a limit; 0 is none.
func spaceOf(ctx context.Context, h Home, limit int64) (s Space, err error) {
	if s.Used, err = h.Used(ctx); err != nil {
		return s, err
	}
	total, free, err := h.Free()
	if err != nil {
		return s, err
	}
	s.Limit = total
	if limit > 0 {
		s.Limit = min(limit, total)
	}
	s.Free = max(0, min(s.Limit-s.Used, free))
	return s, nil
}
