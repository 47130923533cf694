package home

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

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
		again(t, "/tmp", "^"+t.Name()+"$", "NUAGE_TEST_GROUPS=1", &syscall.Credential{Groups: []uint32{0, 4}})
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
	again(t, "/tmp", ".", "NUAGE_TEST_NOBODY=1", &syscall.Credential{Uid: 65534, Gid: 65534})
}

// again runs tests of this binary as somebody else, with a directory below one that all may enter. It is handed down open: its own
// directory is root's.
func again(t *testing.T, below, run, env string, as *syscall.Credential) {
	t.Helper()
	self, err := os.Open("/proc/self/exe")
	do(t, err)
	defer self.Close()
	dir, err := os.MkdirTemp(below, "nuage-home")
	do(t, err)
	defer os.RemoveAll(dir)
	do(t, os.Chmod(dir, 0o777))
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
