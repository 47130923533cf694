package accesslog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"

	"plil.net/nuage/cloud"
)

// maxLine is longer than any line of ours; what is longer is damage.
const maxLine = 64 << 10

// reader goes through one site's log.
type reader struct {
	log    *Log
	site   string
	filter cloud.HitFilter
	fn     func(cloud.Hit) error

	at   *os.File // being read
	skip int64    // lines before the tail
}

func (r *reader) close() {
	if r.at != nil {
		r.at.Close()
	}
}

func (r *reader) run(ctx context.Context) error {
	if err := r.findTail(ctx); err != nil {
		return err
	}
	for {
		more := r.log.more(r.site)
		gone, err := r.readAll(ctx)
		if err != nil || gone || !r.filter.Follow {
			return err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil
		}
	}
}

// findTail counts the lines that come before the last ones.
func (r *reader) findTail(ctx context.Context) error {
	if r.filter.Tail < 0 {
		return nil
	}
	all, err := r.log.open(r.site, nil)
	if err != nil {
		return err
	}
	for i, f := range all {
		if i > 0 {
			defer f.Close()
		} else {
			r.at = f // what is counted is what will be read, whatever is rotated meanwhile
		}
		n, err := countLines(ctx, f)
		if err != nil {
			return err
		}
		r.skip += n
	}
	r.skip = max(0, r.skip-int64(r.filter.Tail))
	if r.at != nil {
		_, err = r.at.Seek(0, io.SeekStart)
	}
	return err
}

func countLines(ctx context.Context, f *os.File) (n int64, err error) {
	buffer := make([]byte, maxLine)
	for {
		got, err := f.Read(buffer)
		n += int64(bytes.Count(buffer[:got], []byte{'\n'}))
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		case ctx.Err() != nil:
			return n, ctx.Err()
		}
	}
}

// readAll reads what there is from where it stopped, through files that were rotated since. gone says that the site
// is no more.
func (r *reader) readAll(ctx context.Context) (gone bool, err error) {
	for {
		// Listed before the rest is read: once a younger file exists, nothing is added to this one.
		next, err := r.log.open(r.site, r.at)
		if err != nil {
			return false, err
		}
		if r.at != nil {
			if err = r.readFile(ctx); err != nil || len(next) == 0 {
				closeAll(next)
				return r.isGone(), err
			}
			r.at.Close()
			r.at = nil
		}
		if len(next) == 0 {
			return r.isGone(), nil
		}
		r.at = next[0]
		closeAll(next[1:])
	}
}

func (r *reader) isGone() bool {
	_, err := os.Lstat(r.log.dir + "/" + r.site)
	return errors.Is(err, fs.ErrNotExist)
}

// readFile reads whole lines to the end, and puts the beginning of one back.
func (r *reader) readFile(ctx context.Context) error {
	in := bufio.NewReaderSize(r.at, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF):
			_, err := r.at.Seek(int64(-len(line)), io.SeekCurrent)
			return err
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return err
		case ctx.Err() != nil && !r.filter.Follow:
			return ctx.Err()
		case ctx.Err() != nil:
			return nil
		}
		if err := r.line(line); err != nil {
			return err
		}
	}
}

func (r *reader) line(line []byte) error {
	if r.skip > 0 {
		r.skip--
		return nil
	}
	var h cloud.Hit
	switch {
	case json.Unmarshal(line, &h) != nil: // cut by a crash
	case h.Time.Before(r.filter.Since): // too old
	case !r.filter.Since.IsZero() && time.Until(h.Time) > aside: // dated by a clock that was ahead: not since then, but some time
	default:
		return r.fn(h)
	}
	return nil
}

// open opens the files of a site that are younger than one of them, oldest first; all if it is nil or was rotated
// away. The caller closes them.
func (l *Log) open(site string, than *os.File) (list []*os.File, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var last os.FileInfo
	if than != nil {
		if last, err = than.Stat(); err != nil {
			return nil, err
		}
	}
	for g := files - 1; g >= 0; g-- {
		f, err := os.Open(l.path(site, g))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			closeAll(list)
			return nil, err
		}
		list = append(list, f)
		if info, err := f.Stat(); err == nil && last != nil && os.SameFile(info, last) {
			closeAll(list)
			list = nil
		}
	}
	return list, nil
}

func closeAll(list []*os.File) {
	for _, f := range list {
		f.Close()
	}
}
