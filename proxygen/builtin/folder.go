package builtin

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
)

// maxParts are those of the names of all folders that are kept open of one home: each takes an open file.
const maxParts = 64

// folder is a directory of a lent home. Who asks for its files a second time has it opened, if the home can: then what a
// name leads to is told at once, as long as nothing on the way has changed.
type folder struct {
	inode func(base string) (syscall.Stat_t, error) // nil: not yet, or it cannot be
	close func()
}

// ask has an open folder tell what a name in it leads to; by is nil if none is open.
func (l *lentHome) ask(dir, base string) (stat syscall.Stat_t, by *folder, err error) {
	l.mu.RLock()
	if l.folders[dir] == nil {
		l.mu.RUnlock()
		l.note(dir)
		l.mu.RLock()
	}
	defer l.mu.RUnlock()
	f := l.folders[dir]
	if f == nil || f.inode == nil {
		return stat, nil, nil
	}
	stat, err = f.inode(base)
	return stat, f, err
}

// note opens a folder that was asked for before.
func (l *lentHome) note(dir string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, again := l.folders[dir]
	parts := strings.Count(dir, "/")
	switch {
	case l.shut:
	case again && f == nil:
		l.folders[dir] = l.openFolder(dir)
	case !again && l.parts+parts <= maxParts:
		if l.folders == nil {
			l.folders = map[string]*folder{}
		}
		l.folders[dir] = nil
		l.parts += parts
	}
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

// closeFolders closes them for good: who is slow to take an answer keeps the home, but no folder.
func (l *lentHome) closeFolders() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.folders {
		if f != nil && f.close != nil {
			f.close()
		}
	}
	l.folders, l.shut = nil, true
}

// holds reports whether a name leads to a file with a mark, and by which folder it did; nil: looked up whole.
func (l *lentHome) holds(dir, base string, m mark) (ok bool, by *folder) {
	stat, by, err := l.ask(dir, base)
	if by != nil && err == nil && markIn(&stat) == m {
		return true, by
	}
	stat, err = l.inode(dir + "/" + base)
	return err == nil && markIn(&stat) == m, nil
}

// lacks reports whether a name leads nowhere, and by which folder it did not; nil: looked up whole.
func (l *lentHome) lacks(dir, base string) (ok bool, by *folder) {
	_, by, err := l.ask(dir, base)
	if by != nil && (err == nil || errors.Is(err, fs.ErrNotExist)) {
		return err != nil, by
	}
	_, err = l.inode(dir + "/" + base)
	return err != nil, nil
}
