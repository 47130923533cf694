package sftpfs

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/pkg/sftp"

	"plil.net/nuage/cloud"
)

// small is a home with little room.
type small struct {
	held
	limit int64
}

func (h small) Grow(ctx context.Context, n int64) error {
	used, ok, err := h.Claim(ctx, n, h.limit)
	if err == nil && !ok {
		err = cloud.DiskFull(cloud.Space{Used: used, Limit: h.limit})
	}
	return err
}

const old = "what was there before"

// openSmall is a session in a home that has 256 KiB for all, with a file www/f. www is its path on the host.
func openSmall(t *testing.T, check func() error) (c *sftp.Client, onHost string) {
	t.Helper()
	d, _ := newDisk(t)
	h, err := d.Open(blog)
	do(t, err)
	c = connect(t, SiteView(small{held{Home: h, check: check}, 256 << 10}), Options{})
	put(t, c, www+"/f", old)
	do(t, c.Chmod(www+"/f", 0o640))
	return c, d.Path(blog) + "/www"
}

// holds checks what the files of a directory on the host are: name=content, and that there are no others.
func holds(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	do(t, err)
	var got []string
	for _, e := range entries {
		b, err := os.ReadFile(dir + "/" + e.Name())
		do(t, err)
		got = append(got, e.Name()+"="+string(b))
	}
	if strings.Join(got, ", ") != strings.Join(want, ", ") {
		t.Errorf("%s holds %.200q, want %.200q", dir, got, want)
	}
}

// TestFullWhileOverwriting has no room for the new content of a file: the old one stays, for all who read it.
func TestFullWhileOverwriting(t *testing.T) {
	t.Parallel()
	c, dir := openSmall(t, nil)
	f, err := c.OpenFile(www+"/f", os.O_WRONLY|os.O_TRUNC|os.O_CREATE)
	do(t, err)
	_, err = f.Write(make([]byte, 100<<10))
	do(t, err)
	holds(t, dir, "f="+old)
	_, err = f.Write(make([]byte, 200<<10))
	wantStatus(t, err, failure, "disk is full")
	if got, err := get(c, www+"/f"); got != old || err != nil { // looking at it changes nothing
		t.Errorf("got %q, %v", got, err)
	}
	wantStatus(t, f.Close(), failure, "disk is full")
	holds(t, dir, "f="+old)
	put(t, c, www+"/f", "new")
	holds(t, dir, "f=new")
}

// TestOverwriting has room: the new file is as if it had been written in place, but comes whole.
func TestOverwriting(t *testing.T) {
	t.Parallel()
	c, dir := openSmall(t, nil)
	reader, err := os.Open(dir + "/f")
	do(t, err)
	defer reader.Close()
	before, err := os.Stat(dir + "/f")
	do(t, err)
	put(t, c, www+"/f", "new")
	holds(t, dir, "f=new")
	after, err := os.Stat(dir + "/f")
	do(t, err)
	b, a := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid || a.Nlink != 1 || a.Ino == b.Ino {
		t.Errorf("was %+v, is %+v", b, a)
	}
	text := make([]byte, 100)
	n, err := reader.Read(text)
	if string(text[:n]) != old || err != nil {
		t.Errorf("who reads the old one gets %q, %v", text[:n], err)
	}
	put(t, c, www+"/f", "")
	holds(t, dir, "f=")
}

