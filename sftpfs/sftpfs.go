// Package sftpfs speaks SFTP version 3 over the homes of sites. It knows no SSH, and decides nothing about
// rights: who gets a home may use it for as long as its Check says so, and the home lets nobody out. OpenSSH's
// sftp-server is the measure of what it answers; where it must differ, a comment says why. Like that one it does what
// it is asked in the order in which it is asked: an upload that is cut leaves no hole, and appending appends.
package sftpfs

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
)

// maxHandles is how many files and directories one session may have open. OpenSSH's clients need two.
const maxHandles = 100

// Options of a session. The zero value serves.
type Options struct {
	// User is what listings call the owner of a site's files; empty: the number of the uid.
	User string
	// Say is told why a transfer cannot go on, a limit or a right that was lost, in words for the person; nil: nobody.
	Say func(message string)
	// Log gets what broke on our side; nil: nobody.
	Log *slog.Logger
}

var (
	errNoHello = errors.New("the first packet is not SSH_FXP_INIT")
	errNoID    = errors.New("a packet without an id")
)

// Serve answers one client until it leaves, which is no error, or until ctx ends, then with its cause.
// rw.Close must make Read and Write return. Serve closes rw, all files and the view; when it returns nothing
// of it runs any more.
func Serve(ctx context.Context, rw io.ReadWriteCloser, view FS, o Options) error {
	ctx, cancel := context.WithCancelCause(ctx)
	s := newSession(ctx, view, o)
	defer s.close()
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(closed)
		rw.Close()
	})
	defer func() { <-closed }()
	defer cancel(nil)
	out := newOutbox(rw)
	err := s.serve(bufio.NewReader(rw), out)
	out.close()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == io.EOF:
		return nil
	}
	return err
}

func (s *session) serve(in *bufio.Reader, out *outbox) error {
	var (
		packet []byte
		w      reply
		err    error
	)
	for {
		if packet, err = readPacket(in, packet); err != nil {
			return err
		}
		if err = s.answer(packet, &w); err != nil {
			return err
		}
		if err = out.put(w.packet(), in.Buffered() > 0); err != nil {
			return err
		}
	}
}
