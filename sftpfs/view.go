package sftpfs

import (
	"context"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"plil.net/nuage/cloud"
)

// Site is the home of a site as somebody may use it.
type Site interface {
	cloud.Home
	// Check tells why the home may not be used any more.
	Check(ctx context.Context) error
	// Space tells how much room there is.
	Space(ctx context.Context) (cloud.Space, error)
	// Grow is asked before n more bytes are written. Quota if there is no room for them.
	Grow(ctx context.Context, n int64) error
	// Done is told of each file at its close, and of each removal.
	Done(t cloud.Transfer)
}

// FS is what a session sees: a SiteView or an AccountView. Names are absolute and clean.
type FS interface {
	// Start is where relative names begin.
	Start() string
	// find tells which home a name is in, and what the home calls it. A nil mount is what is above all homes:
	// "/", which cannot be changed.
	find(ctx context.Context, name string) (*mount, string, error)
	// list is what is in "/" where that is above all homes.
	list(ctx context.Context) ([]fs.FileInfo, error)
	// Close closes the homes.
	Close() error
}

// mount is a home and where the session sees it.
type mount struct {
	Site
	at      string // "" if the session sees the names of the home as they are
	uid     uint32 // who the home belongs to
	checked time.Time
}

// checkEvery is for how long a session may go on in a home that was taken away.
const checkEvery = 100 * time.Millisecond

func newMount(site Site, at string) (*mount, error) {
	fi, err := site.Stat(cloud.HomePath)
	if err != nil {
		return nil, err
	}
	m := &mount{Site: site, at: at, checked: time.Now()}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		m.uid = st.Uid
	}
	return m, nil
}

// still tells why the home may not be used any more.
func (m *mount) still(ctx context.Context) error {
	now := time.Now()
	if now.Sub(m.checked) < checkEvery {
		return nil
	}
	if err := m.Check(ctx); err != nil {
		return err
	}
	m.checked = now
	return nil
}

// outside turns a name of the home into what the session calls it.
func (m *mount) outside(name string) (string, bool) {
	if m.at == "" {
		return name, true
	}
	below, ok := strings.CutPrefix(name, cloud.HomePath)
	return m.at + below, ok && (below == "" || below[0] == '/')
}

// SiteView shows one home with the names that the site's container has.
func SiteView(site Site) FS { return &siteView{site: site} }

type siteView struct {
	site  Site
	mount *mount
}

func (v *siteView) Start() string { return cloud.HomePath }

func (v *siteView) find(ctx context.Context, name string) (_ *mount, _ string, err error) {
	if v.mount == nil {
		v.mount, err = newMount(v.site, "")
	}
	if err == nil {
		err = v.mount.still(ctx)
	}
	return v.mount, name, err
}

func (v *siteView) list(context.Context) ([]fs.FileInfo, error) { return nil, nil }

func (v *siteView) Close() error { return v.site.Close() }
