package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"plil.net/nuage/cloud"
)

// Is reports whether a stream that begins with head (262 bytes or more) is an archive, and not the snapshot of a store.
func Is(head []byte) bool { return len(head) >= 262 && bytes.Equal(head[257:262], []byte("ustar")) }

// Reader reads an archive from its begin to its end, once.
type Reader struct {
	tar  *tar.Reader
	seal seal
	next *tar.Header // read ahead
}

// Open reads the begin of an archive. Invalid if it is none.
func Open(r io.Reader) (*Reader, error) {
	a := &Reader{tar: tar.NewReader(r), seal: newSeal()}
	return a, a.advance()
}

// Store is the snapshot in the archive, to be read to its end before Homes; nil if it is of one site.
func (a *Reader) Store() io.Reader {
	if a.next.Name != storeEntry {
		return nil
	}
	return a.content()
}

// Homes makes the files of the sites. open returns the empty home for a site, which Homes closes, or nil for one that
// is not wanted. What Homes returns nil for is whole: Invalid if the archive was cut or changed, and then what is in the
// homes is worth nothing.
func (a *Reader) Homes(ctx context.Context, open func(id, name string) (cloud.Home, error)) error {
	if a.next.Name == storeEntry {
		if _, err := io.Copy(io.Discard, a.content()); err != nil {
			return a.cut(err)
		}
		if err := a.advance(); err != nil {
			return err
		}
	}
	for a.next.Name != endEntry {
		if err := a.site(ctx, open); err != nil {
			return err
		}
	}
	return a.sealed()
}

func (a *Reader) site(ctx context.Context, open func(id, name string) (cloud.Home, error)) error {
	id, _, err := parseEntry(a.next.Name)
	if err != nil {
		return err
	}
	h, err := open(id, a.next.PAXRecords[siteRecord])
	if err != nil {
		return err
	}
	u := &unpacking{home: h, id: id}
	if h != nil {
		defer h.Close()
	}
	for a.next.Name != endEntry {
		if err := ctx.Err(); err != nil {
			return err
		}
		of, name, err := parseEntry(a.next.Name)
		if err != nil {
			return err
		}
		if of != id {
			break
		}
		if err := a.entry(u, name); err != nil {
			return err
		}
		if err := a.advance(); err != nil {
			return err
		}
	}
	return u.finish()
}

func (a *Reader) entry(u *unpacking, name string) error {
	from := a.content()
	if u.home != nil {
		if err := u.make(a.next, name, from); err != nil {
			return a.cut(err)
		}
	}
	_, err := io.Copy(io.Discard, from)
	return a.cut(err)
}

// content is what the present entry holds.
func (a *Reader) content() io.Reader { return content{a} }

type content struct{ *Reader }

// Read shows the seal what it reads.
func (c content) Read(p []byte) (int, error) {
	n, err := c.tar.Read(p)
	c.seal.Write(p[:n])
	if err != io.EOF {
		err = c.cut(err)
	}
	return n, err
}

// advance reads the next header. An archive ends with its seal and nowhere else.
func (a *Reader) advance() (err error) {
	if a.next, err = a.tar.Next(); err != nil {
		return a.cut(err)
	}
	if sparse(a.next) {
		return broken("%q says that it has %d bytes, which are not in it", a.next.Name, a.next.Size)
	}
	if a.next.Name != endEntry {
		a.seal.header(a.next)
	}
	return nil
}

// sparse reports whether a file has holes in the way of GNU's tar, which a reader is given as so many zeros: a few bytes would fill
// the disk. Ours are told by extentsRecord, and stay holes.
func sparse(h *tar.Header) bool {
	for name := range h.PAXRecords {
		if strings.HasPrefix(name, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// cut tells an archive that ends too early, or is no tar, from an error of who writes or reads.
func (a *Reader) cut(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return broken("its end is missing").Because(err)
	case errors.Is(err, tar.ErrHeader):
		return broken("it is damaged").Because(err)
	}
	return err
}

func (a *Reader) sealed() error {
	sum, err := io.ReadAll(io.LimitReader(a.tar, 1<<10))
	if err != nil {
		return a.cut(err)
	}
	if string(sum) != a.seal.String() {
		return broken("it is damaged: its checksum is wrong")
	}
	return nil
}

// unpacking is one home being filled. What directories say of themselves is done last: they have to be written to
// until then.
type unpacking struct {
	home cloud.Home
	id   string
	dirs []dirEntry
}

type dirEntry struct {
	name  string
	mode  fs.FileMode
	mtime time.Time
}

func (u *unpacking) make(h *tar.Header, name string, from io.Reader) error {
	mode := fs.FileMode(h.Mode) & fs.ModePerm
	switch h.Typeflag {
	case tar.TypeDir:
		u.dirs = append(u.dirs, dirEntry{name, mode, h.ModTime})
		if err := u.home.Mkdir(name, 0o700); name != cloud.HomePath && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case tar.TypeSymlink:
		return u.home.Symlink(h.Linkname, name)
	case tar.TypeLink:
		id, first, err := parseEntry(h.Linkname)
		if err != nil || id != u.id {
			return broken("%q is a link out of its home", h.Name)
		}
		return u.home.Link(first, name)
	case tar.TypeReg:
		if err := u.file(h, name, from); err != nil {
			return err
		}
		if err := u.home.Chmod(name, mode); err != nil {
			return err
		}
		return u.home.Chtimes(name, time.Time{}, h.ModTime)
	}
	return broken("%q is of a kind %q that no backup has", h.Name, h.Typeflag)
}

func (u *unpacking) file(h *tar.Header, name string, from io.Reader) error {
	data := extents{h.Size, []extent{{0, h.Size}}}
	if list, ok := h.PAXRecords[extentsRecord]; ok {
		var err error
		if data, err = parseExtents(list, h.Size); err != nil {
			return err
		}
	}
	f, err := u.home.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	for _, p := range data.parts {
		if _, err = f.Seek(p.at, io.SeekStart); err == nil {
			_, err = io.CopyN(f, from, p.n)
		}
		if err != nil {
			break
		}
	}
	if err == nil && data.holes() {
		err = f.Truncate(data.size)
	}
	return errors.Join(err, f.Close())
}

// finish gives directories their modes and times, the deepest first.
func (u *unpacking) finish() error {
	if u.home == nil {
		return nil
	}
	for _, d := range slices.Backward(u.dirs) {
		if err := errors.Join(u.home.Chtimes(d.name, time.Time{}, d.mtime), u.home.Chmod(d.name, d.mode)); err != nil {
			return err
		}
	}
	return nil
}
