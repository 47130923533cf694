package sftpfs

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestOddNames: a name is given in all its bytes, and the line for people has none that a terminal obeys.
func TestOddNames(t *testing.T) {
	t.Parallel()
	odd := map[string]string{
		"new\nline":           `new\nline`,
		"esc\x1b]0;owned\a":   `esc\x1b]0;owned\a`,
		"csi\u009b2J":         `csi\u009b2J`,
		"lone\x9b2J":          `lone\x9b2J`,
		"turned\u202egpj":     `turned\u202egpj`,
		"latin caf\xe9":       "latin caf\xe9",
		"plain café 漢 \\n'\"": "plain café 漢 \\n'\"",
	}
	r := openRaw(t)
	for name := range odd {
		r.put(www+"/"+name, "x")
	}
	for dir := r.open(www, 0); ; {
		typ, b := r.ask(packet(typeReaddir, 1, dir))
		if typ != typeName {
			break
		}
		f := reader{b: b[4:]}
		for range binary.BigEndian.Uint32(b) {
			name, line := string(f.bytes()), string(f.bytes())
			f.attrs()
			if want, ok := odd[name]; ok && !strings.HasSuffix(line, " "+want) {
				t.Errorf("%q is listed as %q, want %q at the end", name, line, want)
			}
			delete(odd, name)
		}
	}
	if len(odd) > 0 {
		t.Errorf("not listed: %q", odd)
	}
}

// TestOddNamesInAnswers: what a client is told of a name has nothing that its terminal obeys.
func TestOddNamesInAnswers(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	r := serveRaw(t, AccountView(&sites{d}))
	const odd = "/a\x1b[2J\n"
	for _, p := range [][]byte{
		packet(typeMkdir, 1, odd, 0), packet(typeRmdir, 1, odd), packet(typeOpendir, 1, odd), packet(typeStat, 1, "/blog"+odd),
		packet(typeOpen, 1, odd, flagWrite|flagCreat, 0), packet(typeRename, 1, "/blog"+odd, "/wiki"+odd), packet(typeSetstat, 1, odd, attrMode, 0o700),
		packet(typeExtended, 1, "expand-path@openssh.com", "~"+odd[1:]), packet(typeExtended, 1, "home-directory", odd[1:]),
		packet(typeExtended, 1, "nothing"+odd), packet(typeSymlink, 1, odd, odd),
	} {
		typ, b := r.ask(p)
		f := reader{b: b[4:]}
		if said := string(f.bytes()); typ != typeStatus || said == "" || strings.ContainsAny(said, "\x1b\n") {
			t.Errorf("packet %d is answered by %d %q", p[4], typ, said)
		}
	}
}

// TestLongListing reads a directory of very many files: each is there once. Most are links, which are made faster.
func TestLongListing(t *testing.T) {
	t.Parallel()
	d, _ := newDisk(t)
	n := 100_000
	if testing.Short() {
		n = 2000
	}
	dir := d.Path(blog) + "/www/"
	for i := range n {
		if first := i / 1000 * 1000; i == first {
			do(t, os.WriteFile(dir+strconv.Itoa(i), nil, 0o644))
		} else {
			do(t, os.Link(dir+strconv.Itoa(first), dir+strconv.Itoa(i)))
		}
	}
	h, err := d.Open(blog)
	do(t, err)
	c := connect(t, SiteView(held{Home: h}), Options{})
	began := time.Now()
	infos, err := c.ReadDir(www)
	do(t, err)
	t.Logf("%d entries in %v", len(infos), time.Since(began))
	seen := map[string]bool{}
	for _, fi := range infos {
		seen[fi.Name()] = true
	}
	if len(infos) != n || len(seen) != n {
		t.Errorf("got %d entries with %d names, want %d", len(infos), len(seen), n)
	}
}
