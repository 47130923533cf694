package home

import (
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// maxTarget is PATH_MAX, and so more than any link holds.
const maxTarget = 4096

func (h *home) Readlink(name string) (target string, err error) {
	err = h.do(func(root int) error {
		target, err = readlink(root, name)
		return err
	})
	return target, pathError("readlink", name, err)
}

func readlink(root int, name string) (string, error) {
	f, err := openIn(root, name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return "", err
	}
	if fi.Mode().Type() != fs.ModeSymlink {
		return "", unix.EINVAL
	}
	buf := make([]byte, maxTarget)
	n, err := unix.Readlinkat(int(f.Fd()), "", buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// RealPath resolves as much of name as is there.
func (h *home) RealPath(name string) (real string, err error) {
	err = h.do(func(root int) error {
		there, rest := path.Clean("/"+name), ""
		if len(there) >= maxTarget {
			return unix.ENAMETOOLONG
		}
		for {
			real, err = h.realPath(root, there)
			if err != unix.ENOENT || there == "/" {
				break
			}
			there, rest = path.Dir(there), path.Join(path.Base(there), rest)
		}
		real = path.Join(real, rest)
		return err
	})
	if err != nil {
		return "", pathError("realpath", name, err)
	}
	return real, nil
}

// realPath asks the kernel under which name it knows a file, and takes the name of the jail off it.
func (h *home) realPath(root int, name string) (string, error) {
	f, err := openIn(root, name, unix.O_PATH)
	if err != nil {
		return "", err
	}
	defer f.Close()
	top, err := os.Readlink(self(uintptr(root)))
	if err != nil {
		return "", bare(err)
	}
	whole, err := os.Readlink(self(f.Fd()))
	if err != nil {
		return "", bare(err)
	}
	in, ok := strings.CutPrefix(whole, top)
	switch {
	case !ok || (in != "" && in[0] != '/'):
		return "", unix.ENOENT
	case in == "":
		return "/", nil
	}
	return in, nil
}
