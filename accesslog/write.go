package accesslog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"plil.net/nuage/cloud"
)

const (
	fileName  = "access.log"
	fileMode  = 0o600
	warnEvery = time.Minute
	aside     = time.Hour // that a line may be dated ahead of the clock
)

// batch is what is written to one site's log at once.
type batch struct {
	lines []byte
	n     int64
}

// write owns the files until Close.
func (l *Log) write() {
	for {
		select {
		case e := <-l.queue:
			l.flush(l.gather(e))
		case <-l.done:
			for len(l.queue) > 0 {
				l.flush(l.gather(<-l.queue))
			}
			l.flush(map[string]*batch{})
			return
		}
	}
}

// gather takes what comes within a moment, up to the size of a batch. It sleeps for that moment first, unless the queue
// fills up: woken for each hit it would take longer over them than the requests did.
func (l *Log) gather(e entry) map[string]*batch {
	over := time.NewTimer(moment)
	defer over.Stop()
	select {
	case <-over.C:
	case <-l.crowded:
	case <-l.done:
	}
	all, size := map[string]*batch{}, 0
	for {
		b := all[e.site]
		if b == nil {
			b = &batch{}
			all[e.site] = b
		}
		before := len(b.lines)
		b.lines = appendLine(b.lines, e.hit)
		b.n++
		if size += len(b.lines) - before; size >= batchSize {
			return all
		}
		select {
		case e = <-l.queue:
		default:
			return all
		}
	}
}

// flush writes the batches, each after the count of what its log lacks by now.
func (l *Log) flush(all map[string]*batch) {
	l.mu.Lock()
	missing := l.missing
	l.missing = map[string]int64{}
	l.mu.Unlock()
	for site, n := range missing {
		line := appendLine(nil, cloud.Hit{Time: time.Now().UTC(), Dropped: n})
		if l.append(site, line) != nil {
			l.mu.Lock()
			l.missing[site] += n
			l.mu.Unlock()
		}
	}
	for site, b := range all {
		if err := l.append(site, b.lines); err != nil {
			l.miss(site, b.n)
			l.warn(site, err)
		}
		l.wake(site)
	}
}

func (l *Log) warn(site string, err error) {
	if time.Since(l.warned) < warnEvery {
		return
	}
	l.warned = time.Now()
	l.log.Warn("access log not written", "site", site, "err", err, "dropped", l.Dropped())
}

func (l *Log) path(site string, generation int) string {
	name := filepath.Join(l.dir, site, fileName)
	if generation > 0 {
		name += fmt.Sprintf(".%d", generation)
	}
	return name
}

// append writes whole lines. A site whose directory is gone was deleted: nothing is missing then. The file is opened
// each time: a batch is many requests when there are many, and nothing has to be let go of when a site goes.
func (l *Log) append(site string, lines []byte) error {
	f, err := os.OpenFile(l.path(site, 0), os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW, fileMode)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size > 0 && (size+int64(len(lines)) > l.max || l.isOld(f)) {
		if err := l.rotate(site); err != nil {
			return err
		}
		return l.append(site, lines)
	}
	if size > 0 && !endsLine(f, size) { // a crash or a full disk cut a line
		lines = append([]byte{'\n'}, lines...)
	}
	_, err = f.Write(lines)
	return err
}

// isOld reports whether a file was begun long ago, or while the clock was ahead: it would else be kept for as much longer.
func (l *Log) isOld(f *os.File) bool {
	age := time.Since(firstTime(f))
	return (age > keptFor/files || age < -aside) && l.steady()
}

func endsLine(f *os.File, size int64) bool {
	var last [1]byte
	_, err := f.ReadAt(last[:], size-1)
	return err == nil && last[0] == '\n'
}

// firstTime is when the first line of a file was written; now if that cannot be told.
func firstTime(f *os.File) time.Time {
	const before = `{"time":"`
	var head [64]byte
	n, _ := f.ReadAt(head[:], 0)
	if text, ok := strings.CutPrefix(string(head[:n]), before); ok {
		text, _, _ = strings.Cut(text, `"`)
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
			return t
		}
	}
	return time.Now()
}

// rotate moves each file one on, over the oldest, and removes those that are too old.
func (l *Log) rotate(site string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for g := range files {
		if info, err := os.Stat(l.path(site, g)); err == nil && time.Since(info.ModTime()) > keptFor && l.steady() {
			_ = os.Remove(l.path(site, g)) // else it is moved on
		}
	}
	for g := files - 1; g > 0; g-- {
		err := os.Rename(l.path(site, g-1), l.path(site, g))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
