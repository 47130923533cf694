package gateway

import (
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
)

func TestWindowSize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		columns, rows uint32
		want          cloud.WindowSize
	}{
		{100, 40, cloud.WindowSize{Columns: 100, Rows: 40}},
		{0, 40, usualSize},
		{100, 0, usualSize},
		{1 << 31, 1 << 16, cloud.WindowSize{Columns: 65535, Rows: 65535}},
	} {
		if got := windowSize(c.columns, c.rows); got != c.want {
			t.Errorf("%d x %d: %v, want %v", c.columns, c.rows, got, c.want)
		}
	}
}

func TestTermNames(t *testing.T) {
	t.Parallel()
	type pty struct {
		Term       string
		C, R, W, H uint32
		Modes      string
	}
	for term, good := range map[string]bool{
		"xterm-256color": true, "": true, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false,
		"a b": false, "a\nb": false, "\x1b[2J": false, "é": false,
	} {
		if _, ok := parsePTY(ssh.Marshal(pty{Term: term, C: 80, R: 24})); ok != good {
			t.Errorf("%q: %v", term, ok)
		}
	}
}

// FuzzRequests gives every parser every payload: what is accepted is within the limits, and nothing panics.
func FuzzRequests(f *testing.F) {
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{})
	f.Add(ssh.Marshal(struct{ Name, Value string }{"LANG", "C"}))
	f.Add(ssh.Marshal(struct{ Name string }{"TERM"}))
	f.Add(ssh.Marshal(struct{ C, R, W, H uint32 }{80, 24, 0, 0}))
	f.Add(ssh.Marshal(struct {
		Term       string
		C, R, W, H uint32
		Modes      string
	}{"xterm", 80, 24, 0, 0, "\x00"}))
	f.Add(ssh.Marshal(struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}{"localhost", 80, "::1", 1}))
	f.Add(ssh.Marshal(struct {
		Path, Reserved string
		Unused         uint32
	}{Path: "/run/x"}))
	f.Fuzz(func(t *testing.T, payload []byte) {
		if p, ok := parsePTY(payload); ok && (len(p.term) > maxTerm || !printable(p.term) || p.size.Rows == 0 || p.size.Columns == 0) {
			t.Errorf("pty %+v", p)
		}
		if size, ok := parseWindow(payload); ok && (size.Rows == 0 || size.Columns == 0 || len(payload) != 16) {
			t.Errorf("window %+v", size)
		}
		if v, ok := parseEnv(payload); ok {
			name, value, found := strings.Cut(v, "=")
			if !found || name == "" || strings.ContainsAny(name, " \x00\n") || strings.ContainsRune(value, 0) {
				t.Errorf("env %q", v)
			}
		}
		if name, ok := parseSignal(payload); ok && len(payload) != 4+len(name) {
			t.Errorf("signal %q", name)
		}
		if to, ok := parseDirectTCP(payload); ok {
			if host, port, err := net.SplitHostPort(to.address); err != nil || port == "0" || len(host) > maxUser || to.network != "tcp" {
				t.Errorf("target %+v", to)
			}
		}
		if to, ok := parseDirectSocket(payload); ok && (len(to.address) > maxPath || to.network != "unix") {
			t.Errorf("target %+v", to)
		}
		if line, ok := parseCommand(payload); ok && (len(line) > maxCommand || len(payload) != 4+len(line)) {
			t.Errorf("command %q", line)
		}
		if name, ok := parseSubsystem(payload); ok && len(payload) != 4+len(name) {
			t.Errorf("subsystem %q", name)
		}
	})
}

func TestMailboxes(t *testing.T) {
	t.Parallel()
	s := newSizes()
	for i := range uint16(100) {
		s.put(cloud.WindowSize{Columns: i})
	}
	if got := <-s; got.Columns != 99 {
		t.Errorf("size %v", got)
	}
	n := newNames()
	for i := range 100 {
		if n.put("TERM") != (i < maxSignals) {
			t.Errorf("signal %d", i)
		}
	}
}
