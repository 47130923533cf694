package sftpfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
)

// samples are a good packet of each kind, made of the fields that the tables say, and where the lengths are in
// each. What is not a field by its table is not in it.
func samples(handle string) (all []sample) {
	add := func(name string, head []byte, fields string) {
		s := sample{name: name, fields: fields, packet: head}
		for _, f := range fields {
			if strings.ContainsRune("ptdh", f) {
				s.lengths = append(s.lengths, len(s.packet))
			}
			switch f {
			case 'p', 't':
				s.packet = append(s.packet, packet(0, www+"/sample")[5:]...)
			case 'd':
				s.packet = append(s.packet, packet(0, "data")[5:]...)
			case 'h':
				s.packet = append(s.packet, packet(0, handle)[5:]...)
			case 'a':
				s.packet = append(s.packet, packet(0, attrSize|attrMode|attrTimes, 0, 1, 0o600, 1, 1)[5:]...)
			case 'n':
				s.packet = append(s.packet, packet(0, flagRead)[5:]...)
			case 'N':
				s.packet = append(s.packet, packet(0, 0, 0)[5:]...)
			}
		}
		all = append(all, s)
	}
	for typ, req := range requests {
		add(string('0'+rune(typ)), packet(typ, 1), req.fields)
	}
	for _, e := range extensions {
		add(e.name, packet(typeExtended, 1, e.name), e.fields)
	}
	return all
}

type sample struct {
	name    string
	fields  string
	packet  []byte // its length is not set
	lengths []int  // where there is one in it
}

func sized(p []byte) []byte {
	p = bytes.Clone(p)
	binary.BigEndian.PutUint32(p, uint32(len(p)-4))
	return p
}

// TestEveryFieldIsNeeded cuts each kind of packet at each byte, and says of each length in it that it is 4 GiB.
func TestEveryFieldIsNeeded(t *testing.T) {
	t.Parallel()
	r := openRaw(t)
	r.put(www+"/sample", "x")
	handle := r.open(www+"/sample", flagRead|flagWrite)
	const head = 4 + 1 + 4
	for _, s := range samples(handle) {
		if head >= len(s.packet) { // has no fields
			continue
		}
		for at := head; at < len(s.packet); at++ {
			typ, b := r.ask(sized(s.packet[:at]))
			if code := binary.BigEndian.Uint32(b); typ != typeStatus || code != statusBadMessage && code != statusUnsupported {
				t.Fatalf("%s cut at %d: got %d %q", s.name, at, typ, b)
			}
		}
		for _, at := range s.lengths {
			for _, size := range []uint32{0xffff_ffff, 0x8000_0000, 0x7fff_ffff, uint32(len(s.packet))} {
				p := sized(s.packet)
				binary.BigEndian.PutUint32(p[at:], size)
				r.status(statusBadMessage, p)
			}
		}
	}
	if got := r.get(www + "/sample"); got != "x" {
		t.Errorf("one of them acted: %q", got)
	}
}

// TestLongPaths of 64 KiB are no path of anything.
func TestLongPaths(t *testing.T) {
	t.Parallel()
	r := openRaw(t)
	r.put(www+"/f", "x")
	for _, long := range []string{strings.Repeat("x/", 32<<10), strings.Repeat("x", 64<<10), "/" + strings.Repeat("/./x", 16<<10)} {
		for _, p := range [][]byte{
			packet(typeOpen, 1, long, flagRead, 0), packet(typeOpen, 1, long, flagWrite|flagCreat, 0), packet(typeLstat, 1, long),
			packet(typeStat, 1, long), packet(typeSetstat, 1, long, attrMode, 0o600), packet(typeOpendir, 1, long),
			packet(typeRemove, 1, long), packet(typeRmdir, 1, long), packet(typeMkdir, 1, long, 0), packet(typeRename, 1, www+"/f", long),
			packet(typeRename, 1, long, www+"/g"), packet(typeReadlink, 1, long), packet(typeSymlink, 1, long, www+"/l"),
			packet(typeSymlink, 1, "f", long), packet(typeExtended, 1, "hardlink@openssh.com", www+"/f", long),
			packet(typeExtended, 1, "statvfs@openssh.com", long), packet(typeExtended, 1, "lsetstat@openssh.com", long, 0),
			packet(typeExtended, 1, "home-directory", long), packet(typeExtended, 1, "expand-path@openssh.com", "~"+long),
			packet(typeExtended, 1, long, long),
		} {
			typ, b := r.ask(p)
			if typ != typeStatus || binary.BigEndian.Uint32(b) == statusOK || len(b) > 1<<10 && !strings.Contains(string(b), "user") {
				t.Errorf("got %d %.100q of %d bytes", typ, b, len(b))
			}
		}
	}
	r.status(statusOK, packet(typeRemove, 1, www+"/f"))
}

