package store

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// patient is a bbolt file to be hurt in one chosen place.
type patient struct {
	t    *testing.T
	b    []byte
	root root
}

func (p *patient) page(id uint64) []byte {
	return p.b[id*uint64(p.root.pageSize):][:p.root.pageSize]
}

func (p *patient) word(id uint64, at int, value uint64) {
	binary.NativeEndian.PutUint64(p.page(id)[at:], value)
}

// find returns a page in use of the kind with at least so many elements. A branch is one on leaves.
func (p *patient) find(kind uint16, elements int) (uint64, []element) {
	p.t.Helper()
	walk := &pages{r: bytes.NewReader(p.b), root: p.root, used: make([]bool, p.root.pages), to: count{}}
	if err := walk.tree("", p.root.tree, span{}); err != nil {
		p.t.Fatal(err)
	}
	for id := range p.root.pages {
		if page := p.page(id); walk.used[id] && flags(page) == kind && binary.NativeEndian.Uint64(page) == id {
			e, err := parse(page)
			if err != nil || len(e) < elements || e[0].flags != 0 || e[0].branch && flags(p.page(e[0].child)) != leafPage {
				continue
			}
			return id, e
		}
	}
	p.t.Fatalf("no page of kind %d with %d elements", kind, elements)
	return 0, nil
}

// TestInspectRefuses hurts a file in ways that random damage seldom does.
func TestInspectRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		hurt func(p *patient)
		want string
	}{
		"keys in disorder on a page": {func(p *patient) {
			_, e := p.find(leafPage, 3)
			e[1].key[0] = 'z'
		}, "has its keys in disorder"},
		"a key twice": {func(p *patient) {
			_, e := p.find(leafPage, 3)
			copy(e[2].key, e[1].key)
		}, "has its keys in disorder"},
		"children in disorder": {func(p *patient) {
			id, e := p.find(branchPage, 2)
			p.word(id, pageHeader+8, e[1].child)
			p.word(id, pageHeader+elementSize+8, e[0].child)
		}, "has its keys in disorder"},
		"a child before its branch": {func(p *patient) {
			_, e := p.find(branchPage, 2)
			copy(e[1].key, e[0].key)
			e[1].key[len(e[1].key)-1]++
		}, "has its keys in disorder"},
		"a branch before its child": {func(p *patient) {
			_, e := p.find(branchPage, 2)
			rows, err := parse(p.page(e[1].child))
			if err != nil {
				p.t.Fatal(err)
			}
			rows[0].key[len(rows[0].key)-1]++ // still before the next: numbers are even
		}, "has its keys in disorder"},
		"a key that belongs to the next page": {func(p *patient) {
			_, e := p.find(branchPage, 2)
			rows, err := parse(p.page(e[0].child))
			if err != nil {
				p.t.Fatal(err)
			}
			rows[len(rows)-1].key[0] = 'z'
		}, "has its keys in disorder"},
		"a circle": {func(p *patient) {
			id, _ := p.find(branchPage, 2)
			p.word(id, pageHeader+8, id)
		}, "is used twice"},
		"a child that is a root": {func(p *patient) {
			id, _ := p.find(branchPage, 2)
			p.word(id, pageHeader+8, 0)
		}, "is asked for"},
		"a child outside": {func(p *patient) {
			id, _ := p.find(branchPage, 2)
			p.word(id, pageHeader+8, p.root.pages)
		}, "is asked for"},
		"an empty branch": {func(p *patient) {
			id, _ := p.find(branchPage, 2)
			p.page(id)[10], p.page(id)[11] = 0, 0
		}, "is torn"},
		"an element too few": {func(p *patient) {
			id, _ := p.find(leafPage, 2)
			p.page(id)[10]--
		}, "is torn"},
		"an unknown element": {func(p *patient) {
			id, _ := p.find(leafPage, 2)
			p.page(id)[pageHeader] = 2
		}, "unknown kind"},
		"a bucket out of a row": {func(p *patient) {
			id, _ := p.find(leafPage, 2)
			p.page(id)[pageHeader] = isBucket
		}, "page"},
		"a used page listed as free": {func(p *patient) {
			id, _ := p.find(leafPage, 2)
			p.page(p.root.freelist)[10] = 1
			p.word(p.root.freelist, pageHeader, id)
		}, "is listed as free and is not"},
		"a page free twice": {func(p *patient) {
			list := p.page(p.root.freelist)
			copy(list[pageHeader+8:pageHeader+16], list[pageHeader:])
		}, "is listed as free and is not"},
		"more free pages than fit": {func(p *patient) {
			p.page(p.root.freelist)[10], p.page(p.root.freelist)[11] = 0xfe, 0xff
		}, "is not a list of free pages"},
		"the end missing": {func(p *patient) {
			p.b = p.b[:(p.root.pages-1)*uint64(p.root.pageSize)]
		}, "its end is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path, _ := variety(t, 1024)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			p := &patient{t: t, b: b}
			if p.root, err = newestRoot(bytes.NewReader(b), int64(len(b))); err != nil {
				t.Fatal(err)
			}
			c.hurt(p)
			err = inspect(bytes.NewReader(p.b), int64(len(p.b)), count{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestStands: a lock on a file that has lost its name to another is no lock on a store.
func TestStands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !stands(f, path) {
		t.Error("it does not stand where it was made")
	}
	other := filepath.Join(dir, "b")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	if stands(f, path) {
		t.Error("it stands where another is")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if stands(f, path) {
		t.Error("it stands where nothing is")
	}
}
