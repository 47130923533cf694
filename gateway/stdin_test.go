package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// TestBigStdin sends much, half-closes, and wants the status of what came after.
func TestBigStdin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	const size = 20 << 20
	cmd := ada.program("ssh", "-l", site, "127.0.0.1", "wc -c; sleep 0.2; echo late; exit 4")
	cmd.Stdin = io.LimitReader(zeros{}, size)
	if o := w.run(cmd); o.status != 4 || strings.Fields(o.stdout)[0] != "20971520" || !strings.HasSuffix(o.stdout, "late\n") {
		t.Errorf("%+v", o)
	}
	cmd = ada.program("ssh", "-n", "-l", site, "127.0.0.1", "head -c 20971520 /dev/zero; exit 6")
	if o := w.run(cmd); o.status != 6 || len(o.stdout) != size {
		t.Errorf("%d bytes, status %d", len(o.stdout), o.status)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestEarlyStdin writes before anything runs.
func TestEarlyStdin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	s := w.session(ada.dial(ada.site("blog", cloud.PHP)))
	early := bytes.Repeat([]byte("early "), 10_000)
	_, err := s.Write(early)
	w.must(err)
	w.must(s.CloseWrite())
	s.exec("cat; exit 2")
	got, err := io.ReadAll(s)
	w.must(err)
	if !bytes.Equal(got, early) || s.wait() != 2 {
		t.Errorf("%d bytes of %d", len(got), len(early))
	}
}

// TestEarlyCopy writes before there is a program to read it: the client of rsync, of scp -O and of git talks first. Nothing
// but the program's own bytes is on stdout.
func TestEarlyCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	ada.site("blog", cloud.PHP)
	w.engine.instead = func(_ context.Context, x cloud.Exec) (int, error) {
		fmt.Fprintf(x.Stdout, "%q\n", x.Argv)
		_, err := io.Copy(x.Stdout, x.Stdin)
		return 5, err
	}
	for line, early := range map[string]struct{ in, out string }{
		"scp -t /blog/www/":      {"C0644 5 x\nhello\x00", `["/bin/sh" "-c" "scp -t ./www/"]` + "\nC0644 5 x\nhello\x00"},
		"rsync --server -sre.L":  {"rsync\x00.\x00blog/a b\x00\x00more", `["/bin/sh" "-c" "rsync --server -sre.L"]` + "\nrsync\x00.\x00./a b\x00\x00more"},
		"git-upload-pack blog/x": {"0000", `["/bin/sh" "-c" "git-upload-pack ./x"]` + "\n0000"},
	} {
		s := w.session(ada.dial("me"))
		_, err := io.WriteString(s, early.in)
		w.must(err)
		w.must(s.CloseWrite())
		s.exec(line)
		got, err := io.ReadAll(s)
		w.must(err)
		if string(got) != early.out || s.wait() != 5 {
			t.Errorf("%s: %q", line, got)
		}
	}
}
