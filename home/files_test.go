package home

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFiles(t *testing.T) {
	t.Parallel()
	h, jail := makeHome(t)
	put(t, h, www+"/a", "hello")
	if s, err := get(h, www+"/a"); s != "hello" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
	fi, err := h.Stat(www + "/a")
	do(t, err)
	if fi.Mode() != 0o644 || fi.Name() != "a" || fi.Size() != 5 {
		t.Errorf("got %v %q %d", fi.Mode(), fi.Name(), fi.Size())
	}
	if os.Geteuid() == 0 {
		fi, err := os.Lstat(filepath.Join(jail, www, "a"))
		do(t, err)
		if st := fi.Sys().(*syscall.Stat_t); st.Uid != 70001 || st.Gid != 70001 {
			t.Errorf("the file belongs to %d:%d", st.Uid, st.Gid)
		}
	}
	_, err = h.OpenFile(www+"/a", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	want(t, err, fs.ErrExist)
	_, err = h.OpenFile(www+"/none", os.O_RDWR, 0)
	want(t, err, fs.ErrNotExist)
	_, err = h.OpenFile(www+"/new/", os.O_RDWR|os.O_CREATE, 0o666)
	want(t, err, syscall.EISDIR)

	dir, err := h.OpenFile(www, os.O_RDONLY, 0)
	do(t, err)
	defer dir.Close()
	if infos, err := dir.Readdir(-1); err != nil || len(infos) != 1 || infos[0].Size() != 5 {
		t.Errorf("a directory lists %v, %v", infos, err)
	}
	if filepath.IsAbs(dir.Name()) {
		t.Errorf("a directory is called %q, which may be a path of the host", dir.Name())
	}

	do(t, h.Truncate(www+"/a", 2))
	want(t, h.Truncate(www, 2), syscall.EISDIR)
	when := time.Unix(1_000_000_000, 0)
	do(t, h.Chtimes(www+"/a", time.Time{}, when))
	do(t, h.Chmod(www+"/a", 0o4755|fs.ModeSetuid))
	fi, err = h.Stat(www + "/a")
	do(t, err)
	if fi.Size() != 2 || !fi.ModTime().Equal(when) || fi.Mode() != 0o755 {
		t.Errorf("got %d %v %v", fi.Size(), fi.ModTime(), fi.Mode())
	}
	if s, err := get(h, www+"/a"); s != "he" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
	do(t, h.Chmod(www+"/a", 0))
	do(t, h.Chmod(www+"/a", 0o600)) // an owner needs no right to read for that
}

func TestMasks(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	f, err := h.OpenFile(www+"/f", os.O_CREATE|os.O_RDWR, 0o777|fs.ModeSetuid|fs.ModeSticky|0o6000)
	do(t, err)
	do(t, f.Close())
	do(t, h.Mkdir(www+"/d", 0o777|fs.ModeSetgid|0o7000))
	do(t, h.Chmod(www+"/d", 0o777|fs.ModeSticky|fs.ModeSetgid))
	for name, mode := range map[string]fs.FileMode{"/f": 0o755, "/d": 0o777 | fs.ModeDir} {
		fi, err := h.Lstat(www + name)
		do(t, err)
		if fi.Mode() != mode {
			t.Errorf("%s: got %v, want %v", name, fi.Mode(), mode)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	odd := []string{"new\nline", "\xff\xfe", " ", "-rf", "a\\b", strings.Repeat("x", 255), "…", "*?["}
	for _, n := range odd {
		put(t, h, www+"/"+n, n)
		if s, err := get(h, www+"/"+n); s != n || err != nil {
			t.Errorf("%q: got %q, %v", n, s, err)
		}
	}
	names := list(t, h, www)
	slices.Sort(odd)
	if !slices.Equal(names, odd) {
		t.Errorf("got %q", names)
	}
	want(t, h.ReadDir(www, func(fs.FileInfo) error { return errStop }), errStop)
	want(t, h.ReadDir(www+"/ ", nil), syscall.ENOTDIR)
	_, err := h.Stat(www + "/" + strings.Repeat("x", 256))
	want(t, err, syscall.ENAMETOOLONG)
	long := www + strings.Repeat("/.", 2100)
	_, err = h.Stat(long)
	want(t, err, syscall.ENAMETOOLONG)
	_, err = h.RealPath(www + strings.Repeat("/d", 2100))
	want(t, err, syscall.ENAMETOOLONG)
	want(t, h.Mkdir(www+"/a\x00b", 0o755), syscall.EINVAL)
	_, err = h.Stat("")
	want(t, err, fs.ErrNotExist)
}

func TestRename(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	put(t, h, www+"/a", "a")
	put(t, h, www+"/b", "b")
	want(t, h.Rename(www+"/a", www+"/b", false), fs.ErrExist)
	if s, _ := get(h, www+"/b"); s != "b" {
		t.Errorf("b holds %q", s)
	}
	do(t, h.Rename(www+"/a", www+"/b", true))
	do(t, h.Rename(www+"/b", www+"/c", false))
	if s, _ := get(h, www+"/c"); s != "a" {
		t.Errorf("c holds %q", s)
	}
	do(t, h.Mkdir(www+"/d", 0o755))
	want(t, h.Rename(www+"/d", www+"/d/e", false), syscall.EINVAL)
	put(t, h, www+"/d/x", "")
	want(t, h.Remove(www+"/d"), syscall.ENOTEMPTY)
	do(t, h.Remove(www+"/d/x"))
	do(t, h.Remove(www+"/d/"))
	want(t, h.Remove(www+"/d"), fs.ErrNotExist)
}

// TestCrowdedDirectoryRegression: a start, which looks whether there is something in the document root, and a look through a
// directory of more files than fit in memory do not hold them all.
func TestCrowdedDirectoryRegression(t *testing.T) { // alone: it looks at all that is allocated
	d, s := newDisk(t), site(1)
	do(t, d.Make(t.Context(), s, nil))
	h, err := d.Open(s)
	do(t, err)
	defer h.Close()
	const files = 50_000
	dir := filepath.Join(d.dir, s.ID, www)
	for i := range files {
		do(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do(t, d.Make(t.Context(), s, []byte("welcome")))
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 4<<20 {
		t.Errorf("a start allocates %d bytes", took)
	}
	held, n := uint64(0), 0
	do(t, h.ReadDir(www, func(fs.FileInfo) error {
		if n++; n == files {
			runtime.GC()
			runtime.ReadMemStats(&after)
			held = after.HeapAlloc
		}
		return nil
	}))
	if n != files || held > before.HeapAlloc+4<<20 {
		t.Errorf("%d files hold %d bytes", n, held-before.HeapAlloc)
	}
}
