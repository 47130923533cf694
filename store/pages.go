package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// The file format of bbolt (version 2), in the byte order of the machine. bbolt itself believes what it
// reads: in a damaged file it follows offsets out of the mapping, or pages in a circle, and no recover stops
// the crash that follows (its own check walks in a goroutine of its own). So the file is read here first, from
// end to end, without being mapped.
const (
	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	isBucket = 0x01 // flag of a leaf element

	pageHeader   = 16 // id, flags, count, overflow
	elementSize  = 16 // of a branch: pos, ksize, page; of a leaf: flags, pos, ksize, vsize
	bucketHeader = 16 // root page, sequence
	manyFree     = 0xffff
)

// visitor is told what stands in a file. Buckets inside buckets are named "outer/inner".
type visitor interface {
	bucket(name string)
	row(bucket string, key, value []byte)
}

// pages walks the pages that the newest good root of a file reaches, each of them once.
type pages struct {
	r    io.ReaderAt
	root root
	used []bool // by page
	to   visitor
}

// inspect tells v all that stands in the file. An error means that the file is damaged and must not be
// mapped. With nil, all that bbolt would follow is sound; what the values say is for v to judge.
func inspect(r io.ReaderAt, size int64, v visitor) error {
	newest, err := newestRoot(r, size)
	if err != nil {
		return err
	}
	p := &pages{r: r, root: newest, used: make([]bool, newest.pages), to: v}
	if err := p.tree("", newest.tree, span{}); err != nil {
		return err
	}
	return p.free()
}

// span is what the branch above says of the keys of a page: that they begin with first, exactly, and lie
// before end. bbolt finds a page again by its first key when it changes it. A nil says nothing.
type span struct{ first, end []byte }

func (s span) holds(elements []element) bool {
	last := s.first
	for i, e := range elements {
		if order := bytes.Compare(last, e.key); order > 0 || order == 0 && i > 0 {
			return false
		}
		last = e.key
	}
	begins := s.first == nil || len(elements) > 0 && bytes.Equal(elements[0].key, s.first)
	return begins && (s.end == nil || bytes.Compare(last, s.end) < 0)
}

func (p *pages) tree(bucket string, id uint64, in span) error {
	body, err := p.read(id)
	if err != nil {
		return err
	}
	return p.node(bucket, fmt.Sprintf("page %d", id), body, in)
}

func (p *pages) node(bucket, at string, body []byte, in span) error {
	elements, err := parse(body)
	if err != nil {
		return fmt.Errorf("%s %w", at, err)
	}
	if !in.holds(elements) {
		return fmt.Errorf("%s has its keys in disorder", at)
	}
	for i, e := range elements {
		if err := p.element(bucket, at, e, elements[i+1:], in); err != nil {
			return err
		}
	}
	return nil
}

func (p *pages) element(bucket, at string, e element, next []element, in span) error {
	switch {
	case e.branch:
		below := span{e.key, in.end}
		if len(next) > 0 {
			below.end = next[0].key
		}
		return p.tree(bucket, e.child, below)
	case e.flags == isBucket:
		return p.enter(bucket, at, e)
	case e.flags != 0, bucket == "":
		return fmt.Errorf("%s has an element of an unknown kind", at)
	}
	p.to.row(bucket, e.key, e.value)
	return nil
}

// enter walks a bucket, which is a tree of its own or, if small, a page inside the value.
func (p *pages) enter(outer, at string, e element) error {
	if len(e.value) < bucketHeader {
		return fmt.Errorf("%s has a bucket without a root", at)
	}
	name := string(e.key)
	if outer != "" {
		name = outer + "/" + name
	}
	p.to.bucket(name)
	if id := binary.NativeEndian.Uint64(e.value); id != 0 {
		return p.tree(name, id, span{})
	}
	body := e.value[bucketHeader:]
	if len(body) < pageHeader || flags(body) != leafPage {
		return fmt.Errorf("%s has a small bucket without its page", at)
	}
	return p.node(name, at, body, span{})
}

// read reads a page with those it runs over into.
func (p *pages) read(id uint64) ([]byte, error) {
	if id < 2 || id >= p.root.pages {
		return nil, fmt.Errorf("page %d is asked for, of %d", id, p.root.pages)
	}
	size := int64(p.root.pageSize)
	body := make([]byte, size)
	if _, err := p.r.ReadAt(body, int64(id)*size); err != nil {
		return nil, fmt.Errorf("page %d cannot be read: %w", id, err)
	}
	overflow := uint64(binary.NativeEndian.Uint32(body[12:]))
	if binary.NativeEndian.Uint64(body) != id || overflow >= p.root.pages-id {
		return nil, fmt.Errorf("page %d is not what it should be", id)
	}
	for i := id; i <= id+overflow; i++ {
		if p.used[i] {
			return nil, fmt.Errorf("page %d is used twice", i)
		}
		p.used[i] = true
	}
	if overflow == 0 {
		return body, nil
	}
	body = make([]byte, (int64(overflow)+1)*size)
	_, err := p.r.ReadAt(body, int64(id)*size)
	return body, err
}

// free checks that no page is both free and in use. A page that is neither is lost room, but no harm.
func (p *pages) free() error {
	if p.root.freelist == noFreelist {
		return nil
	}
	body, err := p.read(p.root.freelist)
	if err != nil {
		return err
	}
	count, list := uint64(binary.NativeEndian.Uint16(body[10:])), body[pageHeader:]
	if count == manyFree {
		count, list = binary.NativeEndian.Uint64(list), list[8:]
	}
	if flags(body) != freelistPage || count > uint64(len(list)/8) {
		return fmt.Errorf("page %d is not a list of free pages", p.root.freelist)
	}
	for last := uint64(1); count > 0; count-- {
		id := binary.NativeEndian.Uint64(list)
		if id <= last || id >= p.root.pages || p.used[id] {
			return fmt.Errorf("page %d is listed as free and is not", id)
		}
		last, list = id, list[8:]
	}
	return nil
}
