// Package trail tells the events of the audit to the world outside: as lines of JSON to a file, and to syslog. It keeps
// nothing and is no part of the audit itself, which is in the store: what the disk or syslog does not take is counted and lost.
package trail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"plil.net/nuage/cloud"
)

// Options say where to. Log is needed.
type Options struct {
	File   string // "": none
	Syslog bool
	Log    *slog.Logger

	SyslogPaths []string // sockets to try; nil: those of this host
}

// outlet takes whole lines: all, or the first of them and an error.
type outlet interface {
	write(lines [][]byte) (taken int, err error)
	Close() error
}

// Trail is a witness that tells. Its methods may be called concurrently, but not after Close.
type Trail struct {
	log     *slog.Logger
	outlets []outlet
	queue   chan []byte
	lost    atomic.Int64
	stopped sync.WaitGroup
}

var _ cloud.Witness = (*Trail)(nil)

const (
	queued = 4096 // lines that wait for the disk; more are lost
	batch  = 256
)

// Open opens what there is to write to. Invalid for a file that cannot be written, Unavailable where no syslog runs.
func Open(o Options) (*Trail, error) {
	t := &Trail{log: o.Log, queue: make(chan []byte, queued)}
	if o.File != "" {
		f := &file{path: o.File}
		if err := f.open(); err != nil {
			return nil, cloud.Errorf(cloud.Invalid, "audit.file = %q cannot be written: %v", o.File, plain(err)).
				WithHint("name a file in a directory that is there")
		}
		t.outlets = append(t.outlets, f)
	}
	if o.Syslog {
		s := &syslog{paths: o.SyslogPaths}
		if s.paths == nil {
			s.paths = syslogPaths()
		}
		if err := s.open(); err != nil {
			err = cloud.Errorf(cloud.Unavailable, "audit.syslog: no syslog answers on this host").WithHint("start one, or take it out").Because(err)
			return nil, errors.Join(err, t.closeAll())
		}
		t.outlets = append(t.outlets, s)
	}
	t.stopped.Go(t.run)
	return t, nil
}

// Saw implements cloud.Witness.
func (t *Trail) Saw(e cloud.Event) {
	e.Time = e.Time.UTC()
	line, err := json.Marshal(e)
	if err != nil {
		t.lost.Add(1)
		return
	}
	select {
	case t.queue <- plainText(line):
	default:
		t.lost.Add(1)
	}
}

// plainText escapes what could reach a terminal as a control, where somebody reads the file: json.Marshal does so only with what is below
// space, and an SSH user name is anybody's.
func plainText(line []byte) []byte {
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if bytes.IndexFunc(line, odd) < 0 {
		return line
	}
	var out []byte
	for _, r := range string(line) {
		switch {
		case !odd(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// Woke implements cloud.Witness.
func (t *Trail) Woke(time.Duration, error) {}

// Lost counts the events that nobody took.
func (t *Trail) Lost() int64 { return t.lost.Load() }

// Close writes what waits.
func (t *Trail) Close() error {
	close(t.queue)
	t.stopped.Wait()
	return t.closeAll()
}

func (t *Trail) closeAll() (err error) {
	for _, o := range t.outlets {
		err = errors.Join(err, o.Close())
	}
	return err
}

func (t *Trail) run() {
	failing, said := false, int64(0)
	for line := range t.queue {
		lines := [][]byte{line}
		for len(lines) < batch && len(t.queue) > 0 {
			lines = append(lines, <-t.queue)
		}
		switch err := t.write(lines); {
		case err != nil && !failing:
			failing = true
			t.log.Error("the audit is not told: events get lost here, not in the store", "lost", t.lost.Load(), "err", err)
		case err == nil && len(t.queue) == 0 && t.lost.Load() > said:
			failing, said = false, t.lost.Load()
			t.log.Warn("the audit is told again", "lost", said)
		}
	}
}

// write counts as lost what one of the outlets did not take.
func (t *Trail) write(lines [][]byte) (err error) {
	least := len(lines)
	for _, o := range t.outlets {
		taken, failed := o.write(lines)
		least, err = min(least, taken), errors.Join(err, failed)
	}
	t.lost.Add(int64(len(lines) - least))
	return err
}

// plain is the innermost reason.
func plain(err error) error {
	for next := err; next != nil; next = errors.Unwrap(next) {
		err = next
	}
	return err
}
