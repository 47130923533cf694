package home

import (
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// at runs fn on the directory that holds name.
func (h *home) at(name string, fn func(dir int, base string) error) error {
	return h.do(func(root int) error {
		dir, base, err := h.openParent(root, name)
		if err != nil {
			return err
		}
		defer dir.Close()
		return fn(int(dir.Fd()), base)
	})
}

// both runs fn on the directories that hold two names.
func (h *home) both(oldname, newname string, fn func(olddir int, oldbase string, newdir int, newbase string) error) error {
	return h.do(func(root int) error {
		olddir, oldbase, err := h.openParent(root, oldname)
		if err != nil {
			return err
		}
		defer olddir.Close()
		newdir, newbase, err := h.openParent(root, newname)
		if err != nil {
			return err
		}
		defer newdir.Close()
		return fn(int(olddir.Fd()), oldbase, int(newdir.Fd()), newbase)
	})
}

// on runs fn on a name of the very file that name resolves to.
func (h *home) on(name string, fn func(f *os.File, self string) error) error {
	return h.do(func(root int) error {
		f, err := h.openMine(root, name, unix.O_PATH)
		if err != nil {
			return err
		}
		defer f.Close()
		return fn(f, self(f.Fd()))
	})
}

func (h *home) Mkdir(name string, mode fs.FileMode) error {
	return pathError("mkdir", name, h.at(name, func(dir int, base string) error {
		return unix.Mkdirat(dir, base, uint32(mode&fs.ModePerm&^umask))
	}))
}

func (h *home) Remove(name string) error {
	return pathError("remove", name, h.at(name, func(dir int, base string) error {
		err := unix.Unlinkat(dir, base, 0)
		if err == unix.EISDIR {
			err = unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
		}
		return err
	}))
}

func (h *home) Rename(oldname, newname string, replace bool) error {
	return linkError("rename", oldname, newname, h.both(oldname, newname,
		func(olddir int, oldbase string, newdir int, newbase string) error {
			if replace {
				return unix.Renameat(olddir, oldbase, newdir, newbase)
			}
			return renameNew(olddir, oldbase, newdir, newbase)
		}))
}

// renameNew renames where nothing is in the way. Some file systems (NFS, older ZFS) cannot do that in one step
// and say EINVAL: there the site races with nobody but itself.
func renameNew(olddir int, oldbase string, newdir int, newbase string) error {
	err := unix.Renameat2(olddir, oldbase, newdir, newbase, unix.RENAME_NOREPLACE)
	if err != unix.EINVAL {
		return err
	}
	var st unix.Stat_t
	if unix.Fstatat(newdir, newbase, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
		return unix.EEXIST
	}
	return unix.Renameat(olddir, oldbase, newdir, newbase)
}

func (h *home) Link(oldname, newname string) error {
	return linkError("link", oldname, newname, h.both(oldname, newname,
		func(olddir int, oldbase string, newdir int, newbase string) error {
			return unix.Linkat(olddir, oldbase, newdir, newbase, 0)
		}))
}

func (h *home) Symlink(target, name string) error {
	return linkError("symlink", target, name, h.at(name, func(dir int, base string) error {
		return unix.Symlinkat(target, dir, base)
	}))
}

func (h *home) Chmod(name string, mode fs.FileMode) error {
	return pathError("chmod", name, h.on(name, func(_ *os.File, self string) error {
		return unix.Chmod(self, uint32(mode&fs.ModePerm))
	}))
}

// Chtimes leaves a zero time as it is, like os.Chtimes.
func (h *home) Chtimes(name string, atime, mtime time.Time) error {
	return pathError("chtimes", name, h.on(name, func(_ *os.File, self string) error {
		return setTimes(unix.AT_FDCWD, self, atime, mtime, 0)
	}))
}

func (h *home) Lchtimes(name string, atime, mtime time.Time) error {
	return pathError("lchtimes", name, h.at(name, func(dir int, base string) error {
		return setTimes(dir, base, atime, mtime, unix.AT_SYMLINK_NOFOLLOW)
	}))
}

func setTimes(dir int, name string, atime, mtime time.Time, flags int) error {
	a, err := timespec(atime)
	if err != nil {
		return err
	}
	m, err := timespec(mtime)
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{a, m}, flags)
}

func timespec(t time.Time) (unix.Timespec, error) {
	if t.IsZero() {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}, nil
	}
	return unix.TimeToTimespec(t)
}

func (h *home) Truncate(name string, size int64) error {
	return pathError("truncate", name, h.on(name, func(f *os.File, self string) error {
		fi, err := f.Stat()
		switch {
		case err != nil:
			return err
		case fi.IsDir():
			return unix.EISDIR
		case !fi.Mode().IsRegular():
			return unix.EACCES
		}
		return unix.Truncate(self, size)
	}))
}
