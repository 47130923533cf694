package sftpfs

import (
	"context"
	"io/fs"
	"log/slog"
	"path"

	"plil.net/nuage/cloud"
)

// session is what one client has open. One goroutine does all that it asks.
type session struct {
	ctx     context.Context // ends with Serve
	view    FS
	user    string
	log     *slog.Logger
	say     func(string)
	said    bool
	greeted bool
	args    args // of the packet in hand

	handles map[string]*handle // by what the client calls them
	next    uint32
	owners  map[uint32]bool // uids of the homes seen
}

func newSession(ctx context.Context, view FS, o Options) *session {
	s := &session{ctx: ctx, view: view, user: o.User, log: o.Log, say: o.Say, handles: map[string]*handle{}, owners: map[uint32]bool{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.say == nil {
		s.say = func(string) {}
	}
	return s
}

// close closes what the client left open.
func (s *session) close() {
	for _, h := range s.handles {
		if err := s.end(h, errLeft); err != nil {
			s.log.Warn("closing a file failed", "path", h.in, "error", err)
		}
	}
	if err := s.view.Close(); err != nil {
		s.log.Warn("closing the homes failed", "error", err)
	}
}

// find tells which home a name is in, and what the home calls it. A nil mount is what is above all homes: "/".
func (s *session) find(name string) (*mount, string, error) {
	m, in, err := s.view.find(s.ctx, name)
	if m != nil {
		s.owners[m.uid] = true
	}
	return m, in, err
}

// inside is find for names that must be in a home.
func (s *session) inside(name string) (*mount, string, error) {
	m, in, err := s.find(name)
	if err == nil && m == nil {
		err = failf(cloud.Denied, "%q lists your sites and cannot be changed", name)
	}
	return m, in, err
}

// inside2 is inside for two names that must be in the same home.
func (s *session) inside2(names []string) (m *mount, a, b string, err error) {
	m, a, err = s.inside(names[0])
	if err != nil {
		return nil, "", "", err
	}
	other, b, err := s.inside(names[1])
	if err != nil {
		return nil, "", "", err
	}
	if m != other {
		return nil, "", "", failf(cloud.Invalid, "%q and %q are in different sites: copy instead", names[0], names[1])
	}
	return m, a, b, nil
}

// info asks for what a name is, or for what the link of that name is.
func (s *session) info(name string, follow bool) (fs.FileInfo, error) {
	m, in, err := s.find(name)
	switch {
	case err != nil:
		return nil, err
	case m == nil:
		return topInfo{path.Base(name)}, nil
	case follow:
		return m.Stat(in)
	}
	return m.Lstat(in)
}

// userName names a uid, or a gid: a site's gid is its uid. Others than the site and root have no name here.
func (s *session) userName(id uint32) string {
	switch {
	case s.owners[id]:
		return s.user
	case id == 0:
		return "root"
	}
	return ""
}
