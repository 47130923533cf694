package builtin_test

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"io"

	"plil.net/nuage/cloud"
	"plil.net/nuage/proxygen/builtin"
)

func TestStaticFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.static(map[string]string{
		"index.html": "home", "style.css": "css", "app.MJS": "js", "sub/index.html": "sub", "empty/x.txt": "x",
		"été.txt": "summer", "raw\xff.txt": "bytes", "100%.txt": "percent", "noext": "plain words", "page": "<html>", "bin": "\x00\x01",
		".well-known/acme/token": "token", "d.webmanifest": "{}", "f.woff2": "f", "i.avif": "i", "back\\slash": "b", "index.html.d/a": "",
	})
	for path, want := range map[string]struct{ body, kind string }{
		"/": {"home", "text/html; charset=utf-8"}, "/index.html": {"home", "text/html; charset=utf-8"},
		"/style.css": {"css", "text/css; charset=utf-8"}, "/app.MJS": {"js", "text/javascript; charset=utf-8"},
		"/sub/": {"sub", "text/html; charset=utf-8"}, "//sub//": {"sub", "text/html; charset=utf-8"},
		"/sub/?q": {"sub", "text/html; charset=utf-8"}, "/%C3%A9t%C3%A9.txt": {"summer", "text/plain; charset=utf-8"},
		"/raw%ff.txt": {"bytes", "text/plain; charset=utf-8"}, "/100%25.txt": {"percent", "text/plain; charset=utf-8"},
		"/noext": {"plain words", "text/plain; charset=utf-8"}, "/page": {"<html>", "text/html; charset=utf-8"},
		"/bin": {"\x00\x01", "application/octet-stream"}, "/.well-known/acme/token": {"token", "text/plain; charset=utf-8"},
		"/d.webmanifest": {"{}", "application/manifest+json"}, "/f.woff2": {"f", "font/woff2"}, "/i.avif": {"i", "image/avif"},
		"/sub%2Findex.html": {"sub", "text/html; charset=utf-8"}, "/back%5Cslash": {"b", "text/plain; charset=utf-8"},
	} {
		for _, scheme := range []string{"http", "https"} {
			a := w.get(scheme + "://page.test" + path)
			if a.StatusCode != 200 || a.body != want.body {
				t.Errorf("%s: %d %q, want %q", path, a.StatusCode, a.body, want.body)
			}
			a.wantHeader(t, "Content-Type", want.kind)
			a.wantHeader(t, "Cache-Control", "no-cache")
		}
	}
	if w.sites.holds != 0 {
		t.Error("a static site was held like a container")
	}
}

func TestStaticRedirects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.static(map[string]string{"sub/index.html": "", "evil.com/index.html": "", "\\evil.com/index.html": "", "a\r\nb/x": "", "a?b/x": ""})
	for path, want := range map[string]string{
		"/sub": "/sub/", "/sub?a=b&c": "/sub/?a=b&c", "//evil.com": "/evil.com/", "///evil.com": "/evil.com/",
		"/%5Cevil.com": "/%5Cevil.com/", "/%2Fevil.com": "/evil.com/", "/a%0D%0Ab": "/a%0D%0Ab/", "/a%3Fb": "/a%3Fb/",
	} {
		for _, a := range w.exchangeRaw("GET " + path + " HTTP/1.1\r\nHost: page.test\r\nConnection: close\r\n\r\n") {
			a.want(t, 301, "")
			a.wantHeader(t, "Location", want)
		}
	}
}

func TestStaticHides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := w.static(map[string]string{
		"index.html": "home", ".htpasswd": "SECRET", ".git/config": "SECRET", "sub/.env": "SECRET", "sub/a": "a",
		".well-known/.hidden": "SECRET", "sub/.well-known/x": "SECRET", "..x/y": "SECRET",
	})
	outside := filepath.Join(t.TempDir(), "outside")
	check(t, os.WriteFile(outside, []byte("SECRET"), 0o644))
	check(t, os.WriteFile(filepath.Join(dir, "private"), []byte("SECRET"), 0o644))
	www := filepath.Join(dir, "www")
	check(t, os.Symlink(outside, filepath.Join(www, "absolute")))
	check(t, os.Symlink("../../../../../../../../../../etc/passwd", filepath.Join(www, "relative")))
	check(t, os.Symlink("/", filepath.Join(www, "slash")))
	check(t, os.Symlink("loop", filepath.Join(www, "loop")))
	check(t, os.MkdirAll(filepath.Join(www, "odd", "index.html"), 0o755))
	for _, path := range []string{
		"/.htpasswd", "/.git/config", "/.git/", "/.git", "/sub/.env", "/.well-known/.hidden", "/sub/.well-known/x", "/..x/y",
		"/../private", "/%2e%2e/private", "/%2e%2e%2fprivate", "/sub/../../private", "/sub%2f..%2f..%2fprivate", "/..%5cprivate",
		"/.", "/./", "/..", "/sub/.", "/%00", "/index.html%00.txt", "/index.html/", "/index.html/x", "/missing", "/missing/",
		"/absolute", "/relative", "/slash", "/slash/etc/passwd", "/loop", "/sub/", "/odd/", "/" + strings.Repeat("x", 300),
		"/" + strings.Repeat("x/", 3000), "/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc/passwd", "/%252e%252e%252fprivate",
	} {
		for _, a := range w.exchangeRaw("GET " + path + " HTTP/1.1\r\nHost: page.test\r\nConnection: close\r\n\r\n") {
			if a.StatusCode != 404 || strings.Contains(a.body, "SECRET") || strings.Contains(a.body, "root:") {
				t.Errorf("%s: %d %.100q", path, a.StatusCode, a.body)
			}
		}
	}
}

func TestStaticClosedFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := w.static(map[string]string{"config.php": "<?php $password = 'SECRET'", "a.PHTML": "SECRET"})
	check(t, syscall.Mkfifo(filepath.Join(dir, "www", "pipe"), 0o666))
	w.get("http://page.test/pipe").want(t, 403, "may not read")
	for _, path := range []string{"/config.php", "/a.PHTML"} {
		a := w.get("http://page.test" + path)
		a.want(t, 403, "site set page.test type=php")
		if strings.Contains(a.body, "SECRET") {
			t.Errorf("%s is shown", path)
		}
	}
	w.get("http://page.test/other.php").want(t, 404, "")
}

func TestStaticMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.static(map[string]string{"index.html": "home"})
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"} {
		a := w.do(method, "http://page.test/")
		a.want(t, 405, method)
		a.wantHeader(t, "Allow", "GET, HEAD")
	}
	a := w.do("HEAD", "http://page.test/")
	a.want(t, 200, "")
	if a.ContentLength != 4 || a.body != "" {
		t.Errorf("HEAD: length %d, body %q", a.ContentLength, a.body)
	}
}

func TestStaticOwn404(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.static(map[string]string{"404.html": "my own page", "sub/x": ""})
	for _, path := range []string{"/missing", "/.git", "/sub/", "/"} {
		a := w.get("https://page.test"+path, "Range", "bytes=0-1", "If-None-Match", "*")
		if a.StatusCode != 404 || a.body != "my own page" {
			t.Errorf("%s: %d %q", path, a.StatusCode, a.body)
		}
		a.wantHeader(t, "Content-Type", "text/html; charset=utf-8")
	}
	if a := w.do("HEAD", "http://page.test/missing"); a.StatusCode != 404 || a.body != "" || a.ContentLength != 11 {
		t.Errorf("HEAD: %d %q length %d", a.StatusCode, a.body, a.ContentLength)
	}
	w.get("http://page.test/404.html").want(t, 200, "my own page")
}

func TestStaticConditions(t *testing.T) {
	t.Parallel()
	began, later := time.Now(), atomic.Int64{}
	w := newWorld(t, func(p *builtin.Proxy) {
		p.Clock(func() time.Time { return began.Add(time.Duration(later.Load())) })
	})
	dir := w.static(map[string]string{"a.txt": "0123456789"})
	name := filepath.Join(dir, "www", "a.txt")
	const url = "http://page.test/a.txt"
	young := w.get(url).Header.Get("ETag")
	if !strings.HasPrefix(young, `W/"`) {
		t.Errorf("ETag %s of a file just written is strong", young)
	}
	w.get(url, "If-None-Match", young).want(t, 304, "")
	later.Store(int64(time.Minute))
	a := w.get(url)
	tag, modified := a.Header.Get("ETag"), a.Header.Get("Last-Modified")
	if "W/"+tag != young { // strong by now
		t.Errorf("the file has not changed, but its ETag has: %s, %s", young, tag)
	}
	w.get(url, "If-None-Match", tag).want(t, 304, "")
	w.get(url, "If-None-Match", `"other"`).want(t, 200, "0123456789")
	w.get(url, "If-Modified-Since", modified).want(t, 304, "")
	r := w.get(url, "Range", "bytes=2-4", "If-Range", tag)
	if r.StatusCode != 206 || r.body != "234" {
		t.Errorf("range: %d %q", r.StatusCode, r.body)
	}
	r.wantHeader(t, "Content-Range", "bytes 2-4/10")
	w.get(url, "Range", "bytes=2-4", "If-Range", `"other"`).want(t, 200, "0123456789")
	w.get(url, "Range", "bytes=100-").want(t, 416, "")

	// The same length and mtime, as rsync -t leaves them.
	info, err := os.Stat(name)
	check(t, err)
	check(t, os.WriteFile(name, []byte("9876543210"), 0o644))
	check(t, os.Chtimes(name, time.Time{}, info.ModTime()))
	w.get(url, "If-None-Match", tag).want(t, 200, "9876543210")
}

func TestStaticHomeFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.static(nil)
	w.sites.refusal = cloud.Errorf(cloud.NotFound, "no such site")
	w.get("http://page.test/").want(t, 404, "No site")
	w.sites.refusal = syscall.EMFILE
	w.get("http://page.test/").want(t, 500, "(ref ")
}

// sendfiles counts how often a connection is given a file itself, which is what makes the kernel send it.
type sendfiles struct {
	net.Listener
	n *atomic.Int32
}

func (l sendfiles) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return sendfileConn{c.(*net.TCPConn), l.n}, nil
}

type sendfileConn struct {
	*net.TCPConn
	n *atomic.Int32
}

func (c sendfileConn) ReadFrom(src io.Reader) (int64, error) {
	if l, ok := src.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			c.n.Add(1)
		}
	}
	return c.TCPConn.ReadFrom(src)
}

func TestStaticSendfile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	big := strings.Repeat("0123456789abcdef", 1<<16)
	w.static(map[string]string{"big.bin": big})
	var n atomic.Int32
	l := sendfiles{listen(t, "127.0.0.1:0"), &n}
	server := &http.Server{Handler: w.proxy.Handler()}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	w.plain = l.Addr().String()
	if a := w.get("http://page.test/big.bin"); a.body != big {
		t.Errorf("%d bytes of %d", len(a.body), len(big))
	}
	if n.Load() != 4 {
		t.Errorf("1 MiB went out in %d parts by the kernel, want 4", n.Load())
	}
	if a := w.get("http://page.test/big.bin", "Range", "bytes=500000-900000"); a.body != big[500000:900001] {
		t.Errorf("range of %d bytes", len(a.body))
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
