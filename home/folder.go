package home

import (
	"path"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"plil.net/nuage/cloud"
)

// settled is how long ago a directory must have changed to be believed: file systems tell times by the clock tick, some by
// the second or two, and what changes within one leaves no trace.
const settled = 2 * time.Second

// folder is a directory with those on the way to it, from the home down. As long as none of them has changed, each name
// leads where it led, and the site may go there as it might.
type folder []step

type step struct {
	fd   int
	seen seen
}

// seen tells a directory that has changed, in what it holds or in whose it is, from one that has not.
type seen struct {
	device, inode     uint64
	modified, changed int64 // Unix nanoseconds
}

// Folder opens a directory of the home for who asks often for files right in it. The function inode tells what Inode does,
// for the fraction of its cost, but it follows no link, and is ESTALE once the directory has changed, or one on the way
// to it, as it is from the beginning for one that has just changed. Neither it nor Folder may run when close does.
func (h *home) Folder(dir string) (inode func(base string) (syscall.Stat_t, error), close func(), err error) {
	below, ok := strings.CutPrefix(dir, cloud.HomePath)
	if !ok || below != "" && below[0] != '/' || path.Clean(dir) != dir {
		return nil, nil, unix.EINVAL
	}
	var f folder
	err = h.do(func(root int) error {
		at := cloud.HomePath
		err := f.enter(root, at)
		for name := range strings.FieldsFuncSeq(below, func(r rune) bool { return r == '/' }) {
			if at += "/" + name; err == nil {
				err = f.enter(root, at)
			}
		}
		return err
	})
	if err != nil {
		f.close()
		return nil, nil, err
	}
	return f.inode, f.close, nil
}

// enter adds a directory. The dot at its end asks whether the site may look for names in it.
func (f *folder) enter(root int, dir string) error {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: jailed | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(root, dir+"/.", &how)
	if err != nil {
		return err
	}
	s, err := look(fd)
	*f = append(*f, step{fd, s})
	if err == nil && time.Since(time.Unix(0, s.changed)) < settled {
		return unix.ESTALE
	}
	return err
}

func look(fd int) (seen, error) {
	var stat syscall.Stat_t
	err := syscall.Fstat(fd, &stat)
	return seen{stat.Dev, stat.Ino, stat.Mtim.Nano(), stat.Ctim.Nano()}, err
}

// inode looks at the way first: what was true of a name then is at least as young.
func (f folder) inode(base string) (stat syscall.Stat_t, err error) {
	for _, s := range f {
		if now, err := look(s.fd); err != nil || now != s.seen {
			return stat, unix.ESTALE
		}
	}
	var u unix.Stat_t
	if err := unix.Fstatat(f[len(f)-1].fd, base, &u, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return stat, err
	}
	return syscall.Stat_t{
		Dev: u.Dev, Ino: u.Ino, Nlink: u.Nlink, Mode: u.Mode, Uid: u.Uid, Gid: u.Gid, Rdev: u.Rdev, Size: u.Size,
		Blksize: u.Blksize, Blocks: u.Blocks,
		Atim: syscall.Timespec(u.Atim), Mtim: syscall.Timespec(u.Mtim), Ctim: syscall.Timespec(u.Ctim),
	}, nil
}

func (f folder) close() {
	for _, s := range f {
		unix.Close(s.fd)
	}
}
