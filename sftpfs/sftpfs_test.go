package sftpfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"go.uber.org/goleak"
	"plil.net/nuage/cloud"
	"plil.net/nuage/home"
)

// serveEnv makes the test's binary an SFTP server of this directory on its stdin and stdout.
const serveEnv = "NUAGE_SFTPFS_SERVE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveEnv); dir != "" {
		if err := serveStdio(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func serveStdio(dir string) error {
	d, err := home.New(dir)
	if err != nil {
		return err
	}
	view := AccountView(&sites{d})
	if os.Getenv(serveEnv+"_VIEW") == "site" {
		h, err := d.Open(blog)
		if err != nil {
			return err
		}
		view = SiteView(held{Home: h})
	}
	return Serve(context.Background(), stdio{}, view, Options{User: "alice"})
}

type stdio struct{}

func (stdio) Read(p []byte) (int, error)  { return os.Stdin.Read(p) }
func (stdio) Write(p []byte) (int, error) { return os.Stdout.Write(p) }
func (stdio) Close() error                { return errors.Join(os.Stdin.Close(), os.Stdout.Close()) }

var (
	blog = cloud.Site{ID: "s1", Name: "blog.plil.net", Root: "www", UID: 70001}
	wiki = cloud.Site{ID: "s2", Name: "wiki.plil.net", Root: "www", UID: 70002}
)

// sites are alice's, on a disk.
type sites struct{ d *home.Disk }

func (s *sites) Names(context.Context) ([]string, error) { return []string{blog.Name, wiki.Name}, nil }

func (s *sites) Open(_ context.Context, name string) (string, Site, error) {
	for _, site := range []cloud.Site{blog, wiki} {
		if name == site.Name || name+".plil.net" == site.Name {
			h, err := s.d.Open(site)
			return site.Name, held{Home: h}, err
		}
	}
	return "", nil, cloud.Errorf(cloud.NotFound, "no site %q", name).WithHint("site list")
}

// held is a home that may be used, unless it says otherwise.
type held struct {
	cloud.Home
	check func() error
	done  func(cloud.Transfer)
	grown *atomic.Int64 // bytes that were asked for
}

// diskLimit holds for all homes of tests.
const diskLimit = 1 << 30

func (h held) Check(context.Context) error {
	if h.check == nil {
		return nil
	}
	return h.check()
}

func (h held) Space(ctx context.Context) (cloud.Space, error) {
	used, err := h.Used(ctx)
	total, free, ferr := h.Free()
	limit := min(diskLimit, total)
	return cloud.Space{Limit: limit, Used: used, Free: min(limit-used, free)}, errors.Join(err, ferr)
}

func (h held) Grow(ctx context.Context, n int64) error {
	if h.grown != nil {
		h.grown.Add(n)
	}
	used, ok, err := h.Claim(ctx, n, diskLimit)
	if err == nil && !ok {
		err = cloud.DiskFull(cloud.Space{Used: used, Limit: diskLimit})
	}
	return err
}

func (h held) Done(t cloud.Transfer) {
	if h.done != nil {
		h.done(t)
	}
}

func newDisk(t testing.TB) (*home.Disk, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sites")
	d, err := home.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []cloud.Site{blog, wiki} {
		if err := d.Make(context.Background(), s, nil); err != nil {
			t.Fatal(err)
		}
	}
	return d, dir
}

// connect serves a view to a client for the length of the test.
func connect(t *testing.T, view FS, o Options) *sftp.Client {
	t.Helper()
	ours, theirs := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(context.Background(), ours, view, o) }()
	c, err := sftp.NewClientPipe(theirs, theirs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		if err := wait(t, ended); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("Serve: %v", err)
		}
	})
	return c
}

func wait[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came for 20 s")
		panic("unreachable")
	}
}

func openSite(t *testing.T, o Options) *sftp.Client {
	t.Helper()
	d, _ := newDisk(t)
	h, err := d.Open(blog)
	do(t, err)
	return connect(t, SiteView(held{Home: h}), o)
}

func openAccount(t *testing.T) *sftp.Client {
	t.Helper()
	d, _ := newDisk(t)
	return connect(t, AccountView(&sites{d}), Options{})
}

