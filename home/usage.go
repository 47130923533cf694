package home

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"plil.net/nuage/cloud"
)

// A count is good for countedFor, and for much longer than it took: who asks again and again costs the disk
// a small part of its time.
const (
	countedFor   = 3 * time.Second
	countedTimes = 20
)

// least is what anything with a name counts for: an empty file takes no block but an inode, of which a disk has only so many.
const least = 4096

// usage is how much one site's home takes, counted once however many ask.
type usage struct {
	turn  chan struct{} // full while somebody counts or claims
	bytes int64
	until time.Time // the count is good
	rest  time.Time // it is not made anew before

	open     openFiles
	programs *programs
	uid      int // of the site's programs; 0 if they cannot be told from others
}

func newUsage(p *programs, uid int) *usage {
	return &usage{turn: make(chan struct{}, 1), programs: p, uid: uid}
}

// unnamed is how much the files of a home's disk take that have no name and are still in use.
func (u *usage) unnamed(ctx context.Context, root int) int64 {
	seen := map[inode]bool{}
	bytes := u.open.unnamed(seen)
	var st unix.Stat_t
	if u.uid == 0 || unix.Fstat(root, &st) != nil {
		return bytes
	}
	return bytes + held(ctx, u.programs.of(u.uid), st.Dev, seen)
}

// take waits for its turn no longer than ctx: a home of many files is long in counting.
func (u *usage) take(ctx context.Context) (release func(), err error) {
	release = func() { <-u.turn }
	select {
	case u.turn <- struct{}{}:
		return release, nil // what is remembered takes no time
	default:
	}
	select {
	case u.turn <- struct{}{}:
		return release, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Used counts the blocks on disk of all that is in the home, as du(1) does: holes are nothing, a file with
// several names is counted once. Unlike du it counts nothing for less than a block. Where the kernel has counted, it is asked.
func (h *home) Used(ctx context.Context) (int64, error) {
	if used, ok := h.kernelUsed(); ok {
		return used, nil
	}
	u := h.usage
	release, err := u.take(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	err = h.count(ctx, u.until)
	return u.bytes, err
}

// Claim takes what it was told for true until the next count.
func (h *home) Claim(ctx context.Context, n, limit int64) (used int64, ok bool, err error) {
	if used, ok := h.kernelUsed(); ok {
		return used, n <= limit-used || h.reserves(), nil
	}
	u := h.usage
	release, err := u.take(ctx)
	if err != nil {
		return 0, false, err
	}
	defer release()
	if err := h.count(ctx, u.until); err != nil {
		return 0, false, err
	}
	if n > limit-u.bytes { // files may have been deleted since
		if err := h.count(ctx, u.rest); err != nil {
			return 0, false, err
		}
	}
	if n > limit-u.bytes {
		return u.bytes, false, nil
	}
	u.bytes += n
	return u.bytes, true, nil
}

// count counts anew from a time on.
func (h *home) count(ctx context.Context, from time.Time) (err error) {
	u, began := h.usage, time.Now()
	if began.Before(from) {
		return nil
	}
	var bytes int64
	run := func(root uintptr) {
		if bytes, err = count(ctx, int(root)); err == nil {
			bytes += u.unnamed(ctx, int(root))
		}
	}
	if h.conn.Control(run) != nil {
		return os.ErrClosed
	}
	if err != nil {
		return pathError("count", cloud.HomePath, err)
	}
	now := time.Now()
	took := countedTimes * now.Sub(began)
	u.bytes, u.until, u.rest = bytes, now.Add(max(countedFor, took)), now.Add(took)
	return nil
}

// maxCounts is how often counting begins anew because somebody moved the directory that it was in.
const maxCounts = 3

// count counts a jail's home, with the rights of the process: what a site hides from itself takes room too.
func count(ctx context.Context, root int) (int64, error) {
	for try := 1; ; try++ {
		top, err := openIn(root, cloud.HomePath, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
		if err != nil {
			return 0, err
		}
		c := counter{ctx: ctx, dir: top, linked: map[inode]bool{}}
		err = c.run()
		c.dir.Close()
		switch {
		case !errors.Is(err, errMoved):
			return c.bytes, err
		case try == maxCounts:
			return 0, cloud.Errorf(cloud.Conflict, "the directories of the home are moved faster than they can be counted").
				WithHint("try again once that has ended").Because(cloud.ErrRestless)
		}
	}
}

var errMoved = errors.New("a directory was moved while it was counted")

// inode names a file whatever its names are.
type inode struct{ dev, ino uint64 }

// counter walks a tree with one descriptor however deep it is, by going down a name and up by "..".
type counter struct {
	ctx    context.Context
	dir    *os.File // where it is
	levels []level  // from the top to dir
	linked map[inode]bool
	bytes  int64
}

// level is a directory on the way.
type level struct {
	inode
	dirs []string // in it, still to be counted
}

func (c *counter) run() error {
	if err := c.enter(); err != nil {
		return err
	}
	for len(c.levels) > 0 {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		here := &c.levels[len(c.levels)-1]
		if len(here.dirs) == 0 {
			if err := c.up(); err != nil {
				return err
			}
			continue
		}
		name := here.dirs[len(here.dirs)-1]
		here.dirs = here.dirs[:len(here.dirs)-1]
		if err := c.down(name); err != nil {
			return err
		}
	}
	return nil
}

// down goes into a directory. One that is gone meanwhile, or closed to a gateway that is not root, counts as empty.
func (c *counter) down(name string) error {
	err := c.move(name)
	switch err {
	case nil:
		return c.enter()
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EACCES:
		return nil
	}
	return err
}

// up goes back to the level above, and makes sure that it is the one it came from.
func (c *counter) up() error {
	c.levels = c.levels[:len(c.levels)-1]
	if len(c.levels) == 0 {
		return nil
	}
	if err := c.move(".."); err != nil {
		return err
	}
	if at, err := inodeOf(c.dir); err != nil || at != c.levels[len(c.levels)-1].inode {
		return errors.Join(err, errMoved)
	}
	return nil
}

func (c *counter) move(name string) error {
	fd, err := unix.Openat(int(c.dir.Fd()), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.dir.Close()
	c.dir = os.NewFile(uintptr(fd), name)
	return nil
}

// enter counts what is directly in the directory that the counter has come into.
func (c *counter) enter() error {
	at, err := inodeOf(c.dir)
	if err != nil {
		return err
	}
	here := level{inode: at}
	for {
		names, err := c.dir.Readdirnames(batch)
		for _, name := range names {
			if c.add(name) {
				here.dirs = append(here.dirs, name)
			}
		}
		switch {
		case err == io.EOF:
			c.levels = append(c.levels, here)
			return nil
		case err != nil:
			return err
		case c.ctx.Err() != nil:
			return c.ctx.Err()
		}
	}
}

// add counts one entry and tells whether it is a directory.
func (c *counter) add(name string) (dir bool) {
	var st unix.Stat_t
	if unix.Fstatat(int(c.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return false // gone meanwhile
	}
	dir = st.Mode&unix.S_IFMT == unix.S_IFDIR
	if !dir && st.Nlink > 1 {
		file := inode{st.Dev, st.Ino}
		if c.linked[file] {
			return false
		}
		c.linked[file] = true
	}
	c.bytes += max(least, st.Blocks*512)
	return dir
}

func inodeOf(f *os.File) (inode, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(f.Fd()), &st)
	return inode{st.Dev, st.Ino}, err
}
