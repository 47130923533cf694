package home

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLinks follows links as the container does, and nowhere else.
func TestLinks(t *testing.T) {
	t.Parallel()
	h, jail := makeHome(t)
	put(t, h, www+"/file", "inside")
	secret := filepath.Join(t.TempDir(), "secret")
	do(t, os.WriteFile(secret, []byte("outside"), 0o666))

	inside := map[string]string{
		"absolute":  "/home/site/www/file",
		"relative":  "../www/file",
		"above":     "../../../../../../../home/site/www/file",
		"chain":     "absolute",
		"dir-chain": "/home/site/dir/file",
	}
	do(t, h.Symlink("www", "/home/site/dir"))
	for name, target := range inside {
		do(t, h.Symlink(target, www+"/"+name))
	}
	for name, target := range inside {
		if s, err := get(h, www+"/"+name); s != "inside" || err != nil {
			t.Errorf("%s: got %q, %v", name, s, err)
		}
		if got, err := h.Readlink(www + "/" + name); got != target || err != nil {
			t.Errorf("%s: link holds %q, %v", name, got, err)
		}
		if real, err := h.RealPath(www + "/" + name); real != www+"/file" || err != nil {
			t.Errorf("%s: real path %q, %v", name, real, err)
		}
	}
	outside := map[string]string{
		"secret":  secret,
		"passwd":  "/etc/passwd",
		"dots":    strings.Repeat("../", 40) + "etc/passwd",
		"proc":    "/proc/self/root/etc/passwd",
		"sibling": "../../../../" + filepath.Base(filepath.Dir(jail)) + "/s2/home/site",
		"chain2":  "passwd",
	}
	for name, target := range outside {
		do(t, h.Symlink(target, www+"/"+name))
		_, err := get(h, www+"/"+name)
		want(t, err, fs.ErrNotExist)
		_, err = h.Stat(www + "/" + name)
		want(t, err, fs.ErrNotExist)
		want(t, h.Truncate(www+"/"+name, 0), fs.ErrNotExist)
		want(t, h.Chmod(www+"/"+name, 0o777), fs.ErrNotExist)
		if real, err := h.RealPath(www + "/" + name); real != www+"/"+name || err != nil {
			t.Errorf("%s: real path %q, %v", name, real, err)
		}
	}
	do(t, h.Symlink("loop", www+"/loop"))
	_, err := get(h, www+"/loop")
	want(t, err, syscall.ELOOP)
	if b, err := os.ReadFile(secret); string(b) != "outside" || err != nil {
		t.Errorf("outside holds %q, %v", b, err)
	}
	if _, err := h.Readlink(www + "/file"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("got %v", err)
	}
}

