package sftpfs

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
)

// open opens a file or, with flags of 0, a directory.
func (r *raw) open(name string, flags int) string {
	r.t.Helper()
	p := packet(typeOpen, 1, name, flags, 0)
	if flags == 0 {
		p = packet(typeOpendir, 1, name)
	}
	typ, b := r.ask(p)
	if typ != typeHandle {
		r.t.Fatalf("open %q: %d %q", name, typ, b)
	}
	return string(b[4:])
}

// put makes a file.
func (r *raw) put(name, content string) {
	r.t.Helper()
	h := r.open(name, flagWrite|flagCreat|flagTrunc)
	r.status(statusOK, packet(typeWrite, 1, h, 0, 0, content))
	r.status(statusOK, packet(typeClose, 1, h))
}

// get reads a small file.
func (r *raw) get(name string) string {
	r.t.Helper()
	h := r.open(name, flagRead)
	typ, b := r.ask(packet(typeRead, 1, h, 0, 0, maxTransfer))
	r.status(statusOK, packet(typeClose, 1, h))
	if typ != typeData {
		return ""
	}
	return string(b[4:])
}

// name asks for one name.
func (r *raw) name(p []byte) string {
	r.t.Helper()
	typ, b := r.ask(p)
	if typ != typeName {
		r.t.Errorf("got %d %q, want a name", typ, b)
		return ""
	}
	f := reader{b: b[4:]}
	return string(f.bytes())
}