// TestOverwritingMeanwhile does something while a file is overwritten: what a handle does to a file, it does wherever that is.
func TestOverwritingMeanwhile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		do   func(c *sftp.Client, f *sftp.File, dir string) error
		want []string
	}{
		"nothing": {func(*sftp.Client, *sftp.File, string) error { return nil }, []string{"f=begin end"}},
		"stat": {func(c *sftp.Client, f *sftp.File, _ string) error {
			fi, err := c.Stat(www + "/f")
			if err == nil && fi.Size() != 6 {
				err = errors.New("another size by name")
			}
			return err
		}, []string{"f=begin end"}},
		"fstat": {func(_ *sftp.Client, f *sftp.File, _ string) error {
			fi, err := f.Stat()
			if err == nil && (fi.Size() != 6 || fi.Mode().Perm() != 0o640) {
				err = errors.New("another size or mode by handle")
			}
			return err
		}, []string{"f=begin end"}},
		"a reader": {func(c *sftp.Client, _ *sftp.File, _ string) error {
			got, err := get(c, www+"/f")
			if err == nil && got != "begin " {
				err = errors.New("it reads " + got)
			}
			return err
		}, []string{"f=begin end"}},
		"another writer": {func(c *sftp.Client, _ *sftp.File, _ string) error {
			g, err := c.OpenFile(www+"/f", os.O_WRONLY)
			if err != nil {
				return err
			}
			_, err = g.WriteAt([]byte("B"), 0)
			return errors.Join(err, g.Close())
		}, []string{"f=Begin end"}},
		"rename": {func(c *sftp.Client, _ *sftp.File, _ string) error { return c.Rename(www+"/f", www+"/g") }, []string{"g=begin end"}},
		"remove": {func(c *sftp.Client, _ *sftp.File, _ string) error { return c.Remove(www + "/f") }, nil},
		"link": {func(c *sftp.Client, _ *sftp.File, _ string) error { return c.Link(www+"/f", www+"/g") },
			[]string{"f=begin end", "g=begin end"}},
		"truncate": {func(_ *sftp.Client, f *sftp.File, _ string) error { return f.Truncate(3) }, []string{"f=beg\x00\x00\x00end"}},
		"fsync":    {func(_ *sftp.Client, f *sftp.File, _ string) error { return f.Sync() }, []string{"f=begin end"}},
		"renamed in the container": {func(_ *sftp.Client, _ *sftp.File, dir string) error { return os.Rename(dir+"/f", dir+"/g") },
			[]string{"g=begin end"}},
		"linked in the container": {func(_ *sftp.Client, _ *sftp.File, dir string) error { return os.Link(dir+"/f", dir+"/g") },
			[]string{"f=begin end", "g=begin end"}},
		"removed in the container": {func(_ *sftp.Client, _ *sftp.File, dir string) error { return os.Remove(dir + "/f") }, nil},
		"replaced in the container": {func(_ *sftp.Client, _ *sftp.File, dir string) error {
			return errors.Join(os.Remove(dir+"/f"), os.WriteFile(dir+"/f", []byte("theirs"), 0o644))
		}, []string{"f=theirs"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, dir := openSmall(t, nil)
			f, err := c.OpenFile(www+"/f", os.O_WRONLY|os.O_TRUNC|os.O_CREATE)
			do(t, err)
			_, err = f.WriteAt([]byte("begin "), 0)
			do(t, err)
			do(t, test.do(c, f, dir))
			_, err = f.WriteAt([]byte("end"), 6)
			do(t, errors.Join(err, f.Close()))
			holds(t, dir, test.want...)
		})
	}
}

// TestOverwritingFromTheBeginning opens a file without emptying it, as scp does: what is behind what is written stays, until it
// is cut.
func TestOverwritingFromTheBeginning(t *testing.T) {
	t.Parallel()
	write := func(off int64, text string) func(*sftp.Client, *sftp.File) error {
		return func(_ *sftp.Client, f *sftp.File) error {
			_, err := f.WriteAt([]byte(text), off)
			return err
		}
	}
	truncate := func(size int64) func(*sftp.Client, *sftp.File) error {
		return func(_ *sftp.Client, f *sftp.File) error { return f.Truncate(size) }
	}
	for name, test := range map[string]struct {
		steps []func(*sftp.Client, *sftp.File) error
		want  string
	}{
		"cut":              {[]func(*sftp.Client, *sftp.File) error{write(0, "ne"), write(2, "w"), truncate(3)}, "new"},
		"cut shorter":      {[]func(*sftp.Client, *sftp.File) error{write(0, "new"), truncate(2)}, "ne"},
		"cut behind":       {[]func(*sftp.Client, *sftp.File) error{write(0, "WH"), truncate(4)}, "WHat"},
		"not cut":          {[]func(*sftp.Client, *sftp.File) error{write(0, "WHAT")}, "WHAT was there before"},
		"longer":           {[]func(*sftp.Client, *sftp.File) error{write(0, old), write(int64(len(old)), " and after")}, old + " and after"},
		"here and there":   {[]func(*sftp.Client, *sftp.File) error{write(0, "W"), write(9, "TH"), write(1, "H")}, "WHat was THere before"},
		"from the middle":  {[]func(*sftp.Client, *sftp.File) error{write(5, "WAS")}, "what WAS there before"},
		"nothing":          {nil, old},
		"seen by the way":  {[]func(*sftp.Client, *sftp.File) error{write(0, "WH"), sees("WHat was there before"), write(2, "AT")}, "WHAT was there before"},
		"asked by the way": {[]func(*sftp.Client, *sftp.File) error{write(0, "WH"), sizeIs(len(old)), truncate(2)}, "WH"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, dir := openSmall(t, nil)
			f, err := c.OpenFile(www+"/f", os.O_WRONLY|os.O_CREATE)
			do(t, err)
			for _, step := range test.steps {
				do(t, step(c, f))
			}
			do(t, f.Close())
			holds(t, dir, "f="+test.want)
		})
	}
	c, dir := openSmall(t, nil)
	f, err := c.OpenFile(www+"/f", os.O_WRONLY|os.O_CREATE)
	do(t, err)
	_, err = f.Write(make([]byte, 300<<10))
	wantStatus(t, err, failure, "disk is full")
	do(t, f.Truncate(0)) // as OpenSSH does then
	wantStatus(t, f.Close(), failure, "disk is full")
	holds(t, dir, "f="+old)
}

