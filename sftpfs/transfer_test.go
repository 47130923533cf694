package sftpfs

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/home"
	"plil.net/nuage/provision/provisiontest"
)

func TestTransfers(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	h, err := d.Open(blog)
	do(t, err)
	done := make(chan cloud.Transfer, 9)
	c := connect(t, SiteView(held{Home: h, done: func(t cloud.Transfer) { done <- t }}), Options{})
	big := strings.Repeat("0123456789abcdef", 100_000)
	put(t, c, "www/big", big) // relative to the start
	got, err := get(c, www+"/big")
	if err != nil || got != big {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	do(t, c.Mkdir(www+"/d"))
	do(t, c.RemoveDirectory(www+"/d"))
	do(t, c.Remove(www+"/big"))
	for _, want := range []cloud.Transfer{
		{Action: cloud.FilePut, Path: www + "/big", Bytes: int64(len(big))},
		{Action: cloud.FileGet, Path: www + "/big", Bytes: int64(len(big))},
		{Action: cloud.FileRemove, Path: www + "/d"},
		{Action: cloud.FileRemove, Path: www + "/big"},
	} {
		if got := wait(t, done); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

func TestOpenFlags(t *testing.T) {
	t.Parallel()
	c := openSite(t, Options{})
	put(t, c, www+"/f", "hello")
	f, err := c.OpenFile(www+"/f", os.O_RDWR)
	do(t, err)
	_, err = f.WriteAt([]byte("J"), 0)
	do(t, err)
	b := make([]byte, 5)
	if _, err := f.ReadAt(b, 0); err != nil || string(b) != "Jello" {
		t.Errorf("got %q, %v", b, err)
	}
	do(t, f.Close())
	_, err = c.OpenFile(www+"/f", os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	wantStatus(t, err, failure, "file exists")
	_, err = c.OpenFile(www+"/f", os.O_RDONLY|os.O_TRUNC)
	wantStatus(t, err, failure, "need write")
	_, err = c.OpenFile(www+"/none", os.O_RDONLY|os.O_CREATE)
	wantStatus(t, err, failure, "need write")
	_, err = c.OpenFile(www+"/none", os.O_WRONLY)
	wantStatus(t, err, noSuchFile, "")
	_, err = c.OpenFile(www, os.O_WRONLY)
	wantStatus(t, err, failure, "is a directory")
	f, err = c.OpenFile(www+"/f", os.O_RDONLY)
	do(t, err)
	_, err = f.WriteAt([]byte("x"), 0)
	wantStatus(t, err, failure, "bad file descriptor")
	do(t, f.Close())
	f, err = c.OpenFile(www+"/f", os.O_WRONLY)
	do(t, err)
	_, err = f.ReadAt(b, 0)
	wantStatus(t, err, failure, "bad file descriptor")
	do(t, f.Close())
	if s, err := get(c, www+"/f"); s != "Jello" || err != nil {
		t.Errorf("reading a file that is open for writing left %q, %v", s, err)
	}
	_, err = c.OpenFile(www+"/f", os.O_WRONLY|os.O_TRUNC)
	do(t, err)
	if fi, err := c.Stat(www + "/f"); err != nil || fi.Size() != 0 {
		t.Errorf("not cut: %v, %v", fi, err)
	}
}

// TestAppend appends as clients do that count from 0, from the end, and in several writes at once.
func TestAppend(t *testing.T) {
	t.Parallel()
	c := openSite(t, Options{})
	more := strings.Repeat("more data ", 40_000)
	for name, from := range map[string]int64{"zero": 0, "end": 4} {
		put(t, c, www+"/"+name, "base")
		f, err := c.OpenFile(www+"/"+name, os.O_WRONLY|os.O_APPEND|os.O_CREATE)
		do(t, err)
		_, err = f.Seek(from, io.SeekStart)
		do(t, err)
		_, err = f.ReadFromWithConcurrency(strings.NewReader(more), 8)
		do(t, errors.Join(err, f.Close()))
		if got, err := get(c, www+"/"+name); err != nil || got != "base"+more {
			t.Errorf("%s: got %d bytes %.20q, %v", name, len(got), got, err)
		}
	}
	f, err := c.OpenFile(www+"/zero", os.O_WRONLY|os.O_APPEND)
	do(t, err)
	_, err = f.WriteAt([]byte("X"), 2)
	do(t, errors.Join(err, f.Close()))
	if got, _ := get(c, www+"/zero"); !strings.HasPrefix(got, "basemore") {
		t.Errorf("appending changed what was there: %.10q", got)
	}
}

// TestOpenFileAttributes asks an open file what it is after its name has gone to another.
func TestOpenFileAttributes(t *testing.T) {
	t.Parallel()
	c := openSite(t, Options{})
	put(t, c, www+"/a", "first")
	f, err := c.OpenFile(www+"/a", os.O_RDWR)
	do(t, err)
	defer f.Close()
	do(t, c.Rename(www+"/a", www+"/b"))
	put(t, c, www+"/a", "the second one")
	g, err := c.OpenFile(www+"/a", os.O_RDWR)
	do(t, err)
	defer g.Close()
	if fi, err := f.Stat(); err != nil || fi.Size() != 5 {
		t.Errorf("renamed: got %v, %v", fi, err)
	}
	if fi, err := g.Stat(); err != nil || fi.Size() != 14 {
		t.Errorf("new: got %v, %v", fi, err)
	}
	do(t, f.Truncate(2))
	do(t, f.Chmod(0o4640))
	if fi, err := c.Stat(www + "/b"); err != nil || fi.Size() != 2 || fi.Mode() != 0o640 {
		t.Errorf("got %v %v, %v", fi.Size(), fi.Mode(), err)
	}
	do(t, c.Remove(www+"/b"))
	if fi, err := f.Stat(); err != nil || fi.Size() != 2 {
		t.Errorf("removed: got %v, %v", fi, err)
	}
}

// TestForeignFile may be read, but not changed through its handle either.
func TestForeignFile(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		provisiontest.Skip(t, "root", "needs root to have a file of somebody else's")
	}
	d, _ := newDisk(t)
	do(t, os.WriteFile(d.Path(blog)+"/www/root", []byte("x"), 0o644))
	h, err := d.Open(blog)
	do(t, err)
	c := connect(t, SiteView(held{Home: h}), Options{})
	f, err := c.Open(www + "/root")
	do(t, err)
	defer f.Close()
	wantStatus(t, f.Chmod(0o777), denied, "")
	wantStatus(t, c.Chmod(www+"/root", 0o777), denied, "")
	wantStatus(t, c.Chtimes(www+"/root", time.Unix(1, 0), time.Unix(1, 0)), denied, "")
	wantStatus(t, f.Truncate(0), failure, "")
}

// TestQuota meets a limit of the kernel's that nobody has told the gateway's counting of: the message has the numbers all the same.
func TestQuota(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	if d.Quotas() == "" {
		provisiontest.Skip(t, "quota", "the file system of TMPDIR has no quotas by uid: make kernel")
	}
	limited, err := d.Limit(wiki, 1<<20)
	if !limited || err != nil {
		t.Fatalf("not limited: %v", err)
	}
	t.Cleanup(func() { do(t, d.Unlimit(wiki)) })
	h, err := d.Open(wiki)
	do(t, err)
	c := connect(t, SiteView(held{Home: h}), Options{})
	f, err := c.Create(www + "/f")
	do(t, err)
	_, err = f.Write(make([]byte, 2<<20))
	wantStatus(t, err, failure, "disk is full: ")
	wantStatus(t, err, failure, "hint: delete some files")
	_ = f.Close()
	do(t, c.Remove(www+"/f"))
	put(t, c, www+"/f", "room again")
}

// TestNoSpace fills a disk of one megabyte in the middle of a file. What was there before stays, also in the file
// that was appended to, and room that is made can be used at once.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		provisiontest.Skip(t, "root", "cannot mount: "+err.Error())
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	d, err := home.New(dir)
	do(t, err)
	do(t, d.Make(context.Background(), blog, nil))
	h, err := d.Open(blog)
	do(t, err)
	done := make(chan cloud.Transfer, 9)
	c := connect(t, SiteView(held{Home: h, done: func(t cloud.Transfer) { done <- t }}), Options{})
	before := strings.Repeat("before ", 10_000)
	put(t, c, www+"/before", before)
	put(t, c, www+"/log", before)
	wait(t, done)
	wait(t, done)
	for name, flag := range map[string]int{"/f": os.O_CREATE, "/log": os.O_APPEND} {
		f, err := c.OpenFile(www+name, os.O_WRONLY|flag)
		do(t, err)
		_, err = f.Write(make([]byte, 2<<20))
		wantStatus(t, err, failure, "no space left: the disk limit of 1MiB")
		do(t, f.Close())
		if got := wait(t, done); got.Action != cloud.FilePut || cloud.KindOf(got.Err) != cloud.Quota {
			t.Errorf("the site was told %+v", got)
		}
	}
	if got, err := get(c, www+"/before"); got != before || err != nil {
		t.Errorf("another file has %d bytes, %v", len(got), err)
	}
	if got, err := get(c, www+"/log"); !strings.HasPrefix(got, before) || err != nil {
		t.Errorf("the file that was appended to has %d bytes, %v", len(got), err)
	}
	do(t, errors.Join(c.Remove(www+"/f"), c.Remove(www+"/log")))
	put(t, c, www+"/after", before)
}