func TestExtensionsAreAnnounced(t *testing.T) {
	t.Parallel()
	r := openRaw(t)
	_, b := r.ask(hello) // again
	f := reader{b: b}
	for _, e := range extensions {
		if name, version := string(f.bytes()), string(f.bytes()); name != e.name || version != e.version {
			t.Errorf("got %q %q, want %q %q", name, version, e.name, e.version)
		}
	}
	if f.short || len(f.b) > 0 {
		t.Errorf("the packet ends with %q", f.b)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	r := openRaw(t)
	typ, b := r.ask(packet(typeExtended, 7, "limits@openssh.com"))
	want := []uint64{maxPacket, maxTransfer, maxTransfer, maxHandles}
	if typ != typeExtendedReply || len(b) != 8*len(want) {
		t.Fatalf("answer %d %x", typ, b)
	}
	for i, w := range want {
		if got := binary.BigEndian.Uint64(b[8*i:]); got != w {
			t.Errorf("limit %d is %d, want %d", i, got, w)
		}
	}
	data := strings.Repeat("0123456789abcde\n", maxTransfer/16)
	h := r.open(www+"/large", flagRead|flagWrite|flagCreat)
	r.status(statusOK, packet(typeWrite, 2, h, 0, 0, data))
	for _, n := range []int{maxTransfer, -1} { // who asks for more gets as much
		typ, b = r.ask(packet(typeRead, 3, h, 0, 0, n))
		if typ != typeData || string(b[4:]) != data {
			t.Errorf("read: %d, %d bytes", typ, len(b)-4)
		}
	}
	r.status(statusEOF, packet(typeRead, 3, h, 0, len(data), 1))
}

func TestFsync(t *testing.T) {
	t.Parallel()
	r := openRaw(t)
	h := r.open(www+"/f", flagWrite|flagCreat)
	r.status(statusOK, packet(typeExtended, 1, "fsync@openssh.com", h))
	r.status(statusOK, packet(typeExtended, 1, "fsync@openssh.com", r.open(www, 0)))
	r.status(statusOK, packet(typeClose, 1, h))
	r.status(failure, packet(typeExtended, 1, "fsync@openssh.com", h))
}

func TestStatVFSShowsTheLimit(t *testing.T) {
	t.Parallel()
	r := openRaw(t)
	r.put(www+"/f", strings.Repeat("x", 200_000))
	h := r.open(www+"/f", flagRead)
	for _, p := range [][]byte{
		packet(typeExtended, 1, "statvfs@openssh.com", www), packet(typeExtended, 1, "fstatvfs@openssh.com", h),
	} {
		typ, b := r.ask(p)
		if typ != typeExtendedReply || len(b) != 11*8 {
			t.Fatalf("got %d %q", typ, b)
		}
		var n [11]uint64
		for i := range n {
			n[i] = binary.BigEndian.Uint64(b[8*i:])
		}
		if n[0] != n[1] || n[0]*n[2] != diskLimit || n[0]*(n[2]-n[3]) < 200_000 || n[3] != n[4] || n[10] != 255 {
			t.Errorf("got %v", n)
		}
	}
	r.status(noSuchFile, packet(typeExtended, 1, "statvfs@openssh.com", www+"/none"))
}

func TestLsetstat(t *testing.T) {
	t.Parallel()
	r := openRaw(t)
	r.put(www+"/f", "x")
	r.status(statusOK, packet(typeSymlink, 1, "f", www+"/l"))
	lset := func(fields ...any) []byte {
		return packet(typeExtended, append([]any{1, "lsetstat@openssh.com"}, fields...)...)
	}
	mtime := func(typ byte, name string) uint32 {
		_, b := r.ask(packet(typ, 1, name))
		return binary.BigEndian.Uint32(b[len(b)-4:])
	}
	r.status(statusOK, lset(www+"/l", attrTimes, 5, 7))
	if l, f := mtime(typeLstat, www+"/l"), mtime(typeStat, www+"/l"); l != 7 || f == 7 {
		t.Errorf("the link is of %d, its file of %d", l, f)
	}
	r.status(statusUnsupported, lset(www+"/l", attrMode, 0o600))
	r.status(statusUnsupported, lset(www+"/l", attrSize, 0, 0))
	r.status(statusOK, lset(www+"/f", attrMode|attrTimes, 0o600, 8, 9))
	if f := mtime(typeLstat, www+"/f"); f != 9 {
		t.Errorf("the file is of %d", f)
	}
	if uid := os.Geteuid(); uid == 0 {
		r.status(denied, lset(www+"/l", attrOwner, 0, 0))
		r.status(statusOK, lset(www+"/l", attrOwner, blog.UID, blog.UID))
	}
	r.status(statusOK, lset("/home/site", attrTimes, 1, 1))
	r.status(denied, lset("/home", attrTimes, 1, 1))
	r.status(noSuchFile, lset(www+"/none", attrTimes, 1, 1))
}

func TestCopyData(t *testing.T) {
	t.Parallel()
	r := openRaw(t)
	r.put(www+"/from", "0123456789")
	from := r.open(www+"/from", flagRead)
	copies := func(code uint32, from string, off, length int, to string, at int) {
		t.Helper()
		r.status(code, packet(typeExtended, 1, "copy-data", from, 0, off, 0, length, to, 0, at))
	}
	for name, c := range map[string]struct {
		off, length, at int
		code            uint32
		want            string
	}{
		"all":       {0, 0, 0, statusOK, "0123456789"},
		"some":      {2, 3, 0, statusOK, "234"},
		"to end":    {7, 0, 2, statusOK, "\x00\x00789"},
		"exact":     {0, 10, 0, statusOK, "0123456789"},
		"too much":  {8, 9, 0, statusEOF, "89"},
		"at end":    {10, 0, 0, statusOK, ""},
		"beyond":    {99, 0, 0, statusOK, ""},
		"beyond, n": {99, 1, 0, statusEOF, ""},
	} {
		to := r.open(www+"/"+name, flagWrite|flagCreat)
		copies(c.code, from, c.off, c.length, to, c.at)
		r.status(statusOK, packet(typeClose, 1, to))
		if got := r.get(www + "/" + name); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	r.put(www+"/base", "base ")
	appending := r.open(www+"/base", flagWrite|flagAppend)
	copies(statusOK, from, 0, 0, appending, 0)
	if got := r.get(www + "/base"); got != "base 0123456789" {
		t.Errorf("appended: %q", got)
	}
	// behind itself: ends, with what was there at the start
	itself := r.open(www+"/from", flagWrite)
	copies(statusOK, from, 0, 0, itself, 10)
	if got := r.get(www + "/from"); got != "01234567890123456789" {
		t.Errorf("behind itself: %q", got)
	}
	copies(failure, from, 0, 0, from, 0)
	copies(failure, itself, 0, 0, appending, 0)                                                               // not open for reading
	copies(failure, from, 0, 0, r.open(www+"/all", flagRead), 0)                                              // not open for writing
	copies(failure, r.open(www, 0), 0, 0, itself, 0)                                                          // a directory
	copies(failure, "none", 0, 0, itself, 0)                                                                  // nothing
	r.status(failure, packet(typeExtended, 1, "copy-data", from, -1, -1, 0, 0, itself, 0, 0))                 // from beyond all
	r.status(failure, packet(typeExtended, 1, "copy-data", from, 0, 0, 0, 1, itself, 0x7fff_ffff, -1))        // to the last byte there can be
	r.status(statusEOF, packet(typeExtended, 1, "copy-data", from, 0, 20, 0x7fff_ffff, -1, itself, 0, 1<<10)) // for ever
}

// TestNamesOfPeople: everybody but oneself and root is unknown here.
func TestNamesOfPeople(t *testing.T) {
	t.Parallel()
	r := openRaw(t)
	r.put(www+"/f", "")
	for path, want := range map[string]string{
		"~": "/home/site", "~/www/f": www + "/f", "~alice/new": "/home/site/new", "www/f": www + "/f", "/": "/", "a~b": "/home/site/a~b",
	} {
		if got := r.name(packet(typeExtended, 1, "expand-path@openssh.com", path)); got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
	for _, user := range []string{"", "alice"} {
		if got := r.name(packet(typeExtended, 1, "home-directory", user)); got != "/home/site" {
			t.Errorf("home of %q: %q", user, got)
		}
	}
	r.status(noSuchFile, packet(typeExtended, 1, "home-directory", "root"))
	r.status(noSuchFile, packet(typeExtended, 1, "expand-path@openssh.com", "~root/x"))

	ids := string(binary.BigEndian.AppendUint32(nil, uint32(uidOf(t, r))))
	typ, b := r.ask(packet(typeExtended, 1, "users-groups-by-id@openssh.com", ids+"\x00\x12\x34\x56", ids))
	f := reader{b: b}
	users, groups := reader{b: f.bytes()}, reader{b: f.bytes()}
	if typ != typeExtendedReply || string(users.bytes()) != "alice" || len(users.bytes()) > 0 || users.short ||
		string(groups.bytes()) != "alice" || groups.short {
		t.Errorf("got %d %q", typ, b)
	}
	r.status(statusBadMessage, packet(typeExtended, 1, "users-groups-by-id@openssh.com", "\x00\x00\x00", ""))
}

func uidOf(t *testing.T, r *raw) uint32 {
	t.Helper()
	typ, b := r.ask(packet(typeStat, 1, www))
	if typ != typeAttrs {
		t.Fatalf("got %d %q", typ, b)
	}
	return binary.BigEndian.Uint32(b[4+8:])
}
