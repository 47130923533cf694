package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/archive"
	"plil.net/nuage/cloud"
	"plil.net/nuage/home"
)

func uid() int {
	if uid := os.Geteuid(); uid != 0 {
		return uid
	}
	return 1_999_000
}

var blog = cloud.Site{ID: "5a17e", Name: "blog.plil.net", Owner: "owner", UID: uid(), Root: "www"}

func newHomes(t *testing.T) *home.Disk {
	t.Helper()
	homes, err := home.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return homes
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// furnish makes a home with everything that one may find in a home.
func furnish(t *testing.T, homes *home.Disk) {
	t.Helper()
	must(t, homes.Make(t.Context(), blog, []byte("welcome")))
	h, err := homes.Open(blog)
	must(t, err)
	defer h.Close()
	write := func(name, text string, mode fs.FileMode) {
		f, err := h.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
		must(t, err)
		_, err = io.WriteString(f, text)
		must(t, err)
		must(t, f.Close())
		must(t, h.Chmod(name, mode))
		must(t, h.Chtimes(name, time.Time{}, time.Date(2016, 2, 3, 4, 5, 6, 789, time.UTC)))
	}
	write("/home/site/www/index.php", "<?php phpinfo();", 0o644)
	write("/home/site/www/run", "#!/bin/sh", 0o755)
	write("/home/site/www/été \n\xff", "odd name", 0o600)
	write("/home/site/empty", "", 0o444)
	must(t, h.Mkdir("/home/site/"+strings.Repeat("n", 200), 0o755))
	write("/home/site/"+strings.Repeat("n", 200)+"/"+strings.Repeat("m", 200), "long", 0o640)
	must(t, h.Symlink("/home/site/www", "/home/site/public"))
	must(t, h.Symlink("../../../etc/passwd", "/home/site/www/nowhere"))
	must(t, h.Link("/home/site/www/run", "/home/site/again"))
	f, err := h.OpenFile("/home/site/sparse", os.O_RDWR|os.O_CREATE, 0o600)
	must(t, err)
	_, err = f.WriteAt([]byte("far"), 1<<40)
	must(t, err)
	must(t, f.Close())
	must(t, h.Mkdir("/home/site/shut", 0o700))
	write("/home/site/shut/secret", "secret", 0)
	must(t, h.Chtimes("/home/site/shut", time.Time{}, time.Unix(1e9, 0)))
	must(t, h.Chmod("/home/site/shut", 0o500))
}

// look lists a home: what each name is, and what is in it.
func look(t *testing.T, homes *home.Disk) string {
	t.Helper()
	root := homes.Path(blog)
	var b strings.Builder
	inodes := map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := os.Lstat(path)
		if err != nil {
			return err
		}
		stat := fi.Sys().(*syscall.Stat_t)
		name := strings.TrimPrefix(path, root)
		fmt.Fprintf(&b, "%q %v uid=%d links=%d", name, fi.Mode(), stat.Uid, stat.Nlink)
		switch {
		case fi.Mode().IsRegular():
			fmt.Fprintf(&b, " size=%d at=%d", fi.Size(), fi.ModTime().UnixNano())
			if fi.Size() < 1<<20 && (os.Geteuid() == 0 || fi.Mode()&0o400 != 0) {
				text, err := os.ReadFile(path)
				must(t, err)
				fmt.Fprintf(&b, " %q", text)
			}
			if stat.Nlink > 1 {
				if inodes[stat.Ino] == "" {
					inodes[stat.Ino] = name
				}
				fmt.Fprintf(&b, " is %s", inodes[stat.Ino])
			}
		case fi.IsDir():
			fmt.Fprintf(&b, " at=%d", fi.ModTime().UnixNano())
		default:
			to, err := os.Readlink(path)
			must(t, err)
			fmt.Fprintf(&b, " -> %q", to)
		}
		b.WriteByte('\n')
		return nil
	})
	must(t, err)
	return b.String()
}

const snapshot = "the store"

func pack(t *testing.T, homes *home.Disk) []byte {
	t.Helper()
	var b bytes.Buffer
	store := func(w io.Writer) error { _, err := io.WriteString(w, snapshot); return err }
	skipped, err := archive.Write(t.Context(), &b, store, homes, func() ([]cloud.Site, error) { return []cloud.Site{blog}, nil })
	must(t, err)
	if len(skipped) > 0 && os.Geteuid() == 0 {
		t.Fatalf("skipped: %q", skipped)
	}
	return b.Bytes()
}

func unpack(ctx context.Context, from io.Reader, homes *home.Disk) (store string, err error) {
	a, err := archive.Open(from)
	if err != nil {
		return "", err
	}
	if s := a.Store(); s != nil {
		b, err := io.ReadAll(s)
		if err != nil {
			return "", err
		}
		store = string(b)
	}
	return store, a.Homes(ctx, func(id, name string) (cloud.Home, error) {
		if id != blog.ID || name != blog.Name {
			return nil, nil
		}
		if err := homes.Make(ctx, blog, nil); err != nil {
			return nil, err
		}
		return homes.Open(blog)
	})
}

