package gateway_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// counting listens and tells each client, once it has sent all, how much that was.
func (w *world) counting(network, address string) net.Addr {
	w.Helper()
	l, err := net.Listen(network, address)
	w.must(err)
	w.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				n, _ := io.Copy(io.Discard, c)
				fmt.Fprintf(c, "%d bytes", n)
			}()
		}
	}()
	return l.Addr()
}

// direct opens a forward as clients do.
func direct(client *ssh.Client, at string) (ssh.Channel, error) {
	kind, payload := "direct-streamlocal@openssh.com", ssh.Marshal(struct {
		Path, Reserved string
		Unused         uint32
	}{Path: at})
	if host, port, err := net.SplitHostPort(at); err == nil {
		n, _ := strconv.Atoi(port)
		kind, payload = "direct-tcpip", ssh.Marshal(struct {
			Host       string
			Port       uint32
			Origin     string
			OriginPort uint32
		}{host, uint32(n), "127.0.0.1", 1})
	}
	ch, reqs, err := client.OpenChannel(kind, payload)
	if err == nil {
		go ssh.DiscardRequests(reqs)
	}
	return ch, err
}

func (w *world) short() string {
	w.Helper()
	dir, err := os.MkdirTemp("", "f") // short: a socket's path has at most 107 bytes
	w.must(err)
	w.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestForward(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	client := ada.dial(ada.site("blog", cloud.PHP))
	_, port, _ := net.SplitHostPort(w.counting("tcp", "127.0.0.1:0").String())
	socket := w.counting("unix", filepath.Join(w.short(), "s")).String()
	var all sync.WaitGroup
	for _, at := range []string{"localhost:" + port, "127.0.0.1:" + port, socket} {
		for i := range 5 {
			all.Go(func() {
				ch, err := direct(client, at)
				if err != nil {
					t.Errorf("%s: %v", at, err)
					return
				}
				defer ch.Close()
				size := i << 20
				if _, err := ch.Write(make([]byte, size)); err != nil {
					t.Error(err)
				}
				_ = ch.CloseWrite()
				got, err := io.ReadAll(ch)
				if want := fmt.Sprintf("%d bytes", size); string(got) != want || err != nil {
					t.Errorf("%s: %q, want %q, %v", at, got, want, err)
				}
			})
		}
	}
	all.Wait()
}

// TestForwardEnds closes at either end, in all ways.
func TestForwardEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	client := ada.dial(ada.site("blog", cloud.PHP))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	defer l.Close()
	open := func(client *ssh.Client) (ssh.Channel, *net.TCPConn) {
		t.Helper()
		ch, err := direct(client, l.Addr().String())
		w.must(err)
		inside, err := l.Accept()
		w.must(err)
		w.must(inside.SetDeadline(time.Now().Add(patience)))
		return ch, inside.(*net.TCPConn)
	}

	ch, inside := open(client)
	w.must(inside.CloseWrite()) // the server has said all, the client has not
	if got, err := io.ReadAll(ch); len(got) > 0 || err != nil {
		t.Errorf("%q %v", got, err)
	}
	_, err = io.WriteString(ch, "more")
	w.must(err)
	w.must(ch.CloseWrite())
	if got, err := io.ReadAll(inside); string(got) != "more" || err != nil {
		t.Errorf("after the server's half-close: %q %v", got, err)
	}
	inside.Close()

	ch, inside = open(client)
	w.must(ch.Close()) // the client has gone without a word
	if _, err := inside.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the client's close: %v", err)
	}

	ch, inside = open(client)
	w.must(inside.SetLinger(0))
	inside.Close() // a reset, while the client sends
	for deadline := time.Now().Add(patience); err == nil && time.Now().Before(deadline); {
		_, err = ch.Write(make([]byte, 1<<10))
	}
	if err == nil {
		t.Error("the client goes on after a reset")
	}

	other := ada.dial("blog.plil.test")
	_, inside = open(other)
	other.Close()
	if _, err := inside.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the connection: %v", err)
	}
	w.eventually("no forward is counted", func() bool { return w.gateway.Forwards("ada") == 0 })
}

func TestForwardRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada, bob := w.person("ada"), w.person("bob")
	site := ada.site("blog", cloud.PHP)
	ada.site("pages", cloud.Static)
	inside := w.counting("tcp", "127.0.0.1:0").String()
	shut, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	shut.Close()
	for _, c := range []struct {
		who    *person
		user   string
		at     string
		reason ssh.RejectionReason
		says   string
	}{
		{ada, "ada", inside, ssh.Prohibited, "log in as SITE@nuage.test"},
		{ada, "ada", "/run/x", ssh.Prohibited, "log in as SITE@nuage.test"},
		{ada, site, "169.254.169.254:80", ssh.Prohibited, "only ports inside the site"},
		{ada, site, "10.64.0.1:22", ssh.Prohibited, "only ports inside the site"},
		{ada, site, "example.org:80", ssh.Prohibited, "only ports inside the site"},
		{ada, site, "localhost:0", ssh.ConnectionFailed, "not the address"},
		{ada, site, "localhost:65536", ssh.ConnectionFailed, "not the address"},
		{ada, site, shut.Addr().String(), ssh.ConnectionFailed, "nothing in the site answers"},
		{ada, "pages.plil.test", inside, ssh.Prohibited, "is a static site"},
		{bob, site, inside, ssh.ConnectionFailed, `no site "blog.plil.test"`},
		{bob, "none.plil.test", inside, ssh.ConnectionFailed, `no site "none.plil.test"`},
	} {
		_, err := direct(c.who.dial(c.user), c.at)
		var refusal *ssh.OpenChannelError
		if !errors.As(err, &refusal) || refusal.Reason != c.reason {
			t.Errorf("%s to %s: %v", c.user, c.at, err)
			continue
		}
		has(t, refusal.Message, "nuage: ", c.says)
	}
}

func TestManyForwards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	at := w.counting("tcp", "127.0.0.1:0").String()
	var refusal *ssh.OpenChannelError
	for i, limit := range []struct {
		open int
		says string
	}{{64, "64 forwards are open on this connection"}, {64, "64 forwards are open on this connection"}, {0, "128 forwards of this account"}} {
		client := ada.dial(site)
		var first ssh.Channel
		for n := range 200 {
			ch, err := direct(client, at)
			if first == nil {
				first = ch
			}
			if err == nil {
				continue
			}
			if !errors.As(err, &refusal) || refusal.Reason != ssh.ResourceShortage || n != limit.open {
				t.Fatalf("connection %d, forward %d: %v", i, n, err)
			}
			has(t, refusal.Message, limit.says)
			break
		}
		if limit.open > 0 {
			w.must(first.Close())
			w.eventually("room for one more", func() bool { _, err := direct(client, at); return err == nil })
		}
	}
}

// TestRemoteForward gets a no, and the next session tells why.
func TestRemoteForward(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	for _, forward := range []string{"0:127.0.0.1:22", "/tmp/x:127.0.0.1:22"} {
		o := ada.ssh(site, "", "-R"+forward, "echo out")
		if o.status != 0 || o.stdout != "out\n" {
			t.Errorf("%+v", o)
		}
		has(t, o.stderr, "nuage: -R is refused: ")
	}
	if o := ada.ssh(site, "", "-oExitOnForwardFailure=yes", "-R0:127.0.0.1:22", "true"); o.status != 255 {
		t.Errorf("%+v", o)
	}
}

