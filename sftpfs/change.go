package sftpfs

import (
	"path"
	"syscall"

	"plil.net/nuage/cloud"
)

func (s *session) rename(a *args, _ *reply) error {
	m, oldname, newname, err := s.inside2(a.paths)
	if err != nil {
		return err
	}
	return s.full(m.Rename(oldname, newname, false), m)
}

// posixRename renames over what is there.
func (s *session) posixRename(a *args, _ *reply) error {
	m, oldname, newname, err := s.inside2(a.paths)
	if err != nil {
		return err
	}
	return s.full(m.Rename(oldname, newname, true), m)
}

func (s *session) link(a *args, _ *reply) error {
	m, oldname, newname, err := s.inside2(a.paths)
	if err != nil {
		return err
	}
	return s.full(m.Link(oldname, newname), m)
}

func (s *session) symlink(a *args, _ *reply) error {
	m, in, err := s.inside(a.paths[0])
	if err != nil {
		return err
	}
	return s.full(m.Symlink(a.texts[0], in), m)
}

func (s *session) mkdir(a *args, _ *reply) error {
	name := a.paths[0]
	m, in, err := s.inside(name)
	if cloud.KindOf(err) == cloud.NotFound && path.Dir(name) == "/" {
		return failf(cloud.Denied, "a directory here would be a site; hint: make one with site create %s", shown(path.Base(name)))
	}
	if err != nil {
		return err
	}
	return s.full(m.Mkdir(in, a.attrs.permOr(0o777)), m)
}

func (s *session) remove(a *args, _ *reply) error { return s.unlink(a.paths[0], false) }
func (s *session) rmdir(a *args, _ *reply) error  { return s.unlink(a.paths[0], true) }

// unlink removes a directory, or anything else. Nobody but the site itself can come between looking and
// removing.
func (s *session) unlink(name string, dir bool) error {
	m, in, err := s.inside(name)
	if err != nil {
		return err
	}
	fi, err := m.Lstat(in)
	switch {
	case err != nil:
		return err
	case dir && !fi.IsDir():
		return syscall.ENOTDIR
	case !dir && fi.IsDir():
		return syscall.EISDIR
	}
	if err := m.Remove(in); err != nil {
		return err
	}
	m.Done(cloud.Transfer{Action: cloud.FileRemove, Path: in})
	return nil
}
