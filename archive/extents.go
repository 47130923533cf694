package archive

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxExtents bounds what a header says of a file: one with more pieces was made to be a nuisance.
const maxExtents = 4096

// extents are where a file has data, in order. A site may make a file of many terabytes in a few kilobytes of disk.
type extents struct {
	size  int64
	parts []extent
}

type extent struct{ at, n int64 }

// extentsOf looks for holes only where a file takes less disk than it is long.
func extentsOf(f *os.File) (extents, error) {
	fi, err := f.Stat()
	if err != nil {
		return extents{}, err
	}
	whole := extents{fi.Size(), []extent{{0, fi.Size()}}}
	stat, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || stat.Blocks*512 >= fi.Size() {
		return whole, nil
	}
	e := extents{size: fi.Size()}
	for at := int64(0); at < e.size; {
		from, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break
		}
		if err != nil {
			return e, err
		}
		to, err := f.Seek(from, unix.SEEK_HOLE)
		if err != nil {
			return e, err
		}
		to = min(to, e.size)
		if len(e.parts) == maxExtents {
			return e, fmt.Errorf("it has more than %d pieces between holes", maxExtents)
		}
		if from < to {
			e.parts = append(e.parts, extent{from, to - from})
		}
		at = max(to, from+1)
	}
	return e, nil
}

func (e extents) bytes() (n int64) {
	for _, p := range e.parts {
		n += p.n
	}
	return n
}

func (e extents) holes() bool { return e.bytes() != e.size }

// reader reads the data, one extent after the other.
func (e extents) reader(f io.ReaderAt) io.Reader {
	var parts []io.Reader
	for _, p := range e.parts {
		// A file that has become shorter keeps the places of what comes after.
		parts = append(parts, io.LimitReader(io.MultiReader(io.NewSectionReader(f, p.at, p.n), zeros{}), p.n))
	}
	return io.MultiReader(parts...)
}

func (e extents) String() string {
	var parts []string
	for _, p := range e.parts {
		parts = append(parts, fmt.Sprintf("%d+%d", p.at, p.n))
	}
	return fmt.Sprintf("%d:%s", e.size, strings.Join(parts, ","))
}

// parseExtents reads String's form; parts lie in the file, in order, and make up n bytes.
func parseExtents(s string, n int64) (e extents, err error) {
	bad := broken("%q is no list of extents", s)
	size, list, ok := strings.Cut(s, ":")
	if e.size, err = strconv.ParseInt(size, 10, 64); err != nil || !ok || e.size < 0 {
		return e, bad
	}
	end := int64(0)
	for part := range strings.SplitSeq(list, ",") {
		if part == "" {
			continue
		}
		at, length, _ := strings.Cut(part, "+")
		from, err := strconv.ParseInt(at, 10, 64)
		count, err2 := strconv.ParseInt(length, 10, 64)
		if err != nil || err2 != nil || from < end || count < 0 || from > e.size-count {
			return e, bad
		}
		e.parts = append(e.parts, extent{from, count})
		end = from + count
	}
	if e.bytes() != n {
		return e, bad
	}
	return e, nil
}
