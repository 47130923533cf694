package home

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// jailed makes the jail's directory the root of every name and every link, and keeps /proc's magic links
// shut. Mounts stay open: a home may be one of its own, and only the host's root can make them.
const jailed = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// maxTries bounds how often a name is looked up again: openat2 gives up on a name with ".." whenever
// something on the host is renamed meanwhile.
const maxTries = 256

func openJail(dir string) (*os.File, error) {
	return os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
}

// openIn opens a name of the jail. It creates nothing. The file is called name, so that no error tells more.
func openIn(root int, name string, flags int) (*os.File, error) {
	fd, err := openFd(root, name, flags)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func openFd(root int, name string, flags int) (fd int, err error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: jailed}
	for range maxTries {
		fd, err = unix.Openat2(root, name, &how)
		if err != unix.EAGAIN && err != unix.EINTR {
			return fd, err
		}
	}
	return -1, unix.EAGAIN
}

// openParent opens the directory that holds name, and tells what name is called there. "/" and "/home" hold
// nothing that a site may change. A slash at the end of name says nothing.
func (h *home) openParent(root int, name string) (*os.File, string, error) {
	name = strings.TrimRight(name, "/")
	dir, base := name[:strings.LastIndexByte(name, '/')+1], name[strings.LastIndexByte(name, '/')+1:]
	switch base {
	case "":
		return nil, "", unix.EACCES
	case ".", "..":
		return nil, "", unix.EINVAL
	}
	if dir == "" {
		dir = "/"
	}
	f, err := h.openMine(root, dir, unix.O_PATH|unix.O_DIRECTORY)
	return f, base, err
}

// openMine opens what is at or below the home, and refuses what is above.
func (h *home) openMine(root int, name string, flags int) (*os.File, error) {
	f, err := openIn(root, name, flags)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && (os.SameFile(fi, h.above[0]) || os.SameFile(fi, h.above[1])) {
		err = unix.EACCES
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// self is a name of the very file that is open, whatever becomes of the name it was opened by. It serves
// where a system call takes no descriptor opened with O_PATH.
func self(fd uintptr) string { return "/proc/self/fd/" + strconv.Itoa(int(fd)) }

// pathError dresses err, stripped of any dress it wears, as the os package does.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: bare(err)}
}

func linkError(op, oldname, newname string, err error) error {
	if err == nil {
		return nil
	}
	return &os.LinkError{Op: op, Old: oldname, New: newname, Err: bare(err)}
}

func bare(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
