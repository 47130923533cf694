package store

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
)

const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	noFreelist = ^uint64(0) // the list was not written and is made anew

	rootSize    = 64      // magic, version, page size, flags, tree, sequence, freelist, pages, txid, checksum
	minPageSize = 1 << 10 // what bbolt looks for
	maxPageSize = 1 << 24
)

var (
	errNotBolt   = errors.New("it does not begin as one")
	errTruncated = errors.New("its end is missing")
	errLayout    = errors.New("is torn")
)

// root is one of the two meta pages, which take turns: where the tree of a transaction stands.
type root struct {
	pageSize uint32
	tree     uint64 // page
	freelist uint64 // page
	pages    uint64 // in use are those below
	txid     uint64
}

// newestRoot chooses as bbolt does: the newer of those whose checksum is right.
func newestRoot(r io.ReaderAt, size int64) (root, error) {
	newest, ok := readRoot(r, 0)
	for at := int64(minPageSize); !ok && at <= maxPageSize; at <<= 1 {
		if newest, ok = readRoot(r, at); ok && int64(newest.pageSize) != at {
			return root{}, errNotBolt
		}
	}
	if !ok || newest.pageSize < minPageSize || newest.pageSize > maxPageSize || newest.pageSize&(newest.pageSize-1) != 0 {
		return root{}, errNotBolt
	}
	if other, ok := readRoot(r, int64(newest.pageSize)); ok && other.txid > newest.txid {
		other.pageSize, newest = newest.pageSize, other
	}
	if newest.pages > uint64(size)/uint64(newest.pageSize) {
		return root{}, errTruncated
	}
	return newest, nil
}

func readRoot(r io.ReaderAt, at int64) (root, bool) {
	b := make([]byte, rootSize)
	if _, err := r.ReadAt(b, at+pageHeader); err != nil {
		return root{}, false
	}
	sum := fnv.New64a()
	sum.Write(b[:56])
	word := binary.NativeEndian
	if word.Uint32(b) != boltMagic || word.Uint32(b[4:]) != boltVersion || word.Uint64(b[56:]) != sum.Sum64() {
		return root{}, false
	}
	return root{
		pageSize: word.Uint32(b[8:]),
		tree:     word.Uint64(b[16:]),
		freelist: word.Uint64(b[32:]),
		pages:    word.Uint64(b[40:]),
		txid:     word.Uint64(b[48:]),
	}, true
}

// element is one entry of a page: a child of a branch, or a row or a bucket of a leaf.
type element struct {
	branch     bool
	child      uint64 // page
	flags      uint32
	key, value []byte
}

func flags(page []byte) uint16 { return binary.NativeEndian.Uint16(page[8:]) }

// parse cuts a page into its elements. bbolt writes keys and values one right after the other: any other
// order is a count or an offset gone wrong, that would lose rows without a word.
func parse(page []byte) ([]element, error) {
	word := binary.NativeEndian
	count, branch := int(word.Uint16(page[10:])), flags(page) == branchPage
	next := uint64(pageHeader + elementSize*count)
	if flags(page) != leafPage && !branch || branch && count == 0 || next > uint64(len(page)) {
		return nil, errLayout
	}
	elements := make([]element, count)
	for i := range elements {
		at := pageHeader + elementSize*i
		head, e := page[at:], &elements[i]
		pos, key, value := word.Uint32(head[4:]), word.Uint32(head[8:]), word.Uint32(head[12:])
		if branch {
			pos, key, value = word.Uint32(head), word.Uint32(head[4:]), 0
			e.branch, e.child = true, word.Uint64(head[8:])
		} else {
			e.flags = word.Uint32(head)
		}
		end := next + uint64(key) + uint64(value)
		if uint64(at)+uint64(pos) != next || key == 0 || end > uint64(len(page)) {
			return nil, errLayout
		}
		e.key, e.value = page[next:next+uint64(key)], page[next+uint64(key):end]
		next = end
	}
	return elements, nil
}
