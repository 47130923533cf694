package builtin_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

// aged is a world whose clock is an hour ahead, so that files just written are old enough to be kept.
func aged(t *testing.T, changes ...func(*builtin.Proxy)) *world {
	t.Helper()
	later := func(p *builtin.Proxy) { p.Clock(func() time.Time { return time.Now().Add(time.Hour) }) }
	return newWorld(t, append(changes, later)...)
}

// TestCacheNoticesChanges at once, whatever way a file changes.
func TestCacheNoticesChanges(t *testing.T) {
	t.Parallel()
	w := aged(t)
	dir := w.static(map[string]string{"a.txt": "one", "sub/b.txt": "b", "sub/index.html": "index", "other/b.txt": "other b"})
	www := filepath.Join(dir, "www")
	name := filepath.Join(www, "a.txt")
	for range 3 {
		w.get("http://page.test/a.txt").want(t, 200, "one")
		w.get("http://page.test/sub/b.txt").want(t, 200, "b")
		w.get("http://page.test/sub/").want(t, 200, "index")
	}
	if w.proxy.Kept() != 3 {
		t.Errorf("%d files are kept", w.proxy.Kept())
	}
	info, err := os.Stat(name)
	check(t, err)
	check(t, os.WriteFile(name, []byte("two"), 0o644)) // the same size, in place
	check(t, os.Chtimes(name, time.Time{}, info.ModTime()))
	w.get("http://page.test/a.txt").want(t, 200, "two")

	check(t, os.WriteFile(name+".new", []byte("new"), 0o644))
	check(t, os.Rename(name+".new", name))
	w.get("http://page.test/a.txt").want(t, 200, "new")

	check(t, os.Rename(filepath.Join(www, "sub"), filepath.Join(www, "away")))
	w.get("http://page.test/sub/b.txt").want(t, 404, "")
	w.get("http://page.test/sub/").want(t, 404, "")
	check(t, os.Symlink("other", filepath.Join(www, "sub")))
	w.get("http://page.test/sub/b.txt").want(t, 200, "other b")

	check(t, os.Remove(name))
	w.get("http://page.test/a.txt").want(t, 404, "")
	check(t, os.Mkdir(name, 0o755))
	w.get("http://page.test/a.txt").want(t, 301, "")

	// Another document root, and another site, have files of the same name.
	w.publish(cloud.Route{Host: "page.test", SiteID: "s2", Site: "page.test", Type: cloud.Static, State: cloud.Running, Root: "www/away"})
	w.get("http://page.test/b.txt").want(t, 200, "b")
}

// TestCacheKeepsNoSecrets: a file that may not be read any more is not given out from memory.
func TestCacheKeepsNoSecrets(t *testing.T) {
	t.Parallel()
	w := aged(t)
	dir := w.static(map[string]string{"a.txt": "SECRET"})
	w.get("http://page.test/a.txt").want(t, 200, "SECRET")
	name := filepath.Join(dir, "www", "a.txt")
	check(t, os.Chmod(name, 0))
	if a := w.get("http://page.test/a.txt"); os.Geteuid() != 0 && a.StatusCode != 403 {
		t.Errorf("status %d", a.StatusCode)
	}
	if w.proxy.Kept() != 1 && os.Geteuid() == 0 || w.proxy.Kept() != 0 && os.Geteuid() != 0 {
		t.Errorf("%d files are kept", w.proxy.Kept())
	}
	check(t, os.Rename(name, filepath.Join(dir, "www", ".a.txt")))
	w.get("http://page.test/.a.txt").want(t, 404, "")
	w.get("http://page.test/a.txt").want(t, 404, "")
}

// TestCacheIsBounded in bytes, and young files stay out of it.
func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	w := aged(t, func(p *builtin.Proxy) { p.CacheOf(100 << 10) })
	files := map[string]string{}
	for i := range 50 {
		files[fmt.Sprintf("%d.txt", i)] = strings.Repeat(fmt.Sprint(i%10), 10<<10)
	}
	w.static(files)
	for range 2 {
		for name, content := range files {
			if a := w.get("http://page.test/" + name); a.body != content {
				t.Fatalf("%s: %d bytes", name, len(a.body))
			}
		}
	}
	if n := w.proxy.Kept(); n < 1 || n > 5 {
		t.Errorf("%d files of 10 KiB are kept in 100 KiB", n)
	}
	now := time.Now() // stands still, for a file is young only for a while
	young := newWorld(t, func(p *builtin.Proxy) { p.Clock(func() time.Time { return now }) })
	young.static(map[string]string{"a.txt": "young"})
	young.get("http://page.test/a.txt").want(t, 200, "young")
	if young.proxy.Kept() != 0 {
		t.Error("a file that may change without a trace is kept")
	}
}

