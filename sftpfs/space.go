package sftpfs

import (
	"plil.net/nuage/cloud"
)

// blockSize is the unit of statvfs replies.
const blockSize = 4096

// statVFS answers df: a home's disk limit is the size of its file system.
func (s *session) statVFS(a *args, w *reply) error {
	if _, err := s.info(a.paths[0], true); err != nil {
		return err
	}
	m, _, err := s.find(a.paths[0])
	if err != nil {
		return err
	}
	return s.space(m, a.id, w)
}

func (s *session) fstatVFS(a *args, w *reply) error {
	if err := s.still(a.handles[0]); err != nil {
		return err
	}
	return s.space(a.handles[0].mount, a.id, w)
}

func (s *session) space(m *mount, id uint32, w *reply) error {
	space, err := s.spaceOf(m)
	if err != nil {
		return err
	}
	const noSetuid = 2 // SSH2_FXE_STATVFS_ST_NOSUID
	total, free := uint64(space.Limit)/blockSize, uint64(space.Free)/blockSize
	w.begin(typeExtendedReply, id)
	for _, n := range []uint64{blockSize, blockSize, total, free, free, 0, 0, 0, 0, noSetuid, 255} {
		w.uint64(n)
	}
	return nil
}

// spaceOf is the space of a home, or what all homes have together.
func (s *session) spaceOf(m *mount) (all cloud.Space, err error) {
	if m != nil {
		return m.Space(s.ctx)
	}
	sites, err := s.view.list(s.ctx)
	if err != nil {
		return all, err
	}
	for _, site := range sites {
		m, _, err := s.find("/" + site.Name())
		if err != nil {
			return all, err
		}
		one, err := m.Space(s.ctx)
		if err != nil {
			return all, err
		}
		all.Limit, all.Used, all.Free = all.Limit+one.Limit, all.Used+one.Used, all.Free+one.Free
	}
	return all, nil
}
