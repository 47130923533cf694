package home

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
	"plil.net/nuage/cloud"
)

// beside is a file that has no name yet, for what an old one is to become.
type beside struct {
	h         *home
	dir       *os.File // of the old file
	base      string   // its name there
	old, file *os.File
	was       unix.Stat_t // old, when it was opened
	flag      int
	settled   bool
}

var _ cloud.Replacement = (*beside)(nil)

func (h *home) Beside(old *os.File, name string, flag int) (cloud.Replacement, error) {
	b := &beside{h: h, old: old, flag: flag & unix.O_ACCMODE}
	err := h.do(func(root int) error { return b.open(root, name) })
	if err != nil {
		b.closeDir()
		return nil, pathError("open", name, err)
	}
	return b, nil
}

// open makes the file without a name. A crash leaves nothing of it.
func (b *beside) open(root int, name string) (err error) {
	if err := fstat(b.old, &b.was); err != nil {
		return err
	}
	if b.was.Mode&unix.S_IFMT != unix.S_IFREG || b.was.Nlink != 1 || attributes(b.old) {
		return errors.ErrUnsupported
	}
	real, err := b.h.realPath(root, path.Clean(name)) // the name may be a link
	if err != nil {
		return err
	}
	if b.dir, b.base, err = b.h.openParent(root, real); err != nil {
		return err
	}
	if !b.inPlace() {
		return errors.ErrUnsupported
	}
	fd, err := unix.Openat(int(b.dir.Fd()), ".", b.flag|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return errors.ErrUnsupported // of the file system, or nothing may be made there
	}
	file := os.NewFile(uintptr(fd), b.old.Name())
	var is unix.Stat_t
	err = fstat(file, &is)
	switch {
	case err != nil:
	case is.Uid != b.was.Uid || is.Gid != b.was.Gid:
		err = errors.ErrUnsupported
	default:
		err = unix.Fchmod(fd, b.was.Mode&0o777)
	}
	if err != nil {
		file.Close()
		return err
	}
	b.file = file
	b.h.usage.open.add(file)
	return nil
}

// inPlace tells whether the name still leads to the old file.
func (b *beside) inPlace() bool {
	var st unix.Stat_t
	err := unix.Fstatat(int(b.dir.Fd()), b.base, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Dev == b.was.Dev && st.Ino == b.was.Ino
}

// attributes tells whether a file has more to it than a new one would. What security modules write is theirs.
func attributes(f *os.File) bool {
	names := make([]byte, 4096)
	n, err := unix.Flistxattr(int(f.Fd()), names)
	if err == unix.EOPNOTSUPP {
		return false
	}
	if err != nil {
		return true
	}
	for name := range strings.SplitSeq(string(names[:n]), "\x00") {
		if name != "" && !strings.HasPrefix(name, "security.") {
			return true
		}
	}
	return false
}

func (b *beside) File() *os.File { return b.file }

// Keep reads the old file with the rights of the process: the site may write to one that it may not read.
func (b *beside) Keep(from int64) error {
	old, err := os.Open(self(b.old.Fd()))
	if err != nil {
		return pathError("read", b.old.Name(), err)
	}
	defer old.Close()
	if _, err := old.Seek(from, io.SeekStart); err != nil {
		return err
	}
	if _, err := b.file.Seek(from, io.SeekStart); err != nil {
		return err
	}
	_, err = io.Copy(b.file, old)
	return pathError("write", b.old.Name(), err)
}

func (b *beside) Settle() error {
	if b.settled {
		return nil
	}
	b.settled = true
	return pathError("replace", b.old.Name(), b.h.do(func(int) error { return b.settle() }))
}

func (b *beside) settle() error {
	var now unix.Stat_t
	if err := fstat(b.old, &now); err != nil {
		return err
	}
	if now.Nlink != 1 || !b.inPlace() {
		return b.pour()
	}
	if err := unix.Fchmod(int(b.file.Fd()), b.mode(now)); err != nil {
		return err
	}
	name := ".nuage-" + rand.Text()
	dir := int(b.dir.Fd())
	if err := unix.Linkat(unix.AT_FDCWD, self(b.file.Fd()), dir, name, unix.AT_SYMLINK_FOLLOW); err != nil {
		return b.pour()
	}
	if err := unix.Renameat(dir, name, dir, b.base); err != nil {
		_ = unix.Unlinkat(dir, name, 0)
		return b.pour()
	}
	return nil
}

// mode is the one that the new file gets: what the client gave it, else the old file's.
func (b *beside) mode(old unix.Stat_t) uint32 {
	var is unix.Stat_t
	if err := fstat(b.file, &is); err == nil && is.Mode&0o777 != b.was.Mode&0o777 {
		return is.Mode & 0o777
	}
	return old.Mode & 0o777
}

// pour replaces the content of the old file, wherever that is now, and goes on with that one.
func (b *beside) pour() error {
	from, err := os.Open(self(b.file.Fd()))
	if err != nil {
		return err
	}
	defer from.Close()
	if err := b.old.Truncate(0); err != nil {
		return err
	}
	if _, err := io.Copy(b.old, from); err != nil {
		return err
	}
	b.file, b.old = b.old, b.file
	return nil
}

func (b *beside) closeDir() {
	if b.dir != nil {
		b.dir.Close()
	}
}

func (b *beside) Close() error {
	b.closeDir()
	return b.old.Close()
}

func fstat(f *os.File, st *unix.Stat_t) error { return unix.Fstat(int(f.Fd()), st) }
