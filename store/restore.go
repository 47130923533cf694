package store

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"plil.net/nuage/cloud"
)

// BeforeRestore is what Restore appends to the name of the store that it replaces.
const BeforeRestore = ".before-restore"

// Check reads a store that nobody is writing to, such as a backup, from end to end: that each page and checksum
// is right, that the schema is known, that each record decodes and that names and sites match. Invalid if not.
// It changes nothing.
func Check(path string) error {
	f, err := lock(path, os.O_RDONLY, syscall.LOCK_SH, lockWait)
	switch {
	case errors.Is(err, errLocked):
		return locked(path)
	case errors.Is(err, fs.ErrNotExist):
		return cloud.Errorf(cloud.NotFound, "there is no store %q", path).Because(err)
	case err != nil:
		return unopened(path, err)
	}
	defer f.Close()
	if _, err := survey(f, today(), true); err != nil {
		return refusal(path, err)
	}
	return nil
}

// Restore puts the backup in the place of the store at path, which need not be there; its directory must.
// Unavailable while a gateway has the store open, Invalid if the backup is not whole: then nothing changes.
//
// The store that was there, sound or not, stays beside the new one as path + BeforeRestore, in place of that of
// an earlier restore: to go back, stop the gateway and rename it. The name path leads to a whole store at
// every moment; a crash may leave a path + ".restore-…" behind, which can be deleted.
func Restore(path string, from io.Reader) error {
	return RestoreWith(path, from, func(string) error { return nil })
}

// RestoreWith is Restore with something that has to be put in place together with the store. then gets the name of the
// checked backup, as a store that nobody else knows, while no gateway can start at path; the store is replaced once
// it has returned nil.
func RestoreWith(path string, from io.Reader, then func(backup string) error) error {
	old, err := lock(path, os.O_RDWR, syscall.LOCK_EX, lockWait)
	switch {
	case errors.Is(err, errLocked):
		return busy(path)
	case errors.Is(err, fs.ErrNotExist):
		old = nil
	case err != nil:
		return unopened(path, err)
	default:
		defer old.Close() // the lock holds until the new store is in place
	}
	temp, err := receive(path, from)
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	if err := then(temp); err != nil {
		return err
	}
	if old == nil {
		return placeNew(temp, path)
	}
	return replace(temp, path)
}

// receive writes the backup to a file beside path and checks it there.
func receive(path string, from io.Reader) (temp string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".restore-*") // 0600
	if err != nil {
		return "", unopened(path, err)
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	src := &reader{r: from}
	if _, err := io.Copy(f, src); src.err != nil {
		return "", src.err
	} else if err != nil {
		return "", unwritten(path, err)
	}
	if err := errors.Join(inherit(f, path), f.Sync()); err != nil {
		return "", unwritten(path, err)
	}
	if _, err := survey(f, today(), true); err != nil {
		return "", unfit(err)
	}
	return f.Name(), nil
}

func unfit(err error) *cloud.Error {
	var n *newer
	if errors.As(err, &n) {
		return cloud.Errorf(cloud.Invalid, "the backup cannot be used: %v", n).WithHint(newerHint).Because(err)
	}
	return cloud.Errorf(cloud.Invalid, "this is not a whole backup: %v", err).
		WithHint("nothing was changed; take another file, as made by: ssh … backup > FILE").Because(err)
}

// inherit gives the file to the owner of the store that it replaces, or of the directory: restores are run by
// root and gateways are not.
func inherit(f *os.File, path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		info, err = os.Stat(filepath.Dir(path))
	}
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(stat.Uid), int(stat.Gid))
}

// placeNew puts the file where there was none. A gateway that has begun there since is not robbed of its.
func placeNew(temp, path string) error {
	err := os.Link(temp, path)
	switch {
	case errors.Is(err, fs.ErrExist):
		return busy(path)
	case err != nil:
		return unwritten(path, err)
	}
	return syncDir(path)
}

func replace(temp, path string) error {
	keep := path + BeforeRestore
	if err := os.Remove(keep); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unwritten(path, err)
	}
	if err := os.Link(path, keep); err != nil {
		return unwritten(path, err)
	}
	if err := os.Rename(temp, path); err != nil {
		return unwritten(path, err)
	}
	return syncDir(path)
}

// reader tells an error of reading from one of writing.
type reader struct {
	r   io.Reader
	err error
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
