package home

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestInode is Stat, also of links, of what is not there and of what the site itself may not reach.
func TestInode(t *testing.T) {
	t.Parallel()
	h, jail := makeHome(t)
	put(t, h, www+"/file", "x")
	do(t, h.Symlink("/home/site/www/file", www+"/link"))
	do(t, h.Symlink("/etc/passwd", www+"/out"))
	do(t, h.Mkdir(www+"/shut", 0o755))
	put(t, h, www+"/shut/file", "x")
	quick := h.(interface {
		Inode(name string) (syscall.Stat_t, error)
	})
	same := func(name string) {
		t.Helper()
		info, err := h.Stat(name)
		do(t, err)
		got, err := quick.Inode(name)
		do(t, err)
		if want := *info.Sys().(*syscall.Stat_t); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	for _, name := range []string{www + "/file", www + "/link", www, www + "/shut/file"} {
		same(name)
	}
	for _, name := range []string{www + "/none", www + "/out"} {
		_, err := quick.Inode(name)
		want(t, err, fs.ErrNotExist)
	}
	do(t, h.Chmod(www+"/shut", 0))
	t.Cleanup(func() { do(t, os.Chmod(filepath.Join(jail, www, "shut"), 0o755)) }) // for who clears up
	if os.Geteuid() == 0 {                                                         // else the test is the site, and so may be refused or not
		_, err := quick.Inode(www + "/shut/file")
		want(t, err, fs.ErrPermission)
	}
	do(t, h.Close())
	_, err := quick.Inode(www + "/file")
	want(t, err, fs.ErrClosed)
}
