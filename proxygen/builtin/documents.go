package builtin

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"plil.net/nuage/cloud"
)

const (
	indexPage   = "index.html"
	missingPage = "404.html"
	wellKnown   = ".well-known" // the one name with a dot that is public (RFC 8615)
)

var errNoSlash = errors.New("a directory, asked for like a file")

// documents is the document root in a home.
type documents struct {
	home *lentHome
	root string // relative to the home, as the route has it
	site string // id
}

func (d documents) at(name string) string { return path.Join(cloud.HomePath, d.root, name) }

// document is a file to give out.
type document struct {
	name string // below the root
	at   string // in the home
	info fs.FileInfo
	kind string // content type
	etag string
	file *os.File // nil if it comes from the cache
	kept *kept    // nil if it is not kept in memory
	by   *folder  // that told, for this request, that kept is what is there; nil if it was looked up whole
}

func (d *document) close() {
	if d.file != nil {
		d.file.Close()
	}
}

// content is what is in it. From a file the kernel sends it by itself.
func (d *document) content() io.ReadSeeker {
	if d.kept != nil {
		return bytes.NewReader(d.kept.body)
	}
	return d.file
}

// beside opens a file with the name of another and one more suffix. One that is older than it was made of something
// else, and is not there. The caller closes it. Where none has the name, the folder is told that knows.
func (d documents) beside(doc *document, suffix string) (*os.File, fs.FileInfo, *folder, error) {
	slash := strings.LastIndexByte(doc.at, '/')
	if none, by := d.home.lacks(doc.at[:slash], doc.at[slash+1:]+suffix); none {
		return nil, nil, by, fs.ErrNotExist // which is the rule, so it is asked first
	}
	file, info, err := d.open(doc.name + suffix)
	if err != nil {
		return nil, nil, nil, err
	}
	if !info.Mode().IsRegular() || info.ModTime().Unix() < doc.info.ModTime().Unix() {
		file.Close()
		return nil, nil, nil, fs.ErrNotExist
	}
	return file, info, nil, nil
}

// find opens a regular file, or the index of a directory. The caller closes it.
func (d documents) find(name string, directory bool) (*os.File, fs.FileInfo, error) {
	if hidden(name) {
		return nil, nil, fs.ErrNotExist
	}
	file, info, err := d.open(name)
	switch {
	case err != nil:
		return nil, nil, err
	case info.Mode().IsRegular() && !directory:
		return file, info, nil
	}
	file.Close()
	if !info.IsDir() {
		return nil, nil, fs.ErrNotExist
	}
	if !directory {
		return nil, nil, errNoSlash
	}
	return d.index(name)
}

func (d documents) index(name string) (*os.File, fs.FileInfo, error) {
	file, info, err := d.open(path.Join(name, indexPage))
	if err == nil && !info.Mode().IsRegular() {
		file.Close()
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, nil, err
	}
	return file, info, nil
}

// open asks the open file what it is, so that nothing can be put in its place in between.
func (d documents) open(name string) (*os.File, fs.FileInfo, error) {
	file, err := d.home.OpenFile(d.at(name), os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, nil, err
	}
	return file, named{info, path.Base(name)}, nil
}

// named is a file under the name that was asked for, whatever its home calls it.
type named struct {
	fs.FileInfo
	name string
}

func (n named) Name() string { return n.name }

// webPath is a URL's path below the document root, with slashes single and none at its ends.
func webPath(urlPath string) (name string, directory bool) {
	if !strings.Contains(urlPath, "//") {
		return strings.Trim(urlPath, "/"), strings.HasSuffix(urlPath, "/")
	}
	elements := strings.FieldsFunc(urlPath, func(r rune) bool { return r == '/' })
	return strings.Join(elements, "/"), strings.HasSuffix(urlPath, "/")
}

// hidden reports whether a name is not for the web: it has an element that begins with a dot, "." and ".."
// among them, or a byte that no name of a file has.
func hidden(name string) bool {
	if strings.ContainsRune(name, 0) {
		return true
	}
	for i, element := range strings.Split(name, "/") {
		if strings.HasPrefix(element, ".") && (i > 0 || element != wellKnown) {
			return true
		}
	}
	return false
}

func isMissing(err error) bool {
	for _, missing := range []error{fs.ErrNotExist, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP, syscall.EINVAL} {
		if errors.Is(err, missing) {
			return true
		}
	}
	return false
}
