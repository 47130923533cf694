package home

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"plil.net/nuage/cloud"
)

// quotaUID is that of the last test's site: on one file system, one uid is one quota.
var quotaUID atomic.Int32

// limitedHome is a home that the kernel holds to a limit: see test/kernel.
func limitedHome(t *testing.T, limit int64) (*Disk, cloud.Site, *home) {
	t.Helper()
	d := newDisk(t)
	if d.Quotas() == "" {
		must(t, "quota", "the file system of TMPDIR has no quotas by uid: make kernel")
	}
	s := site(1)
	s.UID = 80000 + int(quotaUID.Add(1))
	do(t, d.Make(context.Background(), s, nil))
	limitTo(t, d, s, limit)
	h, err := d.open(s)
	do(t, err)
	t.Cleanup(func() { h.Close(); do(t, d.Remove(context.Background(), s)) })
	return d, s, h
}

func limitTo(t *testing.T, d *Disk, s cloud.Site, limit int64) {
	t.Helper()
	if held, err := d.Limit(s, limit); !held || err != nil {
		t.Fatalf("limit %d: held %t, %v", limit, held, err)
	}
}

// as runs a script in a site's home, as the site's own programs do. The way there is shut to them.
func as(t *testing.T, s cloud.Site, d *Disk, script string) (string, error) {
	t.Helper()
	dir, err := os.Open(d.Path(s))
	do(t, err)
	defer dir.Close()
	cmd := exec.Command("sh", "-c", "exec 2>&1; cd /proc/self/fd/3; "+script)
	cmd.ExtraFiles = []*os.File{dir}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.UID), Gid: uint32(s.UID)}}
	out, err := cmd.Output()
	return string(out), err
}

// soon waits: XFS frees what was removed behind our back.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not so after 10 s: " + what)
		}
	}
}

func exceeds(t *testing.T, what, out string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(out, "quota exceeded") {
		t.Errorf("%s: %v, %s", what, err, out)
	}
}

func (h *home) mustUse(t *testing.T) int64 {
	t.Helper()
	n, err := h.Used(context.Background())
	do(t, err)
	return n
}

// TestQuota: a program of the site ends at the limit, wherever that is put.
func TestQuota(t *testing.T) {
	t.Parallel()
	d, s, h := limitedHome(t, 1<<20)
	write := func(name string) (string, error) { return as(t, s, d, "head -c 8000000 /dev/zero >"+name) }
	near := func(limit int64) {
		t.Helper()
		if n := h.mustUse(t); n > limit || n < limit-64<<10 {
			t.Errorf("uses %d of %d", n, limit)
		}
	}
	out, err := write("a")
	exceeds(t, "the first limit", out, err)
	near(1 << 20)
	limitTo(t, d, s, 2<<20)
	out, err = write("b")
	exceeds(t, "a higher limit", out, err)
	near(2 << 20)
	limitTo(t, d, s, 1<<20)
	out, err = write("c")
	exceeds(t, "a lower limit", out, err)
	if out, err := as(t, s, d, "rm -f a b c"); err != nil {
		t.Errorf("delete: %v, %s", err, out)
	}
	out, err = write("d")
	exceeds(t, "with room again", out, err)
	near(1 << 20)
	limitTo(t, d, s, 0)
	if out, err := write("e"); err != nil {
		t.Errorf("no limit: %v, %s", err, out)
	}
}

// TestQuotaOfFiles: there are as many inodes as 4 KiB go into the limit.
func TestQuotaOfFiles(t *testing.T) {
	t.Parallel()
	d, s, h := limitedHome(t, 256<<10)
	out, err := as(t, s, d, "for i in $(seq 100); do : >$i || exit; done")
	exceeds(t, "empty files", out, err)
	if n := h.mustUse(t); n != 256<<10 {
		t.Errorf("64 inodes count for %d", n)
	}
	_, ok, err := h.Claim(context.Background(), least, 256<<10)
	if ok && !h.reserves() || err != nil {
		t.Errorf("another file may be made, %v", err)
	}
}

// TestQuotaThroughHome: the gateway's own writes end there too, without a claim, unless it has CAP_SYS_RESOURCE.
func TestQuotaThroughHome(t *testing.T) {
	t.Parallel()
	d, s, h := limitedHome(t, 256<<10)
	status, err := os.ReadFile("/proc/self/status")
	do(t, err)
	var caps uint64
	_, err = fmt.Sscanf(line(status, "CapEff:"), "CapEff: %x", &caps)
	do(t, err)
	if d.Quotas() != "xfs" && caps>>unix.CAP_SYS_RESOURCE&1 != 0 {
		must(t, "quota", "with CAP_SYS_RESOURCE only XFS holds us")
	}
	f, err := h.OpenFile(www+"/f", os.O_CREATE|os.O_WRONLY, 0o644)
	do(t, err)
	defer f.Close()
	n := 0
	for err == nil && n < 1<<20 {
		var more int
		more, err = f.Write(make([]byte, 32<<10))
		n += more
	}
	if !errors.Is(err, unix.EDQUOT) || n > 256<<10 || n < 192<<10 {
		t.Errorf("%d bytes, %v", n, err)
	}
	do(t, f.Truncate(0))
	for i := 0; err == nil || i == 0; i++ {
		err = h.Mkdir(fmt.Sprintf("%s/d%d", www, i), 0o755)
		if i > 64 {
			t.Fatal("more directories than inodes")
		}
	}
	want(t, err, unix.EDQUOT)
	if out, err := as(t, s, d, "rmdir www/d*"); err != nil {
		t.Errorf("%v, %s", err, out)
	}
}