// TestMadeThroughLink makes a file where a link to nothing points, as open(2) does.
func TestMadeThroughLink(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	do(t, h.Symlink("/home/site/www/b", www+"/a"))
	do(t, h.Symlink("c", www+"/b"))
	put(t, h, www+"/a", "x")
	if fi, err := h.Lstat(www + "/c"); err != nil || !fi.Mode().IsRegular() {
		t.Errorf("got %v, %v", fi, err)
	}
	do(t, h.Symlink("none", www+"/x"))
	_, err := h.OpenFile(www+"/x", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	want(t, err, fs.ErrExist)
	do(t, h.Symlink("y2", www+"/y1"))
	do(t, h.Symlink("y1", www+"/y2"))
	_, err = h.OpenFile(www+"/y1", os.O_CREATE|os.O_WRONLY, 0o666)
	want(t, err, syscall.ELOOP)
}

// TestVerbsDoNotFollow changes links, not what they point to.
func TestVerbsDoNotFollow(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	put(t, h, www+"/file", "x")
	do(t, h.Symlink("file", www+"/l"))
	do(t, h.Link(www+"/l", www+"/l2"))
	if fi, err := h.Lstat(www + "/l2"); err != nil || fi.Mode().Type() != fs.ModeSymlink {
		t.Errorf("a hard link to a link is %v, %v", fi, err)
	}
	do(t, h.Rename(www+"/l", www+"/l3", false))
	do(t, h.Remove(www+"/l3"))
	do(t, h.Remove(www+"/l2"))
	if s, err := get(h, www+"/file"); s != "x" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
	do(t, h.Link(www+"/file", www+"/hard"))
	fi, err := h.Stat(www + "/hard")
	do(t, err)
	if n := fi.Sys().(*syscall.Stat_t).Nlink; n != 2 {
		t.Errorf("got %d links", n)
	}
	_, err = h.OpenFile(www+"/file", os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	do(t, err)
	do(t, h.Symlink("file", www+"/l"))
	_, err = h.OpenFile(www+"/l", os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	want(t, err, syscall.ELOOP)
}

func TestRealPath(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	for name, want := range map[string]string{
		"/":                      "/",
		"/home/":                 "/home",
		"/home/site/www/.":       www,
		"/..":                    "/",
		"/home/site/none":        "/home/site/none",
		"/home/site/no/such/dir": "/home/site/no/such/dir",
		"/etc/passwd":            "/etc/passwd", // not the host's: just a name
	} {
		if got, err := h.RealPath(name); got != want || err != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
	put(t, h, www+"/f", "")
	_, err := h.RealPath(www + "/f/x")
	want(t, err, syscall.ENOTDIR)
}

// TestSpecialFiles opens what would wait or act.
func TestSpecialFiles(t *testing.T) {
	t.Parallel()
	h, jail := makeHome(t)
	host := filepath.Join(jail, www)
	do(t, unix.Mkfifo(filepath.Join(host, "fifo"), 0o666))
	do(t, os.Chmod(filepath.Join(host, "fifo"), 0o666))
	names := []string{"fifo"}
	if os.Geteuid() == 0 {
		do(t, unix.Mknod(filepath.Join(host, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
		do(t, os.Chmod(filepath.Join(host, "null"), 0o666))
		names = append(names, "null")
	}
	wd, err := os.Open(host)
	do(t, err)
	defer wd.Close()
	l, err := net.Listen("unix", self(wd.Fd())+"/sock") // the whole path is too long for a socket
	do(t, err)
	defer l.Close()
	for _, name := range append(names, "sock") {
		for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_CREATE, os.O_WRONLY | os.O_TRUNC} {
			done := make(chan error, 1)
			go func() {
				_, err := h.OpenFile(www+"/"+name, flag, 0o666)
				done <- err
			}()
			select {
			case err := <-done:
				want(t, err, fs.ErrPermission)
			case <-time.After(time.Minute):
				t.Fatalf("%s: open with %#x waits", name, flag)
			}
		}
		want(t, h.Truncate(www+"/"+name, 0), fs.ErrPermission)
		do(t, h.Remove(www+"/"+name))
	}
}

// TestSwapRace opens a name while its directory is swapped with a link that leads out.
func TestSwapRace(t *testing.T) {
	t.Parallel()
	h, jail := makeHome(t)
	outside := t.TempDir()
	do(t, os.WriteFile(filepath.Join(outside, "f"), []byte("outside"), 0o666))
	host := filepath.Join(jail, www)
	do(t, h.Mkdir(www+"/d", 0o755))
	put(t, h, www+"/d/f", "inside")
	up := strings.Repeat("../", strings.Count(host, "/"))
	do(t, os.Symlink(up+outside[1:], filepath.Join(host, "l")))

	stop, wg := make(chan struct{}), sync.WaitGroup{}
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				unix.Renameat2(unix.AT_FDCWD, host+"/d", unix.AT_FDCWD, host+"/l", unix.RENAME_EXCHANGE)
			}
		}
	})
	inside := 0
	for range 2000 {
		s, err := get(h, www+"/d/../d/f")
		switch {
		case s == "outside":
			t.Error("got out")
		case err == nil && s == "inside":
			inside++
		}
		if f, err := h.OpenFile(www+"/d/made", os.O_CREATE|os.O_WRONLY, 0o666); err == nil {
			f.Close()
		}
		h.Chmod(www+"/d/f", 0o644)
		h.Remove(www + "/d/made")
		h.Mkdir(www+"/d/made", 0o755)
		h.Remove(www + "/d/made")
	}
	close(stop)
	wg.Wait()
	if inside == 0 {
		t.Error("never got in either")
	}
	entries, err := os.ReadDir(outside)
	do(t, err)
	if len(entries) != 1 {
		t.Errorf("outside has %v", entries)
	}
}

// TestLchtimes changes the time of a link and not of what it leads to.
func TestLchtimes(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	put(t, h, www+"/f", "x")
	do(t, h.Chtimes(www+"/f", time.Unix(5, 0), time.Unix(5, 0)))
	do(t, h.Symlink("f", www+"/l"))
	do(t, h.Symlink("/etc/passwd", www+"/out"))
	for _, name := range []string{"/l", "/out"} {
		do(t, h.Lchtimes(www+name, time.Time{}, time.Unix(7, 0)))
		if fi, err := h.Lstat(www + name); err != nil || fi.ModTime().Unix() != 7 {
			t.Errorf("%s: %v, %v", name, fi.ModTime(), err)
		}
	}
	if fi, err := h.Stat(www + "/f"); err != nil || fi.ModTime().Unix() != 5 {
		t.Errorf("the file: %v, %v", fi.ModTime(), err)
	}
	want(t, h.Lchtimes("/home/site", time.Time{}, time.Unix(7, 0)), fs.ErrPermission)
	want(t, h.Lchtimes(www+"/none", time.Time{}, time.Unix(7, 0)), fs.ErrNotExist)
}
