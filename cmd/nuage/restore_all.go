package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"plil.net/nuage/archive"
	"plil.net/nuage/cloud"
	"plil.net/nuage/home"
	"plil.net/nuage/store"
)

// restoreAll unpacks an archive beside what is there, and puts it in place once it is whole. A crash in the moment
// between files and records leaves the new files with the old records: restoring once more mends that.
func (p *program) restoreAll(dir string, from io.Reader) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	a, err := archive.Open(from)
	if err != nil {
		return err
	}
	staging, err := os.MkdirTemp(dir, "restore-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(staging)
	homes, err := home.New(filepath.Join(staging, sitesDir))
	if err != nil {
		return err
	}
	if snapshot := a.Store(); snapshot != nil {
		return p.restoreEverything(ctx, dir, a, snapshot, staging, homes)
	}
	return p.restoreSite(ctx, dir, a, homes)
}

func (p *program) restoreEverything(ctx context.Context, dir string, a *archive.Reader, snapshot io.Reader, staging string, homes *home.Disk) error {
	path, sites := filepath.Join(dir, storeFile), filepath.Join(dir, sitesDir)
	before := sites + ".before-" + time.Now().UTC().Format("20060102T150405Z")
	err := store.RestoreWith(path, snapshot, func(backup string) error {
		known, err := sitesOf(backup)
		if err != nil {
			return err
		}
		if err := a.Homes(ctx, into(ctx, homes, func(id, _ string) (cloud.Site, bool) { s, ok := known[id]; return s, ok })); err != nil {
			return err
		}
		for _, s := range known { // one that was deleted while the backup was made has no files in it
			if err := makeHome(ctx, homes, s); err != nil {
				return err
			}
		}
		return exchange(filepath.Join(staging, sitesDir), sites, before)
	})
	if err != nil {
		return err
	}
	p.restored(path, path+store.BeforeRestore)
	p.restored(sites, before)
	return nil
}

// restoreSite puts the files of one site into the site of that name: what has its id now and its uid.
func (p *program) restoreSite(ctx context.Context, dir string, a *archive.Reader, staged *home.Disk) error {
	path := filepath.Join(dir, storeFile)
	if _, err := os.Stat(path); err != nil {
		return cloud.Errorf(cloud.NotFound, "there is no gateway in %q to restore a site of", dir).Because(err)
	}
	s, err := store.Open(path, store.Options{}) // its lock keeps gateways away
	if err != nil {
		return err
	}
	defer s.Close()
	var found cloud.Site
	err = a.Homes(ctx, into(ctx, staged, func(_, name string) (cloud.Site, bool) {
		err := s.View(ctx, func(tx cloud.Tx) (err error) { found, err = tx.SiteByName(name); return err })
		return found, err == nil && found.Settled()
	}))
	if err != nil {
		return err
	}
	if found.ID == "" {
		return cloud.Errorf(cloud.NotFound, "the site of this backup does not exist").WithHint("start the gateway and make it: site create NAME")
	}
	before := filepath.Join(dir, found.ID+".before-"+time.Now().UTC().Format("20060102T150405Z"))
	to := filepath.Join(dir, sitesDir, found.ID, cloud.HomePath)
	if err := exchange(staged.Path(found), to, before); err != nil {
		return err
	}
	p.restored(to, before)
	return nil
}

// into opens the new home of each site that is known.
func into(ctx context.Context, homes *home.Disk, known func(id, name string) (cloud.Site, bool)) func(id, name string) (cloud.Home, error) {
	return func(id, name string) (cloud.Home, error) {
		s, ok := known(id, name)
		if !ok {
			return nil, nil
		}
		if err := makeHome(ctx, homes, s); err != nil {
			return nil, err
		}
		return homes.Open(s)
	}
}

// makeHome makes another home for a site. What is in its old one counts for the same quota, which the gateway sets again.
func makeHome(ctx context.Context, homes *home.Disk, s cloud.Site) error {
	if err := homes.Unlimit(s); err != nil {
		return err
	}
	return homes.Make(ctx, s, nil)
}

func sitesOf(path string) (map[string]cloud.Site, error) {
	s, err := store.Open(path, store.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	known := map[string]cloud.Site{}
	err = s.View(context.Background(), func(tx cloud.Tx) error {
		sites, err := tx.Sites()
		for _, site := range sites {
			known[site.ID] = site
		}
		return err
	})
	return known, err
}

// exchange puts a directory in the place of another, which is kept under a name of its own.
func exchange(from, to, before string) error {
	if err := os.Rename(to, before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return errors.Join(err, os.Rename(before, to))
	}
	return nil
}
