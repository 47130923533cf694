package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"plil.net/nuage/cloud"
	"plil.net/nuage/store"
)

// smallDisk mounts a tmpfs of so many bytes.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		if slices.Contains(strings.Split(os.Getenv("NUAGE_MUST"), ","), "mount") {
			t.Fatalf("NUAGE_MUST has mount: %v", err)
		}
		t.Skipf("a full disk needs a mount of its own, which takes root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// stuff fills the disk but for so many bytes and returns what makes room again.
func stuff(t *testing.T, dir string, leave int64) (room func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, page)
	for err == nil {
		_, err = f.Write(chunk)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(max(0, info.Size()-leave)); err != nil {
		t.Fatal(err)
	}
	return func() { os.Remove(path) }
}

func isFull(t *testing.T, err error) {
	t.Helper()
	var e *cloud.Error
	if !errors.As(err, &e) || e.Kind != cloud.Unavailable || !strings.Contains(e.Message, "no space left on the disk of") || e.Hint == "" {
		t.Errorf("%v", err)
	}
}

// TestDiskFull: a change that finds no room is not made, the store goes on, and with room it takes changes again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 8<<20)
	path := filepath.Join(dir, "nuage.db")
	b := open(t, path)
	populate(t, b, 100, 1000)
	for _, leave := range []int64{0, page, 2 * page, 7 * page, 30 * page} {
		room := stuff(t, dir, leave)
		refused := false
		for i := 0; i < 50 && !refused; i++ {
			before := mustDump(t, b)
			err := b.Update(t.Context(), func(tx cloud.Tx) error {
				for j := range 300 {
					if err := tx.PutSite(site(1000 + j + i*300)); err != nil {
						return err
					}
				}
				return tx.DeleteAccount("account7")
			})
			if err == nil {
				continue
			}
			refused = true
			isFull(t, err)
			e := cloud.Explain(err, nil)
			if strings.Contains(e.Message+e.Hint, "nuage.db") || !strings.Contains(e.Cause.Error(), path) {
				t.Errorf("people are told %q, hint %q; the log %q", e.Message, e.Hint, e.Cause)
			}
			if mustDump(t, b) != before {
				t.Error("half of the change was made")
			}
		}
		if !refused {
			t.Fatal("the disk did not fill")
		}
		room()
		change(t, b, func(tx cloud.Tx) error { return tx.PutSite(site(900)) })
		change(t, b, func(tx cloud.Tx) error {
			for i := 1000; i < 20000; i++ {
				if err := tx.DeleteSite(site(i).ID); err != nil {
					return err
				}
			}
			return nil
		})
	}
	want := mustDump(t, b)
	b.Close()
	if err := store.Check(path); err != nil {
		t.Error(err)
	}
	if mustDump(t, open(t, path)) != want {
		t.Error("another state after opening again")
	}
}

// TestDiskFullAtOpen: a full disk keeps nobody from reading, and makes no half store.
func TestDiskFullAtOpen(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 4<<20)
	path := filepath.Join(dir, "nuage.db")
	b := open(t, path)
	populate(t, b, 50, 100)
	want := mustDump(t, b)
	b.Close()
	backup := read(t, path)
	room := stuff(t, dir, 0)

	_, err := store.Open(filepath.Join(dir, "new.db"), store.Options{})
	isFull(t, err)
	isFull(t, store.Restore(path, strings.NewReader(string(backup))))
	if mustDump(t, open(t, path)) != want {
		t.Error("another state")
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 {
		t.Errorf("left behind: %v", files)
	}
	room()
	open(t, filepath.Join(dir, "new.db"))
}
