package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"plil.net/nuage/cloud"
)

// newer is the error of a store that a later program wrote.
type newer struct{ found, known uint64 }

func (n *newer) Error() string {
	return fmt.Sprintf("it was written by a newer nuage: its schema is %d, this one knows up to %d", n.found, n.known)
}

const newerHint = "install the nuage that wrote it, or a later one"

// refusal turns an error of survey into one for whoever wants to use the store.
func refusal(path string, err error) *cloud.Error {
	var n *newer
	if errors.As(err, &n) {
		return cloud.Errorf(cloud.Invalid, "the store %q cannot be used: %v", path, n).WithHint(newerHint).Because(err)
	}
	return damaged(path, err)
}

func damaged(path string, err error) *cloud.Error {
	return cloud.Errorf(cloud.Invalid, "the store %q is damaged: %v", path, err).
		WithHint("bring back a backup: nuage restore --data %s FILE", filepath.Dir(path)).Because(err)
}

func locked(path string) *cloud.Error {
	return cloud.Errorf(cloud.Unavailable, "another gateway is running on this data (%q)", filepath.Dir(path)).
		WithHint("stop it first, or choose other data with --data DIR")
}

func busy(path string) *cloud.Error {
	return cloud.Errorf(cloud.Unavailable, "the gateway is running on this data (%q)", filepath.Dir(path)).
		WithHint("stop it first: systemctl stop nuage")
}

func closed() *cloud.Error {
	return cloud.Errorf(cloud.Unavailable, "the store is closed").WithHint("the gateway is stopping; try again soon")
}

// unwritten is the error of a file that could not be made or written, for who runs the gateway.
func unwritten(path string, err error) *cloud.Error {
	if full(err) {
		return cloud.Errorf(cloud.Unavailable, "no space left on the disk of %q", path).
			WithHint("nothing was changed; make room and try again").Because(err)
	}
	return cloud.Errorf(cloud.Unavailable, "the store %q could not be written", path).Because(err)
}

// unkept is the error of a transaction, which goes to people: where the store is, only the cause says.
func unkept(path string, err error) *cloud.Error {
	what := "the store of this gateway could not be written"
	if full(err) {
		what = "no space left on the disk of the host"
	}
	return cloud.Errorf(cloud.Unavailable, "%s", what).
		WithHint("nothing was changed; try again later, and tell your admin").Because(fmt.Errorf("%q: %w", path, err))
}

// full reports whether a disk or quota is. Some of bbolt's errors have the cause only in their text.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		strings.Contains(err.Error(), syscall.ENOSPC.Error()) || strings.Contains(err.Error(), syscall.EDQUOT.Error())
}

func unopened(path string, err error) *cloud.Error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return cloud.Errorf(cloud.Unavailable, "the store %q may not be opened by this user", path).
			WithHint("run as the user it belongs to").Because(err)
	case errors.Is(err, fs.ErrNotExist):
		return cloud.Errorf(cloud.Unavailable, "there is no directory for the store %q", path).
			WithHint("mkdir -p %s", filepath.Dir(path)).Because(err)
	}
	return cloud.Errorf(cloud.Unavailable, "the store %q could not be opened", path).Because(err)
}

func frozen(bucket, key string) *cloud.Error {
	return cloud.Errorf(cloud.Internal, "%q of %s was to be changed in a view", key, bucket)
}