// TestCacheUnderChange never mixes two contents, and never goes back to an old one.
func TestCacheUnderChange(t *testing.T) {
	t.Parallel()
	w := aged(t)
	dir := w.static(map[string]string{"a.txt": content(0)})
	name := filepath.Join(dir, "www", "a.txt")
	var mu sync.Mutex
	newest := 0
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			client := w.client()
			for {
				select {
				case <-stop:
					return
				default:
				}
				mu.Lock()
				least := newest
				mu.Unlock()
				res, err := client.Get("http://page.test/a.txt")
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(res.Body)
				res.Body.Close()
				var n int
				_, _ = fmt.Sscan(string(body), &n)
				if string(body) != content(n) || n < least {
					t.Errorf("content %d of %d bytes, when %d was in place", n, len(body), least)
					return
				}
			}
		})
	}
	for n := range 200 {
		check(t, os.WriteFile(name+".new", []byte(content(n)), 0o644))
		check(t, os.Rename(name+".new", name))
		mu.Lock()
		newest = n
		mu.Unlock()
	}
	close(stop)
	readers.Wait()
}

func content(n int) string { return fmt.Sprint(n, " ", strings.Repeat(fmt.Sprintf("%d,", n), 3000)) }

func TestCompression(t *testing.T) {
	t.Parallel()
	w := aged(t)
	text := strings.Repeat("some text that repeats itself\n", 1000)
	noise := make([]byte, 2000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	w.static(map[string]string{"a.txt": text, "a.png": text, "noise.txt": string(noise), "tiny.txt": "tiny", "big.txt": strings.Repeat(text, 50)})
	zipped := w.get("http://page.test/a.txt", "Accept-Encoding", "br, gzip;q=0.5")
	zipped.wantHeader(t, "Content-Encoding", "gzip")
	zipped.wantHeader(t, "Vary", "Accept-Encoding")
	zipped.wantHeader(t, "Accept-Ranges", "")
	if zipped.ContentLength != int64(len(zipped.body)) || len(zipped.body) > len(text)/10 || gunzip(t, zipped.body) != text {
		t.Errorf("%d bytes, length %d", len(zipped.body), zipped.ContentLength)
	}
	plain := w.get("http://page.test/a.txt")
	plain.wantHeader(t, "Content-Encoding", "")
	plain.wantHeader(t, "Vary", "Accept-Encoding")
	plain.wantHeader(t, "Accept-Ranges", "bytes")
	if plain.body != text || plain.Header.Get("ETag") == zipped.Header.Get("ETag") {
		t.Errorf("plain: %d bytes, tags %s and %s", len(plain.body), plain.Header.Get("ETag"), zipped.Header.Get("ETag"))
	}

	for _, tag := range []string{zipped.Header.Get("ETag"), "W/" + zipped.Header.Get("ETag"), "*"} {
		a := w.get("http://page.test/a.txt", "Accept-Encoding", "gzip", "If-None-Match", tag)
		a.want(t, 304, "")
		a.wantHeader(t, "Vary", "Accept-Encoding")
		a.wantHeader(t, "ETag", zipped.Header.Get("ETag"))
	}
	w.get("http://page.test/a.txt", "Accept-Encoding", "gzip", "If-None-Match", plain.Header.Get("ETag")).want(t, 200, "")
	w.get("http://page.test/a.txt", "If-None-Match", plain.Header.Get("ETag")).want(t, 304, "")
	w.get("http://page.test/a.txt", "Accept-Encoding", "gzip", "If-Match", `"other"`).want(t, 412, "")

	part := w.get("http://page.test/a.txt", "Accept-Encoding", "gzip", "Range", "bytes=0-3")
	part.want(t, 206, "some")
	part.wantHeader(t, "Content-Encoding", "")
	part.wantHeader(t, "ETag", plain.Header.Get("ETag"))
	whole := w.get("http://page.test/a.txt", "Accept-Encoding", "gzip", "Range", "bytes=0-3", "If-Range", zipped.Header.Get("ETag"))
	if whole.StatusCode != 200 || whole.body != text {
		t.Errorf("a part of what was compressed goes on with %d, %d bytes", whole.StatusCode, len(whole.body))
	}
	if a := w.do("HEAD", "http://page.test/a.txt", "Accept-Encoding", "gzip"); a.ContentLength != zipped.ContentLength || a.body != "" {
		t.Errorf("HEAD: length %d, body of %d bytes", a.ContentLength, len(a.body))
	}

	for path, accept := range map[string]string{
		"a.txt#1": "identity", "a.txt#2": "gzip;q=0", "a.txt#3": "*;q=0", "a.txt#4": "", "a.txt#5": "br", "a.txt#6": "*, gzip;q=0.0",
		"a.png": "gzip", "noise.txt": "gzip", "tiny.txt": "gzip", "big.txt": "gzip",
	} {
		a := w.get("http://page.test/"+path, "Accept-Encoding", accept)
		if a.StatusCode != 200 || a.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s for %q: %d, %q", path, accept, a.StatusCode, a.Header.Get("Content-Encoding"))
		}
	}
	for _, accept := range []string{"*", "GZIP", "deflate,gzip;q=0.001", "x-gzip"} {
		w.get("http://page.test/a.txt", "Accept-Encoding", accept).wantHeader(t, "Content-Encoding", "gzip")
	}
}

