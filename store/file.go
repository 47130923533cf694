package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// lockRetry is the time between two tries to lock a file.
const lockRetry = 25 * time.Millisecond

var errLocked = errors.New("locked by another process")

// lockOrCreate opens the file of a store for one process alone.
func lockOrCreate(path string, wait time.Duration, s schema) (*os.File, error) {
	f, err := lock(path, os.O_RDWR, syscall.LOCK_EX, wait)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(path, s); err != nil {
			return nil, err
		}
		f, err = lock(path, os.O_RDWR, syscall.LOCK_EX, wait)
	}
	switch {
	case errors.Is(err, errLocked):
		return nil, locked(path)
	case err != nil:
		return nil, unopened(path, err)
	}
	return f, nil
}

// lock opens the file and locks it as bbolt does. The lock is on the file, not on its name: if a restore has
// put another in its place meanwhile, that one is taken.
func lock(path string, flag, how int, wait time.Duration) (*os.File, error) {
	for deadline := time.Now().Add(wait); ; time.Sleep(lockRetry) {
		f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK, 0) // a FIFO would block
		if err != nil {
			return nil, err
		}
		err = syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if err == nil && stands(f, path) {
			return f, nil
		}
		f.Close()
		switch {
		case err != nil && err != syscall.EWOULDBLOCK:
			return nil, err
		case time.Now().After(deadline):
			return nil, errLocked
		}
	}
}

// stands reports whether the path still leads to the file.
func stands(f *os.File, path string) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(ours, there)
}

// create makes an empty store. It gets its name once it is whole: an empty file is always a damaged store and
// never a new one, which would make a gateway forget all sites.
func create(path string, s schema) error {
	temp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return unopened(path, err)
	}
	defer os.Remove(temp.Name())
	db, err := mapFile(temp)
	if err != nil {
		return unwritten(path, err)
	}
	err = db.Update(func(t *bbolt.Tx) error {
		r := boltRows{t}
		if err := r.makeBuckets(); err != nil {
			return err
		}
		return s.stamp(r)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return unwritten(path, err)
	}
	err = os.Link(temp.Name(), path) // unlike a rename, it takes nobody's place
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return unwritten(path, err)
	}
	return syncDir(path)
}

// mapFile gives a file to bbolt, which closes it, also when it fails. The file must be sound; should bbolt
// stumble all the same, that is an error and not the end of the process.
func mapFile(f *os.File) (db *bbolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			f.Close()
			db, err = nil, fmt.Errorf("bbolt: %v", p)
		}
	}()
	return bbolt.Open(f.Name(), 0o600, &bbolt.Options{
		Timeout:         lockWait,
		InitialMmapSize: mapped,
		OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return f, nil },
	})
}

// syncDir makes a new name last.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return unwritten(path, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return unwritten(path, err)
	}
	return nil
}