func do(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantStatus looks for a status code and for words in its message.
func wantStatus(t *testing.T, err error, code uint32, words string) {
	t.Helper()
	var s *sftp.StatusError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s = &sftp.StatusError{Code: 2}
		words = ""
	case errors.Is(err, fs.ErrPermission):
		s = &sftp.StatusError{Code: 3}
		words = ""
	case !errors.As(err, &s):
		t.Errorf("got %v, want status %d", err, code)
		return
	}
	if s.Code != code || !strings.Contains(s.Error(), words) {
		t.Errorf("got %d %v, want %d %q", s.Code, s, code, words)
	}
}

const (
	noSuchFile, denied, failure = 2, 3, 4
	www                         = "/home/site/www"
)

func put(t *testing.T, c *sftp.Client, name, content string) {
	t.Helper()
	f, err := c.Create(name)
	do(t, err)
	_, err = f.ReadFrom(strings.NewReader(content))
	do(t, errors.Join(err, f.Close()))
}

func get(c *sftp.Client, name string) (string, error) {
	f, err := c.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	return string(b), err
}

func TestNames(t *testing.T) {
	t.Parallel()
	c := openSite(t, Options{})
	odd := []string{"new\nline", "\xff\xfe", " ", "-rf", "a\\b", strings.Repeat("x", 255), "…"}
	for _, n := range odd {
		put(t, c, www+"/"+n, n)
		if s, err := get(c, www+"/"+n); s != n || err != nil {
			t.Errorf("%q: got %q, %v", n, s, err)
		}
	}
	infos, err := c.ReadDir(www)
	do(t, err)
	for _, fi := range infos {
		if !slices.Contains(odd, fi.Name()) {
			t.Errorf("listing has %q", fi.Name())
		}
	}
	if len(infos) != len(odd) {
		t.Errorf("listing has %d names, want %d", len(infos), len(odd))
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	c := openSite(t, Options{})
	put(t, c, www+"/f", "x")
	for name, target := range map[string]string{"abs": www + "/f", "rel": "f", "../up": "www//./f", "out": "/etc/passwd"} {
		do(t, c.Symlink(target, www+"/"+name))
		if got, err := c.ReadLink(www + "/" + name); err != nil || got != target {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		if fi, err := c.Lstat(www + "/" + name); err != nil || fi.Mode().Type() != fs.ModeSymlink {
			t.Errorf("%s: got %v, %v", name, fi, err)
		}
		s, err := get(c, www+"/"+name)
		if name == "out" {
			wantStatus(t, err, noSuchFile, "")
		} else if s != "x" {
			t.Errorf("%s: got %q, %v", name, s, err)
		}
	}
	do(t, c.Link(www+"/f", www+"/hard"))
	do(t, c.Remove(www+"/abs")) // the link
	if real, err := c.RealPath(www + "/rel"); real != www+"/f" || err != nil {
		t.Errorf("got %q, %v", real, err)
	}
	if wd, err := c.Getwd(); wd != "/home/site" || err != nil {
		t.Errorf("got %q, %v", wd, err)
	}
	_, err := c.ReadLink(www + "/f")
	wantStatus(t, err, failure, "invalid")
}

func TestChanges(t *testing.T) {
	t.Parallel()
	c := openSite(t, Options{})
	put(t, c, www+"/a", "a")
	put(t, c, www+"/b", "b")
	wantStatus(t, c.Rename(www+"/a", www+"/b"), failure, "exists")
	do(t, c.PosixRename(www+"/a", www+"/b"))
	do(t, c.Mkdir(www+"/d"))
	wantStatus(t, c.Mkdir(www+"/d"), failure, "exists")
	wantStatus(t, c.Rename(www+"/none", www+"/x"), noSuchFile, "")
	put(t, c, www+"/d/x", "")
	wantStatus(t, c.RemoveDirectory(www+"/d"), failure, "not empty")
	wantStatus(t, c.RemoveDirectory(www+"/b"), noSuchFile, "")
	do(t, c.Remove(www+"/d/x"))
	do(t, c.RemoveDirectory(www+"/d"))
	wantStatus(t, c.Remove(www+"/d"), noSuchFile, "")
	wantStatus(t, c.Mkdir("/home/x"), denied, "")
	wantStatus(t, c.Mkdir("/x"), denied, "")
	do(t, c.Chmod(www+"/b", 0o600))
	do(t, c.Chtimes(www+"/b", time.Unix(1e9, 0), time.Unix(1e9, 0)))
	fi, err := c.Stat(www + "/b")
	do(t, err)
	if fi.Mode() != 0o600 || fi.ModTime().Unix() != 1e9 {
		t.Errorf("got %v %v", fi.Mode(), fi.ModTime())
	}
	st := fi.Sys().(*sftp.FileStat)
	do(t, c.Chown(www+"/b", int(st.UID), int(st.GID)))
	wantStatus(t, c.Chown(www+"/b", 12345, int(st.GID)), denied, "")
	do(t, c.Truncate(www+"/b", 10))
	vfs, err := c.StatVFS(www)
	if err != nil || vfs.TotalSpace() == 0 || vfs.FreeSpace() > vfs.TotalSpace() {
		t.Errorf("got %v, %v", vfs, err)
	}
}

func TestHandleLimit(t *testing.T) {
	t.Parallel()
	c := openSite(t, Options{})
	put(t, c, www+"/f", "x")
	var files []*sftp.File
	for range maxHandles {
		f, err := c.Open(www + "/f")
		do(t, err)
		files = append(files, f)
	}
	_, err := c.Open(www + "/f")
	wantStatus(t, err, failure, fmt.Sprintf("limit is %d", maxHandles))
	_, err = c.ReadDir(www)
	wantStatus(t, err, failure, fmt.Sprintf("limit is %d", maxHandles))
	do(t, files[0].Close())
	if s, err := get(c, www+"/f"); s != "x" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
}

// TestLongListing reads a directory of very many files: each is there once. Most are links, which are made faster.
func TestLongListing(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	n := 100_000
	if testing.Short() {
		n = 2000
	}
	dir := d.Path(blog) + "/www/"
	for i := range n {
		if first := i / 1000 * 1000; i == first {
			do(t, os.WriteFile(dir+strconv.Itoa(i), nil, 0o644))
		} else {
			do(t, os.Link(dir+strconv.Itoa(first), dir+strconv.Itoa(i)))
		}
	}
	h, err := d.Open(blog)
	do(t, err)
	c := connect(t, SiteView(held{Home: h}), Options{})
	began := time.Now()
	infos, err := c.ReadDir(www)
	do(t, err)
	t.Logf("%d entries in %v", len(infos), time.Since(began))
	seen := map[string]bool{}
	for _, fi := range infos {
		seen[fi.Name()] = true
	}
	if len(infos) != n || len(seen) != n {
		t.Errorf("got %d entries with %d names, want %d", len(infos), len(seen), n)
	}
}

// TestContextEnds ends a session that has files open and a client that waits.
func TestContextEnds(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	h, err := d.Open(blog)
	do(t, err)
	ours, theirs := net.Pipe()
	ctx, cancel := context.WithCancelCause(context.Background())
	ended := make(chan error, 1)
	var closed []cloud.Transfer
	go func() {
		ended <- Serve(ctx, ours, SiteView(held{Home: h, done: func(t cloud.Transfer) { closed = append(closed, t) }}), Options{})
	}()
	c, err := sftp.NewClientPipe(theirs, theirs)
	do(t, err)
	defer c.Close()
	_, err = c.Create(www + "/f")
	do(t, err)
	why := errors.New("shutting down")
	cancel(why)
	if err := wait(t, ended); err != why {
		t.Errorf("got %v", err)
	}
	if len(closed) != 1 || cloud.KindOf(closed[0].Err) != cloud.Cancelled {
		t.Errorf("closed %+v", closed)
	}
	if _, err := h.Stat("/home/site"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the home is still open: %v", err)
	}
}

// panicky breaks where it is asked to.
type panicky struct{ cloud.Home }

func (p panicky) Lstat(name string) (fs.FileInfo, error) {
	if path.Base(name) == "panic" {
		panic("at the disco")
	}
	if path.Base(name) == "secret" {
		return nil, errors.New("/var/lib/nuage/sites is on fire")
	}
	return p.Home.Lstat(name)
}

func TestPanic(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	h, err := d.Open(blog)
	do(t, err)
	c := connect(t, SiteView(held{Home: panicky{h}}), Options{})
	_, err = c.Lstat("panic")
	wantStatus(t, err, failure, "our side")
	_, err = c.Lstat("secret")
	wantStatus(t, err, failure, "our side")
	if err != nil && strings.Contains(err.Error(), "nuage") {
		t.Errorf("told of the host: %v", err)
	}
	_, err = c.Lstat("www")
	do(t, err)
}
