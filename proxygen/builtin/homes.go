package builtin

import (
	"sync"
	"syscall"
	"time"

	"plil.net/nuage/cloud"
)

// homes lends the homes of sites, each opened once for all requests of a moment. It is a short one: a home that was
// put in the place of another must be seen.
type homes struct {
	sites Sites
	keep  time.Duration

	mu   sync.Mutex
	open map[string]*lentHome // by site
}

type lentHome struct {
	cloud.Home
	from  *homes
	users int
	over  bool // nobody else gets it

	mu      sync.RWMutex
	folders map[string]*folder // nil: asked for once
	parts   int                // of the names in folders
	shut    bool               // there are to be no folders
}

func newHomes(s Sites, keep time.Duration) *homes {
	return &homes{sites: s, keep: keep, open: map[string]*lentHome{}}
}

// take lends the home of a site until it is given back.
func (h *homes) take(siteID string) (*lentHome, error) {
	if l := h.share(siteID); l != nil {
		return l, nil
	}
	home, err := h.sites.Home(siteID)
	if err != nil {
		return nil, err
	}
	l := &lentHome{Home: home, from: h, users: 1}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open[siteID] != nil { // somebody was faster
		l.over, l.shut = true, true
		return l, nil
	}
	h.open[siteID] = l
	time.AfterFunc(h.keep, func() { h.end(siteID, l) })
	return l, nil
}

func (h *homes) share(siteID string) *lentHome {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.open[siteID]
	if l != nil {
		l.users++
	}
	return l
}

func (h *homes) end(siteID string, l *lentHome) {
	l.closeFolders()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, siteID)
	l.over = true
	l.closeUnused()
}

// inode is what the kernel tells of the file that a name leads to now.
func (l *lentHome) inode(name string) (syscall.Stat_t, error) {
	if quick, ok := l.Home.(interface {
		Inode(name string) (syscall.Stat_t, error)
	}); ok {
		return quick.Inode(name)
	}
	info, err := l.Stat(name)
	if err != nil {
		return syscall.Stat_t{}, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return syscall.Stat_t{}, syscall.ENOSYS
	}
	return *stat, nil
}

func (l *lentHome) giveBack() {
	l.from.mu.Lock()
	defer l.from.mu.Unlock()
	l.users--
	l.closeUnused()
}

func (l *lentHome) closeUnused() {
	if l.over && l.users == 0 {
		l.Close()
	}
}