// TestForeignHandles: what one session has open is nothing in another.
func TestForeignHandles(t *testing.T) {
	t.Parallel()
	a, b := openRaw(t), openRaw(t)
	a.put(www+"/f", "x")
	h := a.open(www+"/f", flagRead|flagWrite)
	for _, foreign := range []string{h, "", "\x00", h + "\x00", "/home/site/www", "\xff\xff\xff\xff"} {
		for _, s := range samples(foreign) {
			if strings.Contains(s.fields, "h") {
				b.status(failure, sized(s.packet))
			}
		}
	}
	a.status(statusOK, packet(typeClose, 1, h))
	a.put(www+"/g", "y")
	again := a.open(www+"/g", flagRead)
	if again == h {
		t.Error("a handle was used again")
	}
	a.status(failure, packet(typeRead, 1, h, 0, 0, 1))
}

// TestCutUploads cuts a session at each byte of an upload: what was written is a beginning of the file, and
// what was there before is whole.
func TestCutUploads(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	serve := func(stream []byte) error {
		h, err := d.Open(blog)
		do(t, err)
		return Serve(context.Background(), fed{bytes.NewReader(stream), io.Discard}, SiteView(held{Home: h}), Options{})
	}
	key := "\x00\x00\x00\x01"
	start := bytes.Join([][]byte{hello, packet(typeOpen, 1, www+"/before", flagWrite|flagCreat, 0), packet(typeWrite, 2, key, 0, 0, "whole"),
		packet(typeClose, 3, key)}, nil)
	do(t, serve(start))
	stream := bytes.Join([][]byte{hello, packet(typeOpen, 1, www+"/f", flagWrite|flagCreat|flagTrunc, 0),
		packet(typeWrite, 2, key, 0, 0, "0123456789"), packet(typeWrite, 3, key, 0, 10, "abcdefghij"), packet(typeClose, 4, key),
		packet(typeOpen, 5, www+"/before", flagWrite|flagAppend, 0), packet(typeWrite, 6, "\x00\x00\x00\x02", 0, 0, "+more")}, nil)
	whole := "0123456789abcdefghij"
	for cut := range stream {
		err := serve(stream[:cut])
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		got := ""
		r := openRawOn(t, d)
		if cut > len(hello)+len(packet(typeOpen, 1, www+"/f", 0, 0)) {
			got = r.get(www + "/f")
		}
		if before := r.get(www + "/before"); !strings.HasPrefix(whole, got) || before != "whole" {
			t.Fatalf("cut at %d: got %q and %q", cut, got, before)
		}
		r.conn.Close()
	}
}

// TestTwoWriters write one file at once: each byte is of one of them.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	const block, blocks = 1000, 200
	ended := make(chan bool)
	a, b := openRawOn(t, d), openRawOn(t, d)
	for r, letter := range map[*raw]string{a: "a", b: "b"} {
		h := r.open(www+"/f", flagWrite|flagCreat)
		go func() {
			defer func() { ended <- true }()
			for i := range blocks {
				_, err := r.conn.Write(packet(typeWrite, i, h, 0, i*block, strings.Repeat(letter, block)))
				if err != nil {
					t.Error(err)
				}
				if _, err := io.ReadFull(r.conn, make([]byte, len(packet(typeStatus, i, 0, "", "")))); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wait(t, ended)
	wait(t, ended)
	got := a.get(www + "/f")
	if len(got) != block*blocks || strings.Trim(got, "ab") != "" {
		t.Errorf("got %d bytes", len(got))
	}
}

// TestTakenAway ends what is open in a home that may not be used any more, and does not crash.
func TestTakenAway(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	h, err := d.Open(blog)
	do(t, err)
	var gone atomic.Bool
	done := make(chan cloud.Transfer, 9)
	site := held{Home: h, done: func(t cloud.Transfer) { done <- t }, check: func() error {
		if gone.Load() {
			return cloud.Errorf(cloud.NotFound, "no site %q", blog.Name)
		}
		return nil
	}}
	said := make(chan string, 9)
	r := serveRaw(t, SiteView(site), func(o *Options) { o.Say = func(s string) { said <- s } })
	f, dir := r.open(www+"/f", flagWrite|flagCreat), r.open(www, 0)
	r.status(statusOK, packet(typeWrite, 1, f, 0, 0, "x"))
	gone.Store(true)
	do(t, d.Remove(context.Background(), blog))
	for deadline := time.Now().Add(time.Minute); ; {
		typ, b := r.ask(packet(typeWrite, 1, f, 0, 1, "y"))
		if typ == typeStatus && binary.BigEndian.Uint32(b) == noSuchFile {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("an upload goes on: %d %q", typ, b)
		}
	}
	for _, p := range [][]byte{
		packet(typeFstat, 1, f), packet(typeRead, 1, f, 0, 0, 1), packet(typeFsetstat, 1, f, attrMode, 0o600), packet(typeReaddir, 1, dir),
		packet(typeExtended, 1, "fsync@openssh.com", f), packet(typeExtended, 1, "fstatvfs@openssh.com", f),
		packet(typeOpen, 1, www+"/g", flagWrite|flagCreat, 0), packet(typeMkdir, 1, www+"/d", 0), packet(typeStat, 1, "/"),
		packet(typeClose, 1, f),
	} {
		if said := r.status(noSuchFile, p); !strings.Contains(said, `no site "blog.plil.net"`) {
			t.Errorf("packet %d is told %q", p[4], said)
		}
	}
	if got := wait(t, said); got != `no site "blog.plil.net"` || len(said) > 0 {
		t.Errorf("the person is told %q, and %d more", got, len(said))
	}
	r.status(failure, packet(typeClose, 1, f)) // closed all the same
	if got := wait(t, done); got.Path != www+"/f" || cloud.KindOf(got.Err) != cloud.NotFound || got.Bytes < 1 {
		t.Errorf("the site was told %+v", got)
	}
}

// TestAccountForgetsWhatIsTaken: a name whose site went and came again is the new one.
func TestAccountForgetsWhatIsTaken(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	var gone atomic.Bool
	s := &passing{sites: &sites{d}, gone: &gone}
	r := serveRaw(t, AccountView(s))
	r.put("/blog/www/f", "x")
	r.put("/wiki/www/f", "y")
	gone.Store(true)
	eventually(t, "the old site goes on", func() bool {
		typ, b := r.ask(packet(typeStat, 1, "/blog/www/f"))
		return typ == typeStatus && binary.BigEndian.Uint32(b) == noSuchFile
	})
	gone.Store(false)
	if got := r.get("/blog/www/f"); got != "x" {
		t.Errorf("the site that is back: %q", got)
	}
	if s.opened.Load() != 3 {
		t.Errorf("opened %d times", s.opened.Load())
	}
}

func eventually(t *testing.T, why string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(why)
		}
	}
}

