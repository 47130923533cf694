package sftpfs

import (
	"encoding/binary"
	"io/fs"
	"math"
	"os"
	"syscall"

	"plil.net/nuage/cloud"
)

// handle is an open file or directory. It is asked by its descriptor, so that it stays itself whatever becomes of
// its name.
type handle struct {
	key     string // what the client calls it
	in      string // what the home called it when it was opened
	mount   *mount
	file    *os.File      // nil: "/" above all homes
	head    []fs.FileInfo // of a directory: comes first
	dir     bool
	own     bool // the file belongs to the site
	writes  bool // it was opened to be written
	appends bool
	flag    int  // of the file, but for emptying it
	over    bool // nothing was written yet to what may be overwritten

	beside cloud.Replacement // file is written beside the one that it is for; nil: in its place
	kept   int64             // the old file's size, while what is behind at still counts
	at     int64             // the end of the last write

	got, put int64 // bytes
	size     int64 // of the file; -1 before it is written to
	sparse   bool  // it may have holes
	failed   error // the first failure of a read or a write
}

// errLeft is what became of a file that the client did not close.
var errLeft = cloud.Errorf(cloud.Cancelled, "the session ended before the file was closed")

// add gives the handle a key, which is never used again in the session, and tells it to the client.
func (s *session) add(h *handle, id uint32, w *reply) error {
	if len(s.handles) >= maxHandles {
		return s.tell(cloud.Errorf(cloud.Quota, "too many open files: the limit is %d in a session", maxHandles).WithHint("close some first"))
	}
	if h.file != nil {
		fi, err := h.file.Stat()
		if err != nil {
			return err
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		h.own = ok && st.Uid == h.mount.uid
	}
	s.next++
	h.key = string(binary.BigEndian.AppendUint32(nil, s.next))
	s.handles[h.key] = h
	w.begin(typeHandle, id)
	w.string(h.key)
	return nil
}

// still tells why the handle may not be used any more.
func (s *session) still(h *handle) error {
	if h.mount == nil {
		return nil
	}
	return s.tell(h.mount.still(s.ctx))
}

func (s *session) read(a *args, w *reply) error {
	h, off, n := a.handles[0], a.numbers[0], min(a.numbers[1], maxTransfer)
	if err := s.still(h); err != nil {
		return err
	}
	if h.file == nil || off > math.MaxInt64 {
		return syscall.EINVAL
	}
	if err := s.whole(h); err != nil {
		return err
	}
	w.begin(typeData, a.id)
	var read int
	err := w.fill(int(n), func(b []byte) (int, error) {
		var err error
		read, err = h.file.ReadAt(b, int64(off))
		return read, err
	})
	h.got += int64(read)
	if read > 0 || n == 0 {
		return nil // what comes after is told by the next read
	}
	return err
}

func (s *session) write(a *args, _ *reply) (err error) {
	h, off := a.handles[0], a.numbers[0]
	if err := s.still(h); err != nil {
		return h.fail(err)
	}
	if h.file == nil || off > math.MaxInt64 {
		return syscall.EINVAL
	}
	if err := s.overwrite(h, int64(off)); err != nil {
		return h.fail(err)
	}
	if int64(off) != h.at {
		if err := s.whole(h); err != nil {
			return err
		}
	}
	if err := s.grow(h, int64(off), len(a.data)); err != nil {
		return h.fail(err)
	}
	var n int
	if h.appends {
		n, err = h.file.Write(a.data)
	} else {
		n, err = h.file.WriteAt(a.data, int64(off))
	}
	h.put += int64(n)
	h.written(int64(off) + int64(n))
	return h.fail(s.full(err, h.mount))
}

// fail remembers the first failure.
func (h *handle) fail(err error) error {
	if h.failed == nil {
		h.failed = err
	}
	return err
}

func (s *session) fsync(a *args, _ *reply) error {
	h := a.handles[0]
	if err := s.still(h); err != nil {
		return err
	}
	if h.file == nil {
		return syscall.EINVAL
	}
	if err := s.settleOne(h); err != nil {
		return err
	}
	return h.fail(s.full(h.file.Sync(), h.mount))
}

func (s *session) closeHandle(a *args, _ *reply) error {
	h := a.handles[0]
	delete(s.handles, h.key)
	return s.end(h, s.still(h))
}

// end closes a handle and tells the site of a file what became of it; why is a reason that is not the file's.
func (s *session) end(h *handle, why error) error {
	if h.file == nil {
		return why
	}
	why = s.last(h, why)
	if err := h.file.Close(); err != nil && why == nil {
		why = s.full(err, h.mount)
	}
	if h.dir {
		return why
	}
	done := cloud.Transfer{Action: cloud.FileGet, Path: h.in, Bytes: h.got}
	if h.writes {
		done.Action, done.Bytes = cloud.FilePut, h.put
	}
	h.fail(why)
	if h.failed != nil {
		told := s.explain(h.failed)
		done.Err = cloud.Errorf(told.kind, "%s", told.msg)
	}
	h.mount.Done(done)
	if why == errLeft {
		return nil
	}
	return why
}

func (h *handle) stat() (fs.FileInfo, error) {
	if h.file == nil {
		return topInfo{"/"}, nil
	}
	return h.file.Stat()
}
