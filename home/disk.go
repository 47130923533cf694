// Package home keeps the homes of sites on the gateway's own disk, each after a jail that the kernel
// holds: every name is resolved by openat2 inside the site's directory, as the site's uid. It knows neither
// limits nor who may open which home.
//
// os.Root would be the portable jail, but it refuses every absolute link, and in a container links to
// /home/site/… are what people and their tools make.
package home

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
	"plil.net/nuage/cloud"
)

// Disk is a directory of homes. A site's jail is <dir>/<id>, seen over SFTP as "/"; its home is
// <dir>/<id>/home/site.
type Disk struct {
	dir string
	own identity // of this process

	usages   sync.Map // *usage by the id of a site
	programs programs
}

var _ cloud.Homes = (*Disk)(nil)

// Modes of what is above the homes. A site may list its jail; who it is not its own can not even enter its home.
const (
	dirMode  = 0o711
	jailMode = 0o755
	homeMode = 0o750
)

// New makes the directory if it is missing, and makes sure that the kernel can hold the jails. A process
// that is not root acts as itself on all homes: they all belong to it.
func New(dir string) (*Disk, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	if err := probe(dir); err != nil {
		return nil, err
	}
	own, err := process()
	return &Disk{dir: dir, own: own}, err
}

// probe tries openat2. A container's seccomp filter may say EPERM for a call that it does not know.
func probe(dir string) error {
	root, err := openJail(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := openIn(int(root.Fd()), "/", unix.O_PATH|unix.O_DIRECTORY)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return cloud.Errorf(cloud.Unavailable, "this kernel has no openat2").
			WithHint("use Linux 5.6 or newer; in a container, a seccomp profile that allows openat2").Because(err)
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// Path is the home on the host.
func (d *Disk) Path(site cloud.Site) string { return filepath.Join(d.dir, site.ID, cloud.HomePath) }

// Open opens the home.
func (d *Disk) Open(site cloud.Site) (cloud.Home, error) {
	h, err := d.open(site)
	if err != nil {
		return nil, err
	}
	return h, nil
}

// Inspect opens the home with the rights of this process, in the same jail.
func (d *Disk) Inspect(site cloud.Site) (cloud.Home, error) {
	if err := check(site); err != nil {
		return nil, err
	}
	h, err := d.openAs(site, switched{})
	if err != nil {
		return nil, err
	}
	return h, nil
}

func (d *Disk) open(site cloud.Site) (*home, error) {
	as, err := d.identity(site)
	if err != nil {
		return nil, err
	}
	return d.openAs(site, as)
}

func (d *Disk) openAs(site cloud.Site, as switched) (*home, error) {
	root, err := openJail(filepath.Join(d.dir, site.ID))
	if errors.Is(err, os.ErrNotExist) {
		return nil, cloud.Errorf(cloud.Unavailable, "the home of %q is not there", site.Name).Because(err)
	}
	if err != nil {
		return nil, err
	}
	uid := 0
	if d.own.root() {
		uid = site.UID
	}
	u, _ := d.usages.LoadOrStore(site.ID, newUsage(&d.programs, uid))
	h, err := newHome(root, as, u.(*usage))
	if err != nil {
		root.Close()
		return nil, cloud.Errorf(cloud.Unavailable, "the home of %q cannot be opened", site.Name).Because(err)
	}
	return h, nil
}

// Remove removes the jail with all that is in it, and then the limit: nobody can set that again without a home.
func (d *Disk) Remove(ctx context.Context, site cloud.Site) error {
	if err := check(site); err != nil {
		return err
	}
	d.usages.Delete(site.ID)
	if err := removeTree(ctx, filepath.Join(d.dir, site.ID)); err != nil {
		return err
	}
	return d.Unlimit(site)
}

// identity is who acts on the site's home.
func (d *Disk) identity(site cloud.Site) (switched, error) {
	if err := check(site); err != nil {
		return switched{}, err
	}
	if !d.own.root() {
		return switched{}, nil
	}
	if site.UID <= 0 {
		return switched{}, cloud.Errorf(cloud.Internal, "site %q has no uid of its own: %d", site.ID, site.UID)
	}
	return switched{to: identity{uid: site.UID, gid: site.UID}, back: d.own, on: true}, nil
}

// check refuses an id that would name another directory than one directly in the disk's.
func check(site cloud.Site) error {
	if site.ID == "" || strings.HasPrefix(site.ID, ".") || strings.ContainsAny(site.ID, "/\x00") {
		return cloud.Errorf(cloud.Internal, "site id %q is not valid", site.ID)
	}
	return nil
}