func TestPrecompressed(t *testing.T) {
	t.Parallel()
	w := aged(t)
	text := strings.Repeat("text ", 1000)
	dir := w.static(map[string]string{"a.js": text, "a.js.br": "BROTLI", "a.js.gz": "GZIP", "a.js.zst": "ZSTD", "b.css": text, "b.css.gz": "STALE", "c.svg": text})
	www := filepath.Join(dir, "www")
	old := time.Now().Add(-time.Minute)
	check(t, os.Chtimes(filepath.Join(www, "b.css.gz"), time.Time{}, old))
	check(t, os.Mkdir(filepath.Join(www, "c.svg.gz"), 0o755))
	for accept, want := range map[string]string{
		"gzip, deflate, br, zstd": "br BROTLI", "gzip, zstd": "zstd ZSTD", "gzip": "gzip GZIP", "br;q=0, gzip": "gzip GZIP", "identity": " " + text,
	} {
		for range 2 {
			a := w.get("http://page.test/a.js", "Accept-Encoding", accept)
			if got := a.Header.Get("Content-Encoding") + " " + a.body; got != want {
				t.Errorf("%q: got %.20q, want %.20q", accept, got, want)
			}
			a.wantHeader(t, "Content-Type", "text/javascript; charset=utf-8")
			a.wantHeader(t, "Vary", "Accept-Encoding")
			if a.ContentLength != int64(len(a.body)) {
				t.Errorf("%q: length %d of %d", accept, a.ContentLength, len(a.body))
			}
			w.get("http://page.test/a.js", "Accept-Encoding", accept, "If-None-Match", a.Header.Get("ETag")).want(t, 304, "")
		}
	}
	for _, path := range []string{"b.css", "c.svg"} { // one is older than its file, one is a directory
		a := w.get("http://page.test/"+path, "Accept-Encoding", "gzip")
		a.wantHeader(t, "Content-Encoding", "gzip")
		if gunzip(t, a.body) != text {
			t.Errorf("%s: %.20q", path, a.body)
		}
	}
	w.get("http://page.test/a.js.gz").wantHeader(t, "Content-Type", "application/gzip")

	// What its owner compresses again, or removes, shows at once.
	check(t, os.WriteFile(filepath.Join(www, "a.js.br"), []byte("BROTL2"), 0o644))
	w.get("http://page.test/a.js", "Accept-Encoding", "br").want(t, 200, "BROTL2")
	check(t, os.Remove(filepath.Join(www, "a.js.br")))
	w.get("http://page.test/a.js", "Accept-Encoding", "br").wantHeader(t, "Content-Encoding", "")
}

func gunzip(t *testing.T, s string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(all)
}

// TestHomesAreLent for a moment, and closed when nobody needs them.
func TestHomesAreLent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(p *builtin.Proxy) { p.KeepHomes(50 * time.Millisecond) })
	dir := w.static(map[string]string{"a.txt": "old"})
	w.get("http://page.test/a.txt").want(t, http.StatusOK, "old")
	check(t, os.Rename(dir, dir+".away"))
	check(t, os.MkdirAll(filepath.Join(dir, "www"), 0o755))
	check(t, os.WriteFile(filepath.Join(dir, "www", "a.txt"), []byte("new"), 0o644))
	eventually(t, "the home in its place", func() bool { return w.get("http://page.test/a.txt").body == "new" })
	eventually(t, "closed", func() bool { return w.proxy.Lent() == 0 })
}
