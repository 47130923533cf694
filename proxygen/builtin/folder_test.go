package builtin_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	homes "plil.net/nuage/home"
	"plil.net/nuage/proxygen/builtin"
)

// onDisk is a cloud with one site, in a real home, that counts how often a name is looked up from the root on.
type onDisk struct {
	disk  *homes.Disk
	site  cloud.Site
	whole atomic.Int64
}

func (d *onDisk) RunOf(string) uint64 { return 1 }

func (d *onDisk) Hold(context.Context, string) (at netip.AddrPort, release func(), err error) {
	return at, nil, cloud.Errorf(cloud.NotFound, "no container")
}

func (d *onDisk) Home(string) (cloud.Home, error) {
	h, err := d.disk.Open(d.site)
	return countedHome{h, &d.whole}, err
}

type countedHome struct {
	cloud.Home
	whole *atomic.Int64
}

func (c countedHome) Inode(name string) (syscall.Stat_t, error) {
	c.whole.Add(1)
	return c.Home.(interface {
		Inode(string) (syscall.Stat_t, error)
	}).Inode(name)
}

func (c countedHome) Folder(dir string) (func(string) (syscall.Stat_t, error), func(), error) {
	return c.Home.(interface {
		Folder(string) (func(string) (syscall.Stat_t, error), func(), error)
	}).Folder(dir)
}