// TestQuotaCountsAtOnce what has no name as well, and what one session writes for all.
func TestQuotaCountsAtOnce(t *testing.T) {
	t.Parallel()
	d, s, h := limitedHome(t, 8<<20)
	before := h.mustUse(t)
	f, err := h.OpenFile(www+"/f", os.O_CREATE|os.O_WRONLY, 0o644)
	do(t, err)
	_, err = f.Write(make([]byte, 1<<20))
	do(t, errors.Join(err, h.Remove(www+"/f")))
	other, err := d.open(s)
	do(t, err)
	defer other.Close()
	if n := other.mustUse(t); n < 1<<20 || !h.reserves() && n > 1<<20+64<<10 {
		t.Errorf("a file without a name counts for %d", n)
	}
	do(t, f.Close())
	soon(t, "closed, it counts no more", func() bool { return h.mustUse(t) == before })
}

// TestQuotaIsMadeRight where somebody has set another one by hand, soft limits included, and none is left of a deleted site.
func TestQuotaIsMadeRight(t *testing.T) {
	t.Parallel()
	d, s, h := limitedHome(t, 1<<20)
	of := func() (q quota) {
		t.Helper()
		_ = h.conn.Control(func(root uintptr) {
			ok := false
			if q, ok = quotaOf(int(root), s.UID); !ok {
				t.Error("the quota cannot be asked for")
			}
		})
		return q
	}
	byHand := quota{Blocks: 5000, SoftBlocks: 4000, Inodes: 5000, SoftInodes: 40, Valid: limits}
	_ = h.conn.Control(func(root uintptr) {
		do(t, quotactl(int(root), setQuota, s.UID, unsafe.Pointer(&byHand)))
	})
	limitTo(t, d, s, 1<<20)
	if q := of(); q.Blocks != 1024 || q.Inodes != 256 || q.SoftBlocks != 0 || q.SoftInodes != 0 {
		t.Errorf("made right: %+v", q)
	}
	do(t, d.Remove(context.Background(), s))
	if q := of(); q.Blocks != 0 || q.Inodes != 0 {
		t.Errorf("after the site: %+v", q)
	}
	soon(t, "nothing is in use", func() bool { q := of(); return q.Bytes == 0 && q.Files == 0 })
	if held, err := d.Limit(s, 1<<20); held || err != nil {
		t.Errorf("limit without a home: held %t, %v", held, err)
	}
	if q := of(); q.Blocks != 0 {
		t.Errorf("a limit without a home: %+v", q)
	}
}

// TestQuotaByName asks as on a Linux before 5.14.
func TestQuotaByName(t *testing.T) {
	t.Parallel()
	_, s, h := limitedHome(t, 1<<20)
	_ = h.conn.Control(func(root uintptr) {
		var st unix.Stat_t
		do(t, unix.Fstat(int(root), &st))
		if _, err := os.Stat(fmt.Sprintf("/dev/block/%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))); err != nil {
			must(t, "quota", "no udev has been here: "+err.Error())
		}
		var q quota
		errno := quotactlByName(int(root), getQuota, s.UID, unsafe.Pointer(&q))
		if errno != 0 || q.Blocks != 1024 {
			t.Errorf("%v, %+v", errno, q)
		}
	})
}

// TestNoQuotaWithoutRoot: who may set no limits counts.
func TestNoQuotaWithoutRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		limitedHome(t, 1<<20) // or there is nothing to see
		again(t, os.TempDir(), "^"+t.Name()+"$", "NUAGE_TEST_NOBODY=1", &syscall.Credential{Uid: 65534, Gid: 65534})
		return
	}
	d, s := newDisk(t), site(1)
	do(t, d.Make(context.Background(), s, nil))
	held, err := d.Limit(s, 1<<20)
	if fs := d.Quotas(); fs != "" || held || err != nil {
		t.Errorf("quotas of %q, held %t, %v", fs, held, err)
	}
	h, err := d.open(s)
	do(t, err)
	defer h.Close()
	put(t, h, www+"/f", strings.Repeat("x", 64<<10))
	used, ok, err := h.Claim(context.Background(), least, 64<<10)
	if used < 64<<10 || ok || err != nil {
		t.Errorf("counted: %d, %t, %v", used, ok, err)
	}
	do(t, d.Remove(context.Background(), s))
}

// TestLimited: a limit is never none for being small.
func TestLimited(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[int64]quota{
		0: {}, 1: {Blocks: 4, Inodes: 1}, 4097: {Blocks: 4, Inodes: 1}, 1 << 30: {Blocks: 1 << 20, Inodes: 1 << 18},
	} {
		if got := limited(bytes); got != want {
			t.Errorf("%d: got %+v, want %+v", bytes, got, want)
		}
	}
	if n := unsafe.Sizeof(quota{}); n != 72 {
		t.Errorf("if_dqblk has %d bytes", n)
	}
}
