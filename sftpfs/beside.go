package sftpfs

import "context"

// roomInPlace is how much room there has to be, besides what a file has, for it to be overwritten in place. With less, the
// disk may be full in the middle, so the new file is written beside it.
const roomInPlace = 1 << 30

// empty makes the file of a handle that was just opened an empty one. What it held stays until the new content is whole,
// if there may not be room for that.
func (s *session) empty(h *handle) error {
	size, err := h.sizeNow()
	if err != nil {
		return err
	}
	if s.aside(h, size) {
		return nil
	}
	return h.file.Truncate(0)
}

// overwrite is for the first write to a file that was opened neither to be emptied nor to be appended to. From its beginning on,
// that is how OpenSSH's scp overwrites: it cuts the file when all is written. What is not yet written over is kept.
func (s *session) overwrite(h *handle, off int64) error {
	if !h.over || off != 0 {
		h.over = false
		return nil
	}
	h.over = false
	size, err := h.sizeNow()
	if err == nil && s.aside(h, size) {
		h.kept, h.size, h.sparse = size, -1, false
	}
	return err
}

// aside has the handle write beside its file from here on, where that is needed and can be.
func (s *session) aside(h *handle, size int64) bool {
	if size == 0 || h.appends || !s.short(h.mount, size) {
		return false
	}
	b, err := h.mount.Beside(h.file, h.in, h.flag)
	if err != nil {
		return false
	}
	h.beside, h.file = b, b.File()
	return true
}

func (h *handle) sizeNow() (int64, error) {
	fi, err := h.file.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// whole gives the file beside what is kept of the old one, for all but writing on.
func (s *session) whole(h *handle) error {
	if h.kept == 0 || h.failed != nil {
		return nil
	}
	if err := s.grow(h, h.at, int(h.kept-h.at)); err != nil {
		return h.fail(err)
	}
	err := h.beside.Keep(h.at)
	h.kept = 0
	return h.fail(s.full(err, h.mount))
}

// written is told of each write: the file is whole once all that was kept is written over.
func (h *handle) written(end int64) {
	if h.at = end; end >= h.kept {
		h.kept = 0
	}
}

func (s *session) short(m *mount, size int64) bool {
	space, err := m.Space(s.ctx)
	return err != nil || space.Free-size < roomInPlace
}

// settle puts what is written beside its file in its place as it is so far, before the client looks at a name again.
func (s *session) settle() error {
	for _, h := range s.handles {
		if err := s.settleOne(h); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) settleOne(h *handle) error {
	if err := s.whole(h); err != nil {
		return err
	}
	return h.fail(s.full(h.settle(), h.mount))
}

// settle leaves alone what failed: the old file stays.
func (h *handle) settle() error {
	if h.beside == nil || h.failed != nil {
		return nil
	}
	err := h.beside.Settle()
	h.file = h.beside.File()
	_ = h.beside.Close() // nothing was written to what it closes
	h.beside = nil
	return err
}

// last settles a file that is closed; why is a reason that is not the file's. An upload that was cut is as everywhere:
// its beginning is there, and can be resumed, but no mixture of old and new. And who may not use the site any more changes nothing there.
func (s *session) last(h *handle, why error) error {
	if h.beside == nil {
		return why
	}
	defer func() {
		if h.beside != nil {
			_ = h.beside.Close()
		}
	}()
	if why == nil {
		_ = s.whole(h) // the handle knows
	}
	switch {
	case h.failed != nil && why == nil:
		return h.failed
	case h.failed != nil, why != nil && why != errLeft:
		return why
	case why == errLeft && (h.kept > 0 || h.mount.Check(context.WithoutCancel(s.ctx)) != nil):
		return why
	}
	if err := h.settle(); err != nil {
		return s.full(err, h.mount)
	}
	return why
}
