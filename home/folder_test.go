package home

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// folderOf waits until nothing on the way to a directory has just changed.
func folderOf(t *testing.T, h *home, dir string) (inode func(string) (syscall.Stat_t, error)) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		inode, close, err := h.Folder(dir)
		if err == nil {
			t.Cleanup(close)
			return inode
		}
		if err != unix.ESTALE || time.Now().After(end) {
			t.Fatalf("%s: %v", dir, err)
		}
	}
}

// TestFolder tells of files what Inode does, until anything on the way changes.
func TestFolder(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(host string) error{
		"a new name":          func(host string) error { return os.WriteFile(host+"/new", nil, 0o644) },
		"a name less":         func(host string) error { return os.Remove(host + "/other") },
		"another file":        func(host string) error { return os.Rename(host+"/other", host+"/file") },
		"shut":                func(host string) error { return os.Chmod(host, 0) },
		"shut above":          func(host string) error { return os.Chmod(filepath.Dir(host), 0o600) },
		"moved away":          func(host string) error { return os.Rename(host, host+"2") },
		"moved above":         func(host string) error { return os.Rename(filepath.Dir(host), filepath.Dir(host)+"2") },
		"beside it, above":    func(host string) error { return os.Symlink("www", filepath.Dir(filepath.Dir(host))+"/link") },
		"a directory made in": func(host string) error { return os.Mkdir(host+"/dir", 0o755) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			made, jail := makeHome(t)
			h := made.(*home)
			const dir = www + "/sub"
			do(t, h.Mkdir(dir, 0o755))
			put(t, h, dir+"/file", "x")
			put(t, h, dir+"/other", "xx")
			do(t, h.Symlink("file", dir+"/link"))
			inode := folderOf(t, h, dir)
			want1, err := h.Inode(dir + "/file")
			do(t, err)
			if got, err := inode("file"); got != want1 || err != nil {
				t.Errorf("got %+v, %v, want %+v", got, err, want1)
			}
			if link, err := inode("link"); err != nil || link.Mode&syscall.S_IFMT != syscall.S_IFLNK {
				t.Errorf("a link is followed: %o, %v", link.Mode, err)
			}
			_, err = inode("none")
			want(t, err, fs.ErrNotExist)
			put(t, h, dir+"/file", "y") // in place: the directory has not changed, and what is told of the file has
			if got, err := inode("file"); err != nil || got == want1 {
				t.Errorf("after a write: %+v, %v", got, err)
			}
			host := filepath.Join(jail, dir)
			do(t, change(host))
			t.Cleanup(func() { _ = os.Chmod(filepath.Dir(host), 0o755); _ = os.Chmod(host, 0o755) }) // for who clears up
			if _, err := inode("file"); err != unix.ESTALE {
				t.Errorf("after the change: %v", err)
			}
		})
	}
}

// TestFolderRefuses what is no plain directory of the home that the site may look into, and what has just changed.
func TestFolderRefuses(t *testing.T) {
	t.Parallel()
	made, jail := makeHome(t)
	h := made.(*home)
	do(t, h.Symlink("www", "/home/site/link"))
	put(t, h, www+"/file", "x")
	do(t, h.Mkdir(www+"/shut", 0o755))
	folderOf(t, h, www) // it is the last that has changed
	do(t, os.Mkdir(filepath.Join(jail, "home/site2"), 0o777))
	for dir, want := range map[string]error{
		"/home/site/link": unix.ELOOP, www + "/file": unix.ENOTDIR, www + "/none": unix.ENOENT, "/home": unix.EINVAL, "/home/site2": unix.EINVAL,
		"/home/site/../..": unix.EINVAL, www + "/": unix.EINVAL, "": unix.EINVAL,
	} {
		if _, _, err := h.Folder(dir); err != want {
			t.Errorf("%q: %v, want %v", dir, err, want)
		}
	}
	folderOf(t, h, www+"/shut")
	do(t, h.Chmod(www+"/shut", 0o600))
	if _, _, err := h.Folder(www + "/shut"); err != unix.EACCES && (os.Geteuid() == 0 || err != unix.ESTALE) {
		t.Errorf("one that may not be looked into: %v", err)
	}
	do(t, h.Chmod(www+"/shut", 0o700))
	if _, _, err := h.Folder(www + "/shut"); err != unix.ESTALE {
		t.Errorf("one that has just changed: %v", err)
	}
}
