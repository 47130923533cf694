package sftpfs

import (
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
)

// listBatch is how many entries one reply holds. Each takes less than 700 bytes beside what has a name of 255.
const listBatch = 128

func (s *session) stat(a *args, w *reply) error {
	fi, err := s.info(a.paths[0], true)
	return w.info(a.id, fi, err)
}

func (s *session) lstat(a *args, w *reply) error {
	fi, err := s.info(a.paths[0], false)
	return w.info(a.id, fi, err)
}

func (s *session) fstat(a *args, w *reply) error {
	if err := s.still(a.handles[0]); err != nil {
		return err
	}
	if err := s.whole(a.handles[0]); err != nil {
		return err
	}
	fi, err := a.handles[0].stat()
	return w.info(a.id, fi, err)
}

func (w *reply) info(id uint32, fi fs.FileInfo, err error) error {
	if err != nil {
		return err
	}
	w.begin(typeAttrs, id)
	w.attrs(fi)
	return nil
}

// readlink tells what a link holds, as it is.
func (s *session) readlink(a *args, w *reply) error {
	m, in, err := s.find(a.paths[0])
	if err != nil {
		return err
	}
	if m == nil {
		return syscall.EINVAL
	}
	target, err := m.Readlink(in)
	if err != nil {
		return err
	}
	w.name(a.id, target)
	return nil
}

// realPath makes a name absolute, and resolves links as far as there is something. A name that the session has
// no other for stays: clients ask before they make it.
func (s *session) realPath(a *args, w *reply) error {
	name := s.absolute(a.texts[0])
	m, in, err := s.find(name)
	if err != nil {
		return err
	}
	if m != nil {
		real, err := m.RealPath(in)
		if err != nil {
			return err
		}
		if out, ok := m.outside(real); ok {
			name = out
		}
	}
	w.name(a.id, name)
	return nil
}

// openDir opens a directory. It is read in batches, so that its size costs no memory, and by descriptor, so that
// it may be renamed meanwhile.
func (s *session) openDir(a *args, w *reply) error {
	name := a.paths[0]
	m, in, err := s.find(name)
	if err != nil {
		return err
	}
	h := &handle{in: in, mount: m, dir: true}
	if m != nil {
		if h.file, err = m.OpenFile(in, os.O_RDONLY|syscall.O_DIRECTORY, 0); err != nil {
			return err
		}
	}
	h.head = s.dots(h, name)
	if m == nil {
		sites, err := s.view.list(s.ctx)
		if err != nil {
			return err
		}
		h.head = append(h.head, sites...)
	}
	if err := s.add(h, a.id, w); err != nil {
		if h.file != nil {
			h.file.Close()
		}
		return err
	}
	return nil
}

// dots are "." and "..", as readdir(3) has them.
func (s *session) dots(h *handle, name string) []fs.FileInfo {
	var dots []fs.FileInfo
	if fi, err := h.stat(); err == nil {
		dots = append(dots, named{fi, "."})
	}
	if fi, err := s.info(path.Dir(name), true); err == nil {
		dots = append(dots, named{fi, ".."})
	}
	return dots
}

// named is a file under another name.
type named struct {
	fs.FileInfo
	name string
}

func (n named) Name() string { return n.name }

func (s *session) readDir(a *args, w *reply) error {
	h := a.handles[0]
	if err := s.still(h); err != nil {
		return err
	}
	if !h.dir {
		return syscall.ENOTDIR
	}
	batch, err := h.entries()
	if len(batch) == 0 {
		return err
	}
	w.begin(typeName, a.id)
	w.uint32(uint32(len(batch)))
	for _, fi := range batch {
		w.string(fi.Name())
		w.string(s.longName(fi))
		w.attrs(fi)
	}
	return nil
}

// entries are the next of a directory, or none and why, which is io.EOF at its end.
func (h *handle) entries() ([]fs.FileInfo, error) {
	if n := min(len(h.head), listBatch); n > 0 {
		batch := h.head[:n]
		h.head = h.head[n:]
		return batch, nil
	}
	if h.file == nil {
		return nil, io.EOF
	}
	return h.file.Readdir(listBatch)
}
