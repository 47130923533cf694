package gateway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

type ptyRequest struct {
	Term                         string
	Columns, Rows, Width, Height uint32
	Modes                        string
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	client := ada.dial(site)
	s := w.session(client)
	if !s.ask("pty-req", ssh.Marshal(ptyRequest{"vt220", 100, 40, 0, 0, ""})) {
		t.Fatal("no pty")
	}
	if s.ask("pty-req", ssh.Marshal(ptyRequest{"vt100", 1, 1, 0, 0, ""})) {
		t.Error("a second pty")
	}
	s.exec(`stty size; echo $TERM $SSH_TTY; echo err >&2
		while [ "$(stty size)" != '50 120' ]; do sleep 0.01; done; read line; echo line $line; printf 'raw\nbytes'; exit 9`)
	read := &syncBuffer{}
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(read, s)
		done <- err
	}()
	w.eventually("the first size", func() bool { return strings.Contains(read.String(), "err") })
	_, _ = s.SendRequest("window-change", false, ssh.Marshal(struct{ C, R, W, H uint32 }{120, 50, 0, 0}))
	_, err := s.Write([]byte("typed\n"))
	w.must(err)
	if got := s.wait(); got != 9 {
		t.Errorf("status %d", got)
	}
	w.must(<-done)
	has(t, read.String(), "40 100\r\n", "vt220 /dev/tty\r\n", "err\r\n", "typed\r\nline typed\r\n", "raw\r\nbytes")
	if rest, _ := io.ReadAll(s.Stderr()); len(rest) > 0 {
		t.Errorf("stderr beside a terminal: %q", rest)
	}
}

// TestRealTerminal runs ssh in a terminal of its own.
func TestRealTerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	cmd := ada.program("ssh", "-tt", "-l", site, "127.0.0.1")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 30, Cols: 90})
	w.must(err)
	defer terminal.Close()
	read := &syncBuffer{}
	go func() { _, _ = io.Copy(read, terminal) }()
	typed := func(keys, want string) {
		t.Helper()
		_, err := io.WriteString(terminal, keys)
		w.must(err)
		w.eventually(want, func() bool { return strings.Contains(read.String(), want) })
	}
	typed("stty size; echo shell-$((20+3))\n", "shell-23")
	has(t, read.String(), "30 90")
	w.must(pty.Setsize(terminal, &pty.Winsize{Rows: 31, Cols: 91}))
	w.must(cmd.Process.Signal(syscall.SIGWINCH))
	w.eventually("the new size", func() bool {
		_, _ = io.WriteString(terminal, "stty size\n")
		time.Sleep(20 * time.Millisecond) // let the shell answer before asking again
		return strings.Contains(read.String(), "31 91")
	})
	typed("sleep 1000\n", "sleep 1000\r\n")
	w.eventually("Ctrl-C", func() bool { // a shell that has not started sleep yet lets one pass
		_, _ = io.WriteString(terminal, "\x03echo after-$((1+1))\n")
		time.Sleep(50 * time.Millisecond) // let it be read before the next Ctrl-C flushes it
		return strings.Contains(read.String(), "after-2")
	})
	_, _ = io.WriteString(terminal, "exit 5\n")
	_ = cmd.Wait()
	if got := cmd.ProcessState.ExitCode(); got != 5 {
		t.Errorf("status %d", got)
	}
}

