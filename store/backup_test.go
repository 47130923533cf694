package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/store"
)

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "nuage.db")
	b := open(t, path)
	populate(t, b, 50, 100)
	want := mustDump(t, b)
	var backup bytes.Buffer
	if err := b.Backup(t.Context(), &backup); err != nil {
		t.Fatal(err)
	}
	change(t, b, func(tx cloud.Tx) error { return tx.DeleteSite(site(1).ID) })
	after := mustDump(t, b)
	b.Close()

	for _, to := range []string{path, filepath.Join(dir, "fresh.db")} {
		if err := store.Restore(to, bytes.NewReader(backup.Bytes())); err != nil {
			t.Fatal(err)
		}
		b := open(t, to)
		if got := mustDump(t, b); got != want {
			t.Error("restored something else")
		}
		populate(t, b, 5, 5)
		if info, err := os.Stat(to); err != nil || info.Mode() != 0o600 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}
	if got := mustDump(t, open(t, path+store.BeforeRestore)); got != after {
		t.Error("kept something else")
	}
	if files, _ := os.ReadDir(dir); len(files) != 3 {
		t.Errorf("left behind: %v", files)
	}
}

// TestBackupStalls: whoever reads a backup slowly holds nobody up, not even while the store outgrows its first
// mapping, and gets one state.
func TestBackupStalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := open(t, filepath.Join(dir, "nuage.db"))
	populate(t, b, 50, 100)
	want := mustDump(t, b)

	r, w := io.Pipe()
	defer r.Close() // the store does not close under a backup
	done := make(chan error, 1)
	go func() { done <- b.Backup(context.Background(), w); w.Close() }()
	begin := make([]byte, 100)
	if _, err := io.ReadFull(r, begin); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // many writes to a disk that others use
	defer cancel()
	wrote := make(chan struct{})
	go func() { defer close(wrote); populate(t, b, 300, 3000); mustDump(t, b) }()
	select {
	case <-wrote:
	case <-ctx.Done():
		t.Fatal("writers wait for the backup")
	}
	copied := filepath.Join(dir, "copy.db")
	if err := store.Restore(copied, io.MultiReader(bytes.NewReader(begin), r)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := mustDump(t, open(t, copied)); got != want {
		t.Error("the backup has another state")
	}
}

func TestBackupFails(t *testing.T) {
	t.Parallel()
	b := open(t, filepath.Join(t.TempDir(), "nuage.db"))
	populate(t, b, 200, 100)

	gone := errors.New("client gone")
	for _, room := range []int{0, page, 3 * page} {
		if err := b.Backup(t.Context(), &limited{room: room, err: gone}); !errors.Is(err, gone) {
			t.Errorf("room for %d: %v", room, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	kind(t, b.Backup(ctx, &limited{room: 2 * page, full: cancel}), cloud.Cancelled)
	kind(t, b.Backup(ctx, io.Discard), cloud.Cancelled)
	b.Close()
	kind(t, b.Backup(t.Context(), io.Discard), cloud.Unavailable)
}

// limited writes so many bytes, then calls full, if set, or fails.
type limited struct {
	room int
	err  error
	full func()
}

func (l *limited) Write(p []byte) (int, error) {
	l.room -= len(p)
	switch {
	case l.room > 0:
	case l.full != nil:
		l.full()
	default:
		return 0, l.err
	}
	return len(p), nil
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "nuage.db")
	b := open(t, path)
	populate(t, b, 20, 20)
	want := mustDump(t, b)
	b.Close()
	sound := file(t, 30, 30)
	flipped := bytes.Clone(sound)
	flipped[bytes.LastIndex(flipped, []byte("site1.plil.net"))] ^= 1

	lost := errors.New("connection lost")
	for name, from := range map[string]io.Reader{
		"nothing": strings.NewReader(""), "text": strings.NewReader("hello"), "half": bytes.NewReader(sound[:len(sound)/2]),
		"most": bytes.NewReader(sound[:len(sound)-page]), "flipped": bytes.NewReader(flipped),
		"lost": io.MultiReader(bytes.NewReader(sound), failing{lost}),
	} {
		err := store.Restore(path, from)
		if name == "lost" {
			if err != lost {
				t.Errorf("lost: %v", err)
			}
		} else if kind(t, err, cloud.Invalid); !strings.Contains(err.Error(), "this is not a whole backup: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	b = open(t, path)
	if got := mustDump(t, b); got != want {
		t.Error("the store was changed")
	}
	err := store.Restore(path, bytes.NewReader(sound))
	kind(t, err, cloud.Unavailable)
	if !strings.Contains(err.Error(), "the gateway is running on this data") {
		t.Error(err)
	}
	if got := mustDump(t, b); got != want {
		t.Error("the store was changed")
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
	kind(t, store.Restore(filepath.Join(dir, "missing", "nuage.db"), bytes.NewReader(sound)), cloud.Unavailable)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestRestoreGivesTheOwner: root restores, and the gateway, who is not root, opens.
func TestRestoreGivesTheOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		if slices.Contains(strings.Split(os.Getenv("NUAGE_MUST"), ","), "root") {
			t.Fatal("NUAGE_MUST has root")
		}
		t.Skip("only root gives files away")
	}
	const uid, dirUID = 12345, 23456
	dir := t.TempDir()
	path, sound := filepath.Join(dir, "nuage.db"), file(t, 1, 1)
	restored := func() uint32 {
		if err := store.Restore(path, bytes.NewReader(sound)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Uid
	}
	if err := os.Chown(dir, dirUID, dirUID); err != nil {
		t.Fatal(err)
	}
	if got := restored(); got != dirUID {
		t.Errorf("a new store belongs to %d", got)
	}
	if err := os.Chown(path, uid, uid); err != nil {
		t.Fatal(err)
	}
	if got := restored(); got != uid {
		t.Errorf("a replaced store belongs to %d", got)
	}
}

// TestRestoreMeetsAGateway: one that starts on an empty directory while a restore reads keeps its store.
func TestRestoreMeetsAGateway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nuage.db")
	sound := file(t, 10, 10)
	start := startOnRead{r: bytes.NewReader(sound), start: func() { populate(t, open(t, path), 3, 3) }}
	kind(t, store.Restore(path, &start), cloud.Unavailable)
}

// TestOpenDuringRestore: a gateway that starts while a restore replaces its store gets the new one or none.
func TestOpenDuringRestore(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nuage.db")
	open(t, path).Close()
	sound := file(t, 10, 10)
	done := make(chan error, 1)
	start := startOnRead{r: bytes.NewReader(sound), start: func() {
		go func() {
			b, err := store.Open(path, store.Options{LockWait: time.Minute})
			if err == nil {
				err = b.View(context.Background(), func(tx cloud.Tx) error { _, err := tx.Site(site(1).ID); return err })
				b.Close()
			}
			done <- err
		}()
	}}
	if err := store.Restore(path, &start); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// startOnRead calls start at the first read.
type startOnRead struct {
	r     io.Reader
	start func()
}

func (s *startOnRead) Read(p []byte) (int, error) {
	if s.start != nil {
		s.start()
		s.start = nil
	}
	return s.r.Read(p)
}
