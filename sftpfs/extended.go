package sftpfs

import (
	"encoding/binary"
	"strings"

	"plil.net/nuage/cloud"
)

// limits tells a client how much it may ask for in one packet. Without it OpenSSH's sftp stays at 32 KiB.
func (s *session) limits(a *args, w *reply) error {
	w.begin(typeExtendedReply, a.id)
	for _, limit := range []uint64{maxPacket, maxTransfer, maxTransfer, maxHandles} {
		w.uint64(limit)
	}
	return nil
}

// expandPath is realPath for names that may begin with "~".
func (s *session) expandPath(a *args, w *reply) error {
	if user, tilde := strings.CutPrefix(a.texts[0], "~"); tilde {
		user, below, _ := strings.Cut(user, "/")
		start, err := s.start(user)
		if err != nil {
			return err
		}
		a.texts[0] = start + "/" + below
	}
	return s.realPath(a, w)
}

func (s *session) homeDirectory(a *args, w *reply) error {
	start, err := s.start(a.texts[0])
	if err != nil {
		return err
	}
	w.name(a.id, start)
	return nil
}

// start is where a user begins: only the session's own is known here.
func (s *session) start(user string) (string, error) {
	if user != "" && user != s.user {
		return "", failf(cloud.NotFound, "no such user: %q", user)
	}
	return s.view.Start(), nil
}

// namesByID answers two lists of ids, of users and groups, with two lists of their names.
func (s *session) namesByID(a *args, w *reply) error {
	w.begin(typeExtendedReply, a.id)
	for _, ids := range a.texts {
		var names reply
		for ; len(ids) >= 4; ids = ids[4:] {
			names.string(s.userName(binary.BigEndian.Uint32([]byte(ids[:4]))))
		}
		if len(ids) > 0 {
			return errShort
		}
		w.string(string(names.b))
	}
	return nil
}
