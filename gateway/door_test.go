package gateway_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"plil.net/nuage/cloud"
	"plil.net/nuage/gateway"
)

// nobody is trusted, not even this host.
var nobody = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}

// knock connects from an address of this host, says nothing and stays.
func (w *world) knock(from string) net.Conn {
	w.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	c, err := d.Dial("tcp", w.address)
	w.must(err)
	return c
}

// TestKnocks: 200 a second that never log in, half of them from the same address: a person gets in, and the knocking address
// is refused in the end, with a word.
func TestKnocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{Trusted: nobody, Startups: gateway.Startups{Start: 10, Rate: 30, Full: 40}})
	ada := w.person("ada")
	ctx, stop := context.WithCancel(context.Background())
	var knocking sync.WaitGroup
	defer knocking.Wait()
	defer stop()
	for _, from := range []string{"127.0.0.2", "127.0.0.3"} {
		knocking.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			var open []net.Conn
			for ctx.Err() == nil {
				<-tick.C
				open = append(open, w.knock(from))
			}
			for _, c := range open {
				c.Close()
			}
		})
	}
	for range 10 {
		c, err := ssh.Dial("tcp", w.address, w.clientConfig("ada", ada.key))
		if err != nil {
			t.Fatalf("a person does not get in: %v", err)
		}
		c.Close()
	}
	w.eventually("the one who knocks is refused", func() bool {
		c := w.knock("127.0.0.2")
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		text, _ := io.ReadAll(c)
		return strings.HasPrefix(string(text), "nuage: too many failed logins from your address, try again in ")
	})
	ada.dial("ada")
}

// TestFailedLogins: they are in the audit, with key, address and name, but not without end.
func TestFailedLogins(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	mallory := w.stranger("mallory")
	for range 120 {
		if _, err := ssh.Dial("tcp", w.address, w.clientConfig("admin", mallory.key)); err == nil {
			t.Fatal("a stranger gets in")
		}
	}
	var failed []cloud.Event
	w.eventually("all are told", func() bool {
		failed = nil
		w.must(w.cloud.Audit(context.Background(), w.who(), cloud.EventFilter{}, false, func(e cloud.Event) error {
			if e.Action == cloud.Login && e.Target == "admin" {
				failed = append(failed, e)
			}
			return nil
		}))
		return len(failed) >= 100
	})
	if e := failed[0]; len(failed) > 110 || e.Result != string(cloud.Denied) || e.Key != ssh.FingerprintSHA256(mallory.key.PublicKey()) || !strings.HasPrefix(e.Address, "127.0.0.1:") {
		t.Errorf("%d events like %+v", len(failed), e)
	}
}

// TestHostKeysAreLearned: OpenSSH's client asks for proof of each key that it did not know, and keeps them.
func TestHostKeysAreLearned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	next := newWorld(t, gateway.Limits{}).stranger("next").key
	w := newWorldWith(t, gateway.Limits{}, entries{next: []ssh.Signer{next}})
	ada := w.person("ada")
	known := filepath.Join(dir, "known")
	_, port, _ := net.SplitHostPort(w.address)
	line := "[127.0.0.1]:" + port + " " + string(ssh.MarshalAuthorizedKey(w.host.PublicKey()))
	w.must(os.WriteFile(known, []byte(line), 0o600))
	want := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(next.PublicKey())))
	w.eventually("it learns the next key", func() bool {
		cmd := ada.program("ssh", "-o", "UpdateHostKeys=yes", "-l", "ada", "127.0.0.1", "whoami")
		for i, arg := range cmd.Args {
			if strings.HasPrefix(arg, "UserKnownHostsFile=") {
				cmd.Args[i] = "UserKnownHostsFile=" + known
			}
		}
		if o := w.run(cmd); o.status != 0 {
			t.Fatalf("%+v", o)
		}
		text, err := os.ReadFile(known)
		w.must(err)
		return strings.Contains(string(text), want)
	})
}

