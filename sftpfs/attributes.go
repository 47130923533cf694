package sftpfs

import (
	"io/fs"
	"math"
	"syscall"
	"time"
)

// attrs are what a client wants a file to be. Those without a flag are zero.
type attrs struct {
	flags        uint32
	size         uint64
	uid, gid     uint32
	mode         fs.FileMode // the nine permission bits
	atime, mtime uint32      // seconds
}

func (a attrs) permOr(mode fs.FileMode) fs.FileMode {
	if a.flags&attrMode != 0 {
		return a.mode
	}
	return mode
}

// changeable is what attributes are changed of: a name, a link itself, or a handle.
type changeable interface {
	stat() (fs.FileInfo, error)
	truncate(size int64) error
	chmod(mode fs.FileMode) error
	chtimes(atime, mtime time.Time) error
}

func (s *session) setstat(a *args, _ *reply) error {
	m, in, err := s.inside(a.paths[0])
	if err != nil {
		return err
	}
	return s.full(a.attrs.change(byName{m, in}), m)
}

// lsetstat is setstat that does not follow a link.
func (s *session) lsetstat(a *args, w *reply) error {
	fi, err := s.info(a.paths[0], false)
	if err != nil {
		return err
	}
	if fi.Mode().Type() != fs.ModeSymlink {
		return s.setstat(a, w)
	}
	m, in, err := s.inside(a.paths[0])
	if err != nil {
		return err
	}
	return a.attrs.change(byLink{byName{m, in}})
}

func (s *session) fsetstat(a *args, _ *reply) error {
	h := a.handles[0]
	if err := s.still(h); err != nil {
		return err
	}
	if a.attrs.flags&attrSize != 0 && a.attrs.size > uint64(h.at) {
		if err := s.whole(h); err != nil {
			return err
		}
	}
	return s.full(a.attrs.change(h), h.mount)
}

// change changes all of them even if some fail, and tells the first failure.
func (a attrs) change(file changeable) error {
	var first error
	try := func(flag uint32, change func() error) {
		if a.flags&flag == 0 {
			return
		}
		if err := change(); err != nil && first == nil {
			first = err
		}
	}
	try(attrSize, func() error {
		if a.size > math.MaxInt64 {
			return syscall.EFBIG
		}
		return file.truncate(int64(a.size))
	})
	try(attrMode, func() error { return file.chmod(a.mode) })
	try(attrTimes, func() error { return file.chtimes(time.Unix(int64(a.atime), 0), time.Unix(int64(a.mtime), 0)) })
	try(attrOwner, func() error { return a.sameOwner(file) })
	return first
}

// sameOwner lets a file be given to whom it belongs to, as chown(2) lets one who is not root.
func (a attrs) sameOwner(file changeable) error {
	fi, err := file.stat()
	if err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || st.Uid != a.uid || st.Gid != a.gid {
		return syscall.EPERM
	}
	return nil
}

type byName struct {
	m  *mount
	in string
}

func (n byName) stat() (fs.FileInfo, error)   { return n.m.Stat(n.in) }
func (n byName) truncate(size int64) error    { return n.m.Truncate(n.in, size) }
func (n byName) chmod(mode fs.FileMode) error { return n.m.Chmod(n.in, mode) }
func (n byName) chtimes(a, m time.Time) error { return n.m.Chtimes(n.in, a, m) }

// byLink is a link itself, which has no size or mode that could change.
type byLink struct{ byName }

func (l byLink) stat() (fs.FileInfo, error)   { return l.m.Lstat(l.in) }
func (l byLink) truncate(int64) error         { return syscall.EOPNOTSUPP }
func (l byLink) chmod(fs.FileMode) error      { return syscall.EOPNOTSUPP }
func (l byLink) chtimes(a, m time.Time) error { return l.m.Lchtimes(l.in, a, m) }

func (h *handle) truncate(size int64) error {
	if h.file == nil {
		return syscall.EISDIR
	}
	h.size = -1 // there may be a hole now
	if h.kept > 0 && size <= h.at {
		h.kept = 0
	}
	return h.file.Truncate(size)
}

// chmod acts with the rights of the process, so it asks what the kernel would: whether the site owns the file.
func (h *handle) chmod(mode fs.FileMode) error {
	if !h.own {
		return syscall.EPERM
	}
	return h.file.Chmod(mode)
}

// chtimes is chmod's like.
func (h *handle) chtimes(atime, mtime time.Time) error {
	if !h.own {
		return syscall.EPERM
	}
	conn, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	times := []syscall.Timeval{syscall.NsecToTimeval(atime.UnixNano()), syscall.NsecToTimeval(mtime.UnixNano())}
	cerr := conn.Control(func(fd uintptr) { err = syscall.Futimes(int(fd), times) })
	if cerr != nil {
		return cerr
	}
	return err
}
