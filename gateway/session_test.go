package gateway_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

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
	for _, c := range []struct {
		who    *person
		user   string
		status int
		says   string
	}{
		{bob, "blog.plil.test", cloud.NotFound.Exit(), `nuage: no site "blog.plil.test"`},
		{bob, "none.plil.test", cloud.NotFound.Exit(), `nuage: no site "none.plil.test"`},
		{bob, "../x.plil.test", cloud.NotFound.Exit(), `nuage: no site "../x.plil.test"`},
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
