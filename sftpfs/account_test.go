package sftpfs

import (
	"testing"
)

func TestAccountView(t *testing.T) {
	t.Parallel()
	c := openAccount(t)
	infos, err := c.ReadDir("/")
	do(t, err)
	if len(infos) != 2 || infos[0].Name() != blog.Name || !infos[0].IsDir() {
		t.Errorf("got %v", infos)
	}
	put(t, c, "/blog/www/f", "x")
	if s, err := get(c, "blog.plil.net/www/f"); s != "x" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
	do(t, c.Rename("/blog/www/f", "/blog.plil.net/www/g")) // two names, one site
	put(t, c, "/wiki.plil.net/www/f", "y")
	do(t, c.Rename("/wiki.plil.net/www/f", "/wiki/www/g"))
	do(t, c.Remove("/wiki/www/g"))
	err = c.Rename("/blog/www/g", "/wiki/www/g")
	wantStatus(t, err, failure, "different sites")
	wantStatus(t, c.Link("/blog/www/g", "/wiki/www/g"), failure, "different sites")
	wantStatus(t, c.PosixRename("/blog", "/wiki"), failure, "different sites")
	for _, err := range []error{
		c.Mkdir("/new"), c.RemoveDirectory("/blog"), c.Rename("/blog", "/blog.plil.net"), c.Chmod("/", 0o777), c.Remove("/"),
	} {
		wantStatus(t, err, denied, "")
	}
	_, err = c.Stat("/nosuch")
	wantStatus(t, err, noSuchFile, "")
	_, err = c.Create("/file")
	wantStatus(t, err, noSuchFile, "")

	do(t, c.Symlink("/home/site/www/g", "/blog/www/l"))
	do(t, c.Symlink("/home", "/blog/www/up"))
	for name, want := range map[string]string{
		"/": "/", ".": "/", "/blog/www/l": "/blog.plil.net/www/g", "/blog": "/blog.plil.net",
		"/blog/none": "/blog.plil.net/none", "/blog/../wiki": "/wiki.plil.net", "/blog/www/up": "/blog/www/up",
	} {
		if got, err := c.RealPath(name); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
		}
	}
	if s, err := get(c, "/blog/www/l"); s != "x" || err != nil {
		t.Errorf("got %q, %v", s, err)
	}
	one, err := c.StatVFS("/wiki")
	do(t, err)
	all, err := c.StatVFS("/")
	if err != nil || all.Blocks != 2*one.Blocks || one.Blocks == 0 {
		t.Errorf("got %+v, %v, want twice %+v", all, err, one)
	}
}
