package home

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"plil.net/nuage/cloud"
)

func TestMake(t *testing.T) {
	t.Parallel()
	ctx, d, s := context.Background(), newDisk(t), site(1)
	_, err := d.Open(s)
	if cloud.KindOf(err) != cloud.Unavailable {
		t.Errorf("a home that is not there: %v", err)
	}
	for range 2 {
		do(t, d.Make(ctx, s, []byte("welcome")))
	}
	path := d.Path(s)
	if path != filepath.Join(d.dir, "s1/home/site") {
		t.Errorf("got %s", path)
	}
	if b, err := os.ReadFile(path + "/www/index.html"); string(b) != "welcome" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
	entries, err := os.ReadDir(path)
	do(t, err)
	if len(entries) != 1 {
		t.Errorf("the home holds %v", entries)
	}
	fi, err := os.Lstat(path)
	do(t, err)
	st := fi.Sys().(*syscall.Stat_t)
	if fi.Mode().Perm() != homeMode || (os.Geteuid() == 0 && (st.Uid != 70001 || st.Gid != 70001)) {
		t.Errorf("the home is %v of %d:%d", fi.Mode(), st.Uid, st.Gid)
	}
	do(t, os.Remove(path+"/www/index.html"))
	do(t, os.WriteFile(path+"/www/index.php", nil, 0o644))
	do(t, d.Make(ctx, s, []byte("welcome")))
	if _, err := os.Lstat(path + "/www/index.html"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a document root in use got the welcome page: %v", err)
	}
}

// TestMakeAgain finds what an owner may have made of the home.
func TestMakeAgain(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(path string) error{
		"file":      func(p string) error { return os.WriteFile(p+"/www", []byte("mine"), 0o644) },
		"dangling":  func(p string) error { return os.Symlink("/nowhere", p+"/www") },
		"out":       func(p string) error { return os.Symlink("/tmp", p+"/www") },
		"closed":    func(p string) error { return os.Mkdir(p+"/www", 0) },
		"temp link": func(p string) error { return os.Symlink("/etc/hostname", p+"/"+unfinished) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, s := newDisk(t), site(1)
			s.Root = "www/public"
			do(t, d.makeJail(s))
			do(t, change(d.Path(s)))
			before, err := os.Lstat(d.Path(s) + "/www")
			if name != "temp link" {
				do(t, err)
				do(t, d.Make(context.Background(), s, []byte("welcome")))
				after, err := os.Lstat(d.Path(s) + "/www")
				do(t, err)
				if after.Mode() != before.Mode() || after.Size() != before.Size() {
					t.Errorf("was %v, is %v", before, after)
				}
			} else if err := d.Make(context.Background(), s, []byte("welcome")); err == nil {
				t.Error("wrote the page through a link of the owner's that leads out")
			}
			do(t, d.Remove(context.Background(), s))
		})
	}
}

func TestBadSites(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	keep := filepath.Join(d.dir, "keep")
	do(t, os.WriteFile(keep, nil, 0o644))
	for _, id := range []string{"", ".", "..", "../x", "a/b", "/"} {
		s := cloud.Site{ID: id, UID: 70001}
		_, err := d.Open(s)
		for _, err := range []error{err, d.Make(context.Background(), s, nil), d.Remove(context.Background(), s)} {
			if cloud.KindOf(err) != cloud.Internal || err == nil {
				t.Errorf("%q: got %v", id, err)
			}
		}
	}
	if os.Geteuid() == 0 {
		if err := d.Make(context.Background(), cloud.Site{ID: "x"}, nil); err == nil {
			t.Error("a site of uid 0 was made")
		}
	}
	_, err := os.Lstat(keep)
	do(t, err)
}

// TestRemove takes away what is hard to take away, and nothing that links point to.
func TestRemove(t *testing.T) {
	t.Parallel()
	ctx, d, s := context.Background(), newDisk(t), site(1)
	do(t, d.Remove(ctx, s))
	do(t, d.Make(ctx, s, []byte("x")))
	outside := t.TempDir()
	do(t, os.WriteFile(outside+"/f", nil, 0o644))
	path := d.Path(s)
	do(t, os.Symlink(outside, path+"/out"))
	do(t, os.Symlink(outside+"/f", path+"/outfile"))
	for _, dir := range []string{"/closed/sub", "/ro/sub/sub", "/1/2/3", "/many"} {
		do(t, os.MkdirAll(path+dir, 0o755))
	}
	for n := range 700 {
		do(t, os.WriteFile(path+"/many/"+strconv.Itoa(n), nil, 0o644))
	}
	do(t, os.WriteFile(path+"/closed/sub/f", nil, 0))
	do(t, os.Symlink(outside, path+"/ro/sub/out"))
	for _, dir := range []string{"/closed/sub", "/closed", "/ro/sub/sub", "/ro/sub", "/ro"} {
		do(t, os.Chmod(path+dir, map[bool]fs.FileMode{true: 0, false: 0o555}[strings.HasPrefix(dir, "/closed")]))
	}
	do(t, d.Remove(ctx, s))
	do(t, d.Remove(ctx, s))
	if _, err := os.Lstat(filepath.Join(d.dir, s.ID)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
	if _, err := os.Lstat(outside + "/f"); err != nil {
		t.Error(err)
	}
}

func TestRemoveDeep(t *testing.T) {
	t.Parallel()
	ctx, d, s := context.Background(), newDisk(t), site(1)
	do(t, d.Make(ctx, s, nil))
	fd, err := unix.Open(d.Path(s), unix.O_PATH|unix.O_DIRECTORY, 0)
	do(t, err)
	for range 10_000 {
		do(t, unix.Mkdirat(fd, "d", 0o755))
		sub, err := unix.Openat(fd, "d", unix.O_PATH|unix.O_DIRECTORY, 0)
		do(t, err)
		unix.Close(fd)
		fd = sub
	}
	unix.Close(fd)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := d.Remove(ended, s); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	do(t, d.Remove(ctx, s))
}

// TestRemoveWhileWritten removes a home that its processes have not left yet.
func TestRemoveWhileWritten(t *testing.T) {
	t.Parallel()
	d, s := newDisk(t), site(1)
	do(t, d.Make(context.Background(), s, nil))
	h, err := d.Open(s)
	do(t, err)
	defer h.Close()
	stop, wg := make(chan struct{}), sync.WaitGroup{}
	for n := range 2 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					h.Mkdir(www+"/"+strconv.Itoa(n), 0o755)
					if f, err := h.OpenFile(www+"/"+strconv.Itoa(n)+"/"+strconv.Itoa(i%10), os.O_CREATE|os.O_WRONLY, 0o644); err == nil {
						f.Close()
					}
				}
			}
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = d.Remove(ctx, s)
	close(stop)
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = h.Stat("/home"); err == nil {
		t.Error("a removed home still shows something")
	}
}
