package sftpfs

import (
	"io"
	"math"
	"syscall"

	"plil.net/nuage/cloud"
)

// copyChunk is how much is copied before the session looks whether it has ended.
const copyChunk = 16 << 20

// copyData copies from one open file to another without a byte on the wire: copy-data of
// draft-ietf-secsh-filexfer-extensions-00. No length means up to the end that the file has now, so that a file that is
// copied behind itself ends.
func (s *session) copyData(a *args, _ *reply) error {
	from, to := a.handles[0], a.handles[1]
	off, length, at := a.numbers[0], a.numbers[1], a.numbers[2]
	switch {
	case from == to:
		return failf(cloud.Invalid, "copy-data needs two handles")
	case from.file == nil || to.file == nil || from.dir || to.dir || off > math.MaxInt64 || at > math.MaxInt64:
		return syscall.EINVAL
	}
	for _, h := range []*handle{from, to} {
		h.over = false
		if err := s.whole(h); err != nil {
			return err
		}
	}
	fi, err := from.file.Stat()
	if err != nil {
		return err
	}
	left := max(0, fi.Size()-int64(off))
	cut := length > uint64(left) // asks for more than there is
	if length > 0 && !cut {
		left = int64(length)
	}
	if _, err := from.file.Seek(int64(off), io.SeekStart); err != nil {
		return err
	}
	if _, err := to.file.Seek(int64(at), io.SeekStart); err != nil {
		return err
	}
	for left > 0 {
		n, err := s.copyChunk(from, to, min(left, copyChunk))
		left -= n
		if err != nil {
			return to.fail(s.full(err, to.mount))
		}
	}
	if cut {
		return io.EOF
	}
	return nil
}

// copyChunk copies from where the files are, in the kernel if it can.
func (s *session) copyChunk(from, to *handle, size int64) (int64, error) {
	for _, h := range []*handle{from, to} {
		if err := s.still(h); err != nil {
			return 0, err
		}
	}
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	at, err := to.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if err := s.grow(to, at, int(size)); err != nil {
		return 0, err
	}
	n, err := io.CopyN(to.file, from.file, size)
	from.got += n
	to.put += n
	return n, err
}
