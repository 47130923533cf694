package home

import (
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
	"plil.net/nuage/cloud"
)

// umask is cut from the modes of what is made, as sftp-server does by default. The process's own umask may
// cut more.
const umask = 0o022

// home is one jail. It holds one descriptor, of the jail's directory.
type home struct {
	root  *os.File
	conn  syscall.RawConn // of root: keeps the descriptor while a verb runs, whoever closes
	as    switched
	above [2]fs.FileInfo // "/" and "/home"
	usage *usage         // shared by all who have the home open

	mounted bool // the home is a file system of its own
}

var _ cloud.Home = (*home)(nil)

func newHome(root *os.File, as switched, u *usage) (*home, error) {
	conn, err := root.SyscallConn()
	if err != nil {
		return nil, err
	}
	h := &home{root: root, conn: conn, as: as, usage: u}
	for i, name := range []string{"/", "/home"} {
		if h.above[i], err = h.Stat(name); err != nil {
			return nil, err
		}
	}
	fi, err := h.Lstat(cloud.HomePath)
	h.mounted = err == nil && disk(fi) != disk(h.above[1])
	return h, err
}

func disk(fi fs.FileInfo) uint64 { return fi.Sys().(*syscall.Stat_t).Dev }

// Close ends the home. Files that it opened stay open.
func (h *home) Close() error { return h.root.Close() }

// do runs fn as the site with the jail's descriptor.
func (h *home) do(fn func(root int) error) error {
	var err error
	run := func(fd uintptr) { err = h.as.do(func() error { return fn(int(fd)) }) }
	if h.conn.Control(run) != nil {
		return fs.ErrClosed
	}
	return err
}

func (h *home) Stat(name string) (fs.FileInfo, error) { return h.stat("stat", name, unix.O_PATH) }

func (h *home) Lstat(name string) (fs.FileInfo, error) {
	return h.stat("lstat", name, unix.O_PATH|unix.O_NOFOLLOW)
}

func (h *home) stat(op, name string, flags int) (fi fs.FileInfo, err error) {
	err = h.do(func(root int) error {
		f, err := openIn(root, name, flags)
		if err != nil {
			return err
		}
		defer f.Close()
		fi, err = f.Stat()
		return err
	})
	return fi, pathError(op, name, err)
}

// Inode is Stat for who asks often: what the kernel says of the file that a name leads to, and its bare error.
func (h *home) Inode(name string) (stat syscall.Stat_t, err error) {
	err = h.do(func(root int) error {
		fd, err := openFd(root, name, unix.O_PATH)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return syscall.Fstat(fd, &stat)
	})
	return stat, err
}

func (h *home) ReadDir(name string, fn func(fs.FileInfo) error) error {
	f, err := h.OpenFile(name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		infos, err := f.Readdir(batch) // looks entries up by descriptor, not by name
		for _, fi := range infos {
			if err := fn(fi); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return pathError("readdir", name, err)
		}
	}
}

func (h *home) Free() (total, free int64, err error) {
	err = h.do(func(root int) error {
		f, err := openIn(root, cloud.HomePath, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return err
		}
		defer f.Close()
		var s unix.Statfs_t
		if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
			return err
		}
		total, free = int64(s.Blocks)*int64(s.Frsize), int64(s.Bavail)*int64(s.Frsize)
		return nil
	})
	return total, free, pathError("statfs", cloud.HomePath, err)
}
