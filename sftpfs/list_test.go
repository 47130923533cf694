package sftpfs

import (
	"os"
	"strconv"
	"testing"
	"time"
)

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
