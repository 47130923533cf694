package sftpfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
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

func (stdio) Read(p []byte) (int, error) { return os.Stdin.Read(p) }

func (stdio) Write(p []byte) (int, error) { return os.Stdout.Write(p) }

func (stdio) Close() error { return errors.Join(os.Stdin.Close(), os.Stdout.Close()) }

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
	case <-time.After(time.Minute):
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
