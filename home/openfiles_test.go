package home

import (
	"context"
	"errors"
	"os"
	"testing"

	"plil.net/nuage/cloud"
)

// TestOpenFilesRegression counts what has lost its name while it is open: to write on and on, or to read.
func TestOpenFilesRegression(t *testing.T) {
	t.Parallel()
	ctx, size := context.Background(), int64(1<<20)
	opened, _ := makeHome(t)
	h := opened.(*home)
	used := func() int64 {
		t.Helper()
		do(t, h.count(ctx, h.usage.rest.Add(-1e12)))
		return h.usage.bytes
	}
	write := func(f *os.File) {
		t.Helper()
		_, err := f.Write(make([]byte, size))
		do(t, err)
	}
	before := used()
	name := www + "/f"
	written, err := h.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
	do(t, err)
	read, err := h.OpenFile(name, os.O_RDONLY, 0)
	do(t, err)
	write(written)
	if got := used(); got != before+size {
		t.Errorf("with a name: %d bytes are used, want %d", got, before+size)
	}
	do(t, h.Remove(name))
	write(written)
	if got := used(); got != before+2*size {
		t.Errorf("without a name: %d bytes are used, want %d", got, before+2*size)
	}
	if _, ok, err := h.Claim(ctx, 1, before+2*size); ok || err != nil {
		t.Errorf("claimed more than there is: %v, %v", ok, err)
	}
	do(t, written.Close())
	if got := used(); got != before+2*size {
		t.Errorf("held by who reads: %d bytes are used, want %d", got, before+2*size)
	}
	do(t, read.Close())
	if got := used(); got != before {
		t.Errorf("closed: %d bytes are used, want %d", got, before)
	}

	put(t, h, name, "old")
	old, err := h.OpenFile(name, os.O_WRONLY, 0)
	do(t, err)
	b, err := h.Beside(old, name, os.O_WRONLY)
	do(t, err)
	do(t, errors.Join(b.Settle(), b.Close(), h.Remove(name)))
	write(b.File())
	if got := used(); got != before+size {
		t.Errorf("settled and removed: %d bytes are used, want %d", got, before+size)
	}
	do(t, b.File().Close())
}

// TestOpenFilesForgets those that are closed, also where nobody counts.
func TestOpenFilesForgets(t *testing.T) {
	t.Parallel()
	opened, _ := makeHome(t)
	h := opened.(*home)
	kept, err := h.OpenFile(cloud.HomePath+"/kept", os.O_WRONLY|os.O_CREATE, 0o644)
	do(t, err)
	defer kept.Close()
	for range 4 * sweepAt {
		f, err := h.OpenFile(cloud.HomePath+"/kept", os.O_RDONLY, 0)
		do(t, err)
		do(t, f.Close())
	}
	h.usage.open.mu.Lock()
	defer h.usage.open.mu.Unlock()
	if _, known := h.usage.open.files[kept]; !known || len(h.usage.open.files) > sweepAt {
		t.Errorf("%d files are remembered, the open one %v", len(h.usage.open.files), known)
	}
}
