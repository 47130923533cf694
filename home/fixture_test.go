package home

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

const www = "/home/site/www"

func newDisk(t *testing.T) *Disk {
	t.Helper()
	d, err := New(filepath.Join(t.TempDir(), "sites"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func site(n int) cloud.Site {
	return cloud.Site{ID: fmt.Sprintf("s%d", n), Name: fmt.Sprintf("s%d.plil.net", n), Type: cloud.Static,
		Root: cloud.DocumentRoot, UID: 70000 + n}
}

// makeHome makes and opens a home, and returns the path of the jail on the host too.
func makeHome(t *testing.T) (cloud.Home, string) {
	t.Helper()
	d, s := newDisk(t), site(1)
	if err := d.Make(context.Background(), s, nil); err != nil {
		t.Fatal(err)
	}
	h, err := d.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h, filepath.Join(d.dir, s.ID)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		must(t, "root", "needs root to be somebody else")
	}
}

// must skips, or fails where the tool was promised.
func must(t *testing.T, tool, why string) {
	t.Helper()
	for _, m := range strings.Split(os.Getenv("NUAGE_MUST"), ",") {
		if m == tool && os.Getenv("NUAGE_TEST_NOBODY") == "" {
			t.Fatal(why)
		}
	}
	t.Skip(why)
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("got error %v, want %v", err, target)
	}
	var p *fs.PathError
	if errors.As(err, &p) && strings.Contains(p.Error(), "sites") {
		t.Errorf("error tells of the host: %v", p)
	}
}

func put(t *testing.T, h cloud.Home, name, content string) {
	t.Helper()
	f, err := h.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o666)
	do(t, err)
	_, err = f.WriteString(content)
	do(t, errors.Join(err, f.Close()))
}

func get(h cloud.Home, name string) (string, error) {
	f, err := h.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b strings.Builder
	_, err = f.WriteTo(&b)
	return b.String(), err
}

var errStop = errors.New("stop")

// list is the sorted names of what is in a directory.
func list(t *testing.T, h cloud.Home, dir string) (names []string) {
	t.Helper()
	do(t, h.ReadDir(dir, func(fi fs.FileInfo) error { names = append(names, fi.Name()); return nil }))
	slices.Sort(names)
	return names
}

func second[T any](_ T, err error) error { return err }
