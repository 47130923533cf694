package home

import (
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// openFiles knows the files of a home that are open here. One that has no name, not yet or not any more, takes room until it is
// closed, where counting the home would not find it. The zero value is ready.
type openFiles struct {
	mu    sync.Mutex
	files map[*os.File]struct{}
	sweep int // how many there may be before those that were closed are looked for
}

const sweepAt = 64

// add remembers a file until it is closed.
func (o *openFiles) add(f *os.File) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.files == nil {
		o.files = map[*os.File]struct{}{}
	}
	if len(o.files) >= max(o.sweep, sweepAt) {
		o.each(func(*syscall.Stat_t) {})
		o.sweep = 2 * len(o.files)
	}
	o.files[f] = struct{}{}
}

// unnamed is how much the files take that have no name, each once however often it is open. It adds them to seen.
func (o *openFiles) unnamed(seen map[inode]bool) (bytes int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.each(func(st *syscall.Stat_t) {
		if at := (inode{st.Dev, st.Ino}); st.Nlink == 0 && !seen[at] {
			seen[at] = true
			bytes += max(least, st.Blocks*512)
		}
	})
	return bytes
}

// each calls fn for the files that are still open, and forgets the others.
func (o *openFiles) each(fn func(*syscall.Stat_t)) {
	for f := range o.files {
		fi, err := f.Stat()
		if err != nil {
			delete(o.files, f)
			continue
		}
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && fi.Mode().Type() == fs.FileMode(0) {
			fn(st)
		}
	}
}
