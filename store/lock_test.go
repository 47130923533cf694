package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/store"
)

func TestOpenTwice(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nuage.db")
	b := open(t, path)
	start := time.Now()
	_, err := store.Open(path, store.Options{})
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("told after %v", took)
	}
	kind(t, err, cloud.Unavailable)
	e, ok := err.(*cloud.Error)
	if !ok || !strings.Contains(e.Message, "another gateway is running on this data") || e.Hint == "" {
		t.Errorf("%#v", err)
	}
	kind(t, store.Check(path), cloud.Unavailable)
	b.Close()
	open(t, path)
}

// TestOpenAtOnce: of many that start on an empty directory, one gets the store, and nobody a second one.
func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nuage.db")
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []*store.Bolt
	for range 8 {
		wg.Go(func() {
			b, err := store.Open(path, store.Options{LockWait: 50 * time.Millisecond})
			if err != nil {
				kind(t, err, cloud.Unavailable)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			won = append(won, b)
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d have the store open", len(won))
	}
	populate(t, won[0], 3, 3)
	won[0].Close()
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}

func TestOpenWaitsForTheLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nuage.db")
	b := open(t, path)
	done := make(chan error, 1)
	go func() {
		c, err := store.Open(path, store.Options{LockWait: time.Minute})
		if err == nil {
			err = c.Close()
		}
		done <- err
	}()
	b.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestFileMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "nuage.db")
	open(t, path)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestOpenNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]cloud.Kind{
		"missing/nuage.db": cloud.Unavailable, ".": cloud.Unavailable, "fifo": cloud.Invalid,
	} {
		_, err := store.Open(filepath.Join(dir, path), store.Options{})
		kind(t, err, want)
	}
	kind(t, store.Check(filepath.Join(dir, "missing")), cloud.NotFound)
	if files, _ := os.ReadDir(dir); len(files) != 1 {
		t.Errorf("left behind: %v", files)
	}
}
