package proxygen

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lookEvery  = 250 * time.Millisecond
	maxLine    = 512 << 10 // bytes; what is longer is skipped
	maxBehind  = 64 << 20  // bytes that are read of what came while nobody read
	cutAt      = 16 << 20  // bytes of a file that are empty before they are cut off
	blockSize  = 4 << 10   // what file systems cut at
	farAway    = 1 << 40   // where no byte of a file is, nor comes to be while one looks whether it can have holes
	rotatedFor = 2         // looks at a file that was moved away, for what its writer still writes
)

// Tail reads the lines that another program appends to a file, through its restarts and ours, and gives the room of what
// is read back to the disk: the file is a queue. What is read is made a hole, so the place to go on from is in the file itself.
type Tail struct {
	File string
	Take func(line []byte) // must not keep it
	Log  *slog.Logger

	at      *os.File
	offset  int64 // of the first byte that is not taken
	moved   int   // looks since another file has the name
	skip    bool  // up to the end of a line that is too long
	behind  []byte
	refused bool // the file system makes no holes
}

// Make makes the file, for nobody else to read, where there is none.
func (t *Tail) Make() error {
	if err := os.MkdirAll(filepath.Dir(t.File), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(t.File, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// Run reads until ctx ends.
func (t *Tail) Run(ctx context.Context) {
	t.behind = make([]byte, 0, maxLine)
	defer t.close()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := t.look(); err != nil {
			t.Log.Warn("access log of the proxy outside not read", "file", t.File, "err", err)
			t.close()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (t *Tail) close() {
	if t.at != nil {
		t.at.Close()
		t.at = nil
	}
}

// look takes what there is now.
func (t *Tail) look() error {
	if t.at == nil {
		if err := t.open(); errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
	}
	began := t.offset
	if err := t.read(); err != nil {
		return err
	}
	if t.offset > began {
		t.giveBack()
	}
	if t.isMoved() {
		if t.moved++; t.moved > rotatedFor {
			t.close()
		}
	}
	return nil
}

// open begins at the first byte that nobody has taken.
func (t *Tail) open() (err error) {
	if t.at, err = os.OpenFile(t.File, os.O_RDWR|syscall.O_NOFOLLOW, 0); err != nil {
		t.at = nil
		return err
	}
	t.offset, t.moved, t.skip = 0, 0, false
	info, err := t.at.Stat()
	if err != nil {
		return err
	}
	at, err := t.at.Seek(0, unix.SEEK_DATA)
	switch {
	case t.holes(farAway, 1) != nil: // nobody knows what was taken
		t.offset = info.Size()
	case errors.Is(err, unix.ENXIO): // nothing but holes
		t.offset = info.Size()
	case err == nil:
		t.offset = at
	}
	if behind := info.Size() - t.offset; behind > maxBehind {
		t.Log.Warn("access log of the proxy outside is too long: its beginning is skipped", "file", t.File, "bytes", behind-maxBehind)
		t.offset, t.skip = info.Size()-maxBehind, true
	}
	return nil
}

// read takes whole lines to the end.
func (t *Tail) read() error {
	if info, err := t.at.Stat(); err != nil {
		return err
	} else if info.Size() < t.offset { // somebody emptied it
		t.offset, t.skip = 0, false
	}
	for {
		n, err := t.at.ReadAt(t.behind[:cap(t.behind)], t.offset)
		taken := t.lines(t.behind[:n])
		if taken == 0 && n == maxLine {
			taken, t.skip = n, true
		}
		t.offset += int64(taken)
		switch {
		case err == io.EOF || err == nil && taken == 0:
			return nil
		case err != nil:
			return err
		}
	}
}

// lines takes the whole lines of a piece and returns their length.
func (t *Tail) lines(piece []byte) (taken int) {
	for {
		end := bytes.IndexByte(piece[taken:], '\n')
		if end < 0 {
			return taken
		}
		line := bytes.TrimLeft(piece[taken:taken+end], "\x00") // the rest of a hole
		if len(line) > 0 && !t.skip {
			t.Take(line)
		}
		t.skip = false
		taken += end + 1
	}
}

// giveBack makes a hole of what is taken, and cuts a long one off where the file system can: the file would look ever longer.
func (t *Tail) giveBack() {
	if t.refused {
		return
	}
	if err := t.holes(0, t.offset); err != nil {
		t.refused = true
		t.Log.Warn("access log of the proxy outside grows until somebody rotates it: the file system makes no holes", "file", t.File, "err", err)
		return
	}
	if whole := t.offset / blockSize * blockSize; whole >= cutAt {
		if unix.Fallocate(int(t.at.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, whole) == nil {
			t.offset -= whole
		}
	}
}

func (t *Tail) holes(from, length int64) error {
	return unix.Fallocate(int(t.at.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, length)
}

// isMoved reports whether the name leads to another file, or to none.
func (t *Tail) isMoved() bool {
	now, err := os.Lstat(t.File)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	mine, err := t.at.Stat()
	return err == nil && !os.SameFile(now, mine)
}
