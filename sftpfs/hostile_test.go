package sftpfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/home"
)

// packet builds a packet with its length: ints as uint32, strings with their length, bytes as they are.
func packet(typ byte, fields ...any) []byte {
	b := []byte{0, 0, 0, 0, typ}
	for _, f := range fields {
		switch f := f.(type) {
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(f))
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
		case []byte:
			b = append(b, f...)
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

var hello = packet(typeInit, 3)

// raw is a client that sends bytes.
type raw struct {
	t    *testing.T
	conn net.Conn
	done chan error

	grown *atomic.Int64
}

func openRaw(t *testing.T) *raw {
	t.Helper()
	d, _ := newDisk(t)
	return openRawOn(t, d)
}

// openRawOn opens the site view of the blog on a disk.
func openRawOn(t *testing.T, d *home.Disk) *raw {
	t.Helper()
	h, err := d.Open(blog)
	do(t, err)
	grown := new(atomic.Int64)
	r := serveRaw(t, SiteView(held{Home: h, grown: grown}))
	r.grown = grown
	return r
}

func serveRaw(t *testing.T, view FS, options ...func(*Options)) *raw {
	t.Helper()
	ours, theirs := net.Pipe()
	r := &raw{t: t, conn: theirs, done: make(chan error, 1)}
	o := Options{User: "alice"}
	for _, set := range options {
		set(&o)
	}
	go func() { r.done <- Serve(context.Background(), ours, view, o) }()
	t.Cleanup(func() { theirs.Close() })
	do(t, theirs.SetDeadline(time.Now().Add(60*time.Second)))
	r.ask(hello)
	return r
}

// ask sends a packet and returns the type of the answer and what follows its id.
func (r *raw) ask(p []byte) (byte, []byte) {
	r.t.Helper()
	_, err := r.conn.Write(p)
	do(r.t, err)
	var head [4]byte
	_, err = io.ReadFull(r.conn, head[:])
	do(r.t, err)
	b := make([]byte, binary.BigEndian.Uint32(head[:]))
	_, err = io.ReadFull(r.conn, b)
	do(r.t, err)
	return b[0], b[5:]
}

// status asks for what must be answered with a status of this code.
func (r *raw) status(code uint32, p []byte) string {
	r.t.Helper()
	typ, b := r.ask(p)
	if typ != typeStatus || binary.BigEndian.Uint32(b) != code {
		r.t.Errorf("got %d %q, want status %d", typ, b, code)
	}
	return string(b)
}

// TestHostileRequests sends what no client sends, and goes on working.
func TestHostileRequests(t *testing.T) {
	t.Parallel()
	r := openRaw(t)
	long := "/home/site/" + strings.Repeat("x/", 32<<10)
	for _, h := range []string{"0", "1", "99", "-1", "", long, "\x00", "/home/site"} {
		r.status(failure, packet(typeRead, 1, h, 0, 0, 10))
		r.status(failure, packet(typeWrite, 1, h, 0, 0, "x"))
		r.status(failure, packet(typeClose, 1, h))
		r.status(failure, packet(typeFstat, 1, h))
		r.status(failure, packet(typeReaddir, 1, h))
	}
	r.status(failure, packet(typeOpen, 1, long, flagRead, 0))
	r.status(failure, packet(typeLstat, 1, long))
	r.status(failure, packet(typeRealpath, 1, long))
	r.status(failure, packet(typeMkdir, 1, long, 0))
	r.status(failure, packet(typeSymlink, 1, long, www+"/l"))
	r.status(failure, packet(typeOpen, 1, www+"/f", 0, 0))
	r.status(failure, packet(typeOpen, 1, www+"/f\x00", flagRead, 0))
	r.status(failure, packet(typeMkdir, 1, "\x0000000000755", 0))
	r.status(failure, packet(typeLstat, 1, "/\x001"))
	r.status(statusBadMessage, packet(typeSetstat, 1, www, 15, []byte{1, 2}))   // attributes cut short
	r.status(8, packet(typeExtended, 1, "nothing@example.org", "x"))            // not known
	r.status(statusBadMessage, packet(typeOpen, 1, www, flagRead|flagTrunc, 4)) // mode cut short
	typ, b := r.ask(packet(typeOpen, 1, www+"/new\nline", flagWrite|flagCreat, attrMode, 0o4777))
	if typ != 102 {
		t.Fatalf("got %d %q", typ, b)
	}
	handle := string(b[4:])
	r.status(0, packet(typeWrite, 1, handle, 0, 0, "x"))
	r.status(failure, packet(typeWrite, 1, handle, -1, -1, "x")) // offset beyond all
	r.status(failure, packet(typeRead, 1, handle, 0, 0, -1))
	r.status(noSuchFile, packet(typeReaddir, 1, handle)) // not a directory
	r.status(failure, packet(10, 1, handle, attrSize, []byte{255, 255, 255, 255, 255, 255, 255, 255}))
	r.status(0, packet(typeClose, 1, handle))
	r.status(failure, packet(typeClose, 1, handle))
	_, b = r.ask(packet(typeLstat, 1, www+"/new\nline"))
	if mode := binary.BigEndian.Uint32(b[4+8+8:]); mode != 0o100755 {
		t.Errorf("got mode %o", mode)
	}
	typ, b = r.ask(packet(typeOpendir, 1, www))
	if typ != 102 {
		t.Fatalf("got %d %q", typ, b)
	}
	if typ, _ := r.ask(packet(typeRead, 1, string(b[4:]), 0, 0, 10)); typ == 103 {
		t.Error("a directory was read like a file")
	}
}

// TestBrokenStreams: what cannot be cut into packets ends the session, and nothing else; a packet that can, but makes
// no sense, ends nothing.
func TestBrokenStreams(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"empty.":         {},
		"huge":           {0xff, 0xff, 0xff, 0xff, 3},
		"too long":       append([]byte{0, 4, 0, 1, 3}, make([]byte, 1<<18)...),
		"zero":           {0, 0, 0, 0, 3},
		"cut length":     {0, 0},
		"cut open":       packet(typeOpen, 1, "/x", 1, 0)[:12],
		"cut read":       packet(typeRead, 1, "1", 0, 0, 9)[:12],
		"short open.":    packet(typeOpen, 1, 1000),
		"no id, open":    packet(typeOpen),
		"long name.":     packet(typeOpen, 1, -1),
		"short mkdir.":   packet(typeMkdir, 1, "x"),
		"unknown.":       packet(99, 1),
		"no id":          packet(typeLstat),
		"close, no end.": packet(typeClose, 1, -1, []byte("x")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := openRaw(t)
			go io.Copy(io.Discard, r.conn)
			r.conn.Write(b) // may be cut short
			r.conn.Close()
			err := wait(t, r.done)
			whole := strings.HasSuffix(name, ".")
			if (err == nil) != whole {
				t.Errorf("got %v", err)
			}
		})
	}
}

