package home

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// TestNamelessInProgramsRegression counts a file that a site's own program writes to after it was removed, once however often it is
// open, and no more when the program has ended.
func TestNamelessInProgramsRegression(t *testing.T) {
	t.Parallel()
	needRoot(t)
	ctx, size := context.Background(), int64(1<<20)
	d, s := newDisk(t), site(4711) // whose uid nobody else has
	s.Type = cloud.PHP
	do(t, d.Make(ctx, s, nil))
	opened, err := d.Inspect(s) // as the guard does
	do(t, err)
	defer opened.Close()
	h := opened.(*home)
	used := func() int64 {
		t.Helper()
		d.programs.until = time.Time{}
		do(t, h.count(ctx, h.usage.rest.Add(-1e12)))
		return h.usage.bytes
	}
	before := used()
	path := filepath.Join(d.dir, s.ID, cloud.HomePath, "f")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	do(t, err)
	program := exec.Command("sh", "-c", "exec 5>&3; head -c 1048576 /dev/zero >&3; echo written; read -r more; head -c 1048576 /dev/zero >&3; echo written; read -r end")
	program.Dir, program.ExtraFiles = "/", []*os.File{f}
	program.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.UID), Gid: uint32(s.UID)}}
	in, err := program.StdinPipe()
	do(t, err)
	out, err := program.StdoutPipe()
	do(t, err)
	do(t, program.Start())
	defer program.Wait()
	defer program.Process.Kill()
	do(t, f.Close())
	said := bufio.NewReader(out)
	step := func(want int64, when string) {
		t.Helper()
		_, err := said.ReadString('\n')
		do(t, err)
		if got := used(); got != before+want {
			t.Errorf("%s: %d bytes are used, want %d", when, got, before+want)
		}
	}
	step(size, "with a name")
	do(t, os.Remove(path))
	_, err = in.Write([]byte("more\n"))
	do(t, err)
	step(2*size, "without a name")
	do(t, program.Process.Kill())
	_ = program.Wait()
	if got := used(); got != before {
		t.Errorf("ended: %d bytes are used, want %d", got, before)
	}
}

// TestNamelessInMemoryRegression counts a file without a name that no descriptor leads to: a program that runs from it.
func TestNamelessInMemoryRegression(t *testing.T) {
	t.Parallel()
	needRoot(t)
	ctx := context.Background()
	d, s := newDisk(t), site(4712) // whose uid nobody else has
	do(t, d.Make(ctx, s, nil))
	h, err := d.open(s)
	do(t, err)
	defer h.Close()
	used := func() int64 {
		t.Helper()
		d.programs.until = time.Time{}
		do(t, h.count(ctx, time.Time{}))
		return h.usage.bytes
	}
	before := used()
	do(t, os.Chmod(filepath.Dir(filepath.Dir(d.dir)), 0o711)) // of the test, which the site's uid has to pass
	path := filepath.Join(d.dir, s.ID, cloud.HomePath, "sleep")
	body, err := os.ReadFile("/bin/sleep")
	do(t, err)
	do(t, os.WriteFile(path, body, 0o755))
	whole := used()
	program := exec.Command(path, "300")
	program.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.UID), Gid: uint32(s.UID)}}
	do(t, program.Start())
	defer program.Wait()
	defer program.Process.Kill()
	do(t, os.Remove(path))
	if got := used(); got != whole || whole <= before {
		t.Errorf("%d bytes are used while a program runs from a removed file, want %d; %d without it", got, whole, before)
	}
	do(t, program.Process.Kill())
	_ = program.Wait()
	if got := used(); got != before {
		t.Errorf("ended: %d bytes are used, want %d", got, before)
	}
}