// TestProofOfHostKeys asks for too much.
func TestProofOfHostKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, gateway.Limits{})
	ada, stranger := w.person("ada"), w.stranger("stranger")
	blob := func(key ssh.Signer) []byte { return ssh.Marshal(struct{ Blob []byte }{key.PublicKey().Marshal()}) }
	ask := func(c *ssh.Client, payload []byte) (bool, []byte) {
		ok, answer, err := c.SendRequest("hostkeys-prove-00@openssh.com", true, payload)
		w.must(err)
		return ok, answer
	}
	c := ada.dial("ada")
	ok, answer := ask(c, blob(w.host))
	var one struct{ Blob []byte }
	signature := new(ssh.Signature)
	if !ok || ssh.Unmarshal(answer, &one) != nil || ssh.Unmarshal(one.Blob, signature) != nil {
		t.Fatalf("no proof: %v %x", ok, answer)
	}
	data := append(ssh.Marshal(struct {
		What    string
		Session []byte
	}{"hostkeys-prove-00@openssh.com", c.SessionID()}), blob(w.host)...)
	w.must(w.host.PublicKey().Verify(data, signature))
	for i, bad := range [][]byte{blob(stranger.key), append(blob(w.host), blob(w.host)...), {0, 0, 0, 9, 1}, {0xff, 0xff, 0xff, 0xff}} {
		if ok, _ := ask(ada.dial("ada"), bad); ok {
			t.Errorf("%d: %x is proved", i, bad)
		}
	}
	ask(c, blob(w.host))
	if ok, _ := ask(c, blob(w.host)); ok {
		t.Error("proofs without end")
	}
}

// TestIdle: a session that nothing goes through ends with a word, and so does a connection without any; one in use stays.
func TestIdle(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	now := func() time.Time { return time.Unix(1_000_000+clock.Load(), 0) }
	w := newWorldWith(t, gateway.Limits{Idle: time.Hour, KeepAlive: 2 * time.Second}, entries{now: now})
	ada := w.person("ada")
	site := ada.site("blog", cloud.PHP)
	unused, client := ada.dial(site), ada.dial(site)
	quiet, busy := w.session(client), w.session(client)
	quiet.exec("cat")
	busy.exec("cat")
	echo := func() {
		t.Helper()
		_, err := io.WriteString(busy, "x")
		w.must(err)
		_, err = io.ReadFull(busy, make([]byte, 1))
		w.must(err)
	}
	w.eventually("both run", func() bool { return w.engine.running.Load() == 2 })
	clock.Store(3000)
	echo()
	clock.Store(3700)
	text, _ := io.ReadAll(quiet.Stderr())
	has(t, string(text), "nothing came or went for 1h0m0s")
	if status := quiet.wait(); status != cloud.Cancelled.Exit() {
		t.Errorf("the quiet one ends with %d", status)
	}
	_ = unused.Wait()
	echo()
	_ = busy.CloseWrite()
	if status := busy.wait(); status != 0 {
		t.Errorf("the busy one ends with %d", status)
	}
}

// TestSSHAudit plays the auditor against a gateway with the keys that it makes by itself. The policy lists all that may be there.
func TestSSHAudit(t *testing.T) {
	t.Parallel()
	audit, err := exec.LookPath("ssh-audit")
	if err != nil {
		if promised("ssh-audit") {
			t.Fatalf("ssh-audit was promised: %v", err)
		}
		t.Skipf("needs ssh-audit: %v", err)
	}
	dir := t.TempDir()
	keys, err := gateway.OpenKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldWith(t, gateway.Limits{}, entries{used: keys.HostKeys()})
	_, port, _ := net.SplitHostPort(w.address)
	for what, args := range map[string][]string{"no fail": {"-l", "fail"}, "policy": {"-P", "testdata/ssh-audit-policy.txt"}} {
		var out bytes.Buffer
		cmd := exec.Command(audit, append(append([]string{"-n", "-p", port}, args...), "127.0.0.1")...)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil && what == "policy" || strings.Contains(out.String(), "[fail]") {
			t.Errorf("%s: %v\n%s", what, err, out.String())
		}
		if what == "policy" && !strings.Contains(out.String(), "Passed") {
			t.Errorf("the policy did not pass: %s", out.String())
		}
	}
}