func TestPromptAndHelp(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	cmd := ada.program("ssh", "-tt", "127.0.0.1")
	terminal, err := pty.Start(cmd)
	w.must(err)
	defer terminal.Close()
	read := &syncBuffer{}
	go func() { _, _ = io.Copy(read, terminal) }()
	w.eventually("a prompt", func() bool { return strings.Contains(read.String(), "nuage") })
	_, err = io.WriteString(terminal, "\x04")
	w.must(err)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-D: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	client := ada.dial(ada.site("blog", cloud.PHP))
	s := w.session(client)
	env := func(name, value string) bool {
		return s.ask("env", ssh.Marshal(struct{ Name, Value string }{name, value}))
	}
	for name, good := range map[string]bool{
		"LANG": true, "LC_ALL": true, "LC_": false, "LC_ALL=X": false, "TZ": true, "COLORTERM": true, "GIT_PROTOCOL": true,
		"NO_COLOR": true, "LD_PRELOAD": false, "PATH": false, "BASH_ENV": false, "": false, "lang": false, "HOME": false,
	} {
		if env(name, "a b") != good {
			t.Errorf("%q: %v", name, !good)
		}
	}
	if env("LANG", "a\x00b") {
		t.Error("a NUL byte")
	}
	if env("LANG", strings.Repeat("x", 40<<10)) {
		t.Error("a value of 40 KiB")
	}
	s.exec("true")
	if got := s.wait(); got != 0 {
		t.Fatalf("status %d", got)
	}
	got := <-w.engine.envs
	local, remote := client.LocalAddr().String(), client.RemoteAddr().String()
	want := "SSH_CONNECTION=" + strings.ReplaceAll(local, ":", " ") + " " + strings.ReplaceAll(remote, ":", " ")
	if !slices.Contains(got, want) || !slices.Contains(got, "LANG=a b") {
		t.Errorf("got %q, want %q in it", got, want)
	}
	if len(got) != 8 {
		t.Errorf("%d variables: %q", len(got), got)
	}
}

func TestNotMine(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada, bob := w.person("ada"), w.person("bob")
	ada.site("blog", cloud.PHP)
	ada.site("pages", cloud.Static)
	for _, c := range []struct {
		who    *person
		user   string
		status int
		says   string
	}{
		{bob, "blog.plil.test", cloud.NotFound.Exit(), `nuage: no site "blog.plil.test"`},
		{bob, "none.plil.test", cloud.NotFound.Exit(), `nuage: no site "none.plil.test"`},
		{bob, "../x.plil.test", cloud.NotFound.Exit(), `nuage: no site "../x.plil.test"`},
		{ada, "pages.plil.test", cloud.Invalid.Exit(), "is a static site"},
	} {
		o := c.who.ssh(c.user, "", "id")
		if o.status != c.status || o.stdout != "" {
			t.Errorf("%s as %s: %+v", c.user, c.who.name, o)
		}
		has(t, o.stderr, c.says, "\nhint: ")
		if o := c.who.ssh(c.user, "", "-s", "sftp"); c.who == bob && (o.status != c.status || o.stdout != "") {
			t.Errorf("sftp %s as %s: %+v", c.user, c.who.name, o)
		}
	}
	// With a terminal, in raw mode, lines end with a return.
	s := w.session(bob.dial("blog.plil.test"))
	s.ask("pty-req", ssh.Marshal(ptyRequest{Term: "xterm"}))
	s.ask("shell", nil)
	text, err := io.ReadAll(s)
	w.must(err)
	has(t, string(text), "no site \"blog.plil.test\"\r\nhint: ")
}

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

// TestClientGone leaves nothing running.
func TestClientGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	client := ada.dial(site)
	byChannel, byConnection := w.session(client), w.session(client)
	for _, s := range []*raw{byChannel, byConnection} {
		s.exec("sleep 1000 & sleep 1000")
	}
	w.eventually("both run", func() bool { return w.engine.running.Load() == 2 })
	w.must(byChannel.Close())
	w.eventually("one is killed", func() bool { return w.engine.running.Load() == 1 })
	w.must(client.Close())
	w.eventually("both are killed", func() bool { return w.engine.running.Load() == 0 })

	cmd := ada.program("ssh", "-l", site, "127.0.0.1", "sleep 1000")
	w.must(cmd.Start())
	w.eventually("it runs", func() bool { return w.engine.running.Load() == 1 })
	w.must(cmd.Process.Kill())
	_ = cmd.Wait()
	w.eventually("it is killed", func() bool { return w.engine.running.Load() == 0 })
}

func TestSignals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	s := w.session(ada.dial(ada.site("blog", cloud.PHP)))
	signal := func(name string) bool { return s.ask("signal", ssh.Marshal(struct{ Name string }{name})) }
	if signal("TERM") {
		t.Error("a signal to nobody")
	}
	s.exec("trap 'exit 42' TERM; echo ready; while :; do sleep 0.01; done")
	_, err := io.ReadFull(s, make([]byte, 6))
	w.must(err)
	if signal("WINCH") || signal("SIGTERM") || signal("") {
		t.Error("a signal that is none")
	}
	if !signal("TERM") {
		t.Error("no TERM")
	}
	if got := s.wait(); got != 42 {
		t.Errorf("status %d", got)
	}
}