// TestOpenSSHForwards has the real client forward to a port and to a socket.
func TestOpenSSHForwards(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	dir := w.short()
	port, socket := w.counting("tcp", "127.0.0.1:0").String(), w.counting("unix", filepath.Join(dir, "s")).String()
	for _, to := range []string{port, socket} {
		near := filepath.Join(dir, "near"+strconv.Itoa(len(to)))
		cmd := ada.program("ssh", "-N", "-L", near+":"+to, "-l", site, "127.0.0.1")
		w.must(cmd.Start())
		var c net.Conn
		w.eventually("a forward to "+to, func() (ok bool) {
			var err error
			c, err = net.Dial("unix", near)
			return err == nil
		})
		_, err := c.Write(make([]byte, 3<<20))
		w.must(err)
		w.must(c.(*net.UnixConn).CloseWrite())
		if got, err := io.ReadAll(c); string(got) != "3145728 bytes" || err != nil {
			t.Errorf("%s: %q %v", to, got, err)
		}
		c.Close()
		w.must(cmd.Process.Kill())
		_ = cmd.Wait()
	}
}

func TestAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	agent := filepath.Join(w.short(), "agent")
	cmd := ada.plain("ssh-agent", "-D", "-a", agent)
	w.must(cmd.Start())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	w.eventually("an agent", func() bool { // the socket is there before anybody listens
		c, err := net.Dial("unix", agent)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	add := ada.plain("ssh-add", "-q", ada.file)
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+agent)
	if o := w.run(add); o.status != 0 {
		t.Fatalf("%+v", o)
	}
	lend := []string{"-A", "-oIdentityAgent=" + agent}
	script := `echo $SSH_AUTH_SOCK; for i in 1 2 3 4 5; do ssh-add -l & done; wait; stat -c %a $SSH_AUTH_SOCK $(dirname $SSH_AUTH_SOCK)`
	o := ada.agentSSH(site, append(lend, script)...)
	fingerprint := ssh.FingerprintSHA256(ada.key.PublicKey())
	if o.status != 0 || strings.Count(o.stdout, fingerprint) != 5 {
		t.Errorf("%+v", o)
	}
	socket, _, _ := strings.Cut(o.stdout, "\n")
	if _, err := os.Stat(filepath.Dir(socket)); socket == "" || !os.IsNotExist(err) {
		t.Errorf("after the session: %q %v", socket, err)
	}
	// Not unless asked for, and not in the account view.
	if o := ada.agentSSH(site, "-a", "echo agent=$SSH_AUTH_SOCK"); o.stdout != "agent=\n" {
		t.Errorf("%+v", o)
	}
	if s := w.session(ada.dial("ada")); s.ask("auth-agent-req@openssh.com", nil) {
		t.Error("an agent in the account view")
	}
	s := w.session(ada.dial(site))
	if s.ask("auth-agent-req@openssh.com", []byte{0}) || !s.ask("auth-agent-req@openssh.com", nil) || s.ask("auth-agent-req@openssh.com", nil) {
		t.Error("one good request, and one only")
	}
	s.exec("read line")
	if s.ask("auth-agent-req@openssh.com", nil) {
		t.Error("an agent after the start")
	}
}

// TestAgentOfAVanishedClient takes the socket away with its session, and cuts who is connected to it.
func TestAgentOfAVanishedClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada := w.person("ada")
	client := ada.dial(ada.site("blog", cloud.PHP))
	asked := client.HandleChannelOpen("auth-agent@openssh.com")
	s := w.session(client)
	s.ask("auth-agent-req@openssh.com", nil)
	s.exec("echo $SSH_AUTH_SOCK; sleep 1000")
	line := make([]byte, 200)
	n, err := s.Read(line)
	w.must(err)
	socket := string(bytes.TrimSpace(line[:n]))
	var conns []net.Conn
	for range 20 { // nobody answers; of them 16 wait and the others are cut at once
		c, err := net.Dial("unix", socket)
		w.must(err)
		defer c.Close()
		w.must(c.SetDeadline(time.Now().Add(patience)))
		conns = append(conns, c)
	}
	for range 16 {
		<-asked
	}
	client.Close()
	w.eventually("the socket is gone", func() bool { _, err := os.Stat(filepath.Dir(socket)); return os.IsNotExist(err) })
	for _, c := range conns {
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a connection stays: %v", err)
		}
	}
}
