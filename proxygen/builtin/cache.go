package builtin

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// mark tells one content of a file from another, as etag does.
type mark struct {
	device, inode     uint64
	size              int64
	modified, changed int64 // Unix nanoseconds
	mode              uint32
}

func markOf(info fs.FileInfo) (s mark, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return s, false
	}
	return markIn(stat), true
}

func markIn(stat *syscall.Stat_t) mark {
	return mark{uint64(stat.Dev), stat.Ino, stat.Size, stat.Mtim.Nano(), stat.Ctim.Nano(), stat.Mode}
}

// place is where a site has a file: its cache's key.
type place struct{ site, root, name string }

// kept is a small file in memory. It may be given out as long as the name it was found by leads to a file with its
// mark, which is asked anew for each request: so a change is seen at once.
type kept struct {
	at   string // in the home
	dir  string // of at
	base string
	mark mark
	info fs.FileInfo
	kind string // content type
	etag string // strong
	body []byte
	told told
	// alone is a folder by which no coding of the file lies beside it, as long as that folder tells of the file itself.
	alone atomic.Pointer[folder]

	once       sync.Once
	zipped     []byte // nil if that is no gain
	toldZipped told
}

// told are a kept file's headers, as http.ServeContent would say them. All answers share their memory.
type told struct{ kind, vary, coding, etag, length, ranges, modified []string }

// set puts them into a header.
func (t told) set(h http.Header) {
	for _, line := range [...]struct {
		name  string
		value []string
	}{
		{"Content-Type", t.kind}, {"Vary", t.vary}, {"Content-Encoding", t.coding}, {"Etag", t.etag},
		{"Content-Length", t.length}, {"Accept-Ranges", t.ranges}, {"Last-Modified", t.modified},
	} {
		if line.value != nil {
			h[line.name] = line.value
		}
	}
}

func (d *document) headers() told {
	t := told{
		kind: []string{d.kind}, etag: []string{d.etag}, ranges: []string{"bytes"},
		length: []string{strconv.FormatInt(d.info.Size(), 10)},
	}
	if isCompressible(d.kind) {
		t.vary = []string{"Accept-Encoding"}
	}
	if m := d.info.ModTime(); !m.IsZero() && !m.Equal(time.Unix(0, 0)) {
		t.modified = []string{m.UTC().Format(http.TimeFormat)}
	}
	return t
}

// gzip is the body compressed, nil if that does not make it smaller. The first who asks waits for it.
func (k *kept) gzip() []byte {
	k.once.Do(func() {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(k.body) // a buffer takes it all
		_ = w.Close()
		if b.Len() < len(k.body) {
			k.zipped = bytes.Clone(b.Bytes())
			k.toldZipped = k.told
			k.toldZipped.ranges, k.toldZipped.coding = nil, []string{"gzip"}
			k.toldZipped.etag, k.toldZipped.length = []string{zippedTag(k.etag)}, []string{strconv.Itoa(b.Len())}
		}
	})
	return k.zipped
}

// zippedTag is the ETag of the gzip form of what has an ETag.
func zippedTag(etag string) string { return strings.TrimSuffix(etag, `"`) + `-gzip"` }

// cost is what it takes in memory, at most.
func (k *kept) cost() int { return 2*len(k.body) + 1024 }

// cache keeps small files of all sites, up to a sum of bytes.
type cache struct {
	mu    sync.RWMutex
	room  int
	files map[place]*kept
}

func newCache(room int) *cache { return &cache{room: room, files: map[place]*kept{}} }

func (c *cache) get(key place) *kept {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.files[key]
}

// put keeps a file, in the place of any others if there is no room.
func (c *cache) put(key place, k *kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(key)
	for other := range c.files {
		if c.room >= k.cost() {
			break
		}
		c.remove(other)
	}
	if c.room >= k.cost() {
		c.files[key] = k
		c.room -= k.cost()
	}
}

// drop forgets a file, if it is still the one that is kept.
func (c *cache) drop(key place, k *kept) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[key] == k {
		c.remove(key)
	}
}

func (c *cache) remove(key place) {
	if k := c.files[key]; k != nil {
		delete(c.files, key)
		c.room += k.cost()
	}
}

// read reads a whole file to keep, nil if it may have changed meanwhile, or may yet without a trace.
func (d *document) read(now time.Time) *kept {
	before, ok := markOf(d.info)
	if !ok || isYoung(d.info, now) {
		return nil
	}
	body := make([]byte, d.info.Size())
	if _, err := io.ReadFull(io.NewSectionReader(d.file, 0, d.info.Size()), body); err != nil {
		return nil
	}
	info, err := d.file.Stat()
	if err != nil {
		return nil
	}
	if after, _ := markOf(info); after != before {
		return nil
	}
	dir, base := path.Split(d.at)
	return &kept{at: d.at, dir: path.Clean(dir), base: base, mark: before, info: d.info, kind: d.kind, etag: d.etag, body: body, told: d.headers()}
}