// TestFoldersNoticeChanges: names in a directory that has settled are not looked up from the root on, nor those of codings
// that are not there; whatever changes shows with the next request all the same.
func TestFoldersNoticeChanges(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sites")
	disk, err := homes.New(dir)
	check(t, err)
	d := &onDisk{disk: disk, site: cloud.Site{ID: "s1", Name: "page.test", Type: cloud.Static, Root: cloud.DocumentRoot, UID: 70001}}
	check(t, disk.Make(t.Context(), d.site, []byte("welcome")))
	www := filepath.Join(dir, "s1", cloud.HomePath, "www")
	write := func(name, text string) {
		t.Helper()
		check(t, os.WriteFile(filepath.Join(www, name), []byte(text), 0o644))
	}
	check(t, os.Mkdir(www+"/sub", 0o755))
	check(t, os.Mkdir(www+"/other", 0o755))
	write("a.txt", "one")
	write("sub/b.txt", "b")
	write("other/b.txt", "other b")
	p := builtin.New(builtin.Options{Sites: d})
	p.Clock(func() time.Time { return time.Now().Add(time.Hour) }) // so that young files are kept
	check(t, p.Publish(t.Context(), []cloud.Route{{Host: "page.test", SiteID: "s1", Site: "page.test", Type: cloud.Static, State: cloud.Running, Root: "www"}}))
	server := httptest.NewServer(p.Handler())
	t.Cleanup(server.Close)
	want := func(path string, status int, body string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		check(t, err)
		r.Host = "page.test"
		r.Header.Set("Accept-Encoding", "gzip, br, zstd")
		res, err := http.DefaultClient.Do(r)
		check(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		check(t, err)
		answer{res, string(text)}.want(t, status, body)
	}
	// quick asks until an answer needs no lookup from the root on.
	quick := func(path, body string) {
		t.Helper()
		eventually(t, "quick: "+path, func() bool {
			before := d.whole.Load()
			want(path, 200, body)
			return d.whole.Load() == before
		})
	}
	quick("/a.txt", "one")
	write("a.txt", "two") // the same size, in place
	want("/a.txt", 200, "two")
	quick("/a.txt", "two")
	write("a.new", "new")
	check(t, os.Rename(www+"/a.new", www+"/a.txt"))
	want("/a.txt", 200, "new")
	quick("/a.txt", "new")
	write("a.txt.gz", "zipped")
	want("/a.txt", 200, "zipped")
	check(t, os.Remove(www+"/a.txt.gz"))
	want("/a.txt", 200, "new")
	quick("/a.txt", "new")
	write("sub/b.txt", "b") // younger than what it is a coding of
	check(t, os.Symlink("sub/b.txt", www+"/a.txt.br"))
	want("/a.txt", 200, "b")
	check(t, os.Remove(www+"/a.txt.br"))

	quick("/sub/b.txt", "b")
	check(t, os.Rename(www+"/sub", www+"/away"))
	want("/sub/b.txt", 404, "")
	check(t, os.Symlink("other", www+"/sub"))
	for range 3 { // through a link each name is looked up whole
		want("/sub/b.txt", 200, "other b")
	}
	check(t, os.Remove(www+"/sub"))
	check(t, os.Rename(www+"/away", www+"/sub"))
	quick("/sub/b.txt", "b")
	if os.Geteuid() == 0 {
		check(t, os.Chmod(www+"/sub", 0o600))
		want("/sub/b.txt", 403, "closed")
		check(t, os.Chmod(www+"/sub", 0o755))
		want("/sub/b.txt", 200, "b")
	}
	quick("/a.txt", "new")
	check(t, os.Remove(www+"/a.txt"))
	want("/a.txt", 404, "")
}

// gauged is a home that counts the parts of the names of its folders that are open.
type gauged struct {
	countedHome
	parts, most *atomic.Int64
}

func (g gauged) Folder(dir string) (func(string) (syscall.Stat_t, error), func(), error) {
	inode, close, err := g.countedHome.Folder(dir)
	if err != nil {
		return nil, nil, err
	}
	parts := int64(strings.Count(dir, "/"))
	if now := g.parts.Add(parts); now > g.most.Load() {
		g.most.Store(now) // folders of a home are opened one by one
	}
	return inode, func() { g.parts.Add(-parts); close() }, nil
}

type gaugedDisk struct {
	*onDisk
	parts, most atomic.Int64
}

func (d *gaugedDisk) Home(site string) (cloud.Home, error) {
	h, err := d.onDisk.Home(site)
	if err != nil {
		return nil, err
	}
	return gauged{h.(countedHome), &d.parts, &d.most}, nil
}

// stuck is who does not take an answer before it is let go.
type stuck struct {
	http.ResponseWriter
	let <-chan struct{}
}

func (s stuck) Write(b []byte) (int, error) {
	<-s.let
	return s.ResponseWriter.Write(b)
}

// TestFoldersTakeFewFiles: neither by deep folders, nor by many, nor by requests that do not end, does a site make the
// gateway hold more than a few open files.
func TestFoldersTakeFewFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "sites")
	disk, err := homes.New(dir)
	check(t, err)
	d := &gaugedDisk{onDisk: &onDisk{disk: disk, site: cloud.Site{ID: "s1", Name: "page.test", Type: cloud.Static, Root: cloud.DocumentRoot, UID: 70001}}}
	check(t, disk.Make(t.Context(), d.site, []byte("welcome")))
	www := filepath.Join(dir, "s1", cloud.HomePath, "www")
	paths := []string{"/a.txt", strings.Repeat("/deep", 200) + "/a.txt"}
	for i := range 20 {
		paths = append(paths, "/"+strconv.Itoa(i)+"/sub/a.txt")
	}
	for _, path := range paths {
		check(t, os.MkdirAll(filepath.Dir(www+path), 0o755))
		check(t, os.WriteFile(www+path, []byte("a"), 0o644))
	}
	p := builtin.New(builtin.Options{Sites: d})
	p.Clock(func() time.Time { return time.Now().Add(time.Hour) }) // so that young files are kept
	check(t, p.Publish(t.Context(), []cloud.Route{{Host: "page.test", SiteID: "s1", Site: "page.test", Type: cloud.Static, State: cloud.Running, Root: "www"}}))
	ask := func(path string, let <-chan struct{}) {
		r := httptest.NewRequest(http.MethodGet, "http://page.test"+path, nil)
		a := httptest.NewRecorder()
		p.Handler().ServeHTTP(stuck{a, let}, r)
		if a.Code != http.StatusOK || a.Body.String() != "a" {
			t.Errorf("%s: %d %q", path, a.Code, a.Body)
		}
	}
	at := make(chan struct{})
	close(at)
	let := make(chan struct{})
	var slow sync.WaitGroup
	all := func() bool {
		for _, path := range paths {
			for range 3 {
				ask(path, at)
			}
		}
		return d.parts.Load() > 40
	}
	eventually(t, "folders are opened", all) // not before the directories have settled
	eventually(t, "folders are open while a request is under way", func() bool {
		slow.Go(func() { ask("/a.txt", let) })
		return all()
	})
	if most := d.most.Load(); most > 64 {
		t.Errorf("folders of one home took %d files", most)
	}
	eventually(t, "folders are closed though requests are under way", func() bool { return d.parts.Load() == 0 })
	close(let)
	slow.Wait()
}
