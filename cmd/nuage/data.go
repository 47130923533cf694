package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
	"plil.net/nuage/home"
	"plil.net/nuage/provision"
	"plil.net/nuage/store"
)

// Names in the data directory; the keys in ssh/ are the gateway's own affair.
const (
	storeFile   = "nuage.db"
	addressFile = "ssh/address" // where the SSH door listens now, for ctl
	certsDir    = "certs"
	timeFile    = "time" // empty: it was last written when the clock was last believed
	sitesDir    = "sites"
)

// data is an open data directory: nobody else has it open.
type data struct {
	dir   string
	last  time.Time // that the clock was believed, zero where that is not known
	store *store.Bolt
	homes *home.Disk
	keys  gateway.Keys
}

// openData opens the data directory and makes what is missing of it. The store goes first: its lock tells whether
// another gateway is at work here.
func openData(dir string) (*data, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{dir, filepath.Join(dir, "ssh"), filepath.Join(dir, certsDir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, cloud.Errorf(cloud.Invalid, "data directory %q cannot be made: %v", dir, errors.Unwrap(err)).
				WithHint("run as root, or choose another with --data DIR")
		}
	}
	d := &data{dir: dir}
	for _, name := range []string{storeFile, timeFile} { // the store's own time may be that of a clock that was wrong
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			d.last = info.ModTime()
		}
	}
	if d.store, err = store.Open(filepath.Join(dir, storeFile), store.Options{}); err != nil {
		return nil, err
	}
	if err := d.openRest(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

func (d *data) openRest() (err error) {
	if d.homes, err = home.New(d.sites()); err != nil {
		return err
	}
	d.keys, err = gateway.OpenKeys(d.dir)
	return err
}

// sites is the directory of all sites: of each one's home and access log.
func (d *data) sites() string { return filepath.Join(d.dir, sitesDir) }

// keepTime notes that the clock is believed.
func (d *data) keepTime() error {
	name := filepath.Join(d.dir, timeFile)
	return errors.Join(os.WriteFile(name, nil, 0o600), os.Chtimes(name, time.Time{}, time.Now()))
}

func (d *data) close() error { return d.store.Close() }

// engineAnswers is how long "auto" waits for an engine before it goes on without.
const engineAnswers = 3 * time.Second

// openEngine opens the engine that the config asks for. "auto" is docker where it answers, or where there are
// sites that need it: those must not become unreachable because the engine starts after the gateway.
func openEngine(ctx context.Context, c config, d *data, groups []cloud.Group, web []int, fault func(string), log *slog.Logger) (cloud.Engine, error) {
	if c.Engine.Kind == "none" {
		return provision.None{}, nil
	}
	docker, err := provision.NewDocker(ctx, provision.DockerOptions{
		Host: c.Engine.Host, Data: d.dir, Image: c.Engine.Image, Groups: groups, WebPorts: web, Fault: faultOf(fault), Log: log,
	})
	if err != nil || c.Engine.Kind == "docker" {
		return docker, err
	}
	asking, cancel := context.WithTimeout(ctx, engineAnswers)
	defer cancel()
	if docker.Ping(asking) == nil {
		return docker, nil
	}
	needed, err := hasContainers(ctx, d.store)
	if err != nil || needed {
		return docker, err
	}
	log.Info("no container engine answers: static sites only", "hint", "start docker and restart the gateway, or set engine.kind")
	return provision.None{}, docker.Close()
}

// faultOf has the engine's steps cut as those of the verbs are.
func faultOf(fault func(step string)) func(id, step string) {
	if fault == nil {
		return nil
	}
	return func(_, step string) { fault(step) }
}

func hasContainers(ctx context.Context, s cloud.Store) (found bool, err error) {
	err = s.View(ctx, func(tx cloud.Tx) error {
		sites, err := tx.Sites()
		for _, site := range sites {
			found = found || site.Type == cloud.PHP
		}
		return err
	})
	return found, err
}
