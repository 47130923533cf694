package gateway_test

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// wire connects and asks for authentication.
func (w *world) wire() *wire {
	w.Helper()
	c, err := dialWire(w.address)
	w.must(err)
	w.Cleanup(func() { c.Close() })
	w.must(c.askAuth())
	return c
}

func (w *world) answers(want byte) func(got byte, err error) {
	w.Helper()
	return func(got byte, err error) {
		w.Helper()
		if err != nil || got != want {
			w.Fatalf("answer %d (%v), want %d", got, err, want)
		}
	}
}

// whoami runs on a connection that has logged in.
func (c *wire) whoami(t *testing.T, want string) {
	t.Helper()
	out, err := c.run("whoami")
	if err != nil || !strings.Contains(out, want) {
		t.Errorf("whoami: %q (%v), want %q", out, err, want)
	}
}

// TestUserChanges tries another user's name first: who somebody is comes from the key alone.
func TestUserChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada, bob := w.person("ada"), w.person("bob")
	site := ada.site("blog", cloud.PHP)
	mallory := w.stranger("mallory")

	c := w.wire()
	w.answers(msgAuthFailure)(c.offer("ada", mallory.key.PublicKey()))
	w.answers(msgAuthSuccess)(c.sign("bob", bob.key.PublicKey(), bob.key))
	c.whoami(t, "bob")

	// The view is that of the last name, with the rights of the key.
	c = w.wire()
	w.answers(msgKeyOK)(c.offer("ada", bob.key.PublicKey()))
	w.answers(msgAuthSuccess)(c.sign(site, bob.key.PublicKey(), bob.key))
	if out, err := c.run("echo inside"); err != nil || out != "" {
		t.Errorf("bob ran a program in ada's site: %q (%v)", out, err)
	}
}

// TestKeyOffered offers a victim's key and logs in with one's own.
func TestKeyOffered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada, bob := w.person("ada"), w.person("bob")

	c := w.wire()
	w.answers(msgKeyOK)(c.offer("ada", ada.key.PublicKey()))
	w.answers(msgAuthSuccess)(c.sign("ada", bob.key.PublicKey(), bob.key))
	c.whoami(t, "bob")

	// A signature by another key, and asking for a session without any, end the connection.
	c = w.wire()
	w.answers(msgKeyOK)(c.offer("ada", ada.key.PublicKey()))
	if answer, err := c.sign("ada", ada.key.PublicKey(), bob.key); err == nil && answer != msgAuthFailure {
		t.Errorf("a forged signature got answer %d", answer)
	}
	c = w.wire()
	w.answers(msgKeyOK)(c.offer("ada", ada.key.PublicKey()))
	if out, err := c.run("whoami"); err == nil {
		t.Errorf("a session without a login: %q", out)
	}
}

// TestNoAuthentication tries all the ways in that are not a key.
func TestNoAuthentication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	for _, methods := range []string{"none", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic"} {
		o := ada.ssh("ada", "", "-o", "PreferredAuthentications="+methods, "whoami")
		if o.status != 255 || o.stdout != "" {
			t.Errorf("%s: %+v", methods, o)
		}
		has(t, o.stderr, "Permission denied (publickey)")
	}
	config := w.clientConfig("ada")
	config.Auth = []ssh.AuthMethod{ssh.Password(""), ssh.KeyboardInteractive(
		func(_, _ string, questions []string, _ []bool) ([]string, error) {
			return make([]string, len(questions)), nil
		})}
	if c, err := ssh.Dial("tcp", w.address, config); err == nil {
		c.Close()
		t.Error("an empty password is let in")
	}
	c, err := dialWire(w.address)
	w.must(err)
	defer c.Close()
	if out, err := c.run("whoami"); err == nil {
		t.Errorf("a session before any authentication: %q", out)
	}
}

func TestUnknownKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	ada.site("blog", cloud.Static)
	mallory := w.stranger("mallory")
	fingerprint := ssh.FingerprintSHA256(mallory.key.PublicKey())
	said := map[string]bool{}
	for _, user := range []string{"ada", "nobody", "blog.plil.test", "none.plil.test"} {
		o := mallory.ssh(user, "", "whoami")
		if o.status != 255 || o.stdout != "" {
			t.Errorf("%s: %+v", user, o)
		}
		has(t, o.stderr, fingerprint, "ssh -p 2222 nuage.test key add")
		text, _, _ := strings.Cut(o.stderr, "\n"+user+"@")
		said[text] = true
	}
	if len(said) != 1 {
		t.Errorf("who asks can tell names apart: %v", said)
	}
}

// TestManyKeys has an agent full of keys that nobody knows: the right one comes late.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	c := w.wire()
	for range 19 {
		w.answers(msgAuthFailure)(c.offer("ada", w.stranger("x").key.PublicKey()))
	}
	w.answers(msgAuthSuccess)(c.sign("ada", ada.key.PublicKey(), ada.key))
	if strings.Count(c.banners, "hint:") != 1 {
		t.Errorf("banners: %q", c.banners)
	}
	c = w.wire()
	for range 19 {
		w.answers(msgAuthFailure)(c.offer("ada", w.stranger("x").key.PublicKey()))
	}
	if p, err := c.offer("ada", w.stranger("x").key.PublicKey()); err == nil && p == msgAuthFailure {
		t.Error("more than 20 tries")
	}
}

func TestLongUser(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	c := w.wire()
	w.answers(msgAuthFailure)(c.sign(strings.Repeat("a", 100_000)+".plil.test", ada.key.PublicKey(), ada.key))
	w.answers(msgAuthSuccess)(c.sign("a", ada.key.PublicKey(), ada.key))
}

