package provisiontest

import (
	"context"
	"io"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
)

// terminal is a program that runs on one.
type terminal struct {
	in     *io.PipeWriter
	out    *lines
	resize chan cloud.WindowSize
	ended  chan result
}

func (h Harness) terminal(t *testing.T, s cloud.Spec, script string) *terminal {
	t.Helper()
	r, w := io.Pipe()
	p := &terminal{in: w, out: &lines{}, resize: make(chan cloud.WindowSize), ended: make(chan result, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		status, err := h.Engine.Exec(ctx, s.ID, cloud.Exec{
			Argv: []string{"/bin/sh", "-c", script}, Env: []string{"TERM=xterm"}, TTY: true,
			Size: cloud.WindowSize{Columns: 91, Rows: 37}, Stdin: r, Stdout: p.out, Resize: p.resize,
		})
		p.ended <- result{status: status, err: err}
	}()
	t.Cleanup(func() { cancel(); w.Close() })
	return p
}

func (p *terminal) shows(t *testing.T, what string) {
	t.Helper()
	eventually(t, "terminal shows "+what, func() bool { return strings.Contains(p.out.String(), what) })
}

var ttyTests = []test{
	{"tty has its size from the start", func(t *testing.T, h Harness) {
		p := h.terminal(t, h.up(t), "stty size; exit 5")
		if r := <-p.ended; r.err != nil || r.status != 5 || p.out.String() != "37 91\r\n" {
			t.Errorf("%+v, shown %q", r, p.out.String())
		}
	}},
	{"tty follows its window", func(t *testing.T, h Harness) {
		p := h.terminal(t, h.up(t), `echo ready; while stty size; do sleep 0.1; done`)
		p.shows(t, "ready")
		for rows := uint16(10); rows <= 20; rows++ {
			p.resize <- cloud.WindowSize{Columns: 100, Rows: rows}
		}
		p.shows(t, "20 100\r\n")
	}},
	{"tty carries raw bytes", func(t *testing.T, h Harness) {
		p := h.terminal(t, h.up(t), `stty raw -echo; echo ready; dd bs=1 count=8 2>/dev/null | od -An -tx1; printf 'a\nb\r\n'`)
		p.shows(t, "ready")
		// Ctrl-P Ctrl-Q is what Docker detaches on by default.
		_, _ = io.WriteString(p.in, "\x10\x11\x03\x04\x00\xff\x1a\r")
		if r := <-p.ended; r.err != nil || r.status != 0 {
			t.Errorf("%+v", r)
		}
		if got := p.out.String(); !strings.HasSuffix(got, " 10 11 03 04 00 ff 1a 0d\na\nb\r\n") {
			t.Errorf("shown %q", got)
		}
	}},
	{"tty does not end with its input", func(t *testing.T, h Harness) {
		p := h.terminal(t, h.up(t), `echo ready; sleep 0.5; echo still here; exit 3`)
		p.shows(t, "ready")
		p.in.Close()
		if r := <-p.ended; r.err != nil || r.status != 3 || !strings.Contains(p.out.String(), "still here") {
			t.Errorf("%+v, shown %q", r, p.out.String())
		}
	}},
	{"tty is a shell's", func(t *testing.T, h Harness) {
		s := h.up(t)
		p := h.terminal(t, s, `exec sh -i`)
		_, _ = io.WriteString(p.in, "test -t 0 && echo a $((40+2)) terminal\n")
		p.shows(t, "a 42 terminal")
		job := "sleep " + seconds()
		_, _ = io.WriteString(p.in, job+"\n")
		h.running(t, s, job) // before, a Ctrl-C is the shell's, which ignores it
		_, _ = io.WriteString(p.in, "\x03")
		_, _ = io.WriteString(p.in, "exit 12\n")
		if r := <-p.ended; r.err != nil || r.status != 12 {
			t.Errorf("%+v, shown %q", r, p.out.String())
		}
	}},
}
