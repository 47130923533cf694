package home

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// batch is how many names of a directory are read at once.
const batch = 256

// remover empties one tree without descending: a directory that is not empty is moved up to the top and emptied
// there. So it needs two descriptors however deep the tree is, and never trusts a path of two parts, which
// somebody who still writes there could turn into a link.
type remover struct {
	ctx  context.Context
	top  *os.File
	next int // names a directory that was moved up
}

// removeTree removes a directory with all that is in it. While others write into it, it goes on until ctx ends.
func removeTree(ctx context.Context, name string) error {
	top, err := openDir(unix.AT_FDCWD, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	defer top.Close()
	r := &remover{ctx: ctx, top: top}
	if err := r.run(); err != nil {
		return &fs.PathError{Op: "remove", Path: name, Err: err}
	}
	return os.Remove(name)
}

// run goes over the top until nothing is left there. A round that failed on something ends it.
func (r *remover) run() error {
	for {
		if _, err := r.top.Seek(0, io.SeekStart); err != nil {
			return err
		}
		n, err := r.each(r.top, r.removeTop)
		if n == 0 || err != nil {
			return err
		}
	}
}

// each calls fn for all names that it finds in a directory, and returns how many those were and the first
// failure.
func (r *remover) each(dir *os.File, fn func(name string) error) (n int, failed error) {
	for {
		names, err := dir.Readdirnames(batch)
		if len(names) == 0 {
			if err == io.EOF {
				err = nil
			}
			return n, errors.Join(failed, err)
		}
		for _, name := range names {
			if err := r.ctx.Err(); err != nil {
				return n, err
			}
			if err := fn(name); err != nil && failed == nil {
				failed = err
			}
			n++
		}
	}
}

// removeTop removes what is directly in the top.
func (r *remover) removeTop(name string) error {
	err := unlink(int(r.top.Fd()), name)
	if err != unix.ENOTEMPTY {
		return err
	}
	dir, err := openDir(int(r.top.Fd()), name)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, err := r.each(dir, func(name string) error { return r.removeBelow(dir, name) }); err != nil {
		return err
	}
	if err := unlink(int(r.top.Fd()), name); err != unix.ENOTEMPTY {
		return err
	}
	return nil // somebody still writes there: the next round sees it
}

// removeBelow removes what is in a directory of the top, or moves it up.
func (r *remover) removeBelow(dir *os.File, name string) error {
	err := unlink(int(dir.Fd()), name)
	if err != unix.ENOTEMPTY {
		return err
	}
	// Moving a directory writes its "..", so its mode counts too.
	if d, err := openDir(int(dir.Fd()), name); err == nil {
		d.Close()
	}
	for {
		r.next++
		err := unix.Renameat2(int(dir.Fd()), name, int(r.top.Fd()), strconv.Itoa(r.next), unix.RENAME_NOREPLACE)
		switch err {
		case unix.EEXIST: // left from a removal that was cut short
			continue
		case unix.ENOENT:
			return nil
		}
		return err
	}
}

// unlink removes a file, a link or an empty directory; none is as good.
func unlink(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if err == unix.EISDIR {
		err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	}
	switch err {
	case unix.ENOENT:
		return nil
	case unix.EEXIST: // some file systems say so
		return unix.ENOTEMPTY
	}
	return err
}

// openDir opens a directory, follows no link to it, and makes it ours to change.
func openDir(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	p := os.NewFile(uintptr(fd), name)
	defer p.Close()
	if err := unix.Chmod(self(p.Fd()), 0o700); err != nil {
		return nil, err
	}
	fd, err = unix.Open(self(p.Fd()), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
