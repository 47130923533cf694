package trail

import (
	"bytes"
	"os"
)

// file is a file that may be renamed or deleted at any time, as logrotate does: the next lines go to a new one of the name.
type file struct {
	path string
	f    *os.File
}

func (f *file) open() (err error) {
	f.f, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	return err
}

// write writes whole lines at once.
func (f *file) write(lines [][]byte) (taken int, err error) {
	if !f.isThere() {
		if f.f != nil {
			_ = f.f.Close()
		}
		if err := f.open(); err != nil {
			f.f = nil
			return 0, err
		}
	}
	if _, err := f.f.Write(append(bytes.Join(lines, []byte("\n")), '\n')); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// isThere reports whether the name is still that of the open file.
func (f *file) isThere() bool {
	if f.f == nil {
		return false
	}
	named, err1 := os.Stat(f.path)
	open, err2 := f.f.Stat()
	return err1 == nil && err2 == nil && os.SameFile(named, open)
}

func (f *file) Close() error {
	if f.f == nil {
		return nil
	}
	return f.f.Close()
}