func TestControlMaster(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	socket, err := os.MkdirTemp("", "cm") // short: a socket's path has at most 107 bytes
	w.must(err)
	t.Cleanup(func() { os.RemoveAll(socket) })
	socket = filepath.Join(socket, "s")
	master := ada.program("ssh", "-M", "-N", "-S", socket, "-l", site, "127.0.0.1")
	w.must(master.Start())
	w.eventually("a master", func() bool { return ada.ssh(site, "", "-S", socket, "-O", "check").status == 0 })
	results := make(chan output, 12)
	for i := range cap(results) / 2 {
		go func() {
			results <- ada.ssh(site, "in", "-S", socket, "cat; exit "+string(rune('0'+i)))
			results <- ada.ssh(site, "", "-S", socket, "exit 0")
		}()
	}
	sum := 0
	for range cap(results) {
		o := <-results
		sum += o.status
		if o.stderr != "" || (o.status != 0 && o.stdout != "in") {
			t.Errorf("%+v", o)
		}
	}
	if sum != 0+1+2+3+4+5 {
		t.Errorf("sum of statuses is %d", sum)
	}
	if n := w.gateway.Connections("ada"); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	if o := ada.ssh(site, "", "-S", socket, "-O", "exit"); o.status != 0 {
		t.Errorf("%+v", o)
	}
	if err := master.Wait(); err != nil && master.ProcessState.ExitCode() != 255 {
		t.Errorf("the master: %v", err)
	}
}

// TestOtherRequests are those that get a no.
func TestOtherRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	client := ada.dial(ada.site("blog", cloud.PHP))
	for _, kind := range []string{"x11", "auth-agent@openssh.com", "forwarded-tcpip", "tun@openssh.com", ""} {
		_, _, err := client.OpenChannel(kind, nil)
		refusal, ok := err.(*ssh.OpenChannelError)
		if !ok || refusal.Reason != ssh.UnknownChannelType {
			t.Fatalf("%s: %v", kind, err)
		}
		has(t, refusal.Message, "nuage: ")
	}
	for _, request := range []string{"tcpip-forward", "streamlocal-forward@openssh.com", "keepalive@openssh.com", "x"} {
		if ok, _, err := client.SendRequest(request, true, nil); ok || err != nil {
			t.Errorf("%s: %v %v", request, ok, err)
		}
	}
	s := w.session(client)
	for _, request := range []string{"x11-req", "break", "eow@openssh.com", ""} {
		if s.ask(request, nil) {
			t.Errorf("%q gets a yes", request)
		}
	}
}

// TestKeepAlive has one client that answers, one that only sends, and one that says nothing.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	const often = 400 * time.Millisecond
	w := newWorld(t, gateway.Limits{KeepAlive: often})
	ada, bob, cyd := w.person("ada"), w.person("bob"), w.person("cyd")
	alive := ada.dial("ada")
	dead, deaf := w.wire(), w.wire()
	w.answers(msgAuthSuccess)(dead.sign("bob", bob.key.PublicKey(), bob.key))
	w.answers(msgAuthSuccess)(deaf.sign("cyd", cyd.key.PublicKey(), cyd.key))
	w.eventually("both are there", func() bool { return w.gateway.Connections("bob") == 1 && w.gateway.Connections("cyd") == 1 })
	w.eventually("who says nothing is gone", func() bool {
		w.must(deaf.send([]byte{msgIgnore, 0, 0, 0, 0}))
		return w.gateway.Connections("bob") == 0
	})
	s := w.session(alive)
	s.exec("whoami")
	if got := s.wait(); got != 0 {
		t.Errorf("who answers: status %d", got)
	}
	if w.gateway.Connections("cyd") != 1 {
		t.Error("who sends is gone")
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	w.engine.instead = func(context.Context, cloud.Exec) (int, error) { panic("in a program") }
	o := ada.ssh(site, "", "x")
	if o.status != cloud.Internal.Exit() {
		t.Errorf("%+v", o)
	}
	has(t, o.stderr, "nuage: something broke on our side (ref ")
	has(t, w.log.String(), "in a program")
	if strings.Contains(o.stderr, "in a program") {
		t.Error("the cause is told")
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
