package sftpfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime/debug"
	"syscall"

	"plil.net/nuage/cloud"
)

// status is an answer: a code for programs and words for people. All errors become one at the edge, so that no
// path or cause of the host's leaves by another way.
type status struct {
	code uint32
	kind cloud.Kind // "" if nothing is wrong
	msg  string
}

func (s *status) Error() string { return s.msg }

var (
	statusDone     = &status{statusOK, "", ""}
	statusEnd      = &status{statusEOF, "", "end of file"}
	errUnsupported = &status{statusUnsupported, cloud.Invalid, "not supported"}
	errShort       = &status{statusBadMessage, cloud.Invalid, "the packet is cut short"}
)

func failf(k cloud.Kind, format string, args ...any) *status {
	return &status{k.SFTP(), k, fmt.Sprintf(format, args...)}
}

// status writes a status in the place of whatever was in the reply.
func (w *reply) status(id uint32, s *status) {
	w.begin(typeStatus, id)
	w.uint32(s.code)
	w.string(s.msg)
	w.string("") // its language
}

// recover is deferred: what is wrong with one request leaves the session alone.
func (s *session) recover(err *error) {
	if r := recover(); r != nil {
		s.log.Error("sftp request broke", "panic", r, "stack", string(debug.Stack()))
		*err = failf(cloud.Internal, "something broke on our side")
	}
}

// explain turns what went wrong into a status, with the codes of OpenSSH (errno_to_portable in sftp-server.c)
// where the kinds do not say better.
func (s *session) explain(err error) *status {
	var (
		known *status
		ours  *cloud.Error
		errno syscall.Errno
	)
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &ours):
		return told(ours)
	case err == io.EOF:
		return statusEnd
	case errors.Is(err, fs.ErrNotExist):
		return failf(cloud.NotFound, "no such file or directory")
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP):
		errors.As(err, &errno)
		return failf(cloud.NotFound, "%s", errno.Error())
	case errors.Is(err, fs.ErrPermission):
		return failf(cloud.Denied, "permission denied")
	case noSpace(err):
		return failf(cloud.Quota, "no space left: the disk limit is reached")
	case errors.Is(err, errors.ErrUnsupported):
		return errUnsupported
	case errors.Is(err, fs.ErrClosed):
		return failf(cloud.Invalid, "already closed")
	case errors.As(err, &errno):
		return failf(cloud.Invalid, "%s", errno.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return failf(cloud.Cancelled, "cancelled")
	}
	s.log.Error("sftp request failed", "error", err)
	return failf(cloud.Internal, "something broke on our side")
}

func told(e *cloud.Error) *status {
	msg := e.Message
	if e.Hint != "" {
		msg += "; hint: " + e.Hint
	}
	return failf(e.Kind, "%s", msg)
}

// noSpace: which of the two errors a limit gives depends on the file system.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// full says how big the home is that has no space left.
func (s *session) full(err error, m *mount) error {
	if cloud.KindOf(err) == cloud.Quota {
		return s.tell(err)
	}
	if !noSpace(err) {
		return err
	}
	space, serr := m.Space(s.ctx)
	if serr != nil {
		return err
	}
	if errors.Is(err, syscall.EDQUOT) {
		return s.tell(cloud.DiskFull(space))
	}
	return s.tell(cloud.Errorf(cloud.Quota, "no space left: the disk limit of %s is reached", cloud.FormatSize(space.Limit)))
}

// tell says in words why a transfer cannot go on, once in a session: OpenSSH's clients show none of those in an answer.
func (s *session) tell(err error) error {
	var e *cloud.Error
	if !s.said && errors.As(err, &e) {
		s.said = true
		s.say(told(e).msg)
	}
	return err
}