func TestDisabled(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	open := ada.dial("ada")
	s := w.session(open) // it is in, not only logged in
	if s.exec("whoami"); s.wait() != 0 {
		t.Fatal("not let in")
	}
	w.must(w.cloud.DisableAccount(context.Background(), w.who(), "ada"))

	s = w.session(open)
	s.exec("whoami")
	if got := s.wait(); got != cloud.Denied.Exit() {
		t.Errorf("a session that was open: status %d", got)
	}
	o := ada.ssh("ada", "", "whoami")
	has(t, o.stderr, `account "ada" is disabled`, "Permission denied")

	// Who has not proved to have the key is not told.
	c := w.wire()
	w.answers(msgKeyOK)(c.offer("ada", ada.key.PublicKey()))
	if c.banners != "" {
		t.Errorf("told without a signature: %q", c.banners)
	}
}

func TestKeyRemoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	account, view := ada.dial("ada"), ada.dial(site)
	commands := map[*ssh.Client]string{account: "whoami", view: "true"}
	for c, command := range commands {
		s := w.session(c)
		s.exec(command)
		if got := s.wait(); got != 0 {
			t.Fatalf("status %d", got)
		}
	}
	_, err := w.cloud.RemoveKey(context.Background(), w.who(), "ada", ssh.FingerprintSHA256(ada.key.PublicKey()))
	w.must(err)
	commands = map[*ssh.Client]string{account: "whoami", view: "true"}
	for c, command := range commands {
		s := w.session(c)
		s.exec(command)
		if got := s.wait(); got != cloud.Denied.Exit() {
			t.Errorf("after the key was removed: status %d", got)
		}
	}
	if n := w.gateway.Connections("ada"); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	w.gateway.HangUp("ada", "SHA256:another")
	if n := w.gateway.Connections("ada"); n != 2 {
		t.Errorf("another key's: %d connections are left", n)
	}
	w.gateway.HangUp("ada", "")
	w.eventually("hung up", func() bool { return w.gateway.Connections("ada") == 0 })
	_ = account.Wait() // returns
}

func TestAlgorithms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	for option, good := range map[string]bool{
		"KexAlgorithms=curve25519-sha256":            true,
		"KexAlgorithms=curve25519-sha256@libssh.org": true,
		"KexAlgorithms=diffie-hellman-group14-sha1":  false,
		"KexAlgorithms=ecdh-sha2-nistp256":           false,
		"Ciphers=aes256-gcm@openssh.com":             true,
		"Ciphers=aes256-ctr":                         false, // slow, and OpenSSH would take it first
		"Ciphers=chacha20-poly1305@openssh.com":      false,
		"Ciphers=aes128-cbc":                         false,
		"HostKeyAlgorithms=ssh-ed25519":              true,
		"HostKeyAlgorithms=rsa-sha2-512":             false,
	} {
		o := ada.ssh("ada", "", "-o", option, "whoami")
		if (o.status == 0) != good {
			t.Errorf("%s: %+v", option, o)
		}
	}
	for mac, good := range map[string]bool{"hmac-sha2-256": true, "hmac-sha2-512-etm@openssh.com": true, "hmac-sha1": false} {
		old := w.clientConfig("ada", ada.key) // of a client that is not OpenSSH
		old.Ciphers, old.MACs = []string{"aes128-ctr"}, []string{mac}
		c, err := ssh.Dial("tcp", w.address, old)
		if (err == nil) != good {
			t.Errorf("%s: %v", mac, err)
		}
		if err == nil {
			c.Close()
		}
	}
	if c := w.wire(); c.greeting != "SSH-2.0-nuage" {
		t.Errorf("greeting %q", c.greeting)
	}
}

// TestSlowLogin says nothing at all, or stops half-way.
func TestSlowLogin(t *testing.T) {
	t.Parallel()
	const login = time.Second
	w := newWorld(t, gateway.Limits{Login: login})
	ada := w.person("ada")
	silent, err := net.Dial("tcp", w.address)
	w.must(err)
	defer silent.Close()
	var half *wire
	w.eventually("half a login", func() bool { // within the time, which is short on a busy machine
		half, err = dialWire(w.address)
		return err == nil
	})
	defer half.Close()
	if _, err := half.receive(); err == nil {
		t.Error("a login that takes too long goes on")
	}
	w.must(silent.SetDeadline(time.Now().Add(patience)))
	for err = nil; err == nil; {
		_, err = silent.Read(make([]byte, 100))
	}
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		t.Error("a silent connection stays open")
	}

	// The time for the login is over once one has logged in.
	var open *ssh.Client
	w.eventually("a login", func() bool {
		open, err = ssh.Dial("tcp", w.address, w.clientConfig("ada", ada.key))
		return err == nil
	})
	defer open.Close()
	time.Sleep(login + login/2) // nothing else tells that it did not end
	s := w.session(open)
	s.exec("whoami")
	if got := s.wait(); got != 0 {
		t.Errorf("status %d", got)
	}
}

func TestManyLogins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{Startups: gateway.Startups{Start: 3, Rate: 100, Full: 3}})
	ada := w.person("ada")
	open := ada.dial("ada") // does not count
	var waiting []*wire
	for range 3 {
		waiting = append(waiting, w.wire())
	}
	c, err := ssh.Dial("tcp", w.address, w.clientConfig("ada", ada.key))
	if err != nil {
		t.Fatalf("those who only wait keep a login out: %v", err)
	}
	c.Close()
	w.eventually("logged", func() bool { return strings.Contains(w.log.String(), "too many connections") })
	w.eventually("who has waited longest is gone", func() bool { return waiting[0].gone() })
	if waiting[1].gone() || waiting[2].gone() {
		t.Error("more than one had to go")
	}
	open.Close()
}
