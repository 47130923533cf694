package home

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

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
