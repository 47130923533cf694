package sftpfs

import (
	"context"
	"log/slog"
	"testing"
)

// failing is a log in which nothing may break.
type failing struct {
	slog.Handler
	t *testing.T
}

func (f *failing) logger() *slog.Logger {
	f.Handler = slog.DiscardHandler
	return slog.New(f)
}

func (f *failing) Enabled(context.Context, slog.Level) bool { return true }

func (f *failing) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		r.Attrs(func(a slog.Attr) bool {
			f.t.Errorf("%s: %v", r.Message, a)
			return true
		})
	}
	return nil
}
