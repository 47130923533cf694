package home

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBeside writes a file without a name: it takes room as any other, and leaves no other trace where it is given up.
func TestBeside(t *testing.T) {
	t.Parallel()
	opened, jail := makeHome(t)
	h := opened.(*home)
	put(t, h, www+"/f", "old")
	used := func() int64 {
		t.Helper()
		do(t, h.count(context.Background(), h.usage.rest.Add(-1e12)))
		return h.usage.bytes
	}
	before := used()
	for _, settle := range []bool{false, true} {
		old, err := h.OpenFile(www+"/f", os.O_WRONLY, 0)
		do(t, err)
		b, err := h.Beside(old, www+"/f", os.O_WRONLY)
		do(t, err)
		_, err = b.File().Write(make([]byte, 1<<20))
		do(t, err)
		if got := used(); got < before+1<<20 {
			t.Errorf("%d bytes are used, %d before", got, before)
		}
		if entries, err := os.ReadDir(filepath.Join(jail, www)); len(entries) != 1 || err != nil {
			t.Errorf("there are %v, %v", entries, err)
		}
		want := before
		if settle {
			do(t, errors.Join(b.Settle(), b.Settle()))
			want += 1<<20 - 4096
		}
		do(t, errors.Join(b.File().Close(), b.Close()))
		if got := used(); got != want {
			t.Errorf("settled %v: %d bytes are used, want %d", settle, got, want)
		}
	}
	entries, err := os.ReadDir(filepath.Join(jail, www))
	if len(entries) != 1 || err != nil {
		t.Errorf("there are %v, %v", entries, err)
	}
}

// TestBesideRefuses files that a new one cannot stand for.
func TestBesideRefuses(t *testing.T) {
	t.Parallel()
	h, jail := makeHome(t)
	host := filepath.Join(jail, www)
	for name, change := range map[string]func(path string) error{
		"two names":     func(p string) error { return os.Link(p, p+"2") },
		"moved":         func(p string) error { return os.Rename(p, p+"2") },
		"another owner": func(p string) error { return errors.Join(os.Chown(p, 1, 1), os.Chmod(p, 0o666)) },
		"attributes":    func(p string) error { return unix.Setxattr(p, "user.nuage", []byte("x"), 0) },
		"closed":        func(p string) error { return os.Chmod(filepath.Dir(p), 0o555) },
	} {
		if name == "another owner" && os.Geteuid() != 0 {
			continue
		}
		dir := www + "/" + name
		do(t, h.Mkdir(dir, 0o755))
		put(t, h, dir+"/f", "old")
		if name != "moved" {
			do(t, change(filepath.Join(host, name, "f")))
		}
		old, err := h.OpenFile(dir+"/f", os.O_WRONLY, 0)
		do(t, err)
		if name == "moved" {
			do(t, change(filepath.Join(host, name, "f")))
		}
		b, err := h.Beside(old, dir+"/f", os.O_WRONLY)
		if err == nil {
			t.Errorf("%s: got a file", name)
			do(t, errors.Join(b.File().Close(), b.Close()))
			continue
		}
		do(t, errors.Join(old.Close(), os.Chmod(filepath.Join(host, name), 0o755))) // for who clears up
	}
	old, err := h.OpenFile(www, os.O_RDONLY, 0)
	do(t, err)
	defer old.Close()
	if _, err := h.Beside(old, www, os.O_RDONLY); err == nil {
		t.Error("a directory got a file")
	}
}
