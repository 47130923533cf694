package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

const www = "/home/site/www"

func newDisk(t *testing.T) *Disk {
	t.Helper()
	d, err := New(filepath.Join(t.TempDir(), "sites"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func site(n int) cloud.Site {
	return cloud.Site{ID: fmt.Sprintf("s%d", n), Name: fmt.Sprintf("s%d.plil.net", n), Type: cloud.Static,
		Root: cloud.DocumentRoot, UID: 70000 + n}
}

// newHome makes and opens a home. It returns the path of the jail on the host too.
func makeHome(t *testing.T) (cloud.Home, string) {
	t.Helper()
	d, s := newDisk(t), site(1)
	if err := d.Make(context.Background(), s, nil); err != nil {
		t.Fatal(err)
	}
	h, err := d.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h, filepath.Join(d.dir, s.ID)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		must(t, "root", "needs root to be somebody else")
	}
}

// must skips, or fails where the tool was promised.
func must(t *testing.T, tool, why string) {
	t.Helper()
	for _, m := range strings.Split(os.Getenv("NUAGE_MUST"), ",") {
		if m == tool && os.Getenv("NUAGE_TEST_NOBODY") == "" {
			t.Fatal(why)
		}
	}
	t.Skip(why)
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got error %v, want %v", err, target)
	}
	var p *fs.PathError
	if errors.As(err, &p) && strings.Contains(p.Error(), "sites") {
		t.Errorf("error tells of the host: %v", p)
	}
}

func put(t *testing.T, h cloud.Home, name, content string) {
	t.Helper()
	f, err := h.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o666)
	do(t, err)
	_, err = f.WriteString(content)
	do(t, errors.Join(err, f.Close()))
}

func get(h cloud.Home, name string) (string, error) {
	f, err := h.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b strings.Builder
	_, err = f.WriteTo(&b)
	return b.String(), err
}

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

var errStop = errors.New("stop")

