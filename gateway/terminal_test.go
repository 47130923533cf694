package gateway_test

import (
	"io"
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