// passing are sites of which the blog goes and comes.
type passing struct {
	*sites
	gone   *atomic.Bool
	opened atomic.Int32
}

func (p *passing) Open(ctx context.Context, name string) (string, Site, error) {
	p.opened.Add(1)
	full, site, err := p.sites.Open(ctx, name)
	if err != nil || full != blog.Name {
		return full, site, err
	}
	h := site.(held)
	h.check = func() error {
		if p.gone.Load() {
			return cloud.Errorf(cloud.NotFound, "no site %q", full)
		}
		return nil
	}
	return full, h, nil
}

// TestHolesAndTheLimit: a hole is no room, and what is written into one is.
func TestHolesAndTheLimit(t *testing.T) {
	t.Parallel()
	r := openRaw(t)
	const gib = 1 << 30
	h := r.open(www+"/f", flagRead|flagWrite|flagCreat)
	r.status(statusOK, packet(typeWrite, 1, h, 20, 0, "far behind the limit")) // at 80 GiB
	if used := usedOf(r); used > 10<<20 {
		t.Errorf("a hole takes %d bytes", used)
	}
	r.status(statusOK, packet(typeWrite, 1, h, 0, 5, "in the hole"))
	r.status(statusOK, packet(typeFsetstat, 1, h, attrSize, 0, 0))
	r.status(statusOK, packet(typeFsetstat, 1, h, attrSize, 0, 2*gib-1))
	for name, open := range map[string]func() string{
		"the handle that cut it": func() string { return h },
		"one that came later":    func() string { return r.open(www+"/f", flagWrite) },
	} {
		asked := r.grown.Load()
		h := open()
		r.status(statusOK, packet(typeWrite, 1, h, 0, 1<<20, strings.Repeat("x", 100_000)))
		if n := r.grown.Load() - asked; n < 100_000 || n > 110_000 {
			t.Errorf("%s: %d bytes were asked for", name, n)
		}
	}
	whole := r.open(www+"/whole", flagWrite|flagCreat)
	asked := r.grown.Load()
	for i := range 10 {
		r.status(statusOK, packet(typeWrite, 1, whole, 0, i*10_000, strings.Repeat("x", 10_000)))
	}
	r.status(statusOK, packet(typeWrite, 1, whole, 0, 0, strings.Repeat("y", 50_000)))
	if n := r.grown.Load() - asked; n != rounded(100_000) {
		t.Errorf("a file of 100000 bytes asked for %d", n)
	}
}

// usedOf is what df says is used.
func usedOf(r *raw) uint64 {
	_, b := r.ask(packet(typeExtended, 1, "statvfs@openssh.com", www))
	return (binary.BigEndian.Uint64(b[16:]) - binary.BigEndian.Uint64(b[24:])) * blockSize
}
