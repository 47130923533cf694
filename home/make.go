package home

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"syscall"

	"plil.net/nuage/cloud"
)

// The welcome page is HTML for all sites: Apache's DirectoryIndex asks for index.php first, so the owner's
// own start page takes over.
const (
	welcomePage = "index.html"
	unfinished  = ".welcome.tmp" // in the home: a page half written is no page
)

// Make makes what is missing. What the owner has put there stays, whatever it is.
func (d *Disk) Make(ctx context.Context, site cloud.Site, welcome []byte) error {
	if err := d.makeJail(site); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	h, err := d.open(site)
	if err != nil {
		return err
	}
	defer h.Close()
	root := documentRoot(site)
	if err := h.mkdirAll(root); err != nil && !ownersDoing(err) {
		return err
	}
	return h.welcome(root, welcome)
}

// ownersDoing tells what an owner can make of the document root, and may: a file in the way of it, a link to
// nowhere, a directory that cannot be entered.
func ownersDoing(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && slices.Contains([]syscall.Errno{
		syscall.ENOTDIR, syscall.ENOENT, syscall.ELOOP, syscall.EACCES, syscall.EPERM}, errno)
}

// makeJail makes the directories that belong to the gateway, and gives the home to the site.
func (d *Disk) makeJail(site cloud.Site) error {
	as, err := d.identity(site)
	if err != nil {
		return err
	}
	jail := filepath.Join(d.dir, site.ID)
	for _, dir := range []string{jail, filepath.Join(jail, "home")} {
		if err := mkdir(dir, jailMode); err != nil {
			return err
		}
	}
	home := d.Path(site)
	if err := mkdir(home, homeMode); err != nil {
		return err
	}
	if !as.on {
		return nil
	}
	return os.Lchown(home, as.to.uid, as.to.gid)
}

// mkdir makes a directory of exactly this mode, whatever the umask, or finds it made.
func mkdir(dir string, mode fs.FileMode) error {
	err := os.Mkdir(dir, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

func documentRoot(site cloud.Site) string {
	root := site.Root
	if root == "" {
		root = cloud.DocumentRoot
	}
	return path.Join(cloud.HomePath, path.Clean("/"+root))
}

// mkdirAll makes a directory below the home and those above it.
func (h *home) mkdirAll(name string) error {
	if name == cloud.HomePath {
		return nil
	}
	if _, err := h.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := h.mkdirAll(path.Dir(name)); err != nil {
		return err
	}
	err := h.Mkdir(name, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// welcome puts the page into the document root if that is an empty directory.
func (h *home) welcome(root string, page []byte) error {
	if page == nil || h.ReadDir(root, func(fs.FileInfo) error { return fs.ErrExist }) != nil {
		return nil
	}
	temp := path.Join(cloud.HomePath, unfinished)
	if err := h.writeFile(temp, page); err != nil {
		return err
	}
	err := h.Rename(temp, path.Join(root, welcomePage), false)
	if errors.Is(err, fs.ErrExist) {
		return h.Remove(temp)
	}
	return err
}

func (h *home) writeFile(name string, b []byte) error {
	f, err := h.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}
