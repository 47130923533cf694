package home

import (
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// openFlags are those that a caller may ask for.
const openFlags = unix.O_ACCMODE | unix.O_APPEND | unix.O_CREAT | unix.O_EXCL | unix.O_TRUNC |
	unix.O_SYNC | unix.O_DIRECTORY | unix.O_NOFOLLOW

// maxLinks is how many links to nothing are followed to make a file, as many as the kernel does.
const maxLinks = 40

// noPath keeps the name of an open directory from being a path of the host: what (*os.File).ReadDir returns asks
// for details by that name. Readdir asks by descriptor.
const noPath = "home:"

// OpenFile opens what is there by its descriptor, once it is known to be a file or a directory: a FIFO would
// wait, and a device acts when it is opened. What it makes is always new, so that is never one of those.
func (h *home) OpenFile(name string, flag int, mode fs.FileMode) (f *os.File, err error) {
	flag &= openFlags
	err = h.do(func(root int) error {
		f, err = h.openOrMake(root, name, flag, uint32(mode&fs.ModePerm&^umask))
		return err
	})
	if err != nil {
		return nil, pathError("open", name, err)
	}
	h.usage.open.add(f)
	return f, nil
}

func (h *home) openOrMake(root int, name string, flag int, mode uint32) (*os.File, error) {
	at := name
	for range maxLinks {
		f, err := openThere(root, at, name, flag)
		if err != unix.ENOENT || flag&unix.O_CREAT == 0 {
			return f, err
		}
		if f, err = h.makeFile(root, at, name, flag, mode); err != unix.EEXIST || flag&unix.O_EXCL != 0 {
			return f, err
		}
		// A link to nothing, or somebody made the file meanwhile.
		if target, err := readlink(root, at); err == nil && path.IsAbs(target) {
			at = target
		} else if err == nil {
			at = path.Dir(at) + "/" + target
		}
	}
	return nil, unix.ELOOP
}

// openThere opens the file at a name, and calls it name.
func openThere(root int, at, name string, flag int) (*os.File, error) {
	p, err := openIn(root, at, unix.O_PATH|flag&(unix.O_NOFOLLOW|unix.O_DIRECTORY))
	if err != nil {
		return nil, err
	}
	defer p.Close()
	fi, err := p.Stat()
	switch {
	case err != nil:
		return nil, err
	case flag&unix.O_CREAT != 0 && flag&unix.O_EXCL != 0:
		return nil, unix.EEXIST
	case fi.Mode().Type() == fs.ModeSymlink:
		return nil, unix.ELOOP
	case !fi.Mode().IsRegular() && !fi.IsDir():
		return nil, unix.EACCES
	}
	fd, err := unix.Open(self(p.Fd()), flag&^(unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW)|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if fi.IsDir() {
		name = noPath + name
	}
	return os.NewFile(uintptr(fd), name), nil
}

// makeFile makes a file that was not there.
func (h *home) makeFile(root int, at, name string, flag int, mode uint32) (*os.File, error) {
	if strings.HasSuffix(at, "/") {
		return nil, unix.EISDIR
	}
	dir, base, err := h.openParent(root, at)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	fd, err := unix.Openat(int(dir.Fd()), base, flag|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}