func sees(want string) func(*sftp.Client, *sftp.File) error {
	return func(c *sftp.Client, _ *sftp.File) error {
		got, err := get(c, www+"/f")
		if err == nil && got != want {
			err = errors.New("it reads " + got)
		}
		return err
	}
}

func sizeIs(want int) func(*sftp.Client, *sftp.File) error {
	return func(_ *sftp.Client, f *sftp.File) error {
		fi, err := f.Stat()
		if err == nil && fi.Size() != int64(want) {
			err = errors.New("another size by handle")
		}
		return err
	}
}

// TestOverwritingThroughNames keeps all names of a file, and links, what they are.
func TestOverwritingThroughNames(t *testing.T) {
	t.Parallel()
	c, dir := openSmall(t, nil)
	do(t, c.Mkdir(www+"/d"))
	do(t, c.Symlink("../f", www+"/d/link"))
	put(t, c, www+"/d/link", "through a link")
	holds(t, dir+"/d", "link=through a link")
	if fi, err := os.Lstat(dir + "/d/link"); err != nil || fi.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is %v, %v", fi, err)
	}
	do(t, c.Link(www+"/f", www+"/d/hard"))
	put(t, c, www+"/d/hard", "two names")
	holds(t, dir+"/d", "hard=two names", "link=two names")
}

// TestOverwritingCut has the client vanish: what came is there, to go on from. Who lost the site meanwhile changes nothing.
func TestOverwritingCut(t *testing.T) {
	t.Parallel()
	for _, is := range []struct {
		flags int
		taken bool
		want  string
	}{
		{flagWrite | flagCreat | flagTrunc, false, "new"},
		{flagWrite | flagCreat | flagTrunc, true, old},
		{flagWrite | flagCreat, false, old}, // neither is better than a mixture
	} {
		var no atomic.Bool
		d, _ := newDisk(t)
		onHost := d.Path(blog) + "/www"
		do(t, os.WriteFile(onHost+"/f", []byte(old), 0o644))
		if os.Geteuid() == 0 {
			do(t, os.Chown(onHost+"/f", blog.UID, blog.UID))
		}
		h, err := d.Open(blog)
		do(t, err)
		r := serveRaw(t, SiteView(held{Home: h, check: func() error {
			if no.Load() {
				return cloud.Errorf(cloud.NotFound, "it is gone")
			}
			return nil
		}}))
		r.ask(packet(typeOpen, 1, www+"/f", is.flags, 0))
		r.ask(packet(typeWrite, 2, "\x00\x00\x00\x01", 0, 0, "new"))
		no.Store(is.taken)
		r.conn.Close()
		if err := wait(t, r.done); err != nil && !is.taken {
			t.Error(err)
		}
		holds(t, onHost, "f="+is.want)
	}
}