// fed is a client that sends what is there, and leaves.
type fed struct {
	io.Reader
	io.Writer
}

func (fed) Close() error { return nil }

// FuzzStream feeds whole streams of packets to a session. None may bring it down or out of the home.
func FuzzStream(f *testing.F) {
	f.Add(packet(typeLstat, 1, "/home/site/www"))
	f.Add(bytes.Join([][]byte{packet(typeOpen, 1, www+"/f", flagWrite|flagCreat, attrMode, 0o644), packet(typeWrite, 2, "1", 0, 0, "x"),
		packet(typeFstat, 3, "1"), packet(typeClose, 4, "1")}, nil))
	f.Add(bytes.Join([][]byte{packet(typeOpendir, 1, www), packet(typeReaddir, 2, "1"), packet(typeClose, 3, "1")}, nil))
	f.Add(packet(typeSymlink, 1, "/etc", www+"/l"))
	f.Add(packet(typeExtended, 1, "posix-rename@openssh.com", "/home/site/www", "/x"))
	f.Add(packet(typeExtended, 1, "hardlink@openssh.com", "/etc/passwd", "x"))
	f.Add(packet(typeExtended, 1, "statvfs@openssh.com", "/"))
	f.Add(bytes.Join([][]byte{packet(typeOpen, 1, www+"/f", flagRead|flagWrite|flagCreat|flagAppend, 0),
		packet(typeOpen, 2, www+"/g", flagWrite|flagCreat|flagTrunc, 0), packet(typeWrite, 3, "\x00\x00\x00\x01", 0, 0, "x"),
		packet(typeExtended, 4, "copy-data", "\x00\x00\x00\x01", 0, 0, 0, 0, "\x00\x00\x00\x02", 0, 9),
		packet(typeExtended, 5, "fstatvfs@openssh.com", "\x00\x00\x00\x02"), packet(typeExtended, 6, "fsync@openssh.com", "\x00\x00\x00\x01"),
	}, nil))
	f.Add(packet(typeExtended, 1, "lsetstat@openssh.com", www+"/l", attrTimes|attrExtended, 1, 1, 1, "a", "b"))
	f.Add(packet(typeExtended, 1, "expand-path@openssh.com", "~/x"))
	f.Add(packet(typeExtended, 1, "users-groups-by-id@openssh.com", "\x00\x00\x00\x00", ""))
	f.Add(packet(typeSetstat, 1, www, 15, 0, 9, 1, 1, 0o777, 1, 1))
	f.Add(packet(typeSetstat, 1, www, 0x8000_0000, 1<<30))
	f.Add(packet(typeMkdir, 1, "d", attrMode, 0o7777))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 3})
	d, _ := newDisk(f)
	outside := filepath.Join(filepath.Dir(d.Path(cloud.Site{ID: "s1"})), "..", "..") // the disk
	before, err := os.ReadDir(outside)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		h, err := d.Open(blog)
		do(t, err)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		log := &failing{t: t}
		err = Serve(ctx, fed{bytes.NewReader(append(bytes.Clone(hello), stream...)), io.Discard}, SiteView(held{Home: h}), Options{Log: log.logger()})
		if errors.Is(err, context.DeadlineExceeded) {
			t.Error("the session did not end")
		}
		after, err := os.ReadDir(outside)
		if err != nil || len(after) != len(before) {
			t.Errorf("the disk has %v, %v", after, err)
		}
	})
}
