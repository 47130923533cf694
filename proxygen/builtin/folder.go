package builtin

import (
	"errors"
	"io/fs"
	"syscall"
)

// maxFolders are kept open of one home: each takes as many files as its name has parts.
const maxFolders = 16

// folder is a directory of a lent home. Who asks for its files a second time has it opened, if the home can: then what a
// name leads to is told at once, as long as nothing on the way has changed.
type folder struct {
	inode func(base string) (syscall.Stat_t, error) // nil: not yet, or it cannot be
	close func()
}

// folder finds one that is open.
func (l *lentHome) folder(dir string) *folder {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, again := l.folders[dir]
	switch {
	case again && f == nil:
		f = l.openFolder(dir)
		l.folders[dir] = f
	case !again && len(l.folders) < maxFolders:
		if l.folders == nil {
			l.folders = map[string]*folder{}
		}
		l.folders[dir] = nil
	}
	if f == nil || f.inode == nil {
		return nil
	}
	return f
}

func (l *lentHome) openFolder(dir string) *folder {
	quick, ok := l.Home.(interface {
		Folder(dir string) (inode func(base string) (syscall.Stat_t, error), close func(), err error)
	})
	if !ok {
		return &folder{}
	}
	inode, close, err := quick.Folder(dir)
	if err != nil {
		return &folder{}
	}
	return &folder{inode, close}
}

func (l *lentHome) closeFolders() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.folders {
		if f != nil && f.close != nil {
			f.close()
		}
	}
	l.folders = nil
}

// holds reports whether a name leads to a file with a mark, and by which folder it did; nil: looked up whole.
func (l *lentHome) holds(dir, base string, m mark) (ok bool, by *folder) {
	if f := l.folder(dir); f != nil {
		if stat, err := f.inode(base); err == nil && markIn(&stat) == m {
			return true, f
		}
	}
	stat, err := l.inode(dir + "/" + base)
	return err == nil && markIn(&stat) == m, nil
}

// lacks reports whether a name leads nowhere, and by which folder it did not; nil: looked up whole.
func (l *lentHome) lacks(dir, base string) (ok bool, by *folder) {
	if f := l.folder(dir); f != nil {
		if _, err := f.inode(base); err == nil || errors.Is(err, fs.ErrNotExist) {
			return err != nil, f
		}
	}
	_, err := l.inode(dir + "/" + base)
	return err != nil, nil
}
