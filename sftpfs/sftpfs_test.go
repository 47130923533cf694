package sftpfs

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
)

func TestNames(t *testing.T) {
	t.Parallel()
	c := openSite(t, Options{})
	odd := []string{"new\nline", "\xff\xfe", " ", "-rf", "a\\b", strings.Repeat("x", 255), "…"}
	for _, n := range odd {
		put(t, c, www+"/"+n, n)
		if s, err := get(c, www+"/"+n); s != n || err != nil {
			t.Errorf("%q: got %q, %v", n, s, err)
		}
	}
	infos, err := c.ReadDir(www)
	do(t, err)
	for _, fi := range infos {
		if !slices.Contains(odd, fi.Name()) {
			t.Errorf("listing has %q", fi.Name())
		}
	}
	if len(infos) != len(odd) {
		t.Errorf("listing has %d names, want %d", len(infos), len(odd))
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	c := openSite(t, Options{})
	put(t, c, www+"/f", "x")
	for name, target := range map[string]string{"abs": www + "/f", "rel": "f", "../up": "www//./f", "out": "/etc/passwd"} {
		do(t, c.Symlink(target, www+"/"+name))
		if got, err := c.ReadLink(www + "/" + name); err != nil || got != target {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if fi, err := c.Lstat(www + "/" + name); err != nil || fi.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s: got %v, %v", name, fi, err)
		}
		s, err := get(c, www+"/"+name)
		if name == "out" {
			wantStatus(t, err, noSuchFile, "")
		} else if s != "x" {
			t.Errorf("%s: got %q, %v", name, s, err)
		}
	}
	do(t, c.Link(www+"/f", www+"/hard"))
	do(t, c.Remove(www+"/abs")) // the link
	if real, err := c.RealPath(www + "/rel"); real != www+"/f" || err != nil {
		t.Errorf("got %q, %v", real, err)
	}
	if wd, err := c.Getwd(); wd != "/home/site" || err != nil {
		t.Errorf("got %q, %v", wd, err)
	}
	_, err := c.ReadLink(www + "/f")
	wantStatus(t, err, failure, "invalid")
}

func TestChanges(t *testing.T) {
	t.Parallel()
	c := openSite(t, Options{})
	put(t, c, www+"/a", "a")
	put(t, c, www+"/b", "b")
	wantStatus(t, c.Rename(www+"/a", www+"/b"), failure, "exists")
	do(t, c.PosixRename(www+"/a", www+"/b"))
	do(t, c.Mkdir(www+"/d"))
	wantStatus(t, c.Mkdir(www+"/d"), failure, "exists")
	wantStatus(t, c.Rename(www+"/none", www+"/x"), noSuchFile, "")
	put(t, c, www+"/d/x", "")
	wantStatus(t, c.RemoveDirectory(www+"/d"), failure, "not empty")
	wantStatus(t, c.RemoveDirectory(www+"/b"), noSuchFile, "")
	do(t, c.Remove(www+"/d/x"))
	do(t, c.RemoveDirectory(www+"/d"))
	wantStatus(t, c.Remove(www+"/d"), noSuchFile, "")
	wantStatus(t, c.Mkdir("/home/x"), denied, "")
	wantStatus(t, c.Mkdir("/x"), denied, "")
	do(t, c.Chmod(www+"/b", 0o600))
	do(t, c.Chtimes(www+"/b", time.Unix(1e9, 0), time.Unix(1e9, 0)))
	fi, err := c.Stat(www + "/b")
	do(t, err)
	if fi.Mode() != 0o600 || fi.ModTime().Unix() != 1e9 {
		t.Errorf("got %v %v", fi.Mode(), fi.ModTime())
	}
	st := fi.Sys().(*sftp.FileStat)
	do(t, c.Chown(www+"/b", int(st.UID), int(st.GID)))
	wantStatus(t, c.Chown(www+"/b", 12345, int(st.GID)), denied, "")
	do(t, c.Truncate(www+"/b", 10))
	vfs, err := c.StatVFS(www)
	if err != nil || vfs.TotalSpace() == 0 || vfs.FreeSpace() > vfs.TotalSpace() {
		t.Errorf("got %v, %v", vfs, err)
	}
}
