package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"runtime/debug"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway/command"
)

// run runs the chosen program. One that panics has failed; the gateway goes on.
func (s *session) run(ctx context.Context) (status int) {
	defer func() {
		if p := recover(); p != nil {
			status = s.fail(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	if s.remote.Swap(false) {
		s.tell("-R is refused: it would let every program in the site into your network; -L and -D lead into a site")
	}
	return s.chosen(ctx)
}

// execute runs a line that the client sent as one string: in the account view a command of ours, in the site
// view whatever a shell makes of it. What copies files is run in the site that it names.
func (s *session) execute(ctx context.Context, line string) int {
	if s.site != "" {
		return s.inSite(ctx, "/bin/sh", "-c", line)
	}
	if c, ok, err := parseCopying(line, s.cloud.FullName); ok {
		return s.copy(ctx, c, err)
	}
	return command.Run(ctx, s.call(), line)
}

// shell is a session without a command. Without a terminal the site's shell reads its commands from stdin.
func (s *session) shell(ctx context.Context) int {
	switch {
	case s.site != "":
		return s.inSite(ctx, "/bin/bash", "-l")
	case s.tty.Load():
		return command.Prompt(ctx, s.call())
	}
	return command.Run(ctx, s.call(), "help")
}

func (s *session) call() command.Call {
	return command.Call{
		Cloud: s.cloud, Who: s.who, Stdin: s.channel, Stdout: s.stdout, Stderr: s.talk(),
		Progress: s.progress(), TTY: s.tty.Load(), Term: s.term, Env: s.env, Size: s.size, Resize: s.sizes, Signals: s.signals,
	}
}

// inSite runs a program in the site of the view.
func (s *session) inSite(ctx context.Context, argv ...string) int {
	return s.runIn(ctx, s.site, s.channel, argv...)
}

// runIn runs a program in a site. What it says passes as it is, also its status.
func (s *session) runIn(ctx context.Context, site string, stdin io.Reader, argv ...string) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	env := s.environment()
	if s.agent {
		agent, giveBack := s.lendAgent(ctx)
		defer giveBack()
		env = append(env, agent...)
	}
	waiting := command.NewProgress(s.progress())
	defer waiting.End()
	status, err := s.cloud.Exec(ctx, s.who, site, cloud.Exec{
		Argv: argv, Env: env, TTY: s.tty.Load(), Size: s.size, Progress: waiting.Step,
		Stdin: stdin, Stdout: s.stdout, Stderr: s.stderr, Resize: s.sizes, Signals: s.signals,
	})
	if err != nil {
		return s.fail(err)
	}
	return status
}

// progress is where a person at a terminal is told what takes long: beside the output, which may go to a file. nil
// where there is no terminal.
func (s *session) progress() io.Writer {
	if !s.tty.Load() {
		return nil
	}
	return returns{s.stderr}
}

// environment is that of a program in a site: what the client sent and may send, and what sshd(8) sets.
func (s *session) environment() []string {
	client, clientPort := split(s.ssh.RemoteAddr())
	server, serverPort := split(s.ssh.LocalAddr())
	env := append([]string{}, s.env...)
	env = append(env,
		"SSH_CONNECTION="+client+" "+clientPort+" "+server+" "+serverPort,
		"SSH_CLIENT="+client+" "+clientPort+" "+serverPort)
	if s.bounds.forced && s.asked != "" {
		env = append(env, "SSH_ORIGINAL_COMMAND="+s.asked)
	}
	if s.tty.Load() {
		// The terminal's real name is known only inside the container; /dev/tty is the same one there.
		env = append(env, "SSH_TTY=/dev/tty", "TERM="+s.term)
	}
	return env
}

func split(a net.Addr) (host, port string) {
	host, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return "UNKNOWN", "65535" // as sshd(8) says of what is no socket of the internet
	}
	return host, port
}

// fail tells of an error and returns its exit status.
func (s *session) fail(err error) int {
	e := cloud.Explain(err, newRef)
	if e.Kind == cloud.Internal && error(e) != err { // else its cause is in the log already
		s.log.Error("session failed", "ref", e.Ref, "account", s.who.Account, "site", s.site, "err", err)
	}
	out := s.talk()
	if s.tty.Load() {
		out = returns{out}
	}
	return command.Fail(out, e, false)
}

// returns ends lines as a terminal in raw mode needs it.
type returns struct{ w io.Writer }

func (r returns) Write(p []byte) (int, error) {
	_, err := r.w.Write(bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")))
	return len(p), err
}

// newRef ties a message to a line of the log.
func newRef() string {
	b := make([]byte, 3)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