// list is the sorted names of what is in a directory.
func list(t *testing.T, h cloud.Home, dir string) (names []string) {
	t.Helper()
	do(t, h.ReadDir(dir, func(fi fs.FileInfo) error { names = append(names, fi.Name()); return nil }))
	slices.Sort(names)
	return names
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

func TestAboveTheHome(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	for dir, entry := range map[string]string{"/": "home", "/home": "site", "/../..": "home"} {
		if names := list(t, h, dir); !slices.Equal(names, []string{entry}) {
			t.Errorf("%s: got %q", dir, names)
		}
	}
	do(t, h.Symlink("/home/evil", www+"/evil"))
	put(t, h, www+"/f", "")
	for what, err := range map[string]error{
		"mkdir":        h.Mkdir("/home/x", 0o755),
		"mkdir /":      h.Mkdir("/x", 0o755),
		"mkdir root":   h.Mkdir("/", 0o755),
		"remove":       h.Remove("/home/site"),
		"rename":       h.Rename("/home/site", "/home/other", false),
		"rename out":   h.Rename(www+"/f", "/home/f", true),
		"symlink":      h.Symlink("x", "/home/l"),
		"link":         h.Link(www+"/f", "/f"),
		"chmod":        h.Chmod("/home", 0o777),
		"chmod by ..":  h.Chmod("/home/site/..", 0o777),
		"chtimes":      h.Chtimes("/", time.Now(), time.Now()),
		"open":         second(h.OpenFile("/home/f", os.O_CREATE|os.O_WRONLY, 0o666)),
		"open by link": second(h.OpenFile(www+"/evil", os.O_CREATE|os.O_WRONLY, 0o666)),
	} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestFree(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	total, free, err := h.Free()
	if err != nil || total <= 0 || free <= 0 || free > total {
		t.Errorf("got %d, %d, %v", total, free, err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	h, _ := makeHome(t)
	put(t, h, www+"/a", "a")
	f, err := h.OpenFile(www+"/a", os.O_RDONLY, 0)
	do(t, err)
	defer f.Close()
	do(t, h.Close())
	_, err = h.Stat("/home/site")
	want(t, err, fs.ErrClosed)
	want(t, h.Mkdir(www+"/x", 0o755), fs.ErrClosed)
	var b [1]byte
	if n, err := f.ReadAt(b[:], 0); n != 1 || err != nil {
		t.Errorf("an open file reads %d, %v", n, err)
	}
}

// TestIdentityStays works on homes from many goroutines and looks at every thread afterwards.
func TestIdentityStays(t *testing.T) {
	needRoot(t)
	d := newDisk(t)
	var homes []cloud.Home
	for n := range 4 {
		do(t, d.Make(context.Background(), site(n), nil))
		h, err := d.Open(site(n))
		do(t, err)
		defer h.Close()
		homes = append(homes, h)
	}
	var wg sync.WaitGroup
	for n := range 16 {
		wg.Go(func() {
			h := homes[n%len(homes)]
			for i := range 50 {
				name := fmt.Sprintf("%s/%d-%d", www, n, i)
				f, err := h.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
				if err != nil {
					t.Error(err)
					return
				}
				fi, err := f.Stat()
				if uid := fi.Sys().(*syscall.Stat_t).Uid; err != nil || int(uid) != 70000+n%len(homes) {
					t.Errorf("%s belongs to %d, %v", name, uid, err)
				}
				f.Close()
				h.Chmod("/nowhere", 0)
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	do(t, err)
	own, err := os.ReadFile("/proc/self/status")
	do(t, err)
	for _, task := range tasks {
		status, err := os.ReadFile(task)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range []string{"Uid:", "Gid:", "Groups:", "CapEff:"} {
			if got, want := line(status, field), line(own, field); got != want {
				t.Errorf("%s: %s, want %s", task, got, want)
			}
		}
		if !strings.HasSuffix(line(status, "Uid:"), "\t0") {
			t.Errorf("%s: %s", task, line(status, "Uid:"))
		}
	}
}

func line(status []byte, field string) string {
	for l := range strings.Lines(string(status)) {
		if strings.HasPrefix(l, field) {
			return strings.TrimSpace(l)
		}
	}
	return ""
}

// TestKernelRefuses looks whether the site's uid is what the kernel sees, groups and capabilities included.
func TestKernelRefuses(t *testing.T) {
	needRoot(t)
	h, jail := makeHome(t)
	host := filepath.Join(jail, www)
	for name, mode := range map[string]fs.FileMode{"root": 0o600, "group": 0o640} {
		do(t, os.WriteFile(filepath.Join(host, name), []byte("secret"), mode))
	}
	do(t, os.WriteFile(filepath.Join(host, "theirs"), []byte("x"), 0o644))
	do(t, os.Mkdir(filepath.Join(host, "rootdir"), 0o755))

	_, err := get(h, www+"/root")
	want(t, err, fs.ErrPermission)
	_, err = get(h, www+"/group")
	want(t, err, fs.ErrPermission)
	want(t, h.Chmod(www+"/theirs", 0o777), fs.ErrPermission)
	want(t, h.Chtimes(www+"/theirs", time.Unix(1, 0), time.Unix(1, 0)), fs.ErrPermission)
	want(t, h.Truncate(www+"/theirs", 0), fs.ErrPermission)
	want(t, h.Mkdir(www+"/rootdir/x", 0o755), fs.ErrPermission)
	if s, err := get(h, www+"/theirs"); s != "x" || err != nil {
		t.Errorf("a readable file reads %q, %v", s, err)
	}
}

// TestGroupsAreLeft gives the process a group of root's, as a login shell has, and looks whether a site has it.
func TestGroupsAreLeft(t *testing.T) {
	needRoot(t)
	if os.Getenv("NUAGE_TEST_GROUPS") == "" {
		again(t, "NUAGE_TEST_GROUPS=1", &syscall.Credential{Groups: []uint32{0, 4}})
		return
	}
	h, jail := makeHome(t)
	host := filepath.Join(jail, www, "group")
	do(t, os.WriteFile(host, []byte("secret"), 0o640))
	do(t, os.Chown(host, 0, 4))
	_, err := get(h, www+"/group")
	want(t, err, fs.ErrPermission)
	groups, err := os.Getgroups()
	if err != nil || len(groups) != 2 {
		t.Errorf("the process has groups %v, %v", groups, err)
	}
}

// TestAsNobody runs these tests again without root.
func TestAsNobody(t *testing.T) {
	needRoot(t)
	again(t, "NUAGE_TEST_NOBODY=1", &syscall.Credential{Uid: 65534, Gid: 65534})
}

// again runs this test's binary as somebody else. It is handed down open: its directory is root's.
func again(t *testing.T, env string, as *syscall.Credential) {
	t.Helper()
	self, err := os.Open("/proc/self/exe")
	do(t, err)
	defer self.Close()
	dir, err := os.MkdirTemp("/tmp", "nuage-home")
	do(t, err)
	defer os.RemoveAll(dir)
	do(t, os.Chmod(dir, 0o777))
	run := "."
	if strings.Contains(env, "GROUPS") {
		run = "^" + t.Name() + "$"
	}
	cmd := exec.Command("/proc/self/fd/3", "-test.run="+run)
	cmd.Args[0] = os.Args[0]
	cmd.Dir = dir
	cmd.ExtraFiles = []*os.File{self}
	cmd.Env = append(os.Environ(), env, "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
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
