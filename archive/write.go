package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"plil.net/nuage/cloud"
)

var _ cloud.Archive = Write

// maxSkipped bounds what is remembered of files that could not be read.
const maxSkipped = 100

// writer is an archive on its way.
type writer struct {
	ctx     context.Context
	tar     *tar.Writer
	seal    seal
	skipped []string
	links   map[inode]string // entries of files that have more names
}

type inode struct{ dev, ino uint64 }

// Write implements cloud.Archive. Files may change while they are read: each is as it was at some moment. What is no
// file, directory or link has no place in an archive.
func Write(ctx context.Context, out io.Writer, snapshot func(io.Writer) error, homes cloud.Homes, sites func() ([]cloud.Site, error)) (skipped []string, err error) {
	w := &writer{ctx: ctx, tar: tar.NewWriter(out), seal: newSeal(), links: map[inode]string{}}
	if snapshot != nil {
		if err := w.store(snapshot); err != nil {
			return nil, err
		}
	}
	list, err := sites()
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if err := w.site(homes, s); err != nil {
			return nil, err
		}
	}
	return w.skipped, w.end()
}

// store puts the snapshot into a file first: a tar has to say its size before it.
func (w *writer) store(snapshot func(io.Writer) error) error {
	f, err := os.CreateTemp("", "nuage-backup-*")
	if err != nil {
		return err
	}
	defer f.Close()
	if err := os.Remove(f.Name()); err != nil {
		return err
	}
	if err := snapshot(f); err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: storeEntry, Mode: 0o600, Size: size, ModTime: time.Now()}
	return w.file(h, io.NewSectionReader(f, 0, size))
}

func (w *writer) site(homes cloud.Homes, s cloud.Site) error {
	h, err := homes.Inspect(s)
	if err != nil {
		w.skip(s.Name, err)
		return w.ctx.Err()
	}
	defer h.Close()
	clear(w.links)
	return w.tree(h, s, cloud.HomePath)
}

// tree writes what is at a name, and below it. An error is one of the stream; what cannot be read is skipped.
func (w *writer) tree(h cloud.Home, s cloud.Site, name string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	fi, err := h.Lstat(name)
	if err != nil {
		w.skip(s.Name+name, err)
		return nil
	}
	head := &tar.Header{Name: entryName(s.ID, name), Mode: int64(fi.Mode().Perm()), ModTime: fi.ModTime(), Uid: s.UID, Gid: s.UID}
	switch {
	case fi.IsDir():
		return w.dir(h, s, name, head)
	case fi.Mode().IsRegular():
		return w.regular(h, s, name, head, fi)
	case fi.Mode().Type() == fs.ModeSymlink:
		if head.Linkname, err = h.Readlink(name); err != nil {
			w.skip(s.Name+name, err)
			return nil
		}
		head.Typeflag = tar.TypeSymlink
		return w.head(head)
	}
	return nil
}

func (w *writer) dir(h cloud.Home, s cloud.Site, name string, head *tar.Header) error {
	head.Typeflag, head.Name = tar.TypeDir, head.Name+"/"
	if name == cloud.HomePath {
		head.PAXRecords = map[string]string{siteRecord: s.Name}
	}
	if err := w.head(head); err != nil {
		return err
	}
	var dirs []string // come last: none is open while those below it are read
	var failed error
	err := h.ReadDir(name, func(fi fs.FileInfo) error {
		if fi.IsDir() {
			dirs = append(dirs, fi.Name())
			return nil
		}
		failed = w.tree(h, s, path.Join(name, fi.Name()))
		return failed
	})
	if err != nil && failed == nil {
		w.skip(s.Name+name, err)
	}
	for _, dir := range dirs {
		if failed != nil {
			break
		}
		failed = w.tree(h, s, path.Join(name, dir))
	}
	return failed
}

func (w *writer) regular(h cloud.Home, s cloud.Site, name string, head *tar.Header, fi fs.FileInfo) error {
	key, more := severalNames(fi)
	if first := w.links[key]; more && first != "" {
		head.Typeflag, head.Linkname = tar.TypeLink, first
		return w.head(head)
	}
	f, err := h.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		w.skip(s.Name+name, err)
		return nil
	}
	defer f.Close()
	data, err := extentsOf(f)
	if err != nil {
		w.skip(s.Name+name, err)
		return nil
	}
	if more {
		w.links[key] = head.Name
	}
	head.Typeflag, head.Size = tar.TypeReg, data.bytes()
	if data.holes() {
		head.PAXRecords = map[string]string{extentsRecord: data.String()}
	}
	return w.file(head, data.reader(f))
}

// severalNames tells by what a file is known that has more than one name. One without data is not worth remembering.
func severalNames(fi fs.FileInfo) (inode, bool) {
	stat, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return inode{}, false
	}
	return inode{uint64(stat.Dev), stat.Ino}, stat.Nlink > 1 && stat.Blocks > 0
}

func (w *writer) head(h *tar.Header) error {
	h.Format = tar.FormatPAX
	w.seal.header(h)
	return w.tar.WriteHeader(h)
}

// file writes exactly as many bytes as the header says: a file that has become shorter ends in zeros.
func (w *writer) file(h *tar.Header, from io.Reader) error {
	if err := w.head(h); err != nil {
		return err
	}
	to := io.MultiWriter(w.tar, w.seal)
	n, err := io.Copy(to, &untilDone{w.ctx, io.LimitReader(from, h.Size)})
	var read *readError
	if err != nil && !errors.As(err, &read) {
		return err
	}
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if read != nil {
		w.skip(h.Name, read.error)
	}
	_, err = io.CopyN(to, zeros{}, h.Size-n)
	return err
}

// end seals the archive.
func (w *writer) end() error {
	sum := w.seal.String()
	h := &tar.Header{Typeflag: tar.TypeReg, Name: endEntry, Mode: 0o600, Size: int64(len(sum)), Format: tar.FormatPAX, ModTime: time.Now()}
	if err := w.tar.WriteHeader(h); err != nil {
		return err
	}
	if _, err := io.WriteString(w.tar, sum); err != nil {
		return err
	}
	return w.tar.Close()
}

// skip remembers what is not in the archive. What is gone since it was listed is not missed.
func (w *writer) skip(what string, err error) {
	if errors.Is(err, fs.ErrNotExist) || len(w.skipped) >= maxSkipped {
		return
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	w.skipped = append(w.skipped, fmt.Sprintf("%s: %v", what, err))
}

// untilDone reads until its context ends, and tells its own errors from those of who writes.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

type readError struct{ error }

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, &readError{err}
	}
	n, err := u.r.Read(p)
	if err != nil && err != io.EOF {
		err = &readError{err}
	}
	return n, err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
