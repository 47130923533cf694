package sftpfs

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"strings"
	"time"

	"plil.net/nuage/cloud"
)

// Sites are what an account may use.
type Sites interface {
	// Names are the full names of the account's sites.
	Names(ctx context.Context) ([]string, error)
	// Open opens the home of a site, named in full or by its first label under the default domain, and tells
	// its full name. NotFound if the account may not use it.
	Open(ctx context.Context, name string) (full string, site Site, err error)
}

// AccountView shows the sites of an account: "/" lists them, and "/blog.plil.net" is the home of one. A home is
// opened when it is first used.
func AccountView(s Sites) FS { return &accountView{sites: s, mounts: map[string]*mount{}} }

// maxSiteName is more than any name of a site has (RFC 1035 section 2.3.4): longer ones are not asked for.
const maxSiteName = 255

type accountView struct {
	sites  Sites
	mounts map[string]*mount // by full name, and by each other name that was used
}

func (v *accountView) Start() string { return "/" }

func (v *accountView) find(ctx context.Context, name string) (*mount, string, error) {
	site, below, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	if site == "" {
		return nil, name, nil
	}
	m, err := v.open(ctx, site)
	return m, path.Join(cloud.HomePath, below), err
}

// open opens a site once, by whatever name: two homes of one site would look like two sites to a rename.
func (v *accountView) open(ctx context.Context, name string) (*mount, error) {
	if m := v.mounts[name]; m != nil {
		err := m.still(ctx)
		if err != nil {
			v.drop(m)
		}
		return m, err
	}
	if len(name) > maxSiteName {
		return nil, fs.ErrNotExist
	}
	full, site, err := v.sites.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	m := v.mounts[full]
	if m != nil {
		site.Close()
	} else if m, err = newMount(site, "/"+full); err != nil {
		site.Close()
		return nil, err
	}
	v.mounts[full], v.mounts[name] = m, m
	return m, nil
}

// drop forgets a home that may not be used any more. The name may be another site's by the next time.
func (v *accountView) drop(m *mount) {
	maps.DeleteFunc(v.mounts, func(_ string, other *mount) bool { return other == m })
	m.Close()
}

func (v *accountView) list(ctx context.Context) ([]fs.FileInfo, error) {
	names, err := v.sites.Names(ctx)
	if err != nil {
		return nil, err
	}
	infos := make([]fs.FileInfo, len(names))
	for i, n := range names {
		infos[i] = topInfo{n}
	}
	return infos, nil
}

func (v *accountView) Close() error {
	var err error
	for name, m := range v.mounts {
		if m.at == "/"+name { // not under its other names again
			err = errors.Join(err, m.Close())
		}
	}
	return err
}

// topInfo describes "/" and what is in it: a site is not opened only to be listed.
type topInfo struct{ name string }

func (i topInfo) Name() string       { return i.name }
func (i topInfo) Size() int64        { return 0 }
func (i topInfo) Mode() fs.FileMode  { return fs.ModeDir | 0o755 }
func (i topInfo) ModTime() time.Time { return time.Unix(0, 0) }
func (i topInfo) IsDir() bool        { return true }
func (i topInfo) Sys() any           { return nil }