func TestWhatGoesInComesOut(t *testing.T) {
	t.Parallel()
	from, to := newHomes(t), newHomes(t)
	furnish(t, from)
	packed := pack(t, from)
	if !archive.Is(packed) {
		t.Error("not known as an archive")
	}
	store, err := unpack(t.Context(), bytes.NewReader(packed), to)
	must(t, err)
	if store != snapshot {
		t.Errorf("store %q", store)
	}
	if want, got := look(t, from), look(t, to); want != got {
		t.Errorf("was:\n%s\nis:\n%s", want, got)
	}
	if len(packed) > 1<<20 {
		t.Errorf("the holes of a sparse file are in it: %d bytes", len(packed))
	}
}

func TestCutOrChangedIsRefused(t *testing.T) {
	t.Parallel()
	from := newHomes(t)
	furnish(t, from)
	whole := pack(t, from)
	end := bytes.LastIndex(whole, []byte("nuage.end"))
	for n := 0; n < end+512; n += 512 {
		if _, err := unpack(t.Context(), bytes.NewReader(whole[:n]), newHomes(t)); cloud.KindOf(err) != cloud.Invalid {
			t.Fatalf("cut after %d of %d bytes: %v", n, len(whole), err)
		}
	}
	want := look(t, from)
	for at := 0; at < end; at += 97 { // some bytes of a tar say nothing
		bad := bytes.Clone(whole)
		bad[at] ^= 0x20
		to := newHomes(t)
		if store, err := unpack(t.Context(), bytes.NewReader(bad), to); err == nil && (store != snapshot || look(t, to) != want) {
			t.Fatalf("a bit flipped at %d of %d was not seen", at, len(whole))
		}
	}
}

func TestStrangeArchives(t *testing.T) {
	t.Parallel()
	from := newHomes(t)
	furnish(t, from)
	whole := pack(t, from)
	for _, bad := range [][2]string{
		{"sites/5a17e/home/site/empty\x00", "sites/5a17e/home/../empty\x00"},
		{"sites/5a17e/home/site/empty\x00", "sites/5a17e//etc/./empt\x00\x00\x00\x00"},
	} {
		b := bytes.ReplaceAll(whole, []byte(bad[0]), []byte(bad[1]))
		if bytes.Equal(b, whole) {
			t.Fatalf("%q is not in the archive", bad[0])
		}
		if _, err := unpack(t.Context(), bytes.NewReader(b), newHomes(t)); err == nil {
			t.Errorf("%q was taken", bad[1])
		}
	}
	if _, err := archive.Open(strings.NewReader("nonsense")); cloud.KindOf(err) != cloud.Invalid {
		t.Errorf("nonsense: %v", err)
	}
	if archive.Is([]byte("short")) {
		t.Error("a short text is no archive")
	}
}

// TestBombRegression is a file of a few bytes that says to have a terabyte of zeros.
func TestBombRegression(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "sites/5a17e/home/site/bomb", Size: 512, Mode: 0o600, PAXRecords: map[string]string{
		"OUR.sparse.major": "1", "OUR.sparse.minor": "0", "OUR.sparse.realsize": "1099511627776", "NUAGE.site": blog.Name,
	}}))
	_, err := w.Write(append([]byte("1\n1099511627776\n0\n"), make([]byte, 494)...))
	must(t, err)
	must(t, w.Close())
	bomb := bytes.ReplaceAll(b.Bytes(), []byte("OUR.sparse"), []byte("GNU.sparse")) // which archive/tar writes for nobody
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := unpack(ctx, bytes.NewReader(bomb), newHomes(t)); err == nil || !strings.Contains(err.Error(), "1099511627776 bytes, which are not in it") {
		t.Errorf("%v", err)
	}
}

func TestUnreadableIsToldAndTheRestSaved(t *testing.T) {
	t.Parallel()
	homes := newHomes(t)
	must(t, homes.Make(t.Context(), blog, []byte("welcome")))
	lost := cloud.Site{ID: "none", Name: "lost.plil.net", UID: uid()}
	must(t, homes.Make(t.Context(), lost, nil))
	f, err := os.Create(filepath.Join(homes.Path(lost), "holes"))
	must(t, err)
	for i := range int64(5000) { // more pieces than a header says
		_, err = f.WriteAt([]byte{1}, i<<20)
		must(t, err)
	}
	must(t, f.Close())
	var b bytes.Buffer
	skipped, err := archive.Write(t.Context(), &b, nil, homes, func() ([]cloud.Site, error) { return []cloud.Site{lost, blog}, nil })
	must(t, err)
	if len(skipped) != 1 || !strings.HasPrefix(skipped[0], "lost.plil.net/home/site/holes: ") {
		t.Errorf("skipped %q", skipped)
	}
	to := newHomes(t)
	_, err = unpack(t.Context(), &b, to)
	must(t, err)
	if page, err := os.ReadFile(filepath.Join(to.Path(blog), "www/index.html")); string(page) != "welcome" {
		t.Errorf("page %q, %v", page, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = archive.Write(ctx, io.Discard, nil, homes, func() ([]cloud.Site, error) { return []cloud.Site{blog}, nil })
	if cloud.KindOf(err) != cloud.Cancelled {
		t.Errorf("cancelled: %v", err)
	}
}
