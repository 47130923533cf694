package home

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"plil.net/nuage/cloud"
)

// du is what the count must say: all below the home, without the home's own directory.
func du(t *testing.T, dir string) int64 {
	t.Helper()
	out, err := exec.Command("du", "-s", "--block-size=1", dir).Output()
	do(t, err)
	n, err := strconv.ParseInt(strings.Fields(string(out))[0], 10, 64)
	do(t, err)
	var st unix.Stat_t
	do(t, unix.Lstat(dir, &st))
	return n - st.Blocks*512
}

func TestUsed(t *testing.T) {
	t.Parallel()
	h, jail := makeHome(t)
	dir := filepath.Join(jail, cloud.HomePath)
	put(t, h, www+"/f", strings.Repeat("x", 100_000))
	do(t, h.Link(www+"/f", www+"/same"))
	do(t, h.Symlink("/", www+"/all"))
	put(t, h, www+"/sparse", "")
	do(t, h.Truncate(www+"/sparse", 1<<40))
	do(t, h.Mkdir(www+"/closed", 0o755))
	put(t, h, www+"/closed/f", strings.Repeat("y", 50_000))
	if os.Geteuid() == 0 {
		do(t, h.Chmod(www+"/closed", 0))
	}
	deep, err := os.Open(dir)
	do(t, err)
	for range 3000 { // far beyond what one path can name
		do(t, unix.Mkdirat(int(deep.Fd()), "d", 0o755))
		fd, err := unix.Openat(int(deep.Fd()), "d", unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		do(t, err)
		deep.Close()
		deep = os.NewFile(uintptr(fd), "d")
	}
	fd, err := unix.Openat(int(deep.Fd()), "f", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	do(t, err)
	_, err = unix.Write(fd, make([]byte, 200_000))
	do(t, errors.Join(err, unix.Close(fd), deep.Close()))

	want := du(t, dir) + 2*least // the link and the hole, which du gives nothing
	if st := (unix.Stat_t{}); unix.Lstat(dir, &st) == nil && st.Blocks == 0 {
		want += 3002 * least // of a file system that keeps directories elsewhere
	}
	got, err := h.Used(context.Background())
	if got != want || err != nil || got < 350_000 {
		t.Errorf("got %d, %v, want %d", got, err, want)
	}
}

// opened is a home of its own.
func opened(t *testing.T) *home {
	t.Helper()
	d, s := newDisk(t), site(1)
	do(t, d.Make(context.Background(), s, nil))
	h, err := d.open(s)
	do(t, err)
	t.Cleanup(func() { h.Close() })
	return h
}

// TestEmptyFilesAreUsed: each counts for a block, one with several names once.
func TestEmptyFilesAreUsed(t *testing.T) {
	t.Parallel()
	h := opened(t)
	before, err := h.Used(context.Background())
	do(t, err)
	for i := range 100 {
		put(t, h, www+"/"+strconv.Itoa(i), "")
		do(t, h.Link(www+"/"+strconv.Itoa(i), www+"/again"+strconv.Itoa(i)))
	}
	h.usage.until = h.usage.until.Add(-1e12)
	got, err := h.Used(context.Background())
	if more := got - before; err != nil || more < 100*least || more > 110*least { // the directory grows too
		t.Errorf("100 empty files count for %d, %v", more, err)
	}
}

// TestCountingWaitsForNobody: who asks while somebody else counts waits no longer than it wants to.
func TestCountingWaitsForNobody(t *testing.T) {
	t.Parallel()
	h := opened(t)
	release, err := h.usage.take(context.Background())
	do(t, err)
	defer release()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := h.Used(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, _, err := h.Claim(ended, 1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestUsedIsRemembered(t *testing.T) {
	t.Parallel()
	d, s := newDisk(t), site(1)
	do(t, d.Make(context.Background(), s, nil))
	a, err := d.open(s)
	do(t, err)
	defer a.Close()
	b, err := d.open(s)
	do(t, err)
	defer b.Close()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := a.Used(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	before, err := a.Used(context.Background())
	do(t, err)
	put(t, a, www+"/f", strings.Repeat("x", 100_000))
	if got, err := b.Used(ended); got != before || err != nil {
		t.Errorf("another session counts again: %d, %v, want %d", got, err, before)
	}
	b.usage.until = b.usage.until.Add(-1e12)
	if got, err := b.Used(context.Background()); got < before+100_000 || err != nil {
		t.Errorf("got %d, %v, want 100000 more than %d", got, err, before)
	}
	do(t, a.Close())
	if _, err := a.Used(ended); err != nil {
		t.Errorf("what is remembered needs no home: %v", err)
	}
}
